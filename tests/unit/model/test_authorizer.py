"""Authorizers in a definition: a route must not stand open because of a slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse
from wsgateway.model.remarks import remarks

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
OPEN = "authorizationType: NONE"
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
        pytest.param(OPEN, "authorizer: users", "only $connect is authorized", id="a message route"),
        pytest.param(OPEN, "authorizationType: JWT, authorizerId: users", "only $connect", id="so, in AWS's form"),
        pytest.param(OPEN, 'allow: "authorizer.a"', "nothing would be known of any client", id="a rule about nobody"),
        pytest.param("", "", "$connect: names none of the API's authorizers", id="nobody asked"),
        pytest.param(
            "authorizationType: CUSTOM, authorizer: users",
            "",
            "authorizationType: CUSTOM does not go with users, which is of type JWT; write JWT",
            id="another type",
        ),
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
        pytest.param('issuer: "https://me:pw/path", audience: [a]', "is no URL that can be called", id="no port"),
        pytest.param('issuer: "https://i.example:99999", audience: [a]', "up to 65535", id="too large a port"),
        pytest.param('issuer: "https://[::1", audience: [a]', "is no URL that can be called", id="a bracket"),
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
            "jwtConfiguration: has no effect",
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


LAMBDA = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    authorizers: {{users: {{{authorizer}}}}}
    routes: {{{routes}}}
"""
TOKEN = "authorizerType: TOKEN, identitySource: [route.request.header.Authorization]"
REQUEST = "authorizerType: REQUEST, authorizerUri: function:auth"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:auth"
ASKED = "$connect: {authorizer: users}, say: {}"


def lambda_problems(authorizer: str, routes: str = ASKED) -> list[str]:
    try:
        parse(LAMBDA.format(authorizer=authorizer, routes=routes), "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "authorizer",
    [
        pytest.param(REQUEST, id="a function, asked about everybody"),
        pytest.param(f"{REQUEST}, identitySource: [route.request.querystring.a, context.connectionId]", id="sources"),
        pytest.param(f"authorizerType: REQUEST, authorizerUri: '{ARN}'", id="an ARN"),
        pytest.param(
            "authorizerType: REQUEST, authorizerUri: "
            f"'arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{ARN}/invocations', "
            "authorizerCredentialsArn: 'arn:aws:iam::123456789012:role/auth'",
            id="AWS's long form, and a role",
        ),
        pytest.param(f"{TOKEN}, authorizerUri: 'https://auth.example/${{stageVariables.v}}'", id="a URL"),
        pytest.param(
            f"{TOKEN}, authorizerUri: 'https://auth', tlsConfig: {{serverNameToVerify: auth.example}}", id="TLS"
        ),
        pytest.param(f"{TOKEN}, authorizerUri: function:auth, identityValidationExpression: 'Bearer .+'", id="a form"),
        pytest.param(f"{TOKEN}, authorizerUri: function:auth, authorizerResultTtlInSeconds: 3600", id="kept"),
    ],
)
def test_functions_and_urls_that_can_be_asked(authorizer: str) -> None:
    assert lambda_problems(authorizer) == []


@pytest.mark.parametrize(
    ("authorizer", "problem"),
    [
        pytest.param("authorizerType: REQUEST", "authorizerUri: is required", id="nobody"),
        pytest.param("authorizerType: REQUEST, authorizerUri: auth", "write function:NAME", id="a bare name"),
        pytest.param(
            "authorizerType: REQUEST, authorizerUri: 'arn:aws:apigateway:eu-west-1:dynamodb:action/GetItem'",
            "write function:NAME",
            id="another service",
        ),
        pytest.param("authorizerType: REQUEST, authorizerUri: 'https://a b'", "percent-encode", id="no URL"),
        pytest.param(
            "authorizerType: REQUEST, authorizerUri: 'https://a.example', "
            "authorizerCredentialsArn: 'arn:aws:iam::123456789012:role/auth'",
            "only calls of functions are signed",
            id="a signed URL",
        ),
        pytest.param(
            "authorizerType: TOKEN, authorizerUri: function:auth", "TOKEN has one: where the token is", id="no token"
        ),
        pytest.param(
            "authorizerType: TOKEN, authorizerUri: function:auth, "
            "identitySource: [route.request.header.A, route.request.header.B]",
            "TOKEN has one",
            id="two tokens",
        ),
        pytest.param(
            f"{REQUEST}, authorizerResultTtlInSeconds: 60",
            "identitySource: is required with authorizerResultTtlInSeconds",
            id="one answer for all",
        ),
        pytest.param(
            f"{TOKEN}, authorizerUri: function:a, authorizerResultTtlInSeconds: 3601", "3600", id="kept too long"
        ),
        pytest.param(
            f"{REQUEST}, identityValidationExpression: a+", "is never applied to REQUEST", id="a form of a request"
        ),
        pytest.param(f"{REQUEST}, tlsConfig: {{}}", "tlsConfig: has no effect", id="a function's TLS"),
        pytest.param(f"{REQUEST}, closeOnExpiry: true", "closeOnExpiry: has no effect", id="an end nobody knows"),
        pytest.param(
            f"{REQUEST}, jwtConfiguration: {{issuer: 'https://i.example', audience: [a]}}",
            "jwtConfiguration: has no effect",
            id="an issuer",
        ),
        pytest.param(
            "authorizerType: JWT, identitySource: [route.request.header.A]", "jwtConfiguration: is required", id="JWT"
        ),
    ],
)
def test_what_can_not_be_asked(authorizer: str, problem: str) -> None:
    (found,) = lambda_problems(authorizer)

    assert problem in found


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        pytest.param(
            "$connect: {authorizer: users, authorizationScopes: [a]}",
            "only JWTs have scopes",
            id="scopes of a function",
        ),
        pytest.param(
            "$connect: {authorizer: users, authorizationType: JWT}", "write CUSTOM", id="another type than it is"
        ),
        pytest.param("say: {}", "add the route $connect with authorizer: users", id="no $connect"),
    ],
)
def test_routes_that_would_stand_open(routes: str, problem: str) -> None:
    (found,) = lambda_problems(REQUEST, routes)

    assert problem in found


def test_an_authorizer_that_no_route_asks_is_remarked_upon() -> None:
    text = LAMBDA.format(authorizer=REQUEST, routes=f"{ASKED}").replace("{users:", f"{{spare: {{{REQUEST}}}, users:")

    (remark,) = remarks(parse(text, "routes.yaml", {}, Path()))

    assert str(remark) == "routes.yaml:7: apis.chat.authorizers.spare: is asked by no route"


def test_who_comes_with_a_user_pool_is_told_what_to_write() -> None:
    text = DEFINITION.format(connect="authorizer: users", say="", jwt=JWT, source="route.request.querystring.token")
    with pytest.raises(DefinitionError) as caught:
        parse(text.replace("authorizerType: JWT", "authorizerType: COGNITO_USER_POOLS"), "routes.yaml", {}, Path())
    assert "COGNITO_USER_POOLS is none of JWT" in str(caught.value)
    assert "write JWT, and jwtConfiguration with issuer https://cognito-idp.REGION.amazonaws.com/POOL" in str(
        caught.value
    )
