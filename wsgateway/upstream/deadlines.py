"""Deadlines without a timer each: one queue per timeout value, one timer per queue."""

from __future__ import annotations

import asyncio
from itertools import islice, takewhile
from time import monotonic

from wsgateway.upstream.exchange import Exchange

TICK = 0.001  # what uvloop's timers resolve; one may fire this much early
SPREAD = 64  # the end of many is no reason for others to wait: it takes so many ticks, one at least in each


class DeadlineQueue:
    """The exchanges of one timeout value, oldest first, each with its deadline."""

    __slots__ = ("armed", "pending", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.pending: dict[Exchange, float] = {}
        self.armed = False


class Deadlines:
    """All exchanges under way, each with the moment it ends at the latest.

    Exchanges of one timeout end in the order they began, so only the first of each queue needs a timer. One that ends
    in time costs a dict entry; the timer finds it gone and waits for the next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[float, DeadlineQueue] = {}
        self.expired = 0

    def begin(self, exchange: Exchange, now: float, timeout: float) -> None:
        """Let `exchange` end `timeout` seconds from `now`, the monotonic time.

        It takes itself out of its `pending` when it ends before.
        """
        queue = self._queues.get(timeout)
        if queue is None:
            queue = self._queues[timeout] = DeadlineQueue(timeout)
        exchange.told = None
        pending = exchange.pending = queue.pending
        pending[exchange] = now + timeout
        if not queue.armed:
            self._arm(queue, timeout)

    def exchanges(self) -> list[Exchange]:
        """All that are under way."""
        return [exchange for queue in self._queues.values() for exchange in queue.pending]

    def __len__(self) -> int:
        return sum(len(queue.pending) for queue in self._queues.values())

    def _arm(self, queue: DeadlineQueue, seconds: float) -> None:
        queue.armed = True
        self._loop.call_later(max(seconds, TICK), self._sweep, queue)

    def _sweep(self, queue: DeadlineQueue) -> None:
        """End what is due, and wait for the next; an empty queue goes, as definitions and their timeouts do."""
        now = monotonic()
        most = 1 + len(queue.pending) // SPREAD
        due = list(islice(takewhile(lambda entry: entry[1] <= now, queue.pending.items()), most))
        for exchange, _ in due:
            self.expired += 1
            exchange.expire(queue.timeout)
        if len(due) == most:
            self._arm(queue, TICK)
        elif queue.pending:
            self._arm(queue, next(iter(queue.pending.values())) - now)
        else:
            del self._queues[queue.timeout]
