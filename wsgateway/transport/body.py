"""A request body that is read as it arrives, with back-pressure to the client."""

from __future__ import annotations

import asyncio
from typing import Self

HIGH_WATER = 65_536
"""Bytes kept before reading from the socket pauses."""


class BodyStream:
    """Implements `messages.ByteStream`. Ends with ConnectionError where the client left in the middle."""

    __slots__ = (
        "_chunks",
        "_expect",
        "_failed",
        "_finished",
        "_paused",
        "_received",
        "_size",
        "_started",
        "_transport",
        "_waiter",
        "closed",
    )

    def __init__(self, transport: asyncio.Transport, expect: bytes) -> None:
        self._transport = transport
        self._expect = expect
        self._chunks: list[bytes] = []
        self._size = 0
        self._received = 0
        self._started = asyncio.get_running_loop().time()
        self._finished = False
        self._failed = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False
        """Nobody will read on; what arrives is dropped."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._expect:
            self._transport.write(self._expect)
            self._expect = b""
        while not self._chunks:
            if self._failed:
                raise ConnectionResetError("the client left before its request was complete")
            if self._finished:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._received += len(data)
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def finish(self) -> None:
        self._finished = True
        self._wake()

    def abort(self) -> None:
        self._failed = True
        self._wake()

    def close(self) -> None:
        """Stop keeping what arrives."""
        self.closed = True
        self._chunks.clear()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def too_slow(self, now: float, grace: float, rate: int) -> bool:
        """Whether fewer than `rate` bytes/s came since the body began; time in which we did not read is not counted."""
        if self._paused or self._finished:
            self._started = now
            self._received = 0
            return False
        elapsed = now - self._started
        return elapsed > grace and self._received < elapsed * rate

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
