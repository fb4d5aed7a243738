"""Bodies that pass through a REST API: large ones of requests, and answers with responseTransferMode STREAM."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness import PATIENCE, Gateway, forget_peak, gateway, parse_answer, resident
from tests.wire import wire

pytestmark = pytest.mark.anyio

MIB = 1 << 20
DEFINITION = """
apis:
  files:
    protocolType: REST
    maxBodyBytes: 209715200
    stages: {v1: {variables: {backend: "127.0.0.1:@port@"}}}
    integrations:
      up: {type: HTTP_PROXY, httpMethod: POST, uri: "http://${stageVariables.backend}/up", maxConcurrency: 1}
      down:
        type: HTTP_PROXY
        httpMethod: ANY
        uri: "http://${stageVariables.backend}/down"
        responseTransferMode: STREAM
        maxConcurrency: 1
    paths:
      /up: {POST: {integration: up}}
      /down: {ANY: {integration: down}}
"""


@dataclass
class Store:
    """A backend that counts what it is sent and gives as much as it is told, both only while it may."""

    port: int = 0
    received: int = 0
    written: int = 0
    head: bytes = b""
    size: int = 0
    cut: bool = False
    go: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.head = await reader.readuntil(b"\r\n\r\n")
                self.arrived.set()
                await (self._take(reader, writer) if b" /up " in self.head else self._give(writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = 0
        await self.go.wait()
        chunked = b"chunked" in self.head
        length = 0 if chunked else int(self.head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while chunked or self.received < length:
            if chunked:
                size = int(await reader.readuntil(b"\r\n"), 16)
                await reader.readexactly(size + 2)
                if not size:
                    break
            else:
                size = len(await reader.read(65_536))
                if not size:
                    raise asyncio.IncompleteReadError(b"", None)
            self.received += size
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        self.written = 0
        writer.write(b"HTTP/1.1 200 OK\r\nX-Kind: file\r\nContent-Length: %d\r\n\r\n" % self.size)
        while self.written < self.size:
            if self.cut and self.written:
                raise ConnectionAbortedError
            writer.write(b"d" * 65_536)
            await writer.drain()
            self.written += 65_536


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Gateway, Store]]:
    store = Store()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # the kernel's own go to tens of megabytes
    server = await asyncio.start_server(store.serve, sock=listening)
    store.port = listening.getsockname()[1]
    try:
        async with gateway(DEFINITION.replace("@port@", str(store.port)), folder) as running:
            yield running, store
    finally:
        server.close()


def post(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


async def test_a_large_body_passes_through_no_faster_than_it_is_taken(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, store), wire(running.port) as client:
        forget_peak(running.pid)
        before = resident(running.pid)
        store.go.set()
        await client.send(post("/v1/up", f"Content-Length: {100 * MIB}", "Expect: 100-continue"))
        assert (await client.head()).status == 100
        for _ in range(100):
            await client.send(b"u" * MIB)
        assert (await client.answer()).body == b"done"
        assert store.received == 100 * MIB
        assert f"content-length: {100 * MIB}\r\n".encode() in store.head.lower()
        assert resident(running.pid) - before < 8 * MIB

        # In chunks, on the same connections, and a backend that takes nothing for now.
        store.go.clear()
        store.arrived.clear()
        await client.send(post("/v1/up", "Transfer-Encoding: chunked"))
        sent = 0
        while sent < 200 * MIB:
            client.writer.write(b"100000\r\n" + b"u" * MIB + b"\r\n")
            sent += MIB
            try:
                await asyncio.wait_for(client.writer.drain(), 1)
            except TimeoutError:
                break  # nobody takes more: that is what is looked for
        assert sent < 100 * MIB
        assert resident(running.pid) - before < 8 * MIB
        store.go.set()
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).body == b"done"
        assert store.received == sent


async def test_what_is_too_large_or_breaks_off_is_never_whole(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, store):
        store.go.set()
        async with wire(running.port) as client:
            await client.send(post("/v1/up", f"Content-Length: {201 * MIB}", "Expect: 100-continue"))
            assert parse_answer(await client.closed()).status == 413
        assert not store.head
        for end in (b"zz\r\n", b""):
            store.left.clear()
            store.arrived.clear()
            async with wire(running.port) as client:
                await client.send(post("/v1/up", "Transfer-Encoding: chunked"))
                await client.send(b"200000\r\n" + b"u" * (2 * MIB) + b"\r\n" + end)
                if end:
                    assert parse_answer(await client.closed()).status == 400
                else:
                    async with asyncio.timeout(PATIENCE):
                        await store.arrived.wait()
                    client.drop()
                async with asyncio.timeout(PATIENCE):
                    await store.left.wait()
        # The one call at a time that there may be is free again.
        async with wire(running.port) as client:
            await client.send(post("/v1/up", "Content-Length: 2") + b"ok")
            assert (await client.answer()).body == b"done"


async def test_an_answer_is_given_on_as_it_comes(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, store), wire(running.port) as client:
        store.size = 100 * MIB
        forget_peak(running.pid)
        before = resident(running.pid)
        for _ in range(2):
            await client.send(b"GET /v1/down HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await client.head()
            assert (head.status, head.header("x-kind"), head.header("transfer-encoding")) == (200, "file", "chunked")
            assert store.written < 32 * MIB  # nobody has read on
            size = 0
            async with asyncio.timeout(PATIENCE):
                while more := int(await client.reader.readline(), 16):
                    await client.reader.readexactly(more + 2)
                    size += more
                await client.reader.readline()
            assert size == store.size
        assert resident(running.pid) - before < 8 * MIB

        await client.send(b"HEAD /v1/down HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("HEAD")).header("content-length") == str(store.size)


async def test_an_answer_that_breaks_off_is_cut_and_a_client_that_goes_ends_the_call(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, store):
        store.size, store.cut = 4 * MIB, True
        async with wire(running.port) as client:
            await client.send(b"GET /v1/down HTTP/1.1\r\nHost: a\r\n\r\n")
            said = await client.closed()
        assert parse_answer(said).status == 200
        assert not said.endswith(b"0\r\n\r\n")
        await running.logged("integration fails")

        store.size, store.cut = 100 * MIB, False
        store.left.clear()
        async with wire(running.port) as client:
            await client.send(b"GET /v1/down HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.head()).status == 200
            client.drop()
        async with asyncio.timeout(PATIENCE):
            await store.left.wait()

        store.size = 65_536
        async with wire(running.port) as client:
            await client.send(b"GET /v1/down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert parse_answer(await client.closed()).status == 200
