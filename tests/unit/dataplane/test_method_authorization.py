"""Who may call the methods of REST APIs: what is refused when it is compiled, and what is asked in which order."""

from __future__ import annotations

import pytest

from tests.unit.dataplane.test_compile import compiled, problems
from wsgateway.dataplane.rest_compiled import CompiledMethod

pytestmark = pytest.mark.anyio

API = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {variables: {fn: auth}}, v2: {}}
    cors: {allowOrigins: ["https://a.example"]}
    AUTHORIZERS
    POLICY
    paths:
      /a:
        GET: {integration: {type: MOCK}, METHOD}
        POST: {integration: {type: HTTP_PROXY, httpMethod: POST, uri: "http://a.example"}, METHOD}
credentials: [{accessKeyId: AKIAANN0000000000001, secretAccessKey: x, principalArn: "arn:aws:iam::123456789012:user/a",
               policy: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}}]
"""
USERS = "authorizers: {users: {type: TOKEN, identitySource: method.request.header.A, %s}}"
OPEN = 'policy: {Statement: {Effect: Allow, Principal: "*", Action: "*", Resource: "%s"}}'


def api(method: str = "authorizer: users", authorizers: str = "", policy: str = "") -> str:
    return API.replace("AUTHORIZERS", authorizers).replace("POLICY", policy).replace("METHOD", method)


@pytest.mark.parametrize(
    ("authorizer", "problem"),
    [
        pytest.param(
            "authorizerUri: function:none", "users.authorizerUri: no function here is named none", id="no function"
        ),
        pytest.param(
            "authorizerUri: 'function:${stageVariables.fn}'",
            "users.authorizerUri: the stage has no variable fn; add it to its variables",
            id="no variable",
        ),
        pytest.param(
            "authorizerUri: 'http://a.example', identityValidationExpression: '('",
            "users.identityValidation",
            id="no pattern",
        ),
        pytest.param(
            "authorizerUri: 'http://a.example'}, asked: {type: REQUEST, identitySource: stageVariables.no, "
            "authorizerResultTtlInSeconds: 0, authorizerUri: 'http://a.example'",
            "asked.identitySource: no stage has a variable no, and nobody would be let in; add it to the variables of",
            id="a source that no stage has",
        ),
    ],
)
async def test_an_authorizer_that_could_not_ask_is_refused(authorizer: str, problem: str) -> None:
    found = problems(api(authorizers=USERS % authorizer))

    assert any(f"apis.shop.authorizers.{problem}" in each for each in found), found


async def test_the_kinds_of_sources_are_told_apart() -> None:
    (found,) = problems(api(authorizers=(USERS % "authorizerUri: 'http://a.example'").replace("method.", "route.")))

    said = "route.request.header.A is of another kind of API; write method.request.header.A"
    assert found.endswith(f"authorizers.users.identitySource: {said}")


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        pytest.param("policy: {Statement: {Effect: Allow}}", "policy.Statement.0.Principal: is", id="of nobody"),
        pytest.param(
            OPEN % "arn:aws:execute-api:*:*:a1b2c3/*",
            "policy.Statement.0.Resource: arn:aws:execute-api:*:*:a1b2c3/* is nothing of the API shop; write",
            id="of another API",
        ),
        pytest.param(OPEN % ("x" * 8192), "policy: has more than 8192 characters as JSON", id="too long"),
    ],
)
async def test_a_policy_that_could_not_be_evaluated_is_refused(policy: str, problem: str) -> None:
    found = problems(api("authorizationType: NONE", policy=policy))

    assert any(problem in each for each in found), found


async def test_bodies_are_needed_whole_where_they_are_signed() -> None:
    def method(verb: str, text: str) -> CompiledMethod:
        found = compiled(text).rest["shop", "v1"].resources.find(verb, ["a"])
        assert found is not None
        return found[0]

    signed = method("POST", api("authorizationType: AWS_IAM"))
    token = method("POST", api(authorizers=USERS % "authorizerUri: 'http://a.example'"))
    free = method("POST", api("authorizationType: NONE"))
    assert [(each.claimed is not None, each.passes, each.authorizer) for each in (signed, token, free)] == [
        (True, False, "AWS_IAM"),
        (False, True, "users"),
        (False, True, ""),
    ]
    assert free.admit is None
    assert token.admit is not None
    closed = api("authorizationType: NONE", policy=OPEN % "execute-api:/v1/GET/*")
    assert method("POST", closed).admit is not None
    # What `cors` stands for stays open, whoever may call the resource's methods.
    assert method("OPTIONS", closed).admit is None
    assert method("OPTIONS", api("authorizationType: AWS_IAM")).admit is None
