"""`serve --workers N`: starts N processes that share the ports, each a node of its own, and keeps them running.

The supervisor serves nobody. It holds the numbers of the ports, so that they are the same for every worker and outlive
each of them; a worker that dies is started again; signals it gets are told to the workers by a socket each. Workers are
sessions of their own: what a terminal or a service manager tells the whole group counts once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import assert_never

import anyio
import msgspec

from wsgateway.announce import announce
from wsgateway.errors import StartError
from wsgateway.ports import Reserved, reserve
from wsgateway.settings import Settings
from wsgateway.signals import Order, Orders, heard_signals
from wsgateway.telemetry.log import libraries_too, log_to
from wsgateway.telemetry.merge import Merged, packed, unpacked
from wsgateway.telemetry.writer import LogWriter
from wsgateway.workers import (
    VARIABLE,
    Board,
    Channel,
    Failure,
    LastSeen,
    Missed,
    Page,
    Report,
    Seat,
    State,
    Told,
    to_supervisor,
)

YOUNG_SECONDS = 60.0
"""A worker that was ready for less before it ended is started again later and later."""
LONGEST_PAUSE = 30.0
OVERTIME_SECONDS = 45.0
"""After the drain window; a worker ends by itself ten seconds earlier, unless it hangs."""
LEAVE_SECONDS = 1.0
"""From the order to leave at once to the kill of whoever didn't."""


def supervise(settings: Settings, environ: Mapping[str, str]) -> int:
    """Serve by `settings.workers` processes until a signal ends it; gives the exit code.

    *Raises* StartError where a port can't be had.
    """
    return asyncio.run(Supervisor(settings, environ).main())


def next_pause(pause: float | None, lived: float) -> float:
    """Seconds until a worker is started again: at once, then 1, 2, 4 … while it keeps ending young.

    `pause` is what it was the last time, None if there was none, and `lived` the seconds that it was ready for.
    """
    if pause is None or lived >= YOUNG_SECONDS:
        return 0.0
    return min(LONGEST_PAUSE, pause * 2 or 1.0)


@dataclass
class _Place:
    """One place among the workers, and the process that has it now."""

    index: int
    state: State = "starting"
    process: asyncio.subprocess.Process | None = None
    channel: Channel | None = None
    ready_at: float | None = None
    failure: Failure | None = None
    page: bytes = b""
    """The metrics that it last let anybody see, packed."""
    silence: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing more will be heard of the process."""


class Supervisor:
    """Runs the workers of `settings`."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._places = [_Place(index) for index in range(settings.workers)]
        self._started = False
        self._settled = anyio.Event()
        """Set when all are ready for the first time, or never will be."""
        self._leaving = anyio.Event()
        self._restarts = 0
        self._past = b""
        self._code = 0
        self._failure: Failure | None = None

    async def main(self) -> int:
        """Start the workers, say so once all are ready, keep them, and end when all are gone."""
        with ExitStack() as stack:
            self._reserve(stack)
            self._log = log_to(LogWriter())
            stack.callback(self._log.writer.close)
            stack.enter_context(libraries_too(self._log))
            async with heard_signals() as orders, anyio.create_task_group() as tasks:
                tasks.start_soon(self._pass_on, orders)
                async with anyio.create_task_group() as keepers:
                    for place in self._places:
                        keepers.start_soon(self._keep, place)
                    keepers.start_soon(self._announce)
                tasks.cancel_scope.cancel()
        if self._failure is not None:
            print(self._failure.text, file=sys.stderr)
            return self._failure.code
        return self._code

    def _reserve(self, stack: ExitStack) -> None:
        settings = self._settings

        def have(host: str, port: int, name: str) -> Reserved:
            reserved = reserve(host, port, name=name)
            stack.callback(reserved.close)
            return reserved

        self._port = have(settings.host, settings.port, "public").port
        self._tls_port = None
        if settings.tls_port is not None:
            self._tls_port = have(settings.host, settings.tls_port, "public TLS").port
        self._internal_port = have(settings.internal_host, settings.internal_port, "internal").port
        self._node_ports = tuple(have(settings.internal_host, 0, "node's").port for _ in self._places)

    async def _announce(self) -> None:
        """Tell that all are ready, unless it ends before."""
        await self._settled.wait()
        if self._leaving.is_set():
            return
        try:
            announce(self._settings, port=self._port, tls_port=self._tls_port or 0, internal_port=self._internal_port)
        except StartError as error:
            self._fail(Failure(f"wsgateway: {error}", 1))

    # One worker

    async def _keep(self, place: _Place) -> None:
        """Have a worker at a place, again and again, until all are to end."""
        pause: float | None = None
        while not self._leaving.is_set():
            how, code = await self._live(place)
            if self._leaving.is_set():
                if code and self._failure is None:
                    self._code = 1
                    self._log("worker failed", worker=place.index, ended=how)
                return
            if not self._started:
                self._fail(place.failure or Failure(f"wsgateway: worker {place.index} {how} before it was ready", 1))
                return
            now = asyncio.get_running_loop().time()
            pause = next_pause(pause, 0.0 if place.ready_at is None else now - place.ready_at)
            reason = {} if place.failure is None else {"reason": place.failure.text}
            self._log("worker ended", worker=place.index, ended=how, **reason, starts_again_in=pause)
            self._set(place, "down")
            with anyio.move_on_after(pause):
                await self._leaving.wait()
            if not self._leaving.is_set():
                self._restarts += 1

    async def _live(self, place: _Place) -> tuple[str, int]:
        """One process at a place, from start to end: how it ended, and its exit code."""
        place.failure, place.ready_at, place.page = None, None, b""
        place.silence = asyncio.Event()
        self._set(place, "starting")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            place.process = process = await self._start(place.index, theirs)
        except OSError as error:
            ours.close()
            return f"can't be started: {error.strerror}", 1
        finally:
            theirs.close()
        place.channel = channel = Channel(ours)
        channel.listen(to_supervisor, lambda message: self._heard(place, message), place.silence.set)
        self._tell_board(place)
        if self._leaving.is_set():
            channel.send(Told(Order.DRAIN, "the supervisor"))
        code = await process.wait()
        with anyio.move_on_after(1.0):
            await place.silence.wait()  # its last words are read
        channel.close()
        place.process = place.channel = None
        self._keep_counts(place)
        return _how(code), code

    async def _start(self, index: int, end: socket.socket) -> asyncio.subprocess.Process:
        """The command that started this process, with a seat in its environment. *Raises* OSError."""
        seat = Seat(
            socket=end.fileno(),
            index=index,
            port=self._port,
            tls_port=self._tls_port,
            internal_port=self._internal_port,
            node_ports=self._node_ports,
        )
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *sys.orig_argv[1:],
            stdin=asyncio.subprocess.DEVNULL,
            env={**self._environ, VARIABLE: msgspec.json.encode(seat).decode()},
            pass_fds=(end.fileno(),),
            start_new_session=True,
        )

    def _heard(self, place: _Place, message: object) -> None:
        match message:
            case Report("ready"):
                place.ready_at = asyncio.get_running_loop().time()
                again = self._started
                self._set(place, "ready")
                if again:
                    self._log("worker serves again", worker=place.index)
            case Report(state):
                self._set(place, state)
            case Failure():
                place.failure = message
            case Page(page):
                place.page = page
            case Missed(index) if place.channel is not None:
                place.channel.send(LastSeen(index, self._places[index].page))

    def _keep_counts(self, place: _Place) -> None:
        """Add what a worker that is gone had counted, as far as anybody saw it, to what those before it had."""
        if not place.page:
            return
        page, place.page = place.page, b""  # from now on it is in the past
        merged = Merged(only_counts=True)
        try:
            for one in filter(None, (self._past, page)):
                merged.add(unpacked(one))
        except ValueError as error:  # what a process says at its end may be anything
            self._log("the counts of a worker are lost", worker=place.index, error=error)
        else:
            self._past = packed(merged.render())

    # All of them

    def _set(self, place: _Place, state: State) -> None:
        place.state = state
        if not self._started and all(one.state == "ready" for one in self._places):
            self._started = True
            self._settled.set()
        for one in self._places:
            self._tell_board(one)

    def _tell_board(self, place: _Place) -> None:
        if place.channel is not None:
            board = Board(
                states=tuple(one.state for one in self._places),
                started=self._started,
                draining=self._leaving.is_set(),
                restarts=self._restarts,
                past=self._past,
            )
            place.channel.send(board)

    def _tell(self, order: Order, cause: str) -> None:
        for place in self._places:
            if place.channel is not None:
                place.channel.send(Told(order, cause))

    def _fail(self, failure: Failure) -> None:
        """End everything because it can't be started; the first reason is the one that is told."""
        if self._failure is None and not self._leaving.is_set():
            self._failure = failure
            self._leave("a worker can't start")

    def _leave(self, cause: str) -> None:
        self._leaving.set()
        self._settled.set()
        for place in self._places:
            self._tell_board(place)
        self._tell(Order.DRAIN, cause)

    async def _pass_on(self, orders: Orders) -> None:
        """Tell the workers what signals tell us, and see to it that they end in time; never returns."""
        async with anyio.create_task_group() as tasks:
            async for order, cause in orders:
                match order:
                    case Order.RELOAD:
                        self._tell(order, cause)
                    case Order.DRAIN:
                        self._leave(cause)
                        tasks.start_soon(self._end_after, self._settings.drain_window + OVERTIME_SECONDS)
                    case Order.LEAVE:
                        self._leave(cause)
                        self._tell(order, cause)
                        tasks.start_soon(self._end_after, LEAVE_SECONDS)
                    case _:
                        assert_never(order)

    async def _end_after(self, seconds: float) -> None:
        """Kill what is left by then, with what it started."""
        await anyio.sleep(seconds)
        for place in self._places:
            if place.process is not None and place.process.returncode is None:
                self._log("worker is killed: it did not end in time", worker=place.index)
                with suppress(ProcessLookupError):
                    os.killpg(place.process.pid, signal.SIGKILL)


def _how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
