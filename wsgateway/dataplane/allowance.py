"""So many at once, and so many a second after that."""

from __future__ import annotations


class Allowance:
    """A token bucket: `burst` at once, `rate` a second in the long run. Holds no clock; `now` is in seconds.

    Either may be set anew at any time. An `empty` one begins without its burst.
    """

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, rate: float, burst: float, *, empty: bool = False) -> None:
        self.rate = rate
        self.burst = burst
        self._left = 0.0 if empty else burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether there is one left; takes it."""
        if self._at:
            self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
