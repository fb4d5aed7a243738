"""Token buckets that the nodes share: each node leases tokens ahead of its need, and a message takes one of those.

A busy node leases what it needs for about 150 ms, and asks again before that is used up. Leased tokens live for 1 s
from the moment they were asked for and are never given back; so what all nodes admit in any 10 s is what the store gave
in 11 s at most, `burst + 1.1 × rate × 10 s`. Where a bucket had less than was wanted, that is believed until there can
be more, and nobody is asked meanwhile.

Where the store is away each node goes on with its share: `rate / nodes`, beginning with its part of what the bucket
held when this node last saw it. When the store is back it is told what was spent. In the moment it is lost, what other
nodes took since this one last looked may be admitted once more: less than one burst in all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wsgateway.errors import RegistryAway
from wsgateway.registry.base import Grant

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Log
    from wsgateway.dataplane.shared_bucket import SharedBucket
    from wsgateway.registry.base import Shares

PATIENCE = 0.25
"""Seconds until a store that doesn't answer is taken to be away."""
ROUND = 500
"""Buckets that are asked about at a time."""
DEBTORS = 65_536
"""Buckets of which the store is told at once when it is back; others when they are asked about."""
AGAIN = 1.0
"""Seconds between two attempts to reach a store that is away."""


class Leases:
    """Asks the store for what the buckets of this node need: one question at a time, about all that need something.

    `clock` gives seconds and moves on though the loop stands still, `nodes` the living nodes as last known.
    """

    def __init__(
        self,
        shares: Shares,
        clock: Callable[[], float],
        nodes: Callable[[], int],
        log: Log,
        *,
        patience: float | None = PATIENCE,
    ) -> None:
        self.clock = clock
        self.nodes = nodes
        self.away = False
        """The store did not answer last time: each node goes on with its share."""
        self.away_since = self.again_at = 0.0
        self.outages = 0
        self._shares = shares
        self._log = log
        self._patience = patience
        self._asking: list[SharedBucket] = []
        self._debtors: set[SharedBucket] = set()
        self._task: asyncio.Task[None] | None = None

    def ask(self, bucket: SharedBucket) -> None:
        """Ask for a bucket with the next question, which goes when this turn of the loop is over."""
        bucket.asked()
        self._asking.append(bucket)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def owes(self, bucket: SharedBucket) -> None:
        """The store has to be told of a bucket when it is back."""
        if len(self._debtors) < DEBTORS:
            self._debtors.add(bucket)

    async def aclose(self) -> None:
        """Ask no more; whoever waits is answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._asking:
                await self._round()
        finally:
            self._task = None

    async def _round(self) -> None:
        buckets, self._asking = self._asking[:ROUND], self._asking[ROUND:]
        now = self.clock()
        wants = [bucket.want(now) for bucket in buckets]
        grants: Sequence[Grant] | None = None
        error = "the node ends"
        try:
            async with asyncio.timeout(self._patience):
                grants = await self._shares.lease(wants)
        except RegistryAway as away:
            error = str(away)
        except TimeoutError:
            error = f"no answer within {self._patience:g} s"
        except Exception as unexpected:
            error = f"unexpected: {type(unexpected).__name__}: {unexpected}"
        finally:
            if grants is None:
                self._lost(error)
                buckets += self._asking  # nobody waits for one such round after the other
                self._asking = []
                for bucket in buckets:
                    bucket.failed(self.clock())
        if grants is not None:
            now = self.clock()
            for bucket, want, grant in zip(buckets, wants, grants, strict=True):
                bucket.granted(want, grant, now)
            self._back()

    def _lost(self, error: str) -> None:
        now = self.clock()
        self.again_at = now + AGAIN
        if not self.away:
            self.away, self.away_since = True, now
            self.outages += 1
            self._log("limits are held by each node's share", nodes=self.nodes(), error=error)

    def _back(self) -> None:
        if not self.away:
            return
        self.away = False
        self._log("limits are held together again", after_seconds=round(self.clock() - self.away_since, 1))
        debtors, self._debtors = self._debtors, set()
        for bucket in debtors:
            if bucket.in_debt:
                self.ask(bucket)
