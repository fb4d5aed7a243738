"""Token buckets by name: so many events at once, and so many a second after that.

Events that are admitted over any 10 s are `burst + 1.1 × rate × 10 s` at most. One name is one bucket, whoever asks and
whatever is deployed meanwhile; a limit that changes keeps what is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

Name = tuple[str, ...]
"""The kind of bucket first, then whose it is: `("route", "chat", "dev", "say")`."""

MOST = 65_536
"""Buckets that are remembered. Beyond that the one that was looked at longest ago is forgotten."""
SWEPT = 1_000
"""Buckets looked at in one sweep."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` tokens a second, `burst` at once. Where either is 0 nothing passes."""

    rate: float
    burst: float


class Bucket(Protocol):
    """One bucket, as this node sees it. Ask `Buckets` for it anew each time: it forgets those that are idle."""

    limit: Limit
    """May be set anew at any time."""

    def take(self) -> bool | Awaitable[bool]:
        """Whether there was a token; takes it. What is not known yet is waited for, 250 ms at most."""

    def idle(self, now: float) -> bool:
        """Whether it is as good as a new one; `now` is the clock's."""


class LocalBucket:
    """A bucket that is this node's alone."""

    __slots__ = ("_at", "_clock", "_left", "limit")

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._left = limit.burst
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        limit = self.limit
        left = self._left + (now - self._at) * limit.rate
        self._at = now
        left = min(left, limit.burst)
        if left < 1.0 or not limit.rate:
            self._left = left
            return False
        self._left = left - 1.0
        return True

    def idle(self, now: float) -> bool:
        return self._left + (now - self._at) * self.limit.rate >= self.limit.burst


class Buckets:
    """All buckets of a node. `clock` gives seconds and moves on though the loop stands still."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._kept: dict[Name, Bucket] = {}
        """In the order in which they are looked at."""

    def __len__(self) -> int:
        return len(self._kept)

    def bucket(self, name: Name, limit: Limit) -> Bucket:
        """The bucket of a name, which has this limit from now on."""
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            found = self._kept[name] = LocalBucket(limit, self.clock)
        if found.limit is not limit:
            found.limit = limit
        return found

    def sweep(self) -> None:
        """Forget those of the next that are idle."""
        now = self.clock()
        for name in list(islice(self._kept, SWEPT)):
            bucket = self._kept.pop(name)
            if not bucket.idle(now):
                self._kept[name] = bucket
