"""A real gateway process, a scripted backend and raw clients, for tests that look at the product from outside."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httptools
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from tests import prefork

Process = asyncio.subprocess.Process | prefork.Process

PATIENCE = 20.0
"""Seconds until a wait for something that must happen fails; never a pause."""


@dataclass
class Gateway:
    """A running `wsgateway serve` or `dev`."""

    process: Process
    public: str
    internal: str
    tls: str | None = None
    log: list[str] = field(default_factory=list)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        port = urlsplit(self.public).port
        assert port is not None
        return port

    @property
    def tls_port(self) -> int:
        port = urlsplit(self.tls or "").port
        assert port is not None
        return port

    @property
    def internal_port(self) -> int:
        port = urlsplit(self.internal).port
        assert port is not None
        return port

    def ws(self, path: str = "/dev") -> str:
        """The WebSocket URL of a path."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def callback(self, connection_id: str, *, stage: str = "dev") -> str:
        """The path of a connection's callback URL."""
        return f"/{stage}/@connections/{quote(connection_id, safe='')}"

    async def logged(self, text: str) -> str:
        """The first log line that holds `text`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.log:
                    if text in line:
                        return line
                self._heard.clear()
                await self._heard.wait()

    async def more_log(self, seconds: float = PATIENCE) -> None:
        """Wait for the next log line, for so long at most."""
        self._heard.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), seconds)

    async def metrics(self) -> dict[str, float]:
        """The gateway's samples, by name and labels as written."""
        answer = await http(self.internal_port, "GET", "/metrics")
        lines = [line for line in answer.body.decode().splitlines() if line.startswith("wsgateway_")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def reload(self) -> None:
        """Have the file read again; the log tells when that is done."""
        self.process.send_signal(signal.SIGHUP)

    async def wait(self) -> int:
        """The exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def feed_log(self, line: str) -> None:
        self.log.append(line)
        self._heard.set()


@asynccontextmanager
async def gateway(
    definition: str,
    folder: Path,
    *flags: str,
    verb: str = "serve",
    env: dict[str, str] | None = None,
    usual_tls_port: bool = False,
) -> AsyncIterator[Gateway]:
    """Run a gateway on any free ports with `definition` as its file; it is ended by its pid.

    `usual_tls_port` leaves the port for TLS to `dev`.
    """
    file = folder / "routes.yaml"
    file.write_text(definition)
    if verb == "dev" and "--tls-port" not in flags and not usual_tls_port:
        flags = ("--tls-port", "0", *flags)
    process = await prefork.wsgateway(
        verb, file, "--port", "0", "--internal-port", "0", *flags, stdout=PIPE, stderr=PIPE,
        env=os.environ | {"XDG_STATE_HOME": str(folder / "state")} | (env or {}),
    )  # fmt: skip
    async with _running(process) as running:
        yield running


@asynccontextmanager
async def started(*command: str | Path, env: Mapping[str, str]) -> AsyncIterator[Gateway]:
    """Run a gateway by this command, with this environment alone; it is ended by its pid."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=env)
    async with _running(process) as running:
        yield running


@asynccontextmanager
async def _running(process: Process) -> AsyncIterator[Gateway]:
    assert process.stdout is not None
    assert process.stderr is not None
    logging: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
            match = re.fullmatch(r"wsgateway ready public=(\S+) internal=(\S+)(?: tls=(\S+))? pid=\d+\n", line)
            if match is None:
                raise AssertionError(f"no ready line but {line!r}: {(await process.stderr.read()).decode()}")
        running = Gateway(process, match[1], match[2], match[3])
        logging = asyncio.ensure_future(_collect_log(process.stderr, running))
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(PATIENCE):  # whatever it started and left behind would hold its pipes open
            await process.wait()
            await process.stdout.read()  # up to its end: a pipe that is open keeps the loop from closing
            if logging is not None:
                await logging


async def _collect_log(stream: asyncio.StreamReader, running: Gateway) -> None:
    async for line in stream:
        running.feed_log(line.decode().rstrip("\n"))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: header names in lower case, repeated ones in order."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)


async def http(port: int, method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """One request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return parse_answer(await raw(port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body))


async def raw(port: int, data: bytes) -> bytes:
    """Everything the server says to these bytes until it closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
        finally:
            writer.close()


def parse_answer(data: bytes) -> Answer:
    """The first answer in `data`."""
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(int(status_line.split(" ")[1]), headers, body)


HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


def handshake(path: str = "/dev", host: str = "127.0.0.1", more: str = "") -> bytes:
    """A handshake request; `more` is further header lines, each ended by CR LF."""
    return HANDSHAKE.format(path=path, host=host, more=more).encode()


def resident(pid: int) -> int:
    """Bytes of memory that the process has had at most, since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass
class Request:
    """One request a backend got."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header (lower case), all values joined where it came more than once."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None


Reply = tuple[int, dict[str, str], bytes]


class Backend:
    """A scripted HTTP backend on loopback. Answers with what `answers` says for a path, in the order of the script.

    A reply may be an Event to wait for first, bytes to write as they are, or None to drop the connection.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self._scripts: dict[str, Callable[[Request], Any]] = {}
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.connections: set[_BackendConnection] = set()

    def answers(self, path: str, answer: Callable[[Request], Any] | Reply | bytes | None) -> None:
        """What requests of `path` get: a reply, raw bytes, None (close), or a function (async ones may wait)."""
        self._scripts[path] = answer if callable(answer) else lambda request: answer

    async def saw(self, path: str, count: int = 1) -> Request:
        """The `count`th request of `path`, waited for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = [request for request in self.requests if request.target.partition("?")[0] == path]
                if len(found) >= count:
                    return found[count - 1]
                self._arrived.clear()
                await self._arrived.wait()

    def count(self, path: str) -> int:
        return sum(request.target.partition("?")[0] == path for request in self.requests)

    async def start(self, port: int = 0, host: str = "127.0.0.1", secure: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _BackendConnection(self), host, port, ssl=secure)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop accepting and drop every connection, as a crash would."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    async def reply(self, request: Request) -> Any:
        self.requests.append(request)
        self._arrived.set()
        script = self._scripts.get(request.target.partition("?")[0])
        answer = (200, {}, request.body) if script is None else script(request)
        return await answer if hasattr(answer, "__await__") else answer


class _BackendConnection(asyncio.Protocol):
    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.tasks: set[asyncio.Task[None]] = set()
        self._begin()
        self.parser = httptools.HttpRequestParser(self)

    def _begin(self) -> None:
        self.url = b""
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's has no such base
        self.backend.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.backend.connections.discard(self)
        for task in self.tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        request = Request(self.parser.get_method().decode(), self.url.decode(), self.headers, self.body)
        self._begin()
        task = asyncio.ensure_future(self._answer(request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, request: Request) -> None:
        answer = await self.backend.reply(request)
        if answer is None:
            self.transport.abort()
        elif isinstance(answer, bytes):
            self.transport.write(answer)
        else:
            status, headers, body = answer
            lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
            if status != 204 and status != 304:
                lines.append(f"Content-Length: {len(body)}")
            self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


@asynccontextmanager
async def backend(host: str = "127.0.0.1", secure: ssl.SSLContext | None = None) -> AsyncIterator[Backend]:
    """A backend that echoes until it is told otherwise."""
    running = Backend()
    await running.start(host=host, secure=secure)
    try:
        yield running
    finally:
        running.stop()


async def connection_of(client: ClientConnection) -> str:
    """The connection id of a client whose API has no route for this message: an error frame tells it."""
    async with asyncio.timeout(PATIENCE):
        await client.send('{"action": "which connection is this?"}')
        return str(json.loads(await client.recv())["connectionId"])


async def heard(client: ClientConnection) -> str | bytes:
    """The next message."""
    async with asyncio.timeout(PATIENCE):
        return await client.recv()


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and reason of the close, once it is complete; what comes before it is passed over."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionClosedError):  # any code but 1000 and 1001
            async for _ in client:
                pass
        await client.wait_closed()
    return client.close_code, client.close_reason
