"""The processes of a measurement: servers on one core, driver and backend on another, all ended when it is over."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from loadtest import redis
from loadtest.errors import LoadTestError
from loadtest.native import program
from loadtest.procfs import process_tree, rss

ROOT = Path(__file__).parent.parent
START_SECONDS = 90
STOP_SECONDS = 15
DRIVER_PRIORITY = 2
BACKEND_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; None: wherever the kernel likes, for there is one core only."""

    server: int | None
    load: int | None

    @classmethod
    def choose(cls) -> "Cores":
        """The first core for servers, the second for driver and backend."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    internal_port: int
    log: Path
    beside: tuple["Server", ...] = ()
    """Servers that have a part in its work, so that what they use counts, too."""

    def pids(self) -> list[int]:
        """All its processes."""
        return [*process_tree(self.process.pid), *(pid for server in self.beside for pid in server.pids())]

    def rss(self) -> dict[int, int]:
        """Resident bytes of each of its processes."""
        return rss(self.pids())

    def log_tail(self) -> str:
        """The last lines it wrote, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Lab:
    """Starts processes and ends exactly those, by pid, when the `with` block is left, however it is left.

    `punctual`: the driver never waits for a backend's turn on their core, nor either for other programs, where the
    system permits that. Latencies are then the server's; the ordinary scheduler adds up to 3 ms.
    """

    def __init__(self, gateway_command: str | None = None, *, punctual: bool = False) -> None:
        self.cores = Cores.choose()
        self._punctual = punctual
        self._gateway = shlex.split(gateway_command) if gateway_command else [sys.executable, "-m", "wsgateway"]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wsgateway-loadtest-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def gateway(self, definition: str, *flags: str, environ: Mapping[str, str] | None = None) -> Server:
        """The gateway, as a user starts it, with this routes.yaml, and these variables besides."""
        path = self.folder / "routes.yaml"
        path.write_text(definition)
        command = [*self._gateway, "serve", str(path), "--port", "0", "--internal-port", "0", *flags, "--ready-file"]
        return self._serve("gateway", command, self.cores.server, environ=environ)

    def redis(self) -> str:
        """A Redis of its own, which keeps nothing; gives its URL."""
        port = redis.free_port()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wsgateway-loadtest-redis-"))
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": '""', "appendonly": "no"}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        with (self.folder / "redis.log").open("wb") as output:
            process = self._start(
                [redis.program(), *words], self.cores.load, output.fileno(), subprocess.STDOUT, BACKEND_PRIORITY
            )
        deadline = time.monotonic() + START_SECONDS
        while not redis.answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LoadTestError(f"redis-server did not start:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(0.02)
        return f"redis://127.0.0.1:{port}"

    def peer(self, name: str, *arguments: str) -> Server:
        """One of loadtest.peers."""
        return self._serve(
            name, [sys.executable, "-m", f"loadtest.peers.{name}", "READY", *arguments], self.cores.server
        )

    def c_server(self, websocket: str, backend: Server | None = None) -> Server:
        """The C server in the gateway's place: what the driver can measure at most."""
        arguments = ["--websocket", websocket, *(["--backend", str(backend.port)] if backend else [])]
        return self._serve("c-server", [program("server"), *arguments, "--ready-file"], self.cores.server)

    def backend(self) -> Server:
        """An HTTP backend that answers with what it gets."""
        return self._serve("backend", [program("server"), "--ready-file"], self.cores.load, BACKEND_PRIORITY)

    def refusing_port(self) -> int:
        """A port that refuses connections and that nobody else is given meanwhile."""
        bound = self._stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port

    def stop(self, *servers: Server) -> None:
        """End these now."""
        for server in servers:
            _stop(server.process)

    def driver(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The load generator, with pipes."""
        command = [program("driver"), *arguments]
        return self._start(command, self.cores.load, subprocess.PIPE, subprocess.PIPE, DRIVER_PRIORITY)

    def _serve(
        self,
        name: str,
        command: list[str],
        core: int | None,
        priority: int = 0,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> Server:
        number = len(list(self.folder.glob("*.log")))
        ready = self.folder / f"{name}-{number}.ready"
        log = self.folder / f"{name}-{number}.log"
        command = [str(ready) if part == "READY" else part for part in command]
        if str(ready) not in command:
            command.append(str(ready))
        with log.open("wb") as output:
            process = self._start(command, core, output.fileno(), subprocess.STDOUT, priority, environ)
        server = Server(name, process, 0, 0, log)
        deadline = time.monotonic() + START_SECONDS
        while (urls := _ready(ready)) is None:
            if process.poll() is not None:
                raise LoadTestError(f"{shlex.join(command)} ended with {process.returncode}:\n{server.log_tail()}")
            if time.monotonic() > deadline:
                raise LoadTestError(
                    f"{shlex.join(command)} was not ready after {START_SECONDS} s:\n{server.log_tail()}"
                )
            time.sleep(0.02)
        return Server(name, process, _port(urls["public"]), _port(urls["internal"]), log)

    def _start(
        self,
        command: list[str],
        core: int | None,
        stdout: int,
        stderr: int,
        priority: int,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        punctual = self._punctual and core is not None  # alone on one core, they would starve the server
        process = subprocess.Popen(
            [program("pin"), "any" if core is None else str(core), str(priority if punctual else 0), *command],
            stdin=subprocess.PIPE if stderr == subprocess.PIPE else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**_environment(), **(environ or {})},
            start_new_session=True,  # Ctrl-C is for us; we end them in order
        )
        self._stack.callback(_stop, process)
        return process


def _environment() -> dict[str, str]:
    """Ours, without what would configure the gateway behind the test's back."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WSGATEWAY_", "REDIS_URL", "OTEL_"))}
    path = os.environ.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


def _ready(path: Path) -> dict[str, Any] | None:
    try:
        urls = json.loads(path.read_text())
    except (OSError, ValueError):  # not there yet, or half written
        return None
    return urls if isinstance(urls, dict) else None


def _port(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise LoadTestError(f"the ready file names no port: {url}")
    return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
