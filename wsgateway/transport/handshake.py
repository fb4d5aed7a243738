"""The WebSocket opening handshake as pure decisions: is this request one, and what does the 101 say (RFC 6455 §4.2)."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_extension
from websockets.utils import accept_key

from wsgateway.http1 import field, list_items
from wsgateway.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.messages import Header

MAX_URL_BYTES = 4096
"""API Gateway quotas: the URL of a WebSocket handshake."""


def wants_websocket(headers: tuple[Header, ...]) -> bool:
    """Whether a request with these headers names the WebSocket protocol in `Upgrade`, well-formed or not."""
    return any(name.lower() == b"upgrade" and b"websocket" in list_items([value]) for name, value in headers)


def refuse(request: HttpRequest, version: str, announces_body: bool) -> HttpResponse | None:
    """What a malformed handshake is answered with, or None for a good one. Every refusal ends the connection."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        values.setdefault(name.lower(), []).append(value)
    if request.method != "GET":
        return _refusal(400, "a WebSocket handshake is a GET")
    if version != "1.1":
        return _refusal(400, "a WebSocket handshake needs HTTP/1.1")
    if announces_body:
        return _refusal(400, "a WebSocket handshake has no body")
    if len(request.target) > MAX_URL_BYTES:
        return _refusal(414, f"the URL is over {MAX_URL_BYTES} bytes")
    if list_items(values.get(b"upgrade", ())) != [b"websocket"]:
        return _refusal(400, "Upgrade must be websocket alone")
    if b"upgrade" not in list_items(values.get(b"connection", ())):
        return _refusal(400, "Connection must name Upgrade")
    versions = values.get(b"sec-websocket-version", [])
    if len(versions) != 1:
        return _refusal(400, "there must be one Sec-WebSocket-Version")
    if versions[0] != b"13":
        # RFC 6455 §4.4: the answer names the version understood.
        return _refusal(426, "the WebSocket version is 13", ((b"Sec-WebSocket-Version", b"13"), _UPGRADE))
    keys = values.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        return _refusal(400, "there must be one Sec-WebSocket-Key of 16 bytes in base64")
    try:
        for value in values.get(b"sec-websocket-extensions", ()):
            parse_extension(value.decode("latin-1"))
    except InvalidHeaderFormat:
        # RFC 6455 §9.1: such a handshake fails, whoever would have negotiated.
        return _refusal(400, "Sec-WebSocket-Extensions is malformed")
    return None


def accept(request: HttpRequest, subprotocol: bytes | None, extensions: bytes | None = None) -> bytes:
    """The 101 to a good handshake. *Raises* UnsafeHeader where the subprotocol can't stand in a header."""
    key = request.header(b"sec-websocket-key")
    assert key is not None  # `refuse` saw it
    head = b"%sSec-WebSocket-Accept: %s\r\n" % (_SWITCHING, accept_key(key.decode("latin-1")).encode())
    if subprotocol is not None:
        head += field(b"Sec-WebSocket-Protocol", subprotocol)
    if extensions is not None:
        head += field(b"Sec-WebSocket-Extensions", extensions)
    return head + b"\r\n"


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except binascii.Error:
        return False


def _refusal(status: int, why: str, headers: tuple[Header, ...] = ()) -> HttpResponse:
    body = b'{"message":"%s"}' % why.encode()
    return HttpResponse(status, ((b"Content-Type", b"application/json"), *headers), body, close=True)


_UPGRADE = (b"Upgrade", b"websocket")
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
