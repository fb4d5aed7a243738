"""Deadlines without a timer each: one queue per timeout value, one timer per queue."""

from __future__ import annotations

import asyncio
from itertools import takewhile

from wsgateway.upstream.exchange import Exchange

TICK = 0.001  # what uvloop's clock resolves; a timer may fire this much early


class Deadlines:
    """All exchanges under way, each with the moment it ends at the latest.

    Exchanges of one timeout end in the order they began, so only the first of each queue needs a timer. One that ends
    in time costs a dict entry; the timer finds it gone and waits for the next.
    """

    __slots__ = ("_loop", "_queues", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[float, DeadlineQueue] = {}
        self.expired = 0

    def queue(self, timeout: float) -> DeadlineQueue:
        """The queue of `timeout` seconds."""
        queue = self._queues.get(timeout)
        if queue is None:
            queue = self._queues[timeout] = DeadlineQueue(self._loop, timeout, self)
        return queue

    def exchanges(self) -> list[Exchange]:
        """All that are under way."""
        return [exchange for queue in self._queues.values() for exchange in queue.pending]

    def discard(self, timeout: float) -> None:
        """Forget an empty queue; definitions come and go, and their timeouts with them."""
        del self._queues[timeout]

    def __len__(self) -> int:
        return sum(len(queue.pending) for queue in self._queues.values())


class DeadlineQueue:
    """The exchanges of one timeout value, oldest first."""

    __slots__ = ("_deadlines", "_loop", "_timeout", "_timer", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, deadlines: Deadlines) -> None:
        self._loop = loop
        self._timeout = timeout
        self._deadlines = deadlines
        self._timer: asyncio.TimerHandle | None = None
        self.pending: dict[Exchange, float] = {}

    def add(self, exchange: Exchange, now: float) -> None:
        """Begin `exchange`; it takes itself out of `pending` when it ends."""
        self.pending[exchange] = now + self._timeout
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._sweep)

    def _sweep(self) -> None:
        """End what is due, and wait for the next."""
        self._timer = None
        now = self._loop.time()
        for exchange, _ in list(takewhile(lambda entry: entry[1] <= now, self.pending.items())):
            if exchange in self.pending:
                self._deadlines.expired += 1
                exchange.expire(self._timeout)
        if self.pending:
            first = next(iter(self.pending.values()))
            self._timer = self._loop.call_later(max(first - now, TICK), self._sweep)
        else:
            self._deadlines.discard(self._timeout)
