"""The body of an answer that is written as it is made, no faster than the client takes it."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from wsgateway import http1
from wsgateway.messages import Answering, HttpResponse

STALL_SECONDS = 60.0
"""How long a client may take nothing of an answer that is still being made."""
DRAIN_STALL_SECONDS = 2.0
"""The same while the node leaves."""


class Pump:
    """Writes one body. While the client takes nothing, nothing more is asked of the body."""

    __slots__ = ("_blocked_since", "_room", "_transport", "chunked")

    def __init__(self, transport: asyncio.Transport, version: str) -> None:
        self._transport = transport
        self.chunked = version == "1.1"
        """Whether the body says itself where it ends; to HTTP/1.0 its end is the close."""
        self._room: asyncio.Future[None] | None = None
        self._blocked_since = 0.0

    def head(self, response: HttpResponse, close: bool) -> bytes:
        """The head that goes before the body. *Raises* UnsafeHeader."""
        return http1.head(
            response.status,
            response.headers,
            lines=response.lines,
            framing=http1.CHUNKED if self.chunked else b"",
            close=close,
            now=time.time(),
        )

    async def run(self, body: Answering) -> None:
        """Write all of `body`, and close it in any case. *Raises* what it raises."""
        write, chunked = self._transport.write, self.chunked
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

    def stalled(self, now: float, *, draining: bool) -> bool:
        """Whether the client has taken nothing for too long, which is sooner while the node drains."""
        seconds = DRAIN_STALL_SECONDS if draining else STALL_SECONDS
        return self._room is not None and now - self._blocked_since >= seconds
