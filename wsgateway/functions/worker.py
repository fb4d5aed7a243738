"""One worker: a process, the way to it, and the invocation it has."""

from __future__ import annotations

import asyncio
import enum
import signal
import socket
import time
from collections.abc import Callable
from math import inf
from typing import Protocol

from wsgateway.functions.base import FunctionResult, Invoke, error_payload
from wsgateway.functions.channel import Channel, PipeChannel
from wsgateway.functions.launch import Launch
from wsgateway.functions.output import Output
from wsgateway.functions.process import Process
from wsgateway.functions.reports import KILLED, exit_error, exit_text, log_tail, timeout_error
from wsgateway.functions.runtime_api import serve_runtime_api
from wsgateway.functions.streams import Pieces

INIT_SECONDS = 10.0
"""How long a function may load (Lambda developer guide, "Lambda execution environment"), or its timeout if longer."""
TERM_SECONDS = 2.0
"""Between asking a process to end and ending it."""
SILENT_SECONDS = 0.5
"""How long a process may live on that has ended the way to it, and the other way round."""
TICK = 0.001
"""What uvloop's timers resolve; one may fire this much early."""


class State(enum.Enum):
    """Where a worker is in its life."""

    STARTING = enum.auto()
    IDLE = enum.auto()
    BUSY = enum.auto()
    SETTLING = enum.auto()
    """It has answered, and has not asked for its next invocation."""
    ENDING = enum.auto()
    GONE = enum.auto()


class Owner(Protocol):
    """Whom a worker tells about itself."""

    def worker_ready(self, worker: Worker) -> None:
        """It can take an invocation."""

    def worker_unready(self, worker: Worker) -> None:
        """It can't take one after all, until it says so again."""

    def worker_retired(self, worker: Worker) -> None:
        """It takes no further invocation. Told once."""

    def worker_gone(self, worker: Worker, start_error: bytes | None) -> None:
        """Its process is over; with `start_error` it never became ready."""


class Worker:
    """One process that runs a function, one invocation at a time."""

    def __init__(self, launch: Launch, owner: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.launch = launch
        self.state = State.STARTING
        self.idle_since = 0.0
        self.answers = 0
        self.gone: asyncio.Future[None] = loop.create_future()
        self.retired = False
        """It takes no further invocation."""
        self.crashed = False
        """It ended by itself."""
        self._owner = owner
        self._loop = loop
        self._invoke: Invoke | None = None
        self._pieces: Pieces | None = None
        """Its answer, where that comes in pieces."""
        self._channel: Channel | None = None
        self._process: Process | None = None
        self._exit: int | None = None
        self._start_error: bytes | None = None
        self._ready_once = False
        self._verdict = ""
        """Why we ended it, as AWS words it."""
        self._timer: asyncio.TimerHandle | None = None
        """Ends its start, or its end."""
        self._clock: asyncio.TimerHandle | None = None
        """Looks whether an invocation is over its time; not set anew for each, it finds out when it fires."""
        self._due = inf
        """Loop time at which the invocation it has is over its time."""
        self._began = loop.time()
        self._output = Output(loop, launch.log, launch.name)

    # Starting

    async def start(self) -> None:
        """Start the process. What goes wrong is told to the owner."""
        try:
            if self.launch.function.language == "provided":
                api = await serve_runtime_api(self.launch.serve, self)
                self._channel = api
                self._spawn((), (), f"127.0.0.1:{api.port}")
            else:
                ours, theirs = socket.socketpair()
                with theirs:
                    _, self._channel = await self._loop.create_connection(lambda: PipeChannel(self), sock=ours)
                    self._spawn((str(theirs.fileno()),), (theirs.fileno(),), "")
        except Exception as error:
            self._output.started()
            why = f"{self.launch.code.command[0]} can't be started: {error}"
            self._start_error = error_payload("Runtime.InvalidEntrypoint", why)
            self._kill()

    def _spawn(self, arguments: tuple[str, ...], pass_fds: tuple[int, ...], runtime_api: str) -> None:
        if self.retired:
            raise OSError(0, "not wanted any more")
        self._process = self.launch.spawn(arguments, pass_fds, runtime_api, self._output.write_end, self._exited)
        self._output.started()
        limit = max(INIT_SECONDS, self.launch.function.timeout)
        self._timer = self._loop.call_later(limit, self._late, limit)

    # Invocations

    def run(self, invoke: Invoke) -> None:
        """Hand it an invocation. Only while it is idle."""
        assert self._channel is not None
        timeout = self.launch.function.timeout
        self.state = State.BUSY
        self._invoke = invoke
        output = self._output
        output.request_id = invoke.request_id
        output.tail = bytearray() if invoke.tail else None
        invoke.started = now = self._loop.time()
        self._due = due = now + timeout
        invoke.wait_until(due)
        if self._clock is None:
            self._clock = self._loop.call_at(due, self._look)
        self._channel.send(invoke, int((time.time() + timeout) * 1000))

    @property
    def request_id(self) -> str:
        """The invocation it has; empty while it has none."""
        return "" if self._invoke is None else self._invoke.request_id

    def ready(self) -> None:
        if self.state not in (State.STARTING, State.SETTLING):
            if self.state is not State.ENDING:
                self.misbehaved("it asked for an invocation before it answered one")
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = inf
        if not self._ready_once:
            self._ready_once = True
            millis = round((self._loop.time() - self._began) * 1000, 1)
            pid = 0 if self._process is None else self._process.pid
            self.launch.log("function cold start", function=self.launch.name, init_ms=millis, worker=pid)
        self.state = State.IDLE
        self.idle_since = self._loop.time()
        if self.retired:
            self.end()
        else:
            self._owner.worker_ready(self)

    def unready(self) -> None:
        """It stopped waiting for an invocation; it may ask again."""
        if self.state is State.IDLE:
            self.state = State.SETTLING
            self._owner.worker_unready(self)

    def answered(self, payload: bytes, *, failed: bool) -> None:
        invoke = self._invoke
        if invoke is None:
            self.misbehaved("it answered nothing it was asked")
            return
        self.answers += 1
        self._output.drain()
        if self.state is State.BUSY:
            self.state = State.SETTLING
        self._settle(invoke, payload, failed)

    def streams(self, pause: Callable[[bool], None]) -> None:
        if self._invoke is None or self._pieces is not None:
            self.misbehaved("it streams an answer to nothing it was asked")
        else:
            self._pieces = Pieces(self._invoke, pause)

    def piece(self, data: bytes) -> None:
        if self._pieces is None:
            self.misbehaved("it sent a piece of no answer")
        else:
            self._pieces.feed(data)

    def start_failed(self, payload: bytes) -> None:
        if self.state is State.STARTING:
            self._start_error = payload

    def _settle(self, invoke: Invoke, payload: bytes, failed: bool) -> None:
        self._invoke = None
        tail = b""
        if invoke.tail and self._output.tail is not None:
            tail = log_tail(
                invoke.request_id,
                bytes(self._output.tail),
                millis=(self._loop.time() - invoke.started) * 1000,
                memory_mb=self.launch.function.memory_size,
                used_mb=0 if self._process is None else self._process.resident() >> 20,
            )
            self._output.tail = None
        pieces, self._pieces = self._pieces, None
        if pieces is None:
            invoke.finish(FunctionResult(payload, failed, tail))
        else:
            pieces.end(payload, failed, tail)

    # Ending

    def retire(self) -> None:
        """End it once what it runs is through."""
        self._withdraw()
        if self.state in (State.IDLE, State.STARTING):
            self.end()

    def end(self) -> None:
        """Ask it to end, whatever it does; after a while it is ended."""
        self._withdraw()
        if self.state in (State.ENDING, State.GONE):
            return
        self.state = State.ENDING
        self._set_timer(TERM_SECONDS, self._kill)
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
        if self._channel is not None:
            self._channel.close()

    def check_memory(self) -> None:
        """End it if it takes more memory than it may."""
        limit = self.launch.function.memory_size << 20
        if self._process is not None and self._process.resident() > limit:
            self._log("function over its memory", limit_mb=self.launch.function.memory_size)
            self._condemn(exit_error(self.request_id, KILLED))

    def misbehaved(self, why: str) -> None:
        if self.state in (State.ENDING, State.GONE):
            return
        self._log("function broke the protocol", reason=why)
        self._condemn(exit_error(self.request_id, KILLED))

    def silent(self) -> None:
        self._not_again()
        if self._exit is not None:
            self._over()
        elif self.state not in (State.ENDING, State.GONE):
            self._set_timer(SILENT_SECONDS, self._kill)

    def _look(self) -> None:
        """Is the invocation over its time? Otherwise look again when it would be."""
        self._clock = None
        if self._due - self._loop.time() <= TICK:
            self._late(self.launch.function.timeout)
        elif self._due < inf:
            self._clock = self._loop.call_at(self._due, self._look)

    def _late(self, seconds: float) -> None:
        """The function's timeout, or that of its start."""
        self._timer = None
        self._output.drain()
        self._log("function timed out", seconds=seconds)
        self._condemn(timeout_error(self.request_id, seconds))

    def _condemn(self, error: bytes) -> None:
        """End it at once, and what it has with an error."""
        if self._invoke is not None:
            self._settle(self._invoke, error, failed=True)
        elif self.state is State.STARTING:
            self._start_error = error
        self._withdraw()
        self.state = State.ENDING
        self._kill()

    def _kill(self) -> None:
        self._set_timer(TERM_SECONDS, self._over)  # whatever holds it in the kernel, nobody waits for it
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
        else:
            self._over()

    def _exited(self, code: int) -> None:
        self._exit = code
        self._not_again()
        assert self._process is not None
        self.launch.warden.remove(self._process.pid)
        if self._channel is not None and self.launch.function.language == "provided":
            self._channel.close()
        if self._channel is None or not self._channel.open:
            self._over()
        else:
            # An answer sent with its last breath may still have to be read.
            self._set_timer(SILENT_SECONDS, self._over)

    def _not_again(self) -> None:
        """It is on its way out by itself: it gets no further invocation."""
        self.unready()
        self._withdraw()

    def _withdraw(self) -> None:
        if not self.retired:
            self.retired = True
            self._owner.worker_retired(self)

    def _over(self) -> None:
        """The process is over and has said all."""
        if self.state is State.GONE:
            return
        asked = self.state is State.ENDING
        starting = self.state is State.STARTING
        self.state = State.GONE
        for timer in (self._timer, self._clock):
            if timer is not None:
                timer.cancel()
        if self._channel is not None:
            self._channel.close()
        self._output.close()
        text = exit_text(self._exit)
        if self._invoke is not None:
            self._settle(self._invoke, exit_error(self._invoke.request_id, text), failed=True)
        if not asked:
            self.crashed = True
            if not starting:
                self._log("function process ended", reason=text)
            elif self._start_error is None:
                self._start_error = exit_error("", text)
        self.gone.set_result(None)
        self._owner.worker_gone(self, None if self._ready_once else self._start_error)

    def _set_timer(self, seconds: float, act: Callable[[], None]) -> None:
        """From here on the process is ending, and this timer alone says how long it may take."""
        self._due = inf
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, act)

    def _log(self, event: str, **facts: object) -> None:
        launch = self.launch
        launch.log(event, function=launch.name, request_id=self._output.request_id, **facts)
