"""A request body that is read as it arrives, with back-pressure to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from wsgateway.messages import Header

HIGH_WATER = 65_536
"""Bytes kept before reading from the socket pauses."""


class BodyStream:
    """Implements `messages.ByteStream`. Ends with ConnectionError where the client left in the middle.

    `flow` is called when `full` changes; the connection reads no more of the body while it is.
    """

    __slots__ = (
        "_chunks",
        "_expect",
        "_finished",
        "_flow",
        "_received",
        "_size",
        "_started",
        "_transport",
        "_waiter",
        "closed",
        "failed",
        "full",
        "size",
        "trailers",
    )

    def __init__(self, transport: asyncio.Transport, expect: bytes, flow: Callable[[], None]) -> None:
        self._transport = transport
        self._expect = expect
        self._chunks: list[bytes] = []
        self._size = 0
        self._received = 0
        self._started = asyncio.get_running_loop().time()
        self._finished = False
        self._flow = flow
        self._waiter: asyncio.Future[None] | None = None
        self.trailers: list[Header] = []
        """What was said behind it and is kept."""
        self.size = 0
        """Bytes that have come of it."""
        self.failed = False
        """The rest will not come."""
        self.full = False
        """Enough is kept until some of it is read."""
        self.closed = False
        """Nobody will read on; what arrives is dropped."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._expect and not self.failed:
            self._transport.write(self._expect)
            self._expect = b""
        while not self._chunks:
            if self.failed:
                raise ConnectionResetError("the client left before its request was complete")
            if self._finished:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self.full:
            self.full = False
            self._flow()
        return data

    def feed(self, data: bytes) -> None:
        if self.closed:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._received += len(data)
        self.size += len(data)
        if self._size > HIGH_WATER and not self.full:
            self.full = True
            self._flow()
        self._wake()

    def finish(self) -> None:
        self._finished = True
        self._wake()

    def abort(self) -> None:
        self.failed = True
        self._wake()

    def close(self) -> None:
        """Stop keeping what arrives."""
        self.closed = True
        self._chunks.clear()
        self.full = False

    def too_slow(self, now: float, window: float, rate: int) -> bool:
        """Whether fewer than `rate` bytes/s came in the last `window` s; time in which we did not read does not count.

        What came faster before is no credit: a large body that stands still takes the room of others.
        """
        elapsed = now - self._started
        if not (self.full or self._finished):
            if elapsed <= window:
                return False
            if self._received < elapsed * rate:
                return True
        self._started = now
        self._received = 0
        return False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
