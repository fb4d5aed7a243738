"""A TCP link that fails as links do: slow, silent, refused, reset, cut."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HOST = "127.0.0.1"
LINGER_NOT = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends RST."""


def free_port(*more: int) -> int:
    """A port nobody listens on, nor on those so much further on. The system never gives it to a socket that calls out,
    so that it can be left and taken again."""
    for _ in range(1000):
        port = random.randrange(10_000, 22_000)
        if all(_is_free(port + further) for further in (0, *more)):
            return port
    raise AssertionError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class Link:
    """Carries connections from `port` to a server's; with `tls`, whoever calls speaks TLS and the server doesn't.

    What a fault holds back is not lost: it goes on when the link is healed, as with TCP, unless the connection is cut.
    """

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.accepted = 0
        """Connections that came, in all."""
        self.delay = 0.0
        """Seconds that each piece waits, in each direction."""
        self.target = target
        """The server's port; may be told later than the link's own is known."""
        self._tls = tls
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()
        self._resets = False
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def open(self) -> int:
        """Connections that are there."""
        return len(self._pairs)

    async def heal(self) -> None:
        """Carry everything, at once."""
        self.delay = 0.0
        self._resets = False
        self._requests.set()
        self._answers.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)

    def hole(self, *, answers_only: bool = False) -> None:
        """Carry nothing and say nothing, as where packets are dropped; `answers_only`: requests still arrive.

        New connections are accepted here (a machine's own loopback can't leave them unanswered), and get no byte.
        """
        self._answers.clear()
        if not answers_only:
            self._requests.clear()

    async def refuse(self) -> None:
        """Refuse new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def reset(self) -> None:
        """Reset new connections as soon as they are there, and those that are."""
        self._resets = True
        self.cut()

    def cut(self) -> None:
        """Reset the connections that are there."""
        for writer in tuple(self._writers):
            _reset(writer)

    async def aclose(self) -> None:
        await self.refuse()
        self.cut()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._resets:
            _reset(writer)
            return
        self._writers.add(writer)  # at once: whoever cuts in the same turn means it, too
        pair = asyncio.ensure_future(self._carry(reader, writer))
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError), _closing(self._writers, writer):
            await self._requests.wait()
            there, server = await asyncio.open_connection(HOST, self.target)
            with _closing(self._writers, server):
                ways = [
                    asyncio.ensure_future(self._pump(reader, server, self._requests)),
                    asyncio.ensure_future(self._pump(there, writer, self._answers)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: asyncio.Event) -> None:
        while piece := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            await opened.wait()
            writer.write(piece)
            await writer.drain()
        await opened.wait()


class _closing:  # noqa: N801
    """Keeps a writer among those that can be cut, and closes it."""

    def __init__(self, writers: set[asyncio.StreamWriter], writer: asyncio.StreamWriter) -> None:
        self._writers, self._writer = writers, writer

    def __enter__(self) -> None:
        self._writers.add(self._writer)

    def __exit__(self, *_: object) -> None:
        self._writers.discard(self._writer)
        self._writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    there = writer.get_extra_info("socket")
    if there is not None:
        with suppress(OSError, ValueError):  # it is closed
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()


@asynccontextmanager
async def link(target: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Link]:
    """A healthy link to a port of this machine."""
    between = Link(target, tls=tls)
    await between.heal()
    try:
        yield between
    finally:
        await between.aclose()
