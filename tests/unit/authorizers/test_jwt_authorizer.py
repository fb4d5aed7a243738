"""Tokens of user pools and of the issuers of JWT authorizers: whose they may be, and what they have to say.

API Gateway API reference (v1), "Authorizer"; Amazon Cognito developer guide, "Verifying JSON web tokens".
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.unit.requests import method_request
from wsgateway.authorizers.base import Identity, Site
from wsgateway.authorizers.jwt_authorizer import JwtAuthorizers
from wsgateway.aws import Endpoint, NoEndpoint
from wsgateway.errors import Unauthorized
from wsgateway.model.rest_authorizer import RestAuthorizer
from wsgateway.trace import Mark

pytestmark = pytest.mark.anyio

KEY = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
AWS = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc"
HERE = Endpoint("http", "127.0.0.1", 4566, "/idp", "eu-west-1", configured=True)
POOL = {
    "type": "COGNITO_USER_POOLS",
    "providerARNs": ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Abc"],
}
RULE = {"claimName": "tenant", "required": True, "expectedValues": ["acme", "umbrella"]}
ISSUER = "https://login.example"


def of_issuer(rule: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    claims = [] if rule is None else [rule]
    issuer = {"issuer": ISSUER, "audiences": ["shop"], "jwksUri": f"{ISSUER}/keys", "additionalClaims": claims}
    return {"type": "JWT", "jwtConfiguration": {"issuers": [issuer], **more}}


class Issuers:
    """Whoever has keys."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self.asked: list[str] = []
        self.authorizers = JwtAuthorizers(self.fetch, lambda event, **facts: None, pools=lambda: endpoint)

    async def fetch(self, url: str, written: bool, mark: Mark | None) -> bytes:
        self.asked.append(url)
        return json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()

    async def authorize(self, written: dict[str, Any], token: str, scopes: tuple[str, ...] = ()) -> Identity:
        authorizer = RestAuthorizer.model_validate({"identitySource": "method.request.header.A", **written}).common
        assert not list(self.authorizers.check(authorizer))
        site = Site(
            api_id="shop", stage="v1", name="users", route_key="", stage_variables={}, ours=True, of_method=True,
            scopes=scopes,
        )  # fmt: skip
        decide = self.authorizers.compile(authorizer, site, None)
        said = decide(method_request(headers=((b"a", f"Bearer {token}".encode()),)))
        return said if isinstance(said, Identity) else await said


def token(algorithm: str = "RS256", **claims: Any) -> str:
    said = {"iss": ISSUER, "aud": "shop", "sub": "ann", "exp": int(time.time()) + 86_400} | claims
    known = {name: value for name, value in said.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "one"}, known, KEY, [algorithm])


def of_pool(issuer: str = AWS, **claims: Any) -> str:
    return token(**({"iss": issuer, "aud": "client", "token_use": "id"} | claims))


async def test_the_keys_of_a_pool_are_where_aws_has_them() -> None:
    issuers = Issuers()

    identity = await issuers.authorize(POOL, of_pool())

    assert issuers.asked == [f"{AWS}/.well-known/jwks.json"]
    assert "principalId" not in identity.context


async def test_the_claims_of_a_pool_as_rest_apis_hand_them_on() -> None:
    said = {"cognito:groups": ["a", "b"], "identities": [{"userId": "7"}], "email_verified": True, "exp": 4_102_444_800}
    claims = said | {"iat": 1_528_473_432, "auth_time": 1_528_473_432}

    identity = await Issuers().authorize(POOL, of_pool(**claims))

    handed_on = identity.context["claims"]
    assert {name: handed_on[name] for name in claims} == {
        "cognito:groups": "a,b",
        "identities": '{"userId":"7"}',
        "email_verified": "true",
        "exp": "Fri Jan 01 00:00:00 UTC 2100",
        "iat": "Fri Jun 08 15:57:12 UTC 2018",
        "auth_time": "1528473432",
    }


async def test_of_china_they_are_elsewhere() -> None:
    issuers, arn = Issuers(), "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/cn-north-1_Abc"
    place = "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Abc"

    await issuers.authorize(POOL | {"providerARNs": [arn]}, of_pool(place))

    assert issuers.asked == [f"{place}/.well-known/jwks.json"]


@pytest.mark.parametrize("issuer", [AWS, "http://127.0.0.1:4566/idp/eu-west-1_Abc"], ids=["AWS", "itself"])
async def test_what_stands_for_cognito_has_the_keys(issuer: str) -> None:
    issuers = Issuers(HERE)

    await issuers.authorize(POOL, of_pool(issuer))

    assert issuers.asked == ["http://127.0.0.1:4566/idp/eu-west-1_Abc/.well-known/jwks.json"]


async def test_an_endpoint_that_is_none_is_told() -> None:
    def broken() -> Endpoint:
        raise NoEndpoint("AWS_ENDPOINT_URL is no URL")

    authorizers = JwtAuthorizers(Issuers().fetch, lambda event, **facts: None, pools=broken)
    pool = RestAuthorizer.model_validate({"identitySource": "method.request.header.A", **POOL})

    (problem,) = authorizers.check(pool.common)
    assert (problem.path, problem.text) == (("providerARNs",), "AWS_ENDPOINT_URL is no URL")


@pytest.mark.parametrize(
    ("written", "text", "scopes"),
    [
        pytest.param(POOL, of_pool(token_use="access"), (), id="an access token"),
        pytest.param(POOL, of_pool(token_use=None), (), id="a token for nothing"),
        pytest.param(POOL, of_pool(scope="a"), ("a",), id="an identity token where scopes are asked for"),
        pytest.param(POOL, of_pool(token_use="access", scope="a b"), ("c",), id="none of the scopes"),
        pytest.param(POOL, of_pool(f"{AWS}d"), (), id="another pool"),
        pytest.param(POOL, of_pool(iss=None), (), id="nobody's"),
        pytest.param(POOL | {"identityValidationExpression": "web.*"}, of_pool(), (), id="another client"),
        pytest.param(of_issuer(), token(aud=["other"]), (), id="another audience"),
        pytest.param(of_issuer(RULE), token(), (), id="a claim that is missing"),
        pytest.param(of_issuer(RULE), token(tenant="Acme"), (), id="a claim of another value"),
        pytest.param(of_issuer(RULE), token(tenant=["acme"]), (), id="a claim that is no text"),
        pytest.param(of_issuer({"claimName": "tenant"}), token(tenant=7), (), id="one that may be missing, of a kind"),
        pytest.param(of_issuer(defaultAlgorithms=["RS512", "ES256"]), token(), (), id="another algorithm"),
    ],
)
async def test_tokens_that_must_not_get_in(written: dict[str, Any], text: str, scopes: tuple[str, ...]) -> None:
    with pytest.raises(Unauthorized) as caught:
        await Issuers().authorize(written, text, scopes)
    assert caught.value.detail == "Unauthorized"


@pytest.mark.parametrize(
    ("written", "text", "scopes"),
    [
        pytest.param(POOL, of_pool(token_use="access", scope="a b"), ("b", "c"), id="one of the scopes"),
        pytest.param(POOL | {"identityValidationExpression": "cl.*|web"}, of_pool(), (), id="the client"),
        pytest.param(of_issuer(RULE), token(tenant="umbrella"), (), id="a claim"),
        pytest.param(of_issuer({"claimName": "tenant"}), token(), (), id="a claim that may be missing"),
        pytest.param(of_issuer(defaultAlgorithms=["RS512"]), token("RS512"), (), id="an algorithm"),
        pytest.param(of_issuer(), token("PS256"), (), id="any that is safe"),
        pytest.param(of_issuer(), token(scp=["a"]), ("a",), id="scp"),
    ],
)
async def test_tokens_that_get_in(written: dict[str, Any], text: str, scopes: tuple[str, ...]) -> None:
    assert (await Issuers().authorize(written, text, scopes)).context["claims"]["sub"] == "ann"
