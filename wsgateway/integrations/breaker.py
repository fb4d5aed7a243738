"""A circuit breaker: whether a backend is asked or left in peace. It decides only; the clock is handed in.

Closed, it counts failures in a row. Open, it lets nobody through for a while. Then it is half-open: one call may try,
and what comes of that closes it, or opens it again.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What a breaker does with the next call; the numbers are those of the metric."""

    CLOSED = 0
    """It goes through."""
    HALF_OPEN = 1
    """One goes through, or is under way to find out."""
    OPEN = 2
    """It is refused."""


class Breaker:
    """The breaker of one backend. Times are monotonic, in seconds.

    Whoever may call gets a ticket and gives it back with what came of it: `succeeded`, `failed`, or `left` where that
    says nothing about the backend. What began before the last change of state changes nothing any more.
    """

    __slots__ = (
        "_failures",
        "_open_until",
        "_probing",
        "_seconds",
        "_threshold",
        "_turn",
        "opened",
        "refused",
        "since",
    )

    def __init__(self, threshold: int, seconds: float) -> None:
        self._threshold = threshold
        self._seconds = seconds
        self._failures = 0  # in a row
        self._open_until: float | None = None  # None while closed
        self._probing = False
        self._turn = 1  # of the state; the ticket of calls that begin in it
        self.since = 0.0
        """When it opened last, after it had been closed."""
        self.opened = 0
        """How often it did, coming from closed."""
        self.refused = 0

    def state(self, now: float) -> State:
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def shut(self, now: float) -> bool:
        """Whether `enter` would refuse now. Nothing is counted."""
        return self._open_until is not None and (now < self._open_until or self._probing)

    def enter(self, now: float) -> int:
        """The ticket of a call that may begin; 0 where none may."""
        if self._open_until is not None:
            if now < self._open_until or self._probing:
                self.refused += 1
                return 0
            self._probing = True
        return self._turn

    def failed(self, ticket: int, now: float) -> bool:
        """The backend failed; gives whether the breaker, which was closed, opens for it."""
        if ticket != self._turn:
            return False
        closed = self._open_until is None
        if closed:
            self._failures += 1
            if self._failures < self._threshold:
                return False
            self.opened += 1
            self.since = now
        self._turn_over(now + self._seconds)
        return closed

    def succeeded(self, ticket: int) -> bool:
        """The backend answered; gives whether the breaker closes for it."""
        if ticket != self._turn:
            return False
        self._failures = 0
        if self._open_until is None:
            return False
        self._turn_over(None)
        return True

    def left(self, ticket: int) -> None:
        """The call ended without news of the backend: another one may find out."""
        if ticket == self._turn and self._probing:
            self._turn_over(self._open_until)

    def _turn_over(self, open_until: float | None) -> None:
        self._turn += 1
        self._failures = 0
        self._probing = False
        self._open_until = open_until
