"""Sessions: who is asked about them, how often, and what an answer has to be."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.authorizers.test_sigv4 import KEY, REGION, SECRET, Sent, signed
from wsgateway.authorizers import sessions, sigv4
from wsgateway.authorizers.sessions import KnownSessions, SessionLookups, read_session
from wsgateway.authorizers.signed import Signer, Signers
from wsgateway.errors import (
    AuthorizerFailure,
    ExpiredToken,
    GatewayError,
    InvalidSignature,
    NotAuthorized,
    ServiceUnavailable,
    UnrecognizedClient,
)
from wsgateway.messages import HttpRequest
from wsgateway.model.session_lookup import SessionLookup
from wsgateway.trace import Mark

pytestmark = pytest.mark.anyio

ACCOUNT = "123456789012"
ANN = f"arn:aws:sts::{ACCOUNT}:assumed-role/chat/ann"
NOW = 1e9
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
HOUR = NOW + 3600
MARK = Mark(b"00-a-b-01", b"Root=a")


def answer(**more: Any) -> dict[str, Any]:
    return {"secretAccessKey": SECRET, "principalArn": ANN, "policy": ALL, "expiration": HOUR} | more


class Endpoint:
    """A look-up's endpoint, which answers what it is told to once `open` is set."""

    def __init__(self, status: int = 200, **more: Any) -> None:
        self.status, self.body = status, json.dumps(answer(**more)).encode()
        self.questions: list[tuple[str, str, Any]] = []
        self.marks: list[Mark | None] = []
        self.open = asyncio.Event()
        self.open.set()
        self.log: list[str] = []

    async def post(self, url: str, authorization: str, body: bytes, mark: Mark | None) -> tuple[int, bytes]:
        self.marks.append(mark)
        self.questions.append((url, authorization, json.loads(body)))
        await self.open.wait()
        if self.status == 0:
            raise OSError("refused")
        return self.status, self.body

    def sessions(self, **more: Any) -> KnownSessions:
        found = SessionLookups(self.post, self._tell).of(lookup(**more))
        assert found is not None
        return found

    def _tell(self, event: str, **facts: object) -> None:
        self.log.append(event)


def lookup(**more: Any) -> SessionLookup:
    return SessionLookup.model_validate({"url": "https://sessions.example/find"} | more)


def claim(token: str = "token", key: str = KEY) -> sigv4.Claim:
    names, stamp = ("host",), "20010909T014640Z"
    return sigv4.Claim(key, stamp[:8], REGION, "execute-api", names, "0" * 64, stamp, token, None, {})


async def found(known: KnownSessions, asked: sigv4.Claim | None = None, now: float = NOW) -> Signer:
    signer = known.find(asked or claim(), now)
    return signer if isinstance(signer, Signer) else await signer


async def test_a_session_is_asked_about_once() -> None:
    endpoint = Endpoint()
    known = endpoint.sessions(authorization="Bearer gateway")

    first = await found(known)

    assert known.find(claim(), HOUR - 1) is first
    assert (first.principal, first.secret, first.expires) == (ANN, SECRET, HOUR)
    question = {"accessKeyId": KEY, "sessionToken": "token"}
    assert endpoint.questions == [("https://sessions.example/find", "Bearer gateway", question)]


async def test_those_who_come_together_wait_for_one_answer() -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    known = endpoint.sessions()
    waiting = [asyncio.ensure_future(found(known)) for _ in range(10)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    endpoint.open.set()

    assert len({(await one).principal for one in waiting[1:]}) == 1
    assert len(endpoint.questions) == 1


async def test_another_token_or_key_is_another_session() -> None:
    endpoint = Endpoint()
    known = endpoint.sessions()
    for asked in (claim("a"), claim("b"), claim("a", "AKIAANOTHER000000001")):
        await found(known, asked)

    assert [question["sessionToken"] for _, _, question in endpoint.questions] == ["a", "b", "a"]


async def test_a_session_is_asked_about_again_after_its_end_and_sooner_where_that_is_said() -> None:
    endpoint = Endpoint()
    for known, times in ((endpoint.sessions(), [HOUR - 1, HOUR]), (endpoint.sessions(cacheSeconds=60), [NOW + 60])):
        endpoint.questions.clear()
        for now in (NOW, *times):
            await found(known, now=now)
        assert len(endpoint.questions) == 2


async def test_a_token_of_no_session_is_not_asked_about_again_for_a_while() -> None:
    endpoint = Endpoint(404)
    known = endpoint.sessions()
    for now in (NOW, NOW + 1, NOW + sessions.UNKNOWN_SECONDS):
        with pytest.raises(UnrecognizedClient):
            await found(known, now=now)

    assert len(endpoint.questions) == 2


@pytest.mark.parametrize("status", [200, 404])
async def test_a_clock_that_was_set_back_keeps_nothing_for_longer(status: int) -> None:
    endpoint = Endpoint(status)
    known = endpoint.sessions(cacheSeconds=60)
    for now in (NOW, NOW - 3600, NOW - 3600 + 1):
        with suppress(UnrecognizedClient):
            await found(known, now=now)

    assert len(endpoint.questions) == 2


@pytest.mark.parametrize("status", [0, 201, 302, 401, 500])
async def test_an_endpoint_that_fails_lets_nobody_in_and_is_asked_again(status: int) -> None:
    endpoint = Endpoint(status)
    known = endpoint.sessions()
    for _ in range(2):
        with pytest.raises(AuthorizerFailure):
            await found(known)
    endpoint.status = 200

    assert (await found(known)).principal == ANN
    assert len(endpoint.questions) == 3
    assert endpoint.log == ["sessions can't be looked up", "sessions are looked up again"]


async def test_what_is_kept_and_what_runs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_KNOWN", 2)
    monkeypatch.setattr(sessions, "MAX_RUNNING", 1)
    endpoint = Endpoint()
    known = endpoint.sessions()
    for token in ("a", "b", "a", "c"):
        await found(known, claim(token))
    assert len(endpoint.questions) == 3

    await found(known, claim("a"))  # used last but one
    assert len(endpoint.questions) == 3
    await found(known, claim("b"))
    assert len(endpoint.questions) == 4

    endpoint.open.clear()
    pending = known.find(claim("d"), NOW)
    assert isinstance(pending, Awaitable)
    with pytest.raises(ServiceUnavailable):
        known.find(claim("e"), NOW)
    endpoint.open.set()
    await pending


async def test_sessions_stay_over_a_reload_that_leaves_the_look_up_as_it_is() -> None:
    endpoint = Endpoint()
    lookups = SessionLookups(endpoint.post, lambda event, **facts: None)
    first = lookups.of(lookup())
    lookups.keep_only(lookup())

    assert lookups.of(lookup()) is first
    assert lookups.of(lookup(cacheSeconds=1)) is not first
    lookups.keep_only(lookup(cacheSeconds=1))
    assert lookups.of(lookup()) is not first
    assert lookups.of(None) is None


async def test_who_waits_while_another_look_up_is_deployed_is_told_so() -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    lookups = SessionLookups(endpoint.post, lambda event, **facts: None)
    known = lookups.of(lookup())
    assert known is not None
    waiting = asyncio.ensure_future(found(known))
    await asyncio.sleep(0)

    lookups.keep_only(None)

    with pytest.raises(AuthorizerFailure):
        await waiting


async def in_session(request: Sent, endpoint: Endpoint, later: float = 0.0) -> Signer:
    signers = Signers.of([], region=REGION, account=ACCOUNT, sessions=endpoint.sessions().find)
    now = sigv4.signed_at(sigv4.claim_of(request)) + later
    signer = signers.signer_of(sigv4.claim_of(request), request, request.body, now, MARK)
    signer = signer if isinstance(signer, Signer) else await signer
    signers.let_invoke(signer, "chat", "prod", HttpRequest("GET", "/prod", "api.example"), now)
    return signer


async def test_a_request_signed_in_a_session_is_its_owners() -> None:
    for request in (signed(token="token"), signed("GET", "/prod", b"", token="token", presign=60)):
        endpoint = Endpoint(expiration=9e9, tags={"team": "a"}, cognitoIdentityId="eu:1")
        signer = await in_session(request, endpoint)

        assert signer.identity == {
            "accessKey": KEY,
            "accountId": ACCOUNT,
            "caller": "chat:ann",
            "user": "chat:ann",
            "userArn": ANN,
            "cognitoIdentityId": "eu:1",
        }
        assert endpoint.marks == [MARK]
        assert signer.tags == {"team": "a"}


async def test_a_session_that_is_over() -> None:
    with pytest.raises(ExpiredToken):
        await in_session(signed(token="token"), Endpoint(expiration="2001-09-09T01:46:40Z"))


async def test_whether_a_session_is_over_is_told_to_its_owner_alone() -> None:
    with pytest.raises(InvalidSignature):
        await in_session(signed(token="token"), Endpoint(expiration=1, secretAccessKey="another"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: (signed(token="t", region="us-east-1"), 0.0), id="another region"),
        pytest.param(lambda: (signed(token="t"), 301.0), id="too old"),
        pytest.param(lambda: (signed(token="t").header("X-Amz-Other", "1"), 0.0), id="a header that is not signed"),
    ],
)
async def test_nobody_is_asked_about_what_is_not_for_us(make: Any) -> None:
    endpoint = Endpoint()
    request, later = make()
    with pytest.raises(InvalidSignature):
        await in_session(request, endpoint, later)

    assert endpoint.questions == []


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ({"StringEquals": {"aws:PrincipalTag/Team": "a"}}, {"tags": {"Team": "a"}}),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, {"multiFactorAuthAge": 10}),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "60"}}, {"multiFactorAuthAge": 10.5}),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {"principalOrgId": "o-1"}),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/r/a/*"}}, {"principalOrgPaths": ["o-1/r/a/b/"]}),
        ({"DateGreaterThan": {"aws:TokenIssueTime": "2001-09-09T01:46:39Z"}}, {"issuedAt": "2001-09-09T01:46:40Z"}),
        ({"StringEquals": {"aws:userid": "AROAEXAMPLE:ann"}}, {"userId": "AROAEXAMPLE:ann"}),
    ],
)
async def test_conditions_ask_of_a_session(condition: dict[str, Any], more: dict[str, Any]) -> None:
    policy = {"Statement": [ALL["Statement"][0] | {"Condition": condition}]}  # type: ignore[operator]

    await in_session(signed(token="t"), Endpoint(expiration=9e9, policy=policy, **more))
    with pytest.raises(NotAuthorized):
        await in_session(signed(token="t"), Endpoint(expiration=9e9, policy=policy))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"secretAccessKey": ""}, "secretAccessKey"),
        ({"secretAccessKey": 5}, "secretAccessKey"),
        ({"principalArn": "ann"}, "principalArn"),
        ({"principalArn": ANN + "\n"}, "principalArn"),
        ({"expiration": None}, "expiration"),
        ({"expiration": "2001-09-09T01:46:40"}, "expiration"),
        ({"policy": "*"}, "policy"),
        ({"policy": {"Statement": [{"Effect": "Allow"}]}}, "policy: Statement.0"),
        ({"tags": {"a": 1}}, "tags"),
    ],
)
def test_an_answer_that_is_no_session_says_where(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        read_session(KEY, json.dumps(answer(**more)).encode())

    assert SECRET not in str(caught.value)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_any_answer_is_a_session_or_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="no session"):
        read_session(KEY, body)


async def test_secrets_and_tokens_are_not_shown() -> None:
    endpoint = Endpoint()
    known = KnownSessions(lookup(authorization="hush"), endpoint.post, lambda event, **facts: None, Counter())
    signer = await found(known)

    for shown in (repr(signer), repr(claim("quiet")), repr(known.definition)):
        assert SECRET not in shown
        assert "hush" not in shown
        assert "quiet" not in shown


async def test_a_fault_of_whoever_answers_is_no_fault_of_ours() -> None:
    with pytest.raises(GatewayError) as caught:
        await found(Endpoint(500).sessions())

    assert caught.value.reason == "the session can't be looked up: it answered 500"
