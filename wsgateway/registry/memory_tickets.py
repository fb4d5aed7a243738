"""Tickets of a single node, in its own memory."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from time import monotonic

from wsgateway.errors import RegistryAway

MOST = 100_000
MOST_BYTES = 64 << 20
"""What waits at a time; tickets beyond it are refused until some are taken, or over."""


class MemoryTickets:
    """Tickets that end with the process; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic, *, most: int = MOST, most_bytes: int = MOST_BYTES):
        self._clock = clock
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[bytes, tuple[float, bytes]] = {}
        """When it is over, and what was put, by digest."""
        self._ends: list[tuple[float, bytes]] = []
        """A heap of all that were put, those that were taken included."""
        self._bytes = 0

    async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
        self._forget()
        # Each that was taken early is in the heap until its time is over.
        if len(self._ends) >= self._most or self._bytes + len(data) > self._most_bytes:
            raise RegistryAway("too many tickets wait to be used")
        end = self._clock() + ttl
        self._kept[digest] = end, data
        self._bytes += len(data)
        heappush(self._ends, (end, digest))

    async def take(self, digest: bytes) -> bytes | None:
        self._forget()
        found = self._kept.pop(digest, None)
        if found is None:
            return None
        self._bytes -= len(found[1])
        return found[1]

    def _forget(self) -> None:
        """Drop those whose time is over."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, digest = heappop(self._ends)
            found = self._kept.pop(digest, None)
            if found is not None:
                self._bytes -= len(found[1])
