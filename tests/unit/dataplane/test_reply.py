"""From a backend's answer to a frame, or to the answer of a handshake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.reply import handshake_answer, message_of, text_message
from wsgateway.messages import EndpointResponse, Message

TEXT = Message(b"question")
BINARY = Message(b"\x00\xff", True)


def answer(status: int = 200, body: bytes | None = b"reply", content_type: str = "") -> EndpointResponse:
    headers = ((b"Content-Type", content_type.encode()),) if content_type else ()
    return EndpointResponse(status, headers, body)


@pytest.mark.parametrize(
    ("given_answer", "reply"),
    [
        pytest.param(answer(), Message(b"reply"), id="200 with a body"),
        pytest.param(answer(body=b""), Message(b""), id="200 without a body is an empty frame"),
        pytest.param(answer(204, b""), None, id="204 is no frame"),
        pytest.param(answer(304, b""), None, id="304 is no frame"),
        pytest.param(answer(body=None), None, id="no body at all is no frame"),
        pytest.param(answer(503), Message(b"reply"), id="any other status is delivered"),
        pytest.param(answer(404, b""), Message(b""), id="also when it is empty"),
    ],
)
def test_a_reply_to_text_is(given_answer: EndpointResponse, reply: Message | None) -> None:
    assert message_of(given_answer, TEXT, True) == reply
    assert message_of(given_answer, TEXT, False) == reply


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [
        pytest.param("", True, id="no type"),
        pytest.param("application/octet-stream", True, id="bytes"),
        pytest.param("image/png", True, id="an image"),
        pytest.param("text/plain", False, id="text"),
        pytest.param("TEXT/HTML; charset=utf-8", False, id="text with a parameter, in capitals"),
        pytest.param("application/json", False, id="JSON"),
        pytest.param("application/problem+json; a=b", False, id="JSON under another name"),
        pytest.param("application/jsonx", True, id="a similar name"),
        pytest.param("image/text/plain", True, id="text in the wrong place"),
    ],
)
def test_a_reply_to_a_binary_message_has_its_kind_unless_its_type_is_text(content_type: str, binary: bool) -> None:
    reply = message_of(answer(content_type=content_type), BINARY, True)

    assert reply == Message(b"reply", binary)


def test_a_type_of_bytes_makes_no_binary_reply_to_text() -> None:
    assert message_of(answer(content_type="application/octet-stream"), TEXT, True) == Message(b"reply")


def test_where_binary_is_not_allowed_every_reply_is_text() -> None:
    assert message_of(EndpointResponse(200, (), b"\xff", True), BINARY, False) == Message("�".encode())


@pytest.mark.parametrize(("asked", "kind"), [(TEXT, True), (BINARY, False)], ids=["binary", "text"])
def test_an_integration_may_say_the_kind_itself(asked: Message, kind: bool) -> None:
    assert message_of(EndpointResponse(200, (), b"x", kind), asked, True) == Message(b"x", kind)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("grüß 👋".encode(), "grüß 👋", id="UTF-8 stays"),
        pytest.param(b"a\xffb", "a\ufffdb", id="a stray byte"),
        pytest.param(b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", id="half a surrogate pair"),
        pytest.param("ü".encode()[:1], "\ufffd", id="a character cut in two"),
    ],
)
def test_bytes_of_a_text_frame_that_are_not_utf8_become_replacement_characters(data: bytes, text: str) -> None:
    assert text_message(data) == Message(text.encode())


@given(st.binary())
def test_every_text_message_is_utf8(data: bytes) -> None:
    text_message(data).data.decode()


# Refused handshakes


def test_a_refusal_keeps_the_backends_status_body_and_headers() -> None:
    refusal = handshake_answer(
        EndpointResponse(
            401, ((b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")), b"who are you?"
        ),
        "REQUESTID",
    )

    assert (refusal.status, refusal.body, refusal.close) == (401, b"who are you?", True)
    assert refusal.headers == (
        (b"Content-Type", b"text/plain"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"x-amz-apigw-id", b"REQUESTID"),
    )


def test_a_refusal_without_a_type_is_json() -> None:
    assert handshake_answer(EndpointResponse(403, (), b""), "R").headers[0] == (b"Content-Type", b"application/json")


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "Content-Length", "Via", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "X-Named",
    ],
)  # fmt: skip
def test_a_refusal_does_not_pass_on(name: str) -> None:
    headers = ((b"Connection", b"close, x-named"), (name.encode(), b"v"))

    passed = handshake_answer(EndpointResponse(403, headers, b""), "R").headers

    assert name.lower().encode() not in [key.lower() for key, _ in passed]


@pytest.mark.parametrize("name", ["Date", "Server", "WWW-Authenticate", "Authorization", "User-Agent", "Host"])
def test_a_refusal_renames_as_api_gateway_does(name: str) -> None:
    """Developer guide, "Important notes": such headers are remapped."""
    passed = dict(handshake_answer(EndpointResponse(403, ((name.encode(), b"v"),), b""), "R").headers)

    assert passed[b"x-amzn-Remapped-" + name.encode()] == b"v"
    assert name.encode() not in passed
