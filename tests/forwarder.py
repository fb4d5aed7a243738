"""A TCP balancer in front of several nodes: round robin, and the next one where a node is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536


class Forwarder:
    """Forwards to `ports` in turn; they may change at any time. Who is connected stays where it is."""

    def __init__(self) -> None:
        self.port = 0
        self.ports: list[int] = []
        self._turn = 0
        self._carried: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client until both sides have ended."""
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._carried.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(len(self.ports)):
            self._turn += 1
            with suppress(ConnectionError):
                far_reader, far_writer = await asyncio.open_connection(
                    "127.0.0.1", self.ports[self._turn % len(self.ports)]
                )
                break
        else:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    def stop(self) -> None:
        for task in self._carried:
            task.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All bytes and the end of the stream; a reset of one side is one of the other."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
    except (ConnectionError, RuntimeError):  # asyncio's word for an end behind an end
        writer.transport.abort()


@asynccontextmanager
async def forwarder() -> AsyncIterator[Forwarder]:
    """A forwarder on any free port."""
    running = Forwarder()
    server = await asyncio.start_server(running.accept, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        running.stop()
