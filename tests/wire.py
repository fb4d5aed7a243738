"""A TCP connection driven byte by byte, for tests of what stands on the wire."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness import PATIENCE, Answer, handshake, parse_answer

MASK = b"\x37\xfa\x21\x3d"


def frame(first: int, payload: bytes = b"", *, masked: bool = True, declared: int | None = None) -> bytes:
    """A client's frame by its first byte; `declared` is a length that is not the payload's."""
    size = len(payload) if declared is None else declared
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65_536:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    repeated = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    covered = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + MASK + covered.to_bytes(len(payload), "big")


def text(payload: str | bytes) -> bytes:
    return frame(0x81, payload.encode() if isinstance(payload, str) else payload)


class Wire:
    """One connection; every wait has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write, waiting where the other side does not read."""
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    def end(self) -> None:
        """Half-close: nothing more will be sent."""
        self.writer.write_eof()

    def drop(self) -> None:
        """Cut the connection with a reset."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    async def head(self) -> Answer:
        """The next answer's head alone."""
        async with asyncio.timeout(PATIENCE):
            return parse_answer(await self.reader.readuntil(b"\r\n\r\n"))

    async def answer(self, method: str = "GET") -> Answer:
        """The next whole answer, framed as RFC 9112 §6.3 says."""
        head = await self.head()
        size = int(head.header("content-length") or 0)
        if method == "HEAD" or head.status < 200 or head.status in (204, 304):
            size = 0
        async with asyncio.timeout(PATIENCE):
            return Answer(head.status, head.headers, await self.reader.readexactly(size))

    async def closed(self) -> bytes:
        """What comes until the server closes; a reset ends it as well."""
        data = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while more := await self.reader.read(65_536):
                    data += more
            except ConnectionError:
                pass
        return data

    async def upgrade(self, path: str = "/dev", more: str = "", behind: bytes = b"") -> Answer:
        """Open a WebSocket; `behind` goes in the same write as the request."""
        await self.send(handshake(path, more=more) + behind)
        answer = await self.head()
        assert answer.status == 101, answer
        return answer

    async def frame(self) -> tuple[int, bytes]:
        """The server's next frame: its first byte and its payload."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            assert second < 0x80, "a server masks nothing"
            size = second
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first, await self.reader.readexactly(size)

    async def text(self) -> str:
        """The server's next frame, which must be text."""
        first, payload = await self.frame()
        assert first == 0x81, (first, payload)
        return payload.decode()

    async def close_frame(self) -> tuple[int, str]:
        """Code and reason of the server's close frame; frames before it are passed over."""
        while True:
            first, payload = await self.frame()
            if first == 0x88:
                return int.from_bytes(payload[:2] or b"\x03\xed", "big"), payload[2:].decode()


@asynccontextmanager
async def wire(
    port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None, server_name: str = "127.0.0.1"
) -> AsyncIterator[Wire]:
    """A TCP connection to a port of ours; with a small `receive_buffer` what isn't read soon stays with the server."""
    raw = socket.socket()
    raw.setblocking(False)
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    async with asyncio.timeout(PATIENCE):
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        except OSError:
            raw.close()
            raise
        reader, writer = await asyncio.open_connection(
            sock=raw, limit=receive_buffer or 2**16, ssl=tls, server_hostname=server_name if tls is not None else None
        )
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
