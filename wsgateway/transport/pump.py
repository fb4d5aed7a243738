"""The body of an answer that is written as it is made, no faster than the client takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from wsgateway import http1


class Pump:
    """Writes one body. While the client takes nothing, nothing more is asked of the body."""

    __slots__ = ("_blocked_since", "_chunked", "_room", "_transport")

    def __init__(self, transport: asyncio.Transport, chunked: bool) -> None:
        self._transport = transport
        self._chunked = chunked
        self._room: asyncio.Future[None] | None = None
        self._blocked_since = 0.0

    async def run(self, body: AsyncGenerator[bytes, None]) -> None:
        """Write all of `body`, and close it in any case. *Raises* what it raises."""
        write, chunked = self._transport.write, self._chunked
        async with aclosing(body):
            async for data in body:
                if data:
                    write(http1.chunk(data) if chunked else data)
                if self._room is not None:
                    await self._room
        if chunked:
            write(http1.LAST_CHUNK)

    def pause(self, now: float) -> None:
        """The client takes nothing more for now; `now` is loop time."""
        self._room = asyncio.get_running_loop().create_future()
        self._blocked_since = now

    def resume(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def stalled(self, now: float, seconds: float) -> bool:
        """Whether the client has taken nothing for `seconds`."""
        return self._room is not None and now - self._blocked_since >= seconds
