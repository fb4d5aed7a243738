"""What a listener answers by itself, before any handler is asked or where one broke off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wsgateway import http1
from wsgateway.messages import HttpResponse

if TYPE_CHECKING:
    from wsgateway.messages import HttpRequest
    from wsgateway.transport.head import Refused

JSON = ((b"Content-Type", b"application/json"),)
MISDIRECTED = HttpResponse(
    421, JSON, b'{"message":"Misdirected Request: TLS was begun for another host name"}', close=True
)
INTERNAL_ERROR_BODY = b'{"message":"Internal server error"}'
INTERNAL_ERROR = HttpResponse(500, JSON, INTERNAL_ERROR_BODY, close=True)


def no_upgrade(request: HttpRequest) -> HttpResponse:
    """What a listener without WebSockets says to a handshake."""
    return HttpResponse(403, JSON, b'{"message":"Forbidden"}', close=True)


def refused(refusal: Refused) -> bytes:
    """The answer to a malformed request, as it is written."""
    why = str(refusal).replace("\\", "\\\\").replace('"', "'")
    body = b'{"message":"%s"}' % why.encode("ascii", "replace")
    return http1.response(refusal.status, JSON, body, close=True, now=time.time())


def ending(response: HttpResponse) -> HttpResponse:
    """The same answer, ending the connection."""
    return HttpResponse(response.status, response.headers, response.body, close=True, lines=response.lines)
