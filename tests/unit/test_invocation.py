"""`$context` and what parameters read (API Gateway developer guide, "WebSocket API mapping template reference")."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import CONNECTION_ID, client, connecting, disconnecting, message
from wsgateway.ids import disconnect_request_id, new_request_id, new_root, new_uuid
from wsgateway.invocation import (
    CONTEXT,
    NOBODY,
    EventType,
    Invocation,
    header_text,
    request_time,
)

EVENTS = {"CONNECT": connecting(), "MESSAGE": message("hi"), "DISCONNECT": disconnecting(1009, "too big")}

ALWAYS = {
    "apiId": "chat",
    "stage": "dev",
    "domainName": "chat.example:8080",
    "domainPrefix": "chat",
    "messageDirection": "IN",
    "connectionId": CONNECTION_ID,
    "connectedAt": "1790208184123",
    "identity.sourceIp": "203.0.113.9",
    "identity.userAgent": "tests/1",
    "callbackUrl": "http://chat.example:8080/dev/@connections/AAAAAAAAAAAAAAAAAAAAAAAAAA%3D%3D",
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("name", "value"), ALWAYS.items())
def test_every_event_has(event: str, name: str, value: str) -> None:
    assert EVENTS[event].context(name) == value


@pytest.mark.parametrize(
    ("event", "name", "value"),
    [
        ("CONNECT", "routeKey", "$connect"),
        ("MESSAGE", "routeKey", "say"),
        ("DISCONNECT", "routeKey", "$disconnect"),
        ("CONNECT", "eventType", "CONNECT"),
        ("MESSAGE", "eventType", "MESSAGE"),
        ("DISCONNECT", "eventType", "DISCONNECT"),
        ("CONNECT", "messageId", None),
        ("DISCONNECT", "messageId", None),
        ("CONNECT", "disconnectStatusCode", None),
        ("MESSAGE", "disconnectReason", None),
        ("DISCONNECT", "disconnectStatusCode", "1009"),
        ("DISCONNECT", "disconnectReason", "too big"),
        ("MESSAGE", "authorizer.principalId", None),
        ("MESSAGE", "", None),
        ("MESSAGE", "__class__", None),
    ],
)
def test_an_event_says(event: str, name: str, value: str | None) -> None:
    assert EVENTS[event].context(name) == value


def test_an_identity_has_what_a_signature_says() -> None:
    invocation = message("hi")
    assert invocation.context("identity.userArn") is None

    invocation.client.identity = {"userArn": "arn:aws:iam::123456789012:user/ann", "sourceIp": "evil"}

    assert invocation.context("identity.userArn") == "arn:aws:iam::123456789012:user/ann"
    assert invocation.context("identity.accountId") is None
    assert invocation.context("identity.sourceIp") == "203.0.113.9"


def test_clients_nobody_asked_share_what_is_known_of_them() -> None:
    one = client()

    assert one.authorizer is one.claims is one.identity is NOBODY


@pytest.mark.parametrize("event", EVENTS)
def test_ids_and_times_stay_what_they_are_within_an_event(event: str) -> None:
    invocation = EVENTS[event]
    for name in CONTEXT:
        assert invocation.context(name) == invocation.context(name)
    assert invocation.context("requestId") == invocation.context("extendedRequestId")


def test_the_end_of_a_connection_has_the_same_id_whoever_tells_of_it() -> None:
    first, second = disconnecting(1001, "Going away"), disconnecting(1006, "Connection closed abnormally")

    assert first is not second
    assert first.request_id == second.request_id == disconnect_request_id(CONNECTION_ID)
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", first.request_id)
    assert disconnect_request_id(CONNECTION_ID) != disconnect_request_id("B" + CONNECTION_ID[1:])


def test_a_client_without_a_user_agent_has_none() -> None:
    invocation = Invocation(client(user_agent=None), EventType.DISCONNECT, "$disconnect", {})

    assert invocation.context("identity.userAgent") is None


@pytest.mark.parametrize(
    ("known", "user"),
    [
        pytest.param({}, "", id="nobody knows"),
        pytest.param(
            {"authorizer": {"principalId": "ann"}, "identity": {"userArn": "arn:b"}}, "ann", id="an authorizer"
        ),
        pytest.param({"identity": {"userArn": "arn:b"}}, "arn:b", id="a signature"),
        pytest.param({"authorizer": {"claims": {"sub": "cat"}}, "claims": {"sub": "cat"}}, "cat", id="a user pool"),
        pytest.param({"claims": {"sub": 7}}, "", id="a claim that is no text"),
    ],
)
def test_who_a_client_is(known: dict[str, dict[str, object]], user: str) -> None:
    who = client()
    for name, value in known.items():
        setattr(who, name, value)

    assert who.user == user


def test_ids_have_awss_form_and_differ() -> None:
    made = {new_request_id() for _ in range(1000)}

    assert len(made) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{15}=", one) for one in made)
    assert all(urlsafe_b64encode(urlsafe_b64decode(one)).decode() == one for one in made), "eleven bytes each"
    assert re.fullmatch(rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", new_root())


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (1_790_294_584_999, "25/Sep/2026:00:03:04 +0000"),
        (0, "01/Jan/1970:00:00:00 +0000"),
        (951_782_400_000, "29/Feb/2000:00:00:00 +0000"),
    ],
)
def test_a_request_time_is_in_common_log_format(millis: int, text: str) -> None:
    assert request_time(millis) == text


def test_a_uuid_is_of_version_4() -> None:
    """RFC 9562 §5.4."""
    texts = {new_uuid() for _ in range(1000)}

    assert len(texts) == 1000
    assert all(str(UUID(text)) == text for text in texts)
    assert {(UUID(text).version, UUID(text).variant) for text in texts} == {(4, RFC_4122)}


def test_a_request_time_and_its_epoch_are_the_same_moment() -> None:
    invocation = message("hi")
    epoch = invocation.context("requestTimeEpoch")

    assert epoch is not None
    assert invocation.context("requestTime") == request_time(int(epoch))


def test_headers_are_found_in_any_case_and_kept_in_order() -> None:
    invocation = connecting("/dev", ("X-Room", "a"), ("x-room", "b"))

    assert invocation.header("X-ROOM") == ["a", "b"]
    assert invocation.header("X-None") == []


@pytest.mark.parametrize(
    ("target", "name", "values"),
    [
        pytest.param("/dev?a=1&a=2", "a", ["1", "2"], id="repeated"),
        pytest.param("/dev?a=%C3%BC+x", "a", ["ü x"], id="decoded"),
        pytest.param("/dev?a=", "a", [""], id="empty"),
        pytest.param("/dev?a", "a", [""], id="without a value"),
        pytest.param("/dev?A=1", "a", [], id="in other case"),
        pytest.param("/dev", "a", [], id="no query"),
        pytest.param("/dev?a=%FF", "a", ["\ufffd"], id="not UTF-8"),
    ],
)
def test_a_query_parameter_is(target: str, name: str, values: list[str]) -> None:
    assert connecting(target).querystring(name) == values


def test_a_message_has_neither_headers_nor_query() -> None:
    assert message("hi").header("Host") == []
    assert message("hi").querystring("a") == []


def test_a_body_is_what_the_message_holds() -> None:
    assert message("grüß").body() == "grüß".encode()
    assert message(b"a\xff", binary=True).text() == "a\ufffd"
    assert connecting().body() == b""


@given(st.text())
def test_no_name_makes_the_context_raise(name: str) -> None:
    for invocation in EVENTS.values():
        assert (invocation.context(name) is None) or name in CONTEXT
        invocation.header(name)
        invocation.querystring(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(b"plain", "plain", id="ASCII"),
        pytest.param("Jürgen".encode(), "Jürgen", id="UTF-8"),
        pytest.param("Jürgen".encode("latin-1"), "Jürgen", id="Latin-1"),
    ],
)
def test_a_header_is_read_as_clients_write_it(value: bytes, text: str) -> None:
    assert header_text(value) == text
