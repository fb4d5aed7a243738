"""Token buckets in one process's memory: the model that the nodes' own, in Redis, is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic

from wsgateway.registry.base import Grant, Want


class MemoryShares:
    """Shares of one process; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}
        """Tokens that are missing, and when that was so; a full bucket is not there."""

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        now = self._clock()
        return [self._lease(want, now) for want in wants]

    def _lease(self, want: Want, now: float) -> Grant:
        found = self._buckets.get(want.name)
        if found is not None:
            missing = found[0] - (now - found[1]) * want.rate
        else:
            missing = 0.0 if want.level is None else want.burst - want.level
        missing = min(max(missing, 0.0) + want.spent, 2 * want.burst)
        tokens = max(0, min(want.tokens, math.floor(want.burst - missing)))
        missing += tokens
        if missing:
            self._buckets[want.name] = missing, now
        else:
            self._buckets.pop(want.name, None)
        return Grant(tokens, want.burst - missing)
