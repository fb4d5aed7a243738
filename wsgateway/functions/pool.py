"""The workers of one function: warm ones first, new ones while there may be more, a bounded queue behind them."""

from __future__ import annotations

import asyncio
import os
from asyncio import Future
from collections import deque
from functools import partial

from wsgateway.bodies import UNCOUNTED_BYTES, BodyMemory, Hold
from wsgateway.errors import NoRoom, ServiceUnavailable
from wsgateway.functions.base import FunctionNotFound, FunctionResult, Invoke, TooManyInvocations
from wsgateway.functions.launch import Launch
from wsgateway.functions.worker import State, Worker

WAITING_PER_WORKER = 100
"""Invocations that may wait, times `concurrency`; at that AWS's throttling error is given."""
WAITING_SECONDS = 10.0
"""How long one may wait for a worker."""
STARTING_AT_ONCE = max(2, os.cpu_count() or 1)
"""Processes of one function that start at the same time; a burst is not to take the machine."""
BACK_OFF = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds until the next start after that many failures in a row."""
CRASHES_AT_ONCE = 2
"""Crashes in a row after which starts begin to wait."""


class Pool:
    """One function, ready to be invoked."""

    def __init__(self, launch: Launch, bodies: BodyMemory) -> None:
        """`bodies` counts the payloads of those that have to wait."""
        self.launch = launch
        self._bodies = bodies
        self.workers: set[Worker] = set()
        self._loop = asyncio.get_running_loop()
        self._current: set[Worker] = set()
        """Those that take invocations, or will once they have started."""
        self._idle: list[Worker] = []
        self._waiting: deque[Invoke] = deque()
        self._starts: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._crashes = 0
        self._start_error: bytes | None = None
        self._retry_at = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False
        # Counted for metrics.
        self.invocations = 0
        self.throttles = 0
        self.cold_starts = 0

    def invoke(self, invoke: Invoke) -> None:
        """Run it at once if a worker is free, else let it wait. *Raises* TooManyInvocations."""
        self.invocations += 1
        if self._idle:
            self._idle.pop().run(invoke)
            return
        if self._start_error is not None and self._loop.time() < self._retry_at and not self._current:
            invoke.finish(FunctionResult(self._start_error, failed=True))
            return
        if len(self._waiting) >= self._most_waiting():
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.done())
            if len(self._waiting) >= self._most_waiting():
                self.throttles += 1
                raise TooManyInvocations(f"{len(self._waiting)} invocations of {self.launch.name} are waiting")
        if len(invoke.payload) > UNCOUNTED_BYTES:
            self._count(invoke)
        invoke.started = now = self._loop.time()
        invoke.wait_until(now + WAITING_SECONDS)
        self._waiting.append(invoke)
        if self._expiry is None:
            self._expiry = self._loop.call_later(WAITING_SECONDS, self._expire)
        self._grow()

    def _count(self, invoke: Invoke) -> None:
        """Hold its payload until it has ended. *Raises* TooManyInvocations where there is no room."""
        hold = self._bodies.hold("invocation")
        try:
            hold.keep(len(invoke.payload))
        except NoRoom as error:
            self.throttles += 1
            raise TooManyInvocations(error.reason) from error
        invoke.add_done_callback(partial(_let_go, hold))

    def warm(self) -> None:
        """Start a worker unless there is one, so that broken code shows before the first message."""
        if not self._current and not self._closed:
            self._start()

    def renew(self, launch: Launch) -> None:
        """Run what comes from now on by `launch`; what runs already finishes as it began."""
        was_up = bool(self.workers) or self._start_error is not None
        self.launch = launch
        self._forget_failures()
        for worker in list(self.workers):
            worker.retire()
        self._idle.clear()
        self._grow()
        if was_up:
            self.warm()

    def retire(self, error: FunctionNotFound) -> None:
        """The function is no more: what runs finishes, what waits is told."""
        self._close(error)
        for worker in list(self.workers):
            worker.retire()

    async def aclose(self) -> None:
        """End every process; what waits or runs fails."""
        self._close(ServiceUnavailable("the gateway is closing"))
        for worker in list(self.workers):
            worker.end()
        while self.workers:
            await asyncio.wait({worker.gone for worker in self.workers})
        if self._starts:
            await asyncio.wait(self._starts)

    def check(self, now: float, idle_seconds: float) -> None:
        """End workers over their memory, and those nobody has needed for long."""
        for worker in list(self.workers):
            if worker.state is State.IDLE:
                if now - worker.idle_since > idle_seconds:
                    self._idle.remove(worker)
                    worker.end()
            elif worker.state in (State.STARTING, State.BUSY, State.SETTLING):
                worker.check_memory()

    # Owner

    def worker_ready(self, worker: Worker) -> None:
        self._failures = 0
        self._start_error = None
        if worker.answers:
            self._crashes = 0
        while self._waiting:
            invoke = self._waiting.popleft()
            if not invoke.done():
                worker.run(invoke)
                if self._waiting and len(self.workers) < self.launch.function.concurrency:
                    self._grow()
                return
        self._idle.append(worker)

    def worker_unready(self, worker: Worker) -> None:
        self._idle.remove(worker)

    def worker_retired(self, worker: Worker) -> None:
        self._current.discard(worker)

    def worker_gone(self, worker: Worker, start_error: bytes | None) -> None:
        self.workers.discard(worker)
        self._current.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.launch is not self.launch or self._closed:
            return
        if start_error is not None:
            self._start_error = start_error
            self._failures += 1
            self._back_off(self._failures)
            text = start_error.decode("utf-8", "replace")
            self.launch.log("function does not start", function=self.launch.name, reason=text)
            if not self._current:
                for invoke in self._waiting:
                    invoke.finish(FunctionResult(start_error, failed=True))
                self._waiting.clear()
        elif worker.crashed:
            self._crashes += 1
            self._back_off(self._crashes - CRASHES_AT_ONCE)
        self._grow()

    # Growing

    def _grow(self) -> None:
        """Start as many workers as wait for, and may be."""
        places = self.launch.function.concurrency - len(self._current)
        if places <= 0 or self._closed:
            return
        starting = sum(worker.state is State.STARTING for worker in self._current)
        room = min(len(self._waiting) - starting, places, STARTING_AT_ONCE - starting)
        if room <= 0:
            return
        wait = self._retry_at - self._loop.time()
        if wait > 0:
            if self._retry is None:
                self._retry = self._loop.call_later(wait, self._retry_now)
            return
        for _ in range(room):
            self._start()

    def _start(self) -> None:
        worker = Worker(self.launch, self)
        self.workers.add(worker)
        self._current.add(worker)
        self.cold_starts += 1
        task = self._loop.create_task(worker.start())
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    def _retry_now(self) -> None:
        self._retry = None
        self._grow()

    def _back_off(self, failures: int) -> None:
        if failures > 0:
            self._retry_at = self._loop.time() + BACK_OFF[min(failures, len(BACK_OFF) - 1)]

    def _forget_failures(self) -> None:
        self._failures = self._crashes = 0
        self._start_error = None
        self._retry_at = 0.0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    # The queue

    def _most_waiting(self) -> int:
        return WAITING_PER_WORKER * self.launch.function.concurrency

    def _expire(self) -> None:
        """Refuse what waited too long; what waits is in the order it came."""
        self._expiry = None
        latest = self._loop.time() - WAITING_SECONDS
        while self._waiting and (self._waiting[0].done() or self._waiting[0].started <= latest):
            invoke = self._waiting.popleft()
            if not invoke.done():
                self.throttles += 1
                invoke.fail(TooManyInvocations(f"no worker of {self.launch.name} within {WAITING_SECONDS:g} s"))
        if self._waiting:
            self._expiry = self._loop.call_later(max(0.01, self._waiting[0].started - latest), self._expire)

    def _close(self, error: Exception) -> None:
        self._closed = True
        self._forget_failures()
        if self._expiry is not None:
            self._expiry.cancel()
        for invoke in self._waiting:
            invoke.fail(error)
        self._waiting.clear()


def _let_go(hold: Hold, invoke: Future[FunctionResult]) -> None:
    """It has ended, perhaps before it began, and may still be in the queue: its payload goes."""
    assert isinstance(invoke, Invoke)
    hold.give_back()
    invoke.payload = b""
