"""Bodies that are given on as they come, no faster than they are taken: large ones of requests, answers that stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from wsgateway.errors import BadRequest, GatewayError, NoRoom, RequestTooLarge
from wsgateway.messages import collect

if TYPE_CHECKING:
    from wsgateway.bodies import BodyMemory, Hold
    from wsgateway.messages import AnswerStream, HttpRequest
    from wsgateway.method_request import MethodRequest

PASSED_BYTES = 1_048_576
"""Larger bodies are sent on as they come, where nobody needs them whole."""
PASSED_OVER_BYTES = 10_485_760
"""So much of a body is read at most though nobody wants it."""
PASSED_OVER_SECONDS = 1.0
"""And for so long where there is no room for it."""


def hold_of(invocation: MethodRequest, bodies: BodyMemory) -> Hold:
    """What counts the request's body: one thing, whoever reads it."""
    hold = invocation.hold
    if hold is None:
        hold = invocation.hold = bodies.hold("request")
    return hold


async def begun(request: HttpRequest, most: int, hold: Hold) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The beginning of a body, and the rest: None where that was all, of `most` bytes at most.

    *Raises* ConnectionResetError where the client left, and NoRoom.
    """
    body = request.body
    if isinstance(body, bytes):
        hold.keep(len(body))
        return body, None
    parts: list[bytes] = []
    size = 0
    rest = aiter(body)
    try:
        async for part in rest:
            size += len(part)
            hold.keep(size)
            parts.append(part)
            if size > most:
                return b"".join(parts), rest
    except NoRoom:
        parts.clear()  # the error refers to them
        await _no_room(request, hold)
        raise
    return b"".join(parts), None


async def bounded(first: bytes, rest: AsyncIterator[bytes], most: int, hold: Hold) -> AsyncGenerator[bytes, None]:
    """A body of `most` bytes at most, in pieces; `hold` is its beginning's.

    *Raises* RequestTooLarge, BadRequest where the client broke off.
    """
    size = len(first)
    yield first
    del first
    hold.give_back()
    try:
        async for part in rest:
            size += len(part)
            if size > most:
                raise RequestTooLarge(f"a body has {most} bytes at most")
            yield part
    except ConnectionResetError as error:
        raise BadRequest("the client broke off in the middle of its body") from error


async def whole(request: HttpRequest, most: int, hold: Hold) -> bytes | None:
    """The whole body; None where it has more than `most` bytes.

    *Raises* ConnectionResetError where the client left, and NoRoom.
    """
    length = int(request.header(b"content-length") or 0)
    if length > most:
        await passed_over(request, min(most, PASSED_OVER_BYTES))
        return None
    try:
        hold.expect(length)
        return await collect(request.body, most, hold)
    except NoRoom:
        await _no_room(request, hold)
        raise


async def _no_room(request: HttpRequest, hold: Hold) -> None:
    """What is here of a body goes, and so does the rest that comes at once; who sends slowly hears of it before."""
    hold.give_back()
    with suppress(TimeoutError):
        async with asyncio.timeout(PASSED_OVER_SECONDS):
            await passed_over(request)


async def passed_over(request: HttpRequest, most: int = PASSED_OVER_BYTES) -> None:
    """Read a body, `most` bytes of it at most, so that a client that sends it first hears the answer behind it.

    A client that waits is not asked for it (RFC 9110 §10.1.1). *Raises* ConnectionResetError where the client left.
    """
    body, size = request.body, 0
    if not isinstance(body, bytes) and request.header(b"expect") is None:
        async for part in body:
            size += len(part)
            if size > most:
                return


class Passed:
    """The body of an answer on its way to the client. Whoever lets go of it ends the call, even if he never began."""

    def __init__(self, stream: AnswerStream, failed: Callable[[GatewayError], object]) -> None:
        """`failed` hears where it breaks off."""
        self._stream = stream
        self._reading = aiter(stream)
        self._failed = failed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._reading)
        except GatewayError as error:
            self._failed(error)
            raise

    async def aclose(self) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self._stream.close()
