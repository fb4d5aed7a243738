"""Who may sign, in a definition."""

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
        identitySource: [route.request.querystring.token]
        jwtConfiguration: {{issuer: "https://issuer.example", audience: [chat]}}
    routes:
      $connect: {{{connect}}}
      say: {{{say}}}
{more}
"""
IAM = "authorizationType: AWS_IAM"
ANN = """
credentials:
  - {accessKeyId: AKIAIOSFODNN7EXAMPLE, secretAccessKey: hush, principalArn: "arn:aws:iam::123456789012:user/ann", policy: {}}
"""  # noqa: E501
LOOKUP = 'sessionLookup: {url: "https://sessions.example/find"}'


def problems(connect: str = IAM, say: str = "", more: str = ANN) -> list[str]:
    try:
        parse(DEFINITION.format(connect=connect, say=say, more=more), "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("say", "more"),
    [
        pytest.param("", ANN, id="credentials"),
        pytest.param("", LOOKUP, id="sessions"),
        pytest.param('allow: "authorizer.accountId"', ANN + LOOKUP, id="a rule"),
    ],
)
def test_what_is_right(say: str, more: str) -> None:
    assert problems(say=say, more=more) == []


@pytest.mark.parametrize(
    ("connect", "say", "more", "problem"),
    [
        pytest.param(IAM, "", "", "$connect.authorizationType: nobody could connect", id="no keys"),
        pytest.param(f"{IAM}, authorizer: users", "", ANN, "AWS_IAM does not go with users", id="an authorizer, too"),
        pytest.param(f"{IAM}, authorizationScopes: [a]", "", ANN, "has no effect without", id="scopes"),
        pytest.param(
            "authorizationType: NONE",
            IAM,
            ANN,
            "say.authorizationType: only $connect",
            id="a message route",
        ),
        pytest.param(
            IAM, "", "sessionLookup: {url: ftp://sessions.example}", "write a URL that begins https", id="no web"
        ),
        pytest.param(
            IAM, "", 'sessionLookup: {url: "https://me:pw@sessions.example"}', "without a user name", id="a password"
        ),
        pytest.param(
            IAM,
            "",
            'sessionLookup: {url: "https://sessions.example?key=1"}',
            "for a secret use authorization",
            id="key",
        ),
        pytest.param(IAM, "", "sessionLookup: {}", "sessionLookup.url: is required", id="nowhere"),
        pytest.param(IAM, "", LOOKUP[:-1] + ", cacheSeconds: -1}", "cacheSeconds", id="a time that is none"),
    ],
)
def test_a_slip_is_refused(connect: str, say: str, more: str, problem: str) -> None:
    found = problems(connect, say, more)

    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param('tags: {Team: a, "cost center": ""}, principalOrgId: o-a1b2c3d4e5', None, id="a member"),
        pytest.param('principalOrgPaths: ["o-a1b2c3d4e5/r-ab12/", "o-a1b2c3d4e5/r-ab12/ou-ab12-1/"]', None, id="paths"),
        pytest.param("tags: {Team: a, team: b}", "tags.team: is Team to IAM", id="one tag twice"),
        pytest.param('tags: {"a,b": c}', "a tag's key is 1 to 128", id="no tag"),
        pytest.param("principalOrgId: shop", "is as o-a1b2c3d4e5", id="no organization"),
        pytest.param("principalOrgPaths: [o-a1b2c3d4e5]", "a path is as", id="no path"),
    ],
)
def test_what_is_known_of_a_key_s_owner(more: str, problem: str | None) -> None:
    found = problems(more=ANN.replace("policy: {}}", f"policy: {{}}, {more}}}"))

    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]
