"""Which of a stage's $disconnects is tried again, and when. It decides only; the clock is handed in.

Each event backs off by itself. The stage does, too: while its backend is down one event at a time finds out whether it
still is, and the others wait, however long they are due. Once one was answered the others follow, two for each that is
answered, up to MOST_IN_FLIGHT at once.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgateway.dataplane.compiled import Operation
    from wsgateway.invocation import Invocation

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts; each pause is twice the one before, less up to half of it at random."""
HURRIED_PAUSE = 1.0
"""The longest pause while the node drains."""
MOST_IN_FLIGHT = 64


class DisconnectEvent:
    """One DISCONNECT event until it is answered or given up; `invocation` is the same on every attempt."""

    __slots__ = ("attempts", "began", "error", "invocation", "operation", "over", "owner")

    def __init__(self, invocation: Invocation, owner: bytes, began: float) -> None:
        self.invocation = invocation
        self.operation: Operation | None = None
        """What the last attempt ran; None where it found no stage."""
        self.owner = owner
        """The slot of the node that held the connection."""
        self.began = began
        """Loop time of the first attempt."""
        self.attempts = 0
        self.error = ""
        """Why the last attempt failed."""
        self.over = False
        """Answered or given up."""

    @property
    def at_least_once(self) -> bool:
        """Whether it is tried again. What a stage says that isn't here is not known, and the usual is assumed."""
        return self.operation is None or self.operation.at_least_once


class Backlog:
    """Events of one stage that wait for another attempt. `jitter` gives numbers from 0 to 1."""

    __slots__ = ("_failures", "_jitter", "_longest", "_opens_at", "_order", "_waiting", "_window", "in_flight")

    def __init__(self, jitter: Callable[[], float], *, hurried: bool = False) -> None:
        self.in_flight = 0
        """Attempts after the first that have not ended."""
        self._jitter = jitter
        self._longest = HURRIED_PAUSE if hurried else LONGEST_PAUSE
        self._waiting: list[tuple[float, int, DisconnectEvent]] = []
        self._order = 0
        self._window = 1
        self._failures = 0  # in a row, of attempts made while it was open
        self._opens_at = -math.inf

    @property
    def idle(self) -> bool:
        """Whether it has nothing to remember."""
        return not (self._waiting or self.in_flight or self._failures)

    def add(self, event: DisconnectEvent, now: float) -> None:
        """Its last attempt failed: it waits for the next one."""
        self._order += 1
        heappush(self._waiting, (now + self._pause(event.attempts), self._order, event))

    def next(self, now: float) -> DisconnectEvent | None:
        """The event to try now, if there is one; it is in flight then."""
        waiting = self._waiting
        while waiting and self.wake_at() <= now:
            _, _, event = heappop(waiting)
            if not event.over:
                self.in_flight += 1
                return event
        return None

    def wake_at(self) -> float:
        """When `next` may have one; infinite where only the end of an attempt can bring that about."""
        room = self.in_flight < (1 if self._failures else self._window)
        return max(self._waiting[0][0], self._opens_at) if self._waiting and room else math.inf

    def answered(self) -> None:
        """Some attempt was answered, a first one perhaps: the backend is there."""
        self._failures = 0
        self._opens_at = -math.inf
        self._window = min(MOST_IN_FLIGHT, self._window + 1)

    def failed(self, now: float) -> None:
        """Some attempt failed. While the stage waits anyway that is no news."""
        if now >= self._opens_at:
            self._failures += 1
            self._opens_at = now + self._pause(self._failures)
            self._window = max(1, self._window // 2)

    def look_again(self, now: float) -> None:
        """Something has changed, so the next attempt need not wait any longer."""
        self._opens_at = min(self._opens_at, now)

    def hurry(self, now: float) -> None:
        """From now on no pause is longer than HURRIED_PAUSE, nor are those that have begun."""
        self._longest = HURRIED_PAUSE
        self._opens_at = min(self._opens_at, now + self._pause(1))
        self._waiting = [(min(due, now + self._pause(1)), order, event) for due, order, event in self._waiting]
        heapify(self._waiting)

    def clear(self) -> None:
        """Let go of all that waits."""
        self._waiting.clear()

    def _pause(self, attempts: int) -> float:
        longest = min(self._longest, FIRST_PAUSE * 2.0 ** min(attempts - 1, 10))
        return longest * (1.0 - self._jitter() / 2)
