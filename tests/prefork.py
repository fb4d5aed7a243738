"""`python -m wsgateway` many times, for one start of Python.

The tests run the program a thousand times, and each start spends half a second of CPU on reading the same modules. So
one process reads them, and is forked for each start: a process of its own from `__main__` on, with its arguments,
environment, folder, pipes, pid, signals and exit code. What concerns a start itself (an installation, what Python reads
as it starts, a terminal, the workers of a supervisor) is tested with real ones.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

MOST = 1 << 17
"""Bytes of a request: arguments and environment."""
DEFINITION = """
apis:
  pushed:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {integration: {integrationType: MOCK}}}
  asked: {protocolType: REST, stages: {dev: {}}, paths: {/: {GET: {integration: {type: MOCK}}}}}
"""


# What tests call


class Process(asyncio.Protocol):
    """What they ask of an `asyncio.subprocess.Process`. A connection tells its pid, and its exit code at the end."""

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self.begun, self._ended = asyncio.Event(), asyncio.Event()
        self._told = b""

    def data_received(self, data: bytes) -> None:
        self._told += data
        pid, *code = self._told.splitlines()
        self.pid = int(pid)
        self.begun.set()
        if code:
            self.returncode = int(code[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.begun.set()
        self._ended.set()

    async def wait(self) -> int:
        """The exit code; that of a signal is negative."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self, data: bytes = b"") -> tuple[bytes, bytes]:
        """Write all of `data`, read all of both pipes, wait for the end."""
        out, err, *_ = await asyncio.gather(_all(self.stdout), _all(self.stderr), self._feed(data), self.wait())
        return out, err

    async def _feed(self, data: bytes) -> None:
        if self.stdin is not None and not self.stdin.is_closing():  # it may have ended before
            with suppress(BrokenPipeError, ConnectionResetError):
                self.stdin.write(data)
                await self.stdin.drain()
            self.stdin.close()

    def send_signal(self, number: int) -> None:
        """*Raises* ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        with suppress(ProcessLookupError):  # its end is still to be heard of
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def wsgateway(
    *arguments: str | Path,
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
    cwd: str | Path | None = None,
    env: Mapping[str, str] = os.environ,
) -> Process:
    """Run the program. A stream is PIPE or DEVNULL, `stderr` may be STDOUT; warnings are errors.

    *Raises* ValueError for an environment that Python would read as it starts.
    """
    if odd := {name for name, _ in env.items() ^ os.environ.items() if _early(name)}:
        raise ValueError(f"Python reads {', '.join(sorted(odd))} as it starts: start it for real")
    told, telling = socket.socketpair()
    theirs: list[int] = [telling.detach()]
    ours: list[int | None] = []
    for number, kind in enumerate((stdin, stdout, stderr)):
        their, our = _stream(kind, number, theirs)
        theirs.append(their)
        ours.append(our)
    request = [[str(argument) for argument in arguments], str(cwd or os.getcwd()), {**env}]
    try:
        socket.send_fds(_parent()[0], [json.dumps(request).encode()], theirs)
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    process = Process()
    await asyncio.get_running_loop().create_connection(lambda: process, sock=told)
    process.stdin = await _writer(ours[0])
    process.stdout, process.stderr = await _reader(ours[1]), await _reader(ours[2])
    await process.begun.wait()
    assert process.pid, "what is forked has ended"
    return process


def _early(name: str) -> bool:
    """Whether Python, or a library below it, reads this variable as it starts; what says the same in other words for
    each is left aside."""
    early = "PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENSSL_", "TZ"
    return name.startswith(early) and name not in ("PYTHONPATH", "PYTHONWARNINGS")


def _stream(kind: int, number: int, before: list[int]) -> tuple[int, int | None]:
    """The descriptor for the process, and that for us."""
    if kind == PIPE:
        source, sink = os.pipe()
        return (source, sink) if number == 0 else (sink, source)
    return os.dup(before[-1]) if kind == STDOUT else os.open(os.devnull, os.O_RDWR), None


class _Reading(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False  # nothing is written: the pipe is closed


async def _reader(descriptor: int | None) -> asyncio.StreamReader | None:
    if descriptor is None:
        return None
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: _Reading(reader), os.fdopen(descriptor, "rb", 0))
    return reader


async def _writer(descriptor: int | None) -> asyncio.StreamWriter | None:
    if descriptor is None:
        return None
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(descriptor, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def _all(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


@cache
def _parent() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that is forked, started for the first request, and the connection to it, with which it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=os.environ | {"PYTHONWARNINGS": "error"}, cwd=Path(__file__).parents[1],
        )  # fmt: skip
    return ours, process


def end() -> None:
    """Fork no more."""
    if _parent.cache_info().currsize:
        control, process = _parent()
        control.close()
        process.wait()


# The process that is forked


def main(control: socket.socket) -> None:
    """Fork for each request and tell how each ends; returns in each child, which is then to be the program."""
    _read_everything()
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for its children ends them
    born: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(MOST)
            _tell_the_dead(born)
        if control in ready:
            request, descriptors, *_ = socket.recv_fds(control, MOST, 4)
            if not request:
                for own in (control, woken, waking, *born.values()):
                    own.close()
                sys.exit()
            telling = socket.socket(fileno=descriptors[0])
            assert len(os.listdir("/proc/self/task")) == 1, "a fork has no other thread"
            if (pid := os.fork()) == 0:
                for inherited in (control, woken, waking, telling, *born.values()):
                    inherited.close()
                arguments, folder, environ = json.loads(request)
                return _become(arguments, folder, environ, descriptors[1:])
            born[pid] = telling
            telling.sendall(b"%d\n" % pid)
            for descriptor in descriptors[1:]:
                os.close(descriptor)


def _read_everything() -> None:
    """The modules, and what the first definition has them make."""
    gc.disable()  # it would look again and again at what stays
    import_module("anyio._backends._asyncio")
    import_module("wsgateway.app")
    import_module("wsgateway.cli")
    from wsgateway.model import parse

    parse(DEFINITION, "routes.yaml", {}, Path())
    gc.freeze()
    gc.enable()


def _tell_the_dead(born: dict[int, socket.socket]) -> None:
    while born:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with born.pop(pid) as telling, suppress(OSError):  # nobody may listen any more
            telling.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(arguments: list[str], folder: str, environ: dict[str, str], streams: list[int]) -> None:
    """Take on what a start gives."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["-m", *arguments]
    sys.orig_argv = [sys.executable, "-m", "wsgateway", *arguments]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("wsgateway", run_name="__main__", alter_sys=True)
