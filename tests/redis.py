"""Redis servers of a test's own: one, a replicated pair watched by three Sentinels, a Cluster of three.

The program is the `redis-server` (or `valkey-server`) on PATH, else the one that the test extra brings. Each server has
free ports and a folder of its own, and is ended by its pid. There is nothing to skip: no server, no test.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from loadtest.redis import program
from tests.faults import HOST, free_port
from tests.harness import PATIENCE

SERVICE = "gateway"
"""The name that the Sentinels know the pair by."""
SLOTS = 16384
BUS = 10_000
"""How far a Cluster's bus is from its port."""


class RedisServer:
    """One server process, at one port for as long as the object lives."""

    def __init__(
        self, folder: Path, config: dict[str, str] | None = None, *, user: str = "", password: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port(BUS)
        self.user, self.password = user, password
        self.log: list[str] = []
        # Written before it is answered, and never synced: nothing is lost with the process alone.
        self._config = {"appendonly": "yes", "appendfsync": "no", "save": "''", "repl-diskless-sync-delay": "0"} | (
            config or {}
        )
        self._heard = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        login = f"{self.user}:{self.password}@" if self.password else ""
        return f"redis://{login}{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Run it; ready on return, with what the folder kept."""
        seen = len(self.log)
        if not (file := self.folder / "redis.conf").exists():
            file.write_text("".join(f"{name} {value}\n" for name, value in self._lines()))
        mode = ["--sentinel"] if "sentinel monitor" in file.read_text() else []
        self._process = await asyncio.create_subprocess_exec(
            program(), str(file), *mode, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reading = asyncio.ensure_future(self._read(self._process))
        await self.logged("# +monitor" if mode else "Ready to accept connections", since=seen)

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("port", str(self.port)), ("bind", HOST), ("dir", str(self.folder)), ("daemonize", "no")]
        if self.password:
            only = f"user {self.user} on >{self.password} ~* &* +@all" if self.user else ""
            lines += [("user", "default off"), ("user", only.removeprefix("user "))] if only else [
                ("requirepass", self.password)
            ]  # fmt: skip
        return [*lines, *self._config.items()]

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

    async def restart(self, *, data: bool = True) -> None:
        """Kill it and run it again, with all that was acknowledged before or with nothing."""
        await self.kill()
        if not data:
            self.forget()
        await self.start()

    def forget(self) -> None:
        """Delete what it kept on disk; it has to be down."""
        for kept in self.folder.iterdir():
            if kept.name.startswith("append"):
                shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
            elif kept.suffix == ".rdb":
                kept.unlink()

    async def wipe(self) -> None:
        """FLUSHALL."""
        await self.run("FLUSHALL")

    def pause(self) -> None:
        """Stop it as a debugger does: its connections stay, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def replicate(self, other: RedisServer | None) -> None:
        """Become another's replica (its writes are answered READONLY), or a master."""
        await self.run("REPLICAOF", *((HOST, other.port) if other else ("NO", "ONE")))
        if other is not None:
            await self.until(lambda info: info["master_link_status"] == "up", "INFO", "replication")

    async def run(self, *command: str | int) -> Any:
        """What it answers to a command."""
        async with Redis(
            host=HOST, port=self.port, username=self.user or None, password=self.password or None,
            socket_timeout=PATIENCE, decode_responses=True,
        ) as client:  # fmt: skip
            execute: Callable[..., Awaitable[Any]] = client.execute_command  # it has no types of its own
            return await execute(*command)

    async def until(self, good: Callable[[Any], bool], *command: str | int) -> Any:
        """The first answer to a command that is good, asked for again and again; an error is none."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(ResponseError):  # such as NOQUORUM
                    if good(answer := await self.run(*command)):
                        return answer
                await asyncio.sleep(0.02)

    async def logged(self, *texts: str, since: int = 0) -> str:
        """The first of its log lines, from a number on, that holds one of these texts."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    for line in self.log[since:]:
                        if any(text in line for text in texts):
                            return line
                    assert self._reading is not None
                    assert not self._reading.done(), "\n".join(self.log[since:])
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"no {texts} in:\n" + "\n".join(self.log[since:])) from None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.log.append(line.decode(errors="replace").rstrip())
            self._heard.set()
        self._heard.set()


class Sentinels:
    """A master, its replica, and three Sentinels that make the one the other when two agree that it is down."""

    def __init__(self, folder: Path, config: dict[str, str]) -> None:
        self.servers = [RedisServer(folder / name, config) for name in ("first", "second")]
        self._ids = [secrets.token_hex(20) for _ in range(3)]
        self.sentinels = [RedisServer(folder / f"sentinel{number}", {"appendonly": "no"}) for number in range(3)]
        for own in range(3):
            self._configure(own)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'{HOST}:{one.port}' for one in self.sentinels)}/{SERVICE}"

    def _configure(self, own: int) -> None:
        """Tell a Sentinel at once what it would hear from the others in seconds."""
        master, replica = (server.port for server in self.servers)
        sentinel = self.sentinels[own]
        lines = [
            f"port {sentinel.port}", f"bind {HOST}", f"dir {sentinel.folder}",
            f"sentinel myid {self._ids[own]}",
            f"sentinel monitor {SERVICE} {HOST} {master} 2",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 3000",
            f"sentinel known-replica {SERVICE} {HOST} {replica}",
        ]  # fmt: skip
        for other, (there, known) in enumerate(zip(self.sentinels, self._ids, strict=True)):
            if other != own:
                lines.append(f"sentinel known-sentinel {SERVICE} {HOST} {there.port} {known}")
        (sentinel.folder / "redis.conf").write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        for server in self.servers:
            await server.start()
        await self.servers[1].replicate(self.servers[0])
        for sentinel in self.sentinels:
            await sentinel.start()
        for sentinel in self.sentinels:
            await sentinel.until(lambda found: str(found).startswith("OK"), "SENTINEL", "CKQUORUM", SERVICE)
            await sentinel.until(_one_replica_is_up, "SENTINEL", "REPLICAS", SERVICE)

    async def master(self) -> RedisServer:
        """The server that the Sentinels call the master."""
        _, port = await self.sentinels[0].run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    async def switched(self, old: RedisServer) -> None:
        """Wait until all Sentinels have another master than `old`."""
        for sentinel in self.sentinels:
            await sentinel.until(
                lambda address: int(address[1]) != old.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE
            )

    async def kill(self) -> None:
        for server in (*self.sentinels, *self.servers):
            await server.kill()


def _one_replica_is_up(replicas: Any) -> bool:
    return len(replicas) == 1 and all(
        one["flags"] == "slave" and one["master-link-status"] == "ok" for one in map(_fields, replicas)
    )


def _fields(flat: Any) -> dict[str, str]:
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


class Cluster:
    """Three masters, each with a third of the slots."""

    def __init__(self, folder: Path, config: dict[str, str]) -> None:
        cluster = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"} | config
        self.servers = [RedisServer(folder / f"node{number}", cluster) for number in range(3)]
        self._configure()

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'{HOST}:{server.port}' for server in self.servers)}"

    def _configure(self) -> None:
        """Write what each would learn of the others; what `redis-cli --cluster create` ends with."""
        ids = [secrets.token_hex(20) for _ in self.servers]
        bounds = [0, SLOTS // 3, SLOTS * 2 // 3, SLOTS]
        for own, server in enumerate(self.servers):
            lines = [
                f"{ids[one]} {HOST}:{there.port}@{there.port + BUS} {'myself,' if one == own else ''}master - 0 0 "
                f"{one + 1} connected {bounds[one]}-{bounds[one + 1] - 1}\n"
                for one, there in enumerate(self.servers)
            ]
            (server.folder / "nodes.conf").write_text("".join(lines) + "vars currentEpoch 3 lastVoteEpoch 0\n")

    async def start(self) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))
        await self.ok()

    async def ok(self) -> None:
        """Wait until every server says that the Cluster is whole."""
        for server in self.servers:
            await server.until(lambda info: "cluster_state:ok" in info, "CLUSTER", "INFO")

    async def kill(self) -> None:
        for server in self.servers:
            await server.kill()


@asynccontextmanager
async def redis_server(
    folder: Path, config: dict[str, str] | None = None, *, user: str = "", password: str = ""
) -> AsyncIterator[RedisServer]:
    """One server; `config` holds lines of redis.conf."""
    server = RedisServer(folder, config, user=user, password=password)
    async with _running(server):
        yield server


@asynccontextmanager
async def sentinels(folder: Path, config: dict[str, str] | None = None) -> AsyncIterator[Sentinels]:
    trio = Sentinels(folder, config or {})
    async with _running(trio):
        yield trio


@asynccontextmanager
async def cluster(folder: Path, config: dict[str, str] | None = None) -> AsyncIterator[Cluster]:
    three = Cluster(folder, config or {})
    async with _running(three):
        yield three


@asynccontextmanager
async def _running(servers: RedisServer | Sentinels | Cluster) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(servers.kill)
        await servers.start()
        yield
