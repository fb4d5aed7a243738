"""Content handling (API Gateway developer guide, "Content type conversions in API Gateway")."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import ApiConfigurationError
from wsgateway.templates.content import FRAME, REQUEST, RESPONSE, Conversion, Strategy, convert, listed

BYTES = b"\x89PNG\xff"
TEXT = "héllo".encode()
BASE64 = b64encode(BYTES)


@pytest.mark.parametrize(
    ("binary", "strategy", "payload", "sent"),
    [
        pytest.param(False, None, TEXT, TEXT, id="text"),
        pytest.param(False, None, BYTES, "\ufffdPNG\ufffd".encode(), id="text that is not UTF-8"),
        pytest.param(False, "CONVERT_TO_BINARY", BASE64, BYTES, id="text to binary"),
        pytest.param(False, "CONVERT_TO_TEXT", TEXT, TEXT, id="text to text"),
        pytest.param(True, None, BYTES, BYTES, id="binary"),
        pytest.param(True, "CONVERT_TO_BINARY", BYTES, BYTES, id="binary to binary"),
        pytest.param(True, "CONVERT_TO_TEXT", BYTES, BASE64, id="binary to text"),
    ],
)
def test_requests(binary: bool, strategy: Strategy, payload: bytes, sent: bytes) -> None:
    assert convert(REQUEST[binary, strategy], payload, "the message") == sent


@pytest.mark.parametrize(
    ("answered", "accepted", "strategy", "payload", "sent"),
    [
        pytest.param(False, False, None, TEXT, TEXT, id="text for text"),
        pytest.param(False, False, "CONVERT_TO_BINARY", BASE64, BYTES, id="text for text, to binary"),
        pytest.param(False, False, "CONVERT_TO_TEXT", TEXT, TEXT, id="text for text, to text"),
        pytest.param(False, True, None, BASE64, BYTES, id="text for binary"),
        pytest.param(False, True, "CONVERT_TO_BINARY", BASE64, BYTES, id="text for binary, to binary"),
        pytest.param(False, True, "CONVERT_TO_TEXT", TEXT, TEXT, id="text for binary, to text"),
        pytest.param(True, False, None, BYTES, BASE64, id="binary for text"),
        pytest.param(True, False, "CONVERT_TO_BINARY", BYTES, BYTES, id="binary for text, to binary"),
        pytest.param(True, False, "CONVERT_TO_TEXT", BYTES, BASE64, id="binary for text, to text"),
        pytest.param(True, True, None, BYTES, BYTES, id="binary for binary"),
        pytest.param(True, True, "CONVERT_TO_BINARY", BYTES, BYTES, id="binary for binary, to binary"),
        pytest.param(True, True, "CONVERT_TO_TEXT", BYTES, BASE64, id="binary for binary, to text"),
    ],
)
def test_responses(answered: bool, accepted: bool, strategy: Strategy, payload: bytes, sent: bytes) -> None:
    assert convert(RESPONSE[answered, accepted, strategy], payload, "the answer") == sent


@pytest.mark.parametrize(
    ("strategy", "payload", "sent"),
    [
        pytest.param(None, BYTES, "\ufffdPNG\ufffd".encode(), id="not set"),
        pytest.param("CONVERT_TO_TEXT", BYTES, BASE64, id="to text"),
        pytest.param("CONVERT_TO_BINARY", BASE64, BYTES, id="to binary"),
    ],
)
def test_frames(strategy: Strategy, payload: bytes, sent: bytes) -> None:
    """Developer guide, "Working with binary media types for WebSocket APIs"."""
    assert convert(FRAME[strategy], payload, "the answer") == sent


@pytest.mark.parametrize("payload", [b"not base64!", b"YQ", b"YQ==\n", b"YQ=", "é".encode()])
def test_what_is_no_base64_is_a_fault_of_the_definition(payload: bytes) -> None:
    with pytest.raises(ApiConfigurationError, match="the message is not base64") as caught:
        convert(Conversion.FROM_BASE64, payload, "the message")

    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("header", "media_types", "found"),
    [
        pytest.param("image/png", ["image/png"], True, id="the type"),
        pytest.param("Image/PNG; q=1", ["image/png"], True, id="with a parameter, in another case"),
        pytest.param("image/png", ["image/*"], True, id="any image"),
        pytest.param("image/png", ["*/*"], True, id="anything"),
        pytest.param(None, ["*/*"], True, id="anything, without a header"),
        pytest.param("image/png", ["*/png"], False, id="any png is no entry"),
        pytest.param("image/png, text/html", ["image/png"], True, id="the first of several"),
        pytest.param("text/html, image/png", ["image/png"], False, id="the second of several"),
        pytest.param("*/*", ["image/png"], False, id="a client that takes anything"),
        pytest.param("*/*", ["*/png"], False, id="a client that takes anything, and no entry"),
        pytest.param("image/png", [], False, id="no list"),
        pytest.param("image", ["image", "image/*"], False, id="no media type"),
        pytest.param(None, ["image/png"], False, id="no header"),
    ],
)
def test_binary_media_types(header: str | None, media_types: list[str], found: bool) -> None:
    assert listed(header, media_types) is found


@given(st.binary(), st.sampled_from(Conversion))
def test_any_payload_is_converted_or_a_fault(payload: bytes, conversion: Conversion) -> None:
    try:
        converted = convert(conversion, payload, "it")
    except ApiConfigurationError:
        assert conversion is Conversion.FROM_BASE64
        return
    if not conversion.binary:
        converted.decode()


@given(st.binary())
def test_to_base64_and_back(payload: bytes) -> None:
    assert convert(Conversion.FROM_BASE64, convert(Conversion.TO_BASE64, payload, "it"), "it") == payload
