"""`contentHandlingStrategy`: bytes to base64 and back.

API Gateway developer guide, "Working with binary media types for WebSocket APIs".
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

from wsgateway.errors import ApiConfigurationError

if TYPE_CHECKING:
    from wsgateway.model.integration import ContentHandling


def to_backend(strategy: ContentHandling | None, body: bytes, binary: bool) -> tuple[bytes, bool]:
    """What a backend is sent of a message, and whether that is bytes. *Raises* ApiConfigurationError."""
    if strategy == "CONVERT_TO_BINARY" and not binary and body:
        return _decoded(body, "the message"), True
    if strategy == "CONVERT_TO_TEXT" and binary:
        return b64encode(body), False
    return body, binary


def from_backend(strategy: ContentHandling | None, body: bytes | None) -> tuple[bytes | None, bool | None]:
    """What a client is sent of an answer, and whether in a binary frame; None leaves that to the rules of proxies."""
    if strategy is None or not body:
        return body, None
    return (b64encode(body), False) if strategy == "CONVERT_TO_TEXT" else (_decoded(body, "the answer"), True)


def _decoded(text: bytes, what: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Base64Error as error:
        raise ApiConfigurationError(f"contentHandlingStrategy: {what} is not base64: {error}") from error
