"""The events functions get and what their results mean.

API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs" and "Set up a WebSocket API
integration response"; key order as captured from AWS.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import CONNECTION_ID, connecting, disconnecting, message
from wsgateway.errors import BadGateway
from wsgateway.integrations.lambda_event import answer, event
from wsgateway.invocation import EventType, Invocation

CONTEXT = {"stage", "connectedAt", "requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId"}


def parsed(invocation: Invocation, *, ours: bool = False) -> Any:
    return json.loads(event(invocation, ours=ours))


def test_a_message_has_awss_keys_in_awss_order() -> None:
    value = parsed(message('{"action":"join"}', route_key="join"))

    assert list(value) == ["requestContext", "body", "isBase64Encoded"]
    assert list(value["requestContext"]) == [
        "routeKey", "messageId", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage",
        "connectedAt", "requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId",
    ]  # fmt: skip
    assert list(value["requestContext"]["identity"]) == ["userAgent", "sourceIp"]
    assert value["body"] == '{"action":"join"}'
    assert value["isBase64Encoded"] is False


def test_a_connect_has_the_clients_headers_and_query() -> None:
    value = parsed(
        connecting(
            "/dev?token=a&token=b&empty=",
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("content-length", "0"),
            ("Sec-WebSocket-Key", "x"),
            ("Cookie", "a=1"),
            ("X-Forwarded-For", "6.6.6.6"),
            backend="b",
        )
    )

    assert list(value) == [
        "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables",
        "requestContext", "isBase64Encoded",
    ]  # fmt: skip
    assert list(value["headers"]) == [
        "Cookie", "Host", "Sec-WebSocket-Key", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port",
        "X-Forwarded-Proto",
    ]  # fmt: skip
    assert value["multiValueHeaders"]["Host"] == ["chat.example:8080"]
    assert value["queryStringParameters"] == {"token": "b", "empty": ""}
    assert value["multiValueQueryStringParameters"] == {"token": ["a", "b"], "empty": [""]}
    assert value["stageVariables"] == {"backend": "b"}


def test_who_has_signed_the_handshake_is_in_the_identity() -> None:
    invocation = connecting()
    invocation.client.identity = {"accessKey": "AKIAIOSFODNN7EXAMPLE", "accountId": "123456789012"}

    assert parsed(invocation)["requestContext"]["identity"] == {
        "accessKey": "AKIAIOSFODNN7EXAMPLE",
        "accountId": "123456789012",
        "userAgent": "tests/1",
        "sourceIp": "203.0.113.9",
    }


def test_a_connect_without_a_query_has_no_key_for_it() -> None:
    value = parsed(connecting())

    assert "queryStringParameters" not in value
    assert "multiValueQueryStringParameters" not in value
    assert "stageVariables" not in value


def test_a_disconnect_has_the_stub_headers_and_the_close() -> None:
    value = parsed(disconnecting(1005, "Client-side close frame status not set"))

    assert list(value) == ["headers", "multiValueHeaders", "requestContext", "isBase64Encoded"]
    assert value["headers"] == {"Host": "chat.example:8080", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    assert value["multiValueHeaders"]["x-restapi"] == [""]
    assert list(value["requestContext"])[:7] == [
        "routeKey", "disconnectStatusCode", "eventType", "extendedRequestId", "requestTime", "messageDirection",
        "disconnectReason",
    ]  # fmt: skip
    assert value["requestContext"]["disconnectStatusCode"] == 1005


def test_our_callback_url_is_the_last_key_and_only_in_the_open_profile() -> None:
    assert list(parsed(message("x"), ours=True)["requestContext"])[-1] == "callbackUrl"
    assert "callbackUrl" not in parsed(message("x"))["requestContext"]


def test_a_binary_message_is_base64() -> None:
    value = parsed(message(b"\x00\xff", binary=True))

    assert (value["body"], value["isBase64Encoded"]) == ("AP8=", True)


def test_powertools_reads_every_event() -> None:
    APIGatewayWebSocketConnectEventModel.model_validate(parsed(connecting("/dev?a=1", ("User-Agent", "t"))))
    APIGatewayWebSocketMessageEventModel.model_validate(parsed(message("hi")))
    found = APIGatewayWebSocketDisconnectEventModel.model_validate(parsed(disconnecting()))

    assert found.request_context.connection_id == CONNECTION_ID


@given(st.text())
def test_any_text_stands_in_the_event_as_it_came(body: str) -> None:
    data = body.encode("utf-8", "ignore")

    assert parsed(message(data))["body"] == data.decode()


RESULTS = [
    pytest.param(b'{"statusCode":200,"body":"hi"}', b"hi", id="a body"),
    pytest.param(b'{"statusCode":503,"body":"hi"}', b"hi", id="a body with an error status"),
    pytest.param(b'{"body":"hi"}', b"hi", id="a body without a status"),
    pytest.param(b'{"statusCode":200,"body":""}', b"", id="an empty body"),
    pytest.param(b'{"statusCode":200}', None, id="no body"),
    pytest.param(b'{"statusCode":200,"body":null}', None, id="a null body"),
    pytest.param(b'{"body":"AP8=","isBase64Encoded":true}', b"\x00\xff", id="base64"),
    pytest.param(b'{"body":"\\ud800!","more":NaN}', b"?!", id="half a character, and a number that is none"),
    pytest.param(b'\n{"body":"hi","body":"ho"}\n', b"ho", id="space around it, and a key twice"),
]


@pytest.mark.parametrize(("payload", "body"), RESULTS)
def test_on_a_two_way_route_the_reply_is(payload: bytes, body: bytes | None) -> None:
    assert answer(payload, event_type=EventType.MESSAGE, two_way=True).body == body


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"null", id="nothing"),
        pytest.param(b"", id="not even null"),
        pytest.param(b'"hi"', id="a string"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"body":{"a":1}}', id="a body that is no string"),
        pytest.param(b'{"body":"?","isBase64Encoded":true}', id="base64 that is none"),
        pytest.param(b"{", id="no JSON"),
    ],
)
def test_a_result_that_a_two_way_route_cannot_use(payload: bytes) -> None:
    with pytest.raises(BadGateway):
        answer(payload, event_type=EventType.MESSAGE, two_way=True)


@pytest.mark.parametrize("payload", [b"null", b'{"statusCode":500,"body":{"a":1}}', b"{", b""])
@pytest.mark.parametrize("event_type", [EventType.MESSAGE, EventType.DISCONNECT])
def test_elsewhere_the_result_is_dropped(payload: bytes, event_type: EventType) -> None:
    assert answer(payload, event_type=event_type, two_way=False).body is None


def test_on_connect_the_status_headers_and_body_are_the_answer() -> None:
    found = answer(
        b'{"statusCode":401,"headers":{"X-A":"1","n":7,"gone":null},"multiValueHeaders":{"x-b":["1","2"]},"body":"no"}',
        event_type=EventType.CONNECT,
        two_way=False,
    )

    assert (found.status, found.body) == (401, b"no")
    assert found.headers == ((b"x-b", b"1"), (b"x-b", b"2"), (b"X-A", b"1"), (b"n", b"7"))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"null", id="nothing"),
        pytest.param(b'{"body":"x"}', id="no status"),
        pytest.param(b'{"statusCode":"200"}', id="a status that is text"),
        pytest.param(b'{"statusCode":true}', id="a status that is true"),
        pytest.param(b'{"statusCode":99}', id="a status that is none"),
        pytest.param(b'{"statusCode":200,"headers":{"a b":"1"}}', id="a header that is none"),
        pytest.param(b'{"statusCode":200,"headers":{"a":"1\\r\\nb: 2"}}', id="a header of two lines"),
        pytest.param('{"statusCode":200,"headers":{"a":"☃"}}'.encode(), id="a value beyond Latin-1"),
    ],
)
def test_a_result_that_connect_cannot_use(payload: bytes) -> None:
    with pytest.raises(BadGateway):
        answer(payload, event_type=EventType.CONNECT, two_way=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)
RESULT = st.dictionaries(
    st.sampled_from(["statusCode", "body", "headers", "multiValueHeaders", "isBase64Encoded"]), JSON
)


@given(st.binary() | RESULT.map(lambda value: json.dumps(value).encode()), st.sampled_from(EventType), st.booleans())
def test_any_result_is_an_answer_or_the_functions_fault(payload: bytes, event_type: EventType, two_way: bool) -> None:
    with contextlib.suppress(BadGateway):
        answer(payload, event_type=event_type, two_way=two_way)
