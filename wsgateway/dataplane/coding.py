"""Content codings of REST APIs: bodies of requests undone, bodies of answers compressed.

API Gateway developer guide, "Payload compression for REST APIs"; RFC 9110 §8.4, §12.5.3. What a body becomes is
bounded, and no body keeps the loop for long: after each piece others have their turn.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wsgateway.errors import RequestTooLarge, UnsupportedMediaType
from wsgateway.http1 import list_items

if TYPE_CHECKING:
    from wsgateway.bodies import Hold
    from wsgateway.messages import Header

PIECE: Final = 32_768
"""Bytes that are compressed, or come of decompressing, at once: about half a millisecond."""

LEVEL: Final = 5

MOST_MEMBERS: Final = 16
"""Of one gzip body (RFC 1952 §2.2)."""

WINDOWS: Final = {"gzip": 31, "deflate": 15}
"""zlib's `wbits`, by the names of the codings; `deflate` is the zlib format (RFC 9110 §8.4.1.2)."""


def codings_of(headers: Sequence[Header]) -> list[str]:
    """The codings of a request's body in the order in which they were applied, without `identity`."""
    named = list_items(value for name, value in headers if name.lower() == b"content-encoding")
    names = [item.decode("latin-1").removeprefix("x-") for item in named]  # RFC 9110 §8.4.1.3
    return [name for name in names if name != "identity"]


async def decoded(body: bytes, codings: Sequence[str], limit: int, hold: Hold | None = None) -> bytes:
    """`body` without its codings; `hold` has counted the body, and counts what becomes of it.

    *Raises* UnsupportedMediaType, RequestTooLarge where it would be over `limit` bytes, and NoRoom.
    """
    if len(codings) > 1 or not WINDOWS.keys() >= set(codings):
        raise UnsupportedMediaType(f"Content-Encoding is {', '.join(codings)[:100]}; gzip or deflate is undone here")
    for coding in codings:
        body = await _undone(body, coding, limit, hold)
    return body


async def _undone(body: bytes, coding: str, limit: int, hold: Hold | None) -> bytes:
    stream = zlib.decompressobj(WINDOWS[coding])
    parts: list[bytes] = []
    size, members = 0, 1
    for at in range(0, len(body), PIECE):
        rest, more = body[at : at + PIECE], False
        while rest or more:
            if stream.eof:
                if coding != "gzip" or members == MOST_MEMBERS:
                    raise UnsupportedMediaType(f"bytes follow the body's {coding}")
                stream, members = zlib.decompressobj(WINDOWS[coding]), members + 1
            try:
                part = stream.decompress(rest, PIECE)
            except zlib.error as error:
                raise UnsupportedMediaType(f"the body is no {coding}: {error}") from error
            size += len(part)
            if size > limit:
                raise RequestTooLarge(f"a body has {limit} bytes at most, and this one more without its {coding}")
            if hold is not None:
                hold.keep(len(body) + size)
            parts.append(part)
            rest = stream.unused_data or stream.unconsumed_tail
            more = len(part) == PIECE and not stream.eof
            await asyncio.sleep(0)
    if not stream.eof:
        raise UnsupportedMediaType(f"the body is no whole {coding}")
    return b"".join(parts)


@lru_cache(maxsize=256)
def wanted(accept: str) -> str:
    """The coding an Accept-Encoding header asks for; "" is none.

    As on AWS `*` names none. Of those that are named the one of most weight counts, of equal ones gzip.
    """
    weights = {"identity": 0.0}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights[name.removeprefix("x-")] = _weight(parameters)
    best = max(WINDOWS, key=lambda name: weights.get(name, 0.0))
    weight = weights.get(best, 0.0)
    return best if weight > 0 and weight >= weights["identity"] else ""


def _weight(parameters: Sequence[str]) -> float:
    """RFC 9110 §12.4.2; 0 where it can't be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            text = value.strip()
            return min(float(text), 1.0) if text.replace(".", "", 1).isdigit() and text.isascii() else 0.0
    return 1.0


def compressible(status: int, lines: bytes) -> bool:
    """Whether an answer of this status with these header lines may be compressed.

    One that has a coding is left alone, as on AWS, and so is a part of something, and what asks to stay as it is
    (RFC 9110 §14.4, RFC 9111 §5.2.2.6).
    """
    head = b"\r\n" + lines.lower()
    return status != 206 and not any(mark in head for mark in _LEFT_ALONE)


_LEFT_ALONE: Final = (b"\r\ncontent-encoding:", b"\r\ncontent-range:", b"no-transform")


class Compressing:
    """A body in a coding, in pieces, as fast as they are taken. It is read once."""

    def __init__(self, body: bytes, coding: str) -> None:
        self.held = len(body)
        """Bytes that are held while it is read."""
        self._pieces = _pieces(body, coding)

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._pieces

    async def aclose(self) -> None:
        await self._pieces.aclose()


def compressed(body: bytes, coding: str) -> bytes | Compressing:
    """`body` in this coding: at once if that takes no time, else in pieces."""
    if len(body) > PIECE:
        return Compressing(body, coding)
    stream = zlib.compressobj(LEVEL, wbits=WINDOWS[coding])
    return stream.compress(body) + stream.flush()


async def _pieces(body: bytes, coding: str) -> AsyncGenerator[bytes, None]:
    stream = zlib.compressobj(LEVEL, wbits=WINDOWS[coding])
    view = memoryview(body)
    for at in range(0, len(view), PIECE):
        piece = stream.compress(view[at : at + PIECE])
        if piece:
            yield piece
        await asyncio.sleep(0)
    yield stream.flush()
