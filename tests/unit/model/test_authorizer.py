"""Authorizers in a definition: a route must not stand open because of a slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    authorizers:
      users:
        authorizerType: JWT
        identitySource: [{source}]
        jwtConfiguration: {{{jwt}}}
    routes:
      $connect: {{{connect}}}
      say: {{{say}}}
"""
JWT = 'issuer: "https://issuer.example", audience: [chat]'


def problems(connect: str = "authorizer: users", say: str = "", jwt: str = JWT) -> list[str]:
    text = DEFINITION.format(connect=connect, say=say, jwt=jwt, source="route.request.querystring.token")
    try:
        parse(text, "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "connect",
    [
        pytest.param("authorizer: users", id="our short form"),
        pytest.param("authorizationType: JWT, authorizer: users", id="both"),
        pytest.param("authorizationType: JWT, authorizerId: users, authorizationScopes: [a]", id="AWS's form"),
        pytest.param("authorizationType: NONE", id="nobody"),
        pytest.param("", id="nothing said"),
    ],
)
def test_what_is_right(connect: str) -> None:
    assert problems(connect) == []


@pytest.mark.parametrize(
    ("connect", "say", "problem"),
    [
        pytest.param("authorizationType: JWT", "", "JWT needs an authorizer; add authorizer: NAME", id="nobody named"),
        pytest.param("authorizer: user", "", "no authorizer is named user; did you mean users?", id="nobody there"),
        pytest.param("authorizer: users, authorizerId: users", "", "keep one of the two", id="named twice"),
        pytest.param("authorizationType: NONE, authorizer: users", "", "NONE lets everyone in", id="a contradiction"),
        pytest.param("authorizerId: users", "", "is required with authorizerId", id="no type"),
        pytest.param("authorizationScopes: [a]", "", "has no effect without an authorizer", id="scopes of nobody"),
        pytest.param("", "authorizer: users", "only $connect is authorized", id="a message route"),
        pytest.param("", "authorizationType: JWT, authorizerId: users", "only $connect", id="so, in AWS's form"),
        pytest.param("", 'allow: "authorizer.a"', "nothing would be known of any client", id="a rule about nobody"),
        pytest.param("authorizationType: AWS_IAM", "", "AWS_IAM is not supported yet", id="not built"),
    ],
)
def test_a_slip_is_refused(connect: str, say: str, problem: str) -> None:
    found = problems(connect, say)

    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("jwt", "problem"),
    [
        pytest.param("audience: [chat]", "issuer: is required", id="no issuer"),
        pytest.param('issuer: "https://i.example"', "audience: is required", id="for whom it may be"),
        pytest.param('issuer: "https://i.example", audience: []', "audience", id="for nobody"),
        pytest.param('issuer: "ftp://i.example", audience: [a]', "write a URL", id="no such scheme"),
        pytest.param('issuer: "https://me:pw@i.example", audience: [a]', "without a user name", id="a password"),
        pytest.param(
            'issuer: "https://i.example", audience: [a], jwksUri: "http://i.example/k"',
            "is not https",
            id="keys in the clear",
        ),
    ],
)
def test_tokens_that_can_not_be_believed(jwt: str, problem: str) -> None:
    (found,) = problems(jwt=jwt)

    assert problem in found


@pytest.mark.parametrize(
    ("authorizer", "problem"),
    [
        pytest.param("{authorizerType: JWT}", "jwtConfiguration: is required", id="a JWT of anybody"),
        pytest.param(
            f"{{authorizerType: TICKET, jwtConfiguration: {{{JWT}}}}}",
            "has no effect on TICKET",
            id="a ticket's issuer",
        ),
        pytest.param("{authorizerType: TICKETS}", "TICKETS is none of", id="a slip"),
    ],
)
def test_an_authorizer_has_what_its_type_needs(authorizer: str, problem: str) -> None:
    written = authorizer.replace("{", "{identitySource: [route.request.querystring.token], ", 1)
    text = f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    authorizers: {{users: {written}}}
    routes: {{$connect: {{authorizer: users}}}}
"""
    with pytest.raises(DefinitionError) as caught:
        parse(text, "routes.yaml", {}, Path())

    (found,) = caught.value.problems
    assert problem in str(found)
