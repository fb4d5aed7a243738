"""What steps note, as it is shown: everything but credentials."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.traces import described
from wsgateway.errors import BadGateway
from wsgateway.messages import EndpointRequest, EndpointResponse, Message


@pytest.mark.parametrize(
    "name", ["Authorization", "x-api-key", "COOKIE", "Proxy-Authorization", "X-Amz-Security-Token"]
)
def test_credentials_are_hidden_in_headers_and_in_events(name: str) -> None:
    event = json.dumps(
        {"headers": {name: 'se"cret'}, "multiValueHeaders": {name: ["secret", "secret"]}, "body": "kept"}
    )
    request = EndpointRequest(f"POST /x HTTP/1.1\r\n{name}: secret\r\nX-A: kept\r\n".encode(), event.encode())

    shown = described(request)

    assert shown["request"] == "POST /x"
    assert shown["headers"] == [[name, "***"], ["X-A", "kept"]]
    assert json.loads(shown["body"]) == {
        "headers": {name: "***"},
        "multiValueHeaders": {name: "***"},
        "body": "kept",
    }


def test_values_are_clipped_and_bytes_are_text() -> None:
    assert described(b"x" * 20, 10) == "x" * 10 + "…"
    assert described("x" * 20, 10) == "x" * 10 + "…"
    assert described(b"\xff") == "\ufffd"
    assert described(Message(b"\xff\x00", True)) == {"bodyBase64": "/wA="}
    assert described(EndpointResponse(204, (), None)) == {"status": 204, "headers": [], "body": None}
    assert described(BadGateway("why")) == {
        "status": 502,
        "type": "INTEGRATION_FAILURE",
        "message": "Internal server error",
        "reason": "why",
    }


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f'"cookie": "{text}'.encode("utf-8", "replace"))
)
def test_any_bytes_can_be_shown(data: bytes) -> None:
    json.dumps(described(EndpointRequest(data, data), 50))
    json.dumps(described(data, 50))


def test_hiding_takes_linear_time() -> None:
    began = time.process_time()

    for data in (
        b'"cookie": "' * 6000,
        b'"cookie": [' * 6000,
        b'"cookie"' + b" " * 60_000,
        b'"cookie": "' + b"\\" * 60_000,
    ):
        described(data)

    assert time.process_time() - began < 2
