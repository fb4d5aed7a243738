"""The nodes of a fault run: processes at positions, each behind links of its own that can be cut."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtest.errors import LoadTestError
from loadtest.faults.history import Exited, Ready
from loadtest.faults.recorder import Recorder
from tests.faults import Link

START_SECONDS = 60.0
HOST = "127.0.0.1"


@dataclass(slots=True)
class Node:
    """One process: what it listens on, and its links."""

    name: str
    process: asyncio.subprocess.Process
    port: int
    internal_port: int
    redis: Link
    """What it speaks with Redis over."""
    peers: Link
    """What the other nodes reach it over."""
    log: Path
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: bool = False
    paused: bool = False
    watcher: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether clients and pushes may be sent to it."""
        return not self.gone.is_set() and not self.leaving

    def signal(self, number: signal.Signals) -> None:
        if not self.gone.is_set():
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Nodes:
    """Starts nodes and ends exactly those."""

    def __init__(
        self, recorder: Recorder, folder: Path, redis_port: int, flags: tuple[str, ...], command: list[str]
    ) -> None:
        self.running: dict[str, Node] = {}
        """By position: a letter."""
        self._recorder = recorder
        self._folder = folder
        self._redis_port = redis_port
        self._flags = flags
        self._command = command
        self._all: list[Node] = []
        self._generations = {position: count(1) for position in "abcdefgh"}

    async def start(self, position: str) -> Node:
        """Run a node at a position, which is free; it is ready on return.

        *Raises* LoadTestError where it is not in time.
        """
        name = f"{position}{next(self._generations[position])}"
        redis, peers = Link(self._redis_port), Link(0)
        await redis.heal()
        await peers.heal()
        ready, log = self._folder / f"{name}.ready", self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(*self._command, "serve", str(self._folder / "routes.yaml")),
                *("--port", "0", "--internal-port", "0", "--advertise", f"{HOST}:{peers.port}"),
                *("--redis-url", f"redis://{HOST}:{redis.port}", "--ready-file", str(ready), *self._flags),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=output,
                env=_environment(self._folder),
                start_new_session=True,  # Ctrl-C is for us; we end them in order
            )
        node = Node(name, process, 0, 0, redis, peers, log)
        self._all.append(node)
        facts = await self._wait_ready(node, ready)
        node.port, node.internal_port = (urlsplit(facts[name]).port or 0 for name in ("public", "internal"))
        peers.target = node.internal_port
        self._recorder.add(Ready(at=self._recorder.now(), node=name))
        node.watcher = asyncio.ensure_future(self._watch(node))
        self.running[position] = node
        return node

    async def _wait_ready(self, node: Node, ready: Path) -> dict[str, Any]:
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while node.process.returncode is None:
                    if facts := _read(ready):
                        return facts
                    await asyncio.sleep(0.02)
        raise LoadTestError(f"node {node.name} did not get ready:\n{tail(node.log)}")

    async def _watch(self, node: Node) -> None:
        status = await node.process.wait()
        self._recorder.add(Exited(at=self._recorder.now(), node=node.name, status=status))
        node.gone.set()

    async def aclose(self) -> None:
        """End what is left, and the links."""
        for node in self._all:
            if node.process.returncode is None:
                with suppress(ProcessLookupError):
                    node.process.kill()
            await node.process.wait()
            if node.watcher is not None:
                await node.watcher
            await node.redis.aclose()
            await node.peers.aclose()


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _read(ready: Path) -> dict[str, Any]:
    try:
        facts = json.loads(ready.read_text())
    except (OSError, ValueError):  # not there yet, or half written
        return {}
    return facts if isinstance(facts, dict) else {}


def _environment(folder: Path) -> dict[str, str]:
    """Ours, without what would configure the gateway behind our back."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WSGATEWAY_", "REDIS_URL", "OTEL_"))}
    return kept | {"XDG_STATE_HOME": str(folder / "state")}
