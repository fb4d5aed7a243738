"""AWS_IAM on $connect: who is let in, what is known of them, and what $connect gets of their request."""

from __future__ import annotations

from contextlib import nullcontext as does_not_raise
from typing import Any

import pytest

from tests.unit.authorizers.test_sessions import NOW, Endpoint
from tests.unit.authorizers.test_signed import ACCOUNT, ANN, credential
from tests.unit.authorizers.test_sigv4 import KEY, REGION, Sent, signed
from tests.unit.dataplane.values import connecting
from tests.unit.requests import method_request
from wsgateway.authorizers import sigv4
from wsgateway.authorizers.base import Identity
from wsgateway.authorizers.iam_authorizer import compile_iam
from wsgateway.authorizers.resource_policy import ResourcePolicy
from wsgateway.authorizers.signed import Signers
from wsgateway.errors import InvalidSignature, NotAuthorized
from wsgateway.invocation import Invocation
from wsgateway.messages import HttpRequest

pytestmark = pytest.mark.anyio

CONNECT = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:chat/prod/$connect"


def signers(endpoint: Endpoint | None = None, **statement: Any) -> Signers:
    allowed = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": CONNECT} | statement
    find = None if endpoint is None else endpoint.sessions().find
    return Signers.of([credential({"Statement": [allowed]})], region=REGION, account=ACCOUNT, sessions=find)


def invocation_of(sent: Sent) -> Invocation:
    invocation = connecting()
    invocation.request = HttpRequest("GET", sent.target, "api.example", sent.headers, source="10.0.0.1")
    return invocation


async def let_in(
    sent: Sent, who: Signers, stage: str = "prod", *, closing: bool = False
) -> tuple[Identity, HttpRequest]:
    invocation = invocation_of(sent)
    authorize = compile_iam(who, "chat", stage, closing=closing, now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))
    identity = authorize(invocation)
    assert invocation.request is not None
    return identity if isinstance(identity, Identity) else await identity, invocation.request


async def test_a_key_s_owner_is_let_in() -> None:
    identity, request = await let_in(signed("GET", "/prod?a=1", b"", headers={"X-Other": "x"}), signers())

    assert identity.identity["userArn"] == ANN
    assert identity.claims == {**identity.identity, "principalTags": {}}
    assert (identity.context, identity.expires) == ({}, None)
    assert request.target == "/prod?a=1"
    assert {name.lower() for name, _ in request.headers} == {b"host", b"x-other", b"x-amz-date"}


async def test_what_presigned_a_url_is_no_parameter_though_somebody_read_them_before() -> None:
    sent = signed("GET", "/prod?a=1", b"", presign=60)
    invocation = invocation_of(sent)
    assert "X-Amz-Signature" in invocation.query()

    compile_iam(signers(), "chat", "prod", now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))(invocation)

    assert invocation.query() == {"a": ["1"]}


async def test_what_presigned_a_url_does_not_go_on() -> None:
    _, request = await let_in(signed("GET", "/prod?a=1", b"", presign=60), signers())

    assert request.target == "/prod?a=1"


@pytest.mark.parametrize(
    ("stage", "statement"),
    [
        pytest.param("dev", {}, id="another stage"),
        pytest.param("prod", {"Action": "execute-api:ManageConnections"}, id="another action"),
        pytest.param("prod", {"Resource": CONNECT.replace("$connect", "join")}, id="a message's route"),
        pytest.param("prod", {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, id="a condition"),
    ],
)
async def test_who_is_not_allowed(stage: str, statement: dict[str, Any]) -> None:
    with pytest.raises(NotAuthorized, match=rf"execute-api:Invoke on resource: arn:.*9012:chat/{stage}/\$connect "):
        await let_in(signed("GET", "/prod", b""), signers(**statement), stage)


@pytest.mark.parametrize("closing", [True, False])
async def test_a_connection_ends_with_its_session_where_that_is_asked_for(closing: bool) -> None:
    sent = signed("GET", "/prod", b"", token="token")

    identity, _ = await let_in(sent, signers(Endpoint(expiration=NOW * 9)), closing=closing)

    assert identity.expires == (NOW * 9 if closing else None)
    assert identity.identity["accessKey"] == KEY


@pytest.mark.parametrize("presign", [None, 60])
def test_another_verb_than_the_one_that_is_signed_has_to_be_signed_too(presign: int | None) -> None:
    override = (b"X-HTTP-Method-Override", b"DELETE")

    def ask(sent: Sent) -> None:
        request = method_request(method="DELETE")
        request.request = HttpRequest("GET", sent.target, "api.example", sent.headers)
        who = signers(Resource="*")
        compile_iam(who, "shop", "v1", now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))(request)

    plain = signed("GET", "/v1/pets", b"", presign=presign)
    with pytest.raises(InvalidSignature, match="does not cover"):
        ask(Sent(plain.method, plain.target, (*plain.headers, override), b""))
    ask(signed("GET", "/v1/pets", b"", presign=presign, headers={"X-HTTP-Method-Override": "DELETE"}))


@pytest.mark.parametrize("presign", [None, 60])
def test_the_header_that_names_another_api_has_to_be_signed(presign: int | None) -> None:
    def ask(sent: Sent) -> None:
        request = method_request()
        request.request = HttpRequest("GET", sent.target, "api.example", sent.headers)
        who = signers(Resource="*")
        compile_iam(who, "shop", "v1", now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))(request)

    plain = signed("GET", "/v1/pets", b"", presign=presign)
    with pytest.raises(InvalidSignature, match="does not cover x-apigw-api-id"):
        ask(Sent(plain.method, plain.target, (*plain.headers, (b"X-Apigw-Api-Id", b"shop")), b""))
    ask(signed("GET", "/v1/pets", b"", presign=presign, headers={"x-apigw-api-id": "shop"}))


def test_a_compressed_body_is_signed_as_it_is_sent() -> None:
    sent, request = signed("POST", "/v1/pets", b"packed", headers={"Content-Encoding": "gzip"}), method_request()
    came = HttpRequest("POST", sent.target, "api.example", sent.headers, b"packed")
    request.signed, request.payload = came, b"whole"
    headers = tuple(header for header in sent.headers if header[0] != b"Content-Encoding")
    request.request = HttpRequest("POST", sent.target, "api.example", headers, b"whole")
    request.http_method = "POST"
    authorize = compile_iam(signers(Resource="*"), "shop", "v1", now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))

    authorize(request)

    assert request.request.body == b"whole"
    request.signed = HttpRequest("POST", sent.target, "api.example", sent.headers, b"other")
    request.request = HttpRequest("POST", sent.target, "api.example", headers, b"whole")
    with pytest.raises(InvalidSignature):
        authorize(request)


@pytest.mark.parametrize(
    ("account", "policy", "let"),
    [
        pytest.param(ACCOUNT, False, True, id="ours, without a policy"),
        pytest.param("210987654321", False, False, id="another, without a policy"),
        pytest.param("210987654321", True, True, id="another, whom the policy allows it"),
    ],
)
def test_of_another_account_the_api_has_to_let_in_too(account: str, policy: bool, let: bool) -> None:
    arn = ANN.replace(ACCOUNT, account)
    allowed = {"Effect": "Allow", "Action": "execute-api:*", "Resource": "*"}
    theirs = credential({"Statement": [allowed]}).model_copy(update={"principal_arn": arn})
    who = Signers.of([theirs], region=REGION, account=ACCOUNT)
    about = ResourcePolicy({"Statement": [{**allowed, "Principal": {"AWS": arn}}]}, "shop", who) if policy else None
    sent, request = signed("GET", "/v1/pets", b""), method_request()
    request.request = HttpRequest("GET", sent.target, "api.example", sent.headers)
    authorize = compile_iam(who, "shop", "v1", policy=about, now=lambda: sigv4.signed_at(sigv4.claim_of(sent)))

    with does_not_raise() if let else pytest.raises(NotAuthorized, match=r"GET/pets: is of account 210987654321"):
        authorize(request)
        assert request.permits("execute-api:InvalidateCache") is True
