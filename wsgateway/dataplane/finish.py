"""What is done to every answer of a REST API that asks for it, whoever gave it: CORS headers, compression.

API Gateway developer guide, "CORS for REST APIs", "Payload compression for REST APIs"; Fetch standard, "CORS protocol".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from wsgateway.dataplane.coding import compressed, compressible, wanted
from wsgateway.http1 import fields

if TYPE_CHECKING:
    from wsgateway.messages import HttpRequest, HttpResponse
    from wsgateway.model.cors import Cors


class Finish:
    """Makes of an answer what the client gets."""

    def __init__(self, cors: Cors | None, minimum_compression_size: int | None) -> None:
        self._cors = None if cors is None else Shared(cors)
        self._least = minimum_compression_size

    def __call__(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        lines = response.lines + fields(response.headers)
        if self._cors is not None:
            lines += self._cors.lines(request.header(b"origin"), lines)
        response = replace(response, headers=(), lines=lines)
        return response if self._least is None else self._compressed(request, response, self._least)

    def _compressed(self, request: HttpRequest, response: HttpResponse, least: int) -> HttpResponse:
        body = response.body
        if not isinstance(body, bytes) or not compressible(response.status, response.lines):
            return response
        if not body:  # to HEAD, perhaps: then a GET would get a length that nobody knows
            return response if response.length is None or response.length < least else replace(response, length=None)
        if len(body) < least:
            return response
        lines = response.lines + b"Vary: Accept-Encoding\r\n"
        coding = wanted((request.header(b"accept-encoding") or b"").decode("latin-1"))
        if not coding:
            return replace(response, lines=lines)
        lines += b"Content-Encoding: %b\r\n" % coding.encode()
        return replace(response, lines=lines, body=compressed(body, coding))


class Shared:
    """Who may read an API's answers."""

    def __init__(self, cors: Cors) -> None:
        self._origins = {origin.lower().encode() for origin in cors.allow_origins}
        self._all = b"*" in self._origins
        more = []
        if cors.allow_credentials:
            more.append((b"Access-Control-Allow-Credentials", b"true"))
        if cors.expose_headers:
            more.append((b"Access-Control-Expose-Headers", ",".join(cors.expose_headers).encode()))
        self._more = fields(more)

    def lines(self, origin: bytes | None, known: bytes) -> bytes:
        """Header lines for a page of `origin`; none where `known`, the lines there are, say it already."""
        if b"access-control-allow-origin:" in known.lower():
            return b""
        if self._all:
            return b"Access-Control-Allow-Origin: *\r\n" + self._more
        if origin is None or origin.lower() not in self._origins:
            return b"Vary: Origin\r\n"
        return fields([(b"Access-Control-Allow-Origin", origin), (b"Vary", b"Origin")]) + self._more
