"""Token buckets by name: so many events at once, and so many a second after that.

Events that are admitted over any 10 s are `burst + 1.1 × rate × 10 s` at most. One name is one bucket, whoever asks and
whatever is deployed meanwhile; a limit that changes keeps what is left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from wsgateway.dataplane.leases import Leases
from wsgateway.dataplane.shared_bucket import SharedBucket

Name = tuple[str, ...]
"""The kind of bucket first, then whose it is: `("route", "chat", "dev", "say")`."""

OF_CLIENTS = frozenset({"user", "source"})
"""Kinds of which there are as many as clients bring; of others as many as definitions have."""
MOST = 65_536
"""Buckets of clients that are remembered. Beyond that the one of them that was looked at longest ago is forgotten; no
number of clients makes a route's or the account's be forgotten, which would begin full again."""
SWEPT = 1_000
"""Buckets looked at in one sweep."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` tokens a second, `burst` at once. Where either is 0 nothing passes."""

    rate: float
    burst: float


class Bucket(Protocol):
    """One bucket, as this node sees it. `Buckets` forgets those that are idle: ask it again where one is not `kept`."""

    limit: Limit
    kept: bool
    """Whether `Buckets` still knows it; one that it has forgotten is of no use."""

    def change(self, limit: Limit) -> None:
        """It has another limit from now on; what is left in it stays."""

    def take(self, now: float = 0.0) -> bool | Awaitable[bool]:
        """Whether there was a token; takes it. Waits where the nodes' store has to be asked, half a second at most.

        `now` is the clock's, where the caller has it.
        """

    def idle(self, now: float) -> bool:
        """Whether it is as good as a new one; `now` is the clock's."""


class LocalBucket:
    """A bucket that is this node's alone."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate", "kept", "limit")

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.kept = True
        self.change(limit)
        self._clock = clock
        self._left = limit.burst
        self._at = clock()

    def change(self, limit: Limit) -> None:
        self.limit = limit
        self._rate = limit.rate
        self._burst = limit.burst if limit.rate else 0.0

    def take(self, now: float = 0.0) -> bool:
        now = now or self._clock()
        left = self._left + (now - self._at) * self._rate
        self._at = now
        if left > self._burst:  # noqa: PLR1730 - min() takes a fourth of the time of all this
            left = self._burst
        self._left = left
        if left < 1.0:
            return False
        self._left = left - 1.0
        return True

    def idle(self, now: float) -> bool:
        return self._left + (now - self._at) * self._rate >= self._burst


class Buckets:
    """All buckets of a node. `clock` gives seconds and moves on though the loop stands still."""

    def __init__(self, clock: Callable[[], float], leases: Leases | None = None) -> None:
        self.clock = clock
        self.leases = leases
        """Where nodes share their buckets; None where this one has none to share with. Set before the first event."""
        self._kept: dict[Name, Bucket] = {}
        """Those of definitions."""
        self._of_clients: OrderedDict[Name, Bucket] = OrderedDict()
        """In the order in which they are looked at."""

    def __len__(self) -> int:
        return len(self._kept) + len(self._of_clients)

    def bucket(self, name: Name, limit: Limit) -> Bucket:
        """The bucket of a name, which has this limit from now on."""
        kept = self._of_clients if name[0] in OF_CLIENTS else self._kept
        found = kept.get(name)
        if found is None:
            if len(self._of_clients) >= MOST and kept is self._of_clients:
                _, forgotten = self._of_clients.popitem(last=False)
                forgotten.kept = False
            found = kept[name] = self._new(name, limit)
        if found.limit is not limit:
            found.change(limit)
        return found

    def _new(self, name: Name, limit: Limit) -> Bucket:
        return LocalBucket(limit, self.clock) if self.leases is None else SharedBucket(name, limit, self.leases)

    def sweep(self) -> None:
        """Forget those of the next that are idle."""
        now = self.clock()
        for kept in (self._kept, self._of_clients):
            for name in list(islice(kept, SWEPT)):
                bucket = kept.pop(name)
                if bucket.idle(now):
                    bucket.kept = False
                else:
                    kept[name] = bucket
