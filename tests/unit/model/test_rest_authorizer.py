"""Authorizers of REST APIs, and the methods that name them: what is refused, and how it is told.

API Gateway API reference (v1), "Authorizer" and "Method".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import Loaded, parse
from wsgateway.model.remarks import remarks

TOKEN = "type: TOKEN, authorizerUri: function:auth, identitySource: method.request.header.Authorization"
POOL = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Abc"
COGNITO = f"type: COGNITO_USER_POOLS, providerARNs: ['{POOL}'], identitySource: method.request.header.Authorization"
JWT = "type: JWT, identitySource: method.request.header.Authorization, jwtConfiguration"
ONE = f"{JWT}: {{issuer: 'https://a.example', audience: [a]}}"


def read(authorizer: str = TOKEN, method: str = "authorizer: users", more: str = "") -> Loaded:
    text = (
        "apis:\n  shop:\n    protocolType: REST\n    stages: {v1: {}}\n"
        f"    authorizers: {{users: {{{authorizer}}}}}\n"
        f"    paths: {{/a: {{GET: {{integration: {{type: MOCK}}, {method}}}}}}}\n"
        "functions: {auth: {runtime: python3.11, codeUri: ., handler: app.handler}}\n"
    )
    return parse(text + more, "routes.yaml", {}, Path())


def problems(authorizer: str = TOKEN, method: str = "authorizer: users") -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(authorizer, method)
    return [".".join(map(str, each.path)) + ": " + each.text for each in caught.value.problems]


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        pytest.param("authorizer: other", "paths./a.GET.authorizer: nothing under authorizers is named", id="unknown"),
        pytest.param("authorizationType: COGNITO_USER_POOLS", "needs an authorizer; add authorizer: NAME", id="none"),
        pytest.param("authorizerId: users", "authorizationType: is required with authorizerId", id="an id alone"),
        pytest.param("authorizer: users, authorizerId: users", "keep one of the two", id="named twice"),
        pytest.param("authorizer: users, authorizationType: NONE", "asks no authorizer, and one is named", id="open"),
        pytest.param("authorizer: users, authorizationType: AWS_IAM", "asks no authorizer, and one", id="signed"),
        pytest.param("authorizer: users, authorizationType: JWT", "is of type TOKEN; write CUSTOM", id="other type"),
        pytest.param(
            "authorizer: users, authorizationScopes: [a]", "whose tokens have no scopes", id="scopes of TOKEN"
        ),
        pytest.param("authorizationScopes: [a]", "has no effect without an authorizer", id="scopes of nobody"),
        pytest.param("authorizationType: AWS_IAM", "nobody could call it: there are no keys", id="no credentials"),
    ],
)
def test_a_method_that_would_not_be_asked_about_as_it_is_written(method: str, problem: str) -> None:
    assert any(problem in found for found in problems(method=method)), problems(method=method)


@pytest.mark.parametrize(
    ("authorizer", "problem"),
    [
        pytest.param("type: TOKEN", "authorizerUri: is required", id="nobody to ask"),
        pytest.param("type: TOKEN, authorizerUri: function:auth", "identitySource: TOKEN has one", id="no source"),
        pytest.param(f"{TOKEN}, authorizerResultTtlInSeconds: 3601", "authorizerResultTtlInSeconds", id="a long time"),
        pytest.param(
            f"{TOKEN}, providerARNs: ['{POOL}']", "providerARNs: has no effect: it is of COGNITO", id="pools of TOKEN"
        ),
        pytest.param(f"{TOKEN}, jwtConfiguration: {{issuers: []}}", "jwtConfiguration", id="issuers of TOKEN"),
        pytest.param(f"{TOKEN}, authorizerType: TOKEN", "authorizerType", id="the name of v2"),
        pytest.param(f"{ONE}, authorizerResultTtlInSeconds: 5", "it is not of JWT", id="a JWT is not kept"),
        pytest.param(f"{ONE}, identityValidationExpression: a", "it is not of JWT", id="no pattern of a JWT"),
        pytest.param(f"{JWT}: {{defaultAlgorithms: [HS256]}}", "HS256 is none of RS256", id="an unsafe algorithm"),
        pytest.param(
            f"{JWT}: {{issuers: [{{issuer: 'https://a.example', audiences: [a], "
            "additionalClaims: [{claimName: exp}]}]}",
            "additionalClaims.0.claimName: exp is not allowed: name a claim",
            id="a claim with rules of its own",
        ),
        pytest.param("type: REQUEST, authorizerUri: function:auth", "identitySource: ", id="kept for everybody"),
        pytest.param("type: COGNITO_USER_POOLS", "providerARNs: is required", id="no pools"),
        pytest.param(COGNITO.replace("userpool", "pool"), "write the ARN of a user pool", id="no ARN of a pool"),
        pytest.param(f"{COGNITO}, authorizerUri: function:auth", "COGNITO_USER_POOLS asks nobody", id="one to ask"),
        pytest.param(
            "type: JWT, identitySource: method.request.header.A", "jwtConfiguration: is required", id="no one"
        ),
        pytest.param(f"{JWT}: {{}}", "write one of the two", id="no issuer"),
        pytest.param(f"{JWT}: {{issuer: 'https://a.example'}}", "audience: is required with issuer", id="no audience"),
        pytest.param(
            f"{JWT}: {{issuers: [{{issuer: 'https://a.example', audiences: [a]}}], audience: [b]}}",
            "it stands beside issuer",
            id="an audience of nobody",
        ),
        pytest.param(
            f"{JWT}: {{issuers: [{', '.join(['{issuer: https://a.example, audiences: [a]}'] * 2)}]}}",
            "issuers.1.issuer: is in the list twice",
            id="an issuer twice",
        ),
        pytest.param("type: LAMBDA", "type: LAMBDA is none of COGNITO_USER_POOLS, JWT, REQUEST, TOKEN", id="no type"),
    ],
)
def test_an_authorizer_that_could_not_decide(authorizer: str, problem: str) -> None:
    found = problems(authorizer)

    assert any(problem in each for each in found), found
    assert not any("authorizerCredentialsArn" in each for each in found)


def test_answers_are_kept_for_five_minutes() -> None:
    api = read().definitions.rest_apis["shop"]

    assert api.authorizers["users"].common.authorizer_result_ttl_in_seconds == 300


def test_what_changes_nothing_is_taken() -> None:
    read(f"{TOKEN}, authType: custom, name: mine")
    read(f"{COGNITO}, authorizerResultTtlInSeconds: 60, authType: cognito_user_pools")


def test_sources_may_be_written_as_on_aws() -> None:
    listed = "type: REQUEST, authorizerUri: function:auth, identitySource: %s"
    one = read(listed % "'method.request.header.A, stageVariables.b'")
    two = read(listed % "[method.request.header.A, stageVariables.b]")

    assert one.definitions.rest_apis["shop"].authorizers == two.definitions.rest_apis["shop"].authorizers


def test_an_authorizer_that_no_method_asks_is_remarked_upon() -> None:
    (remark,) = remarks(read(method="authorizationType: NONE"))

    assert str(remark) == "routes.yaml:5: apis.shop.authorizers.users: is asked by no method"
