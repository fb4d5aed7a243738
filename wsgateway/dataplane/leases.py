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
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from wsgateway.errors import RegistryAway
from wsgateway.registry.base import Grant, Want

if TYPE_CHECKING:
    from wsgateway.dataplane.buckets import Limit, Name
    from wsgateway.dataplane.gateway import Log
    from wsgateway.registry.base import Shares

LIFE = 1.0
"""Seconds that leased tokens are good for, from when they were asked for."""
AHEAD = 0.15
"""Seconds for which tokens are leased ahead."""
LATELY = 0.5
"""Seconds over which need is measured."""
SOON = 0.05
"""Where the stock will not last for so many seconds, there is more to be asked for."""
PAUSE = 0.05
"""Seconds until a bucket that had too little is asked again, about; less for one that overflows in that time."""
SHORTEST_PAUSE = 0.01
PATIENCE = 0.25
"""Seconds until a store that doesn't answer is taken to be away."""
AGAIN = 1.0
"""Seconds between two attempts to reach one that is."""


class SharedBucket:
    """One of the nodes' buckets, as this node sees it."""

    __slots__ = (
        "_again_at",
        "_alone_at",
        "_alone_left",
        "_asked",
        "_asked_at",
        "_clock",
        "_leases",
        "_level",
        "_level_at",
        "_low",
        "_need",
        "_next",
        "_next_until",
        "_outage",
        "_spent",
        "_stock",
        "_told",
        "_until",
        "_used",
        "_waiting",
        "limit",
        "name",
    )

    def __init__(self, name: Name, limit: Limit, leases: Leases) -> None:
        self.name = name
        self.limit = limit
        self._leases = leases
        self._clock = leases.clock
        self._stock = self._next = 0
        self._until = self._next_until = 0.0
        """Until when these are good."""
        self._low = 0
        """More is asked for when the stock is below."""
        self._again_at = 0.0
        self._asked = False
        """It waits to be asked about, or is being."""
        self._asked_at = self._clock()
        self._used = 0
        """Tokens that were asked for here since then."""
        self._need = 0.0
        """Tokens that were asked for here lately: before `_asked_at`, each counts less the longer that is ago."""
        self._waiting: list[asyncio.Future[bool]] = []
        self._level: float | None = None
        """What the bucket held when it was last heard of; None before."""
        self._level_at = 0.0
        self._spent = 0
        """Tokens let pass while the store was away, of which it was not told."""
        self._told = 0
        """Of these, what the question under way tells."""
        self._outage = 0
        """Of which one the share is: the number of the outage."""
        self._alone_left = self._alone_at = 0.0

    def take(self) -> bool | Awaitable[bool]:
        now = self._clock()
        if self._stock and now < self._until:
            self._stock -= 1
            self._used += 1
            if self._stock < self._low and not (self._next or self._asked) and now >= self._again_at:
                self._leases.ask(self)
            return True
        return self._take_without_stock(now)

    def change(self, limit: Limit) -> None:
        if limit != self.limit:
            self._again_at = 0.0
        self.limit = limit

    def idle(self, now: float) -> bool:
        if self._asked or self._waiting or self._spent or now < max(self._until, self._next_until):
            return False
        known = self._known(now)
        return known is None or known >= self.limit.burst

    def _take_without_stock(self, now: float) -> bool | Awaitable[bool]:
        limit = self.limit
        if not (limit.rate and limit.burst):
            return False
        if self._next and now < self._next_until:
            self._stock, self._until, self._next = self._next, self._next_until, 0
            return self.take()
        self._used += 1
        if self._leases.away:
            if now >= self._leases.again_at and not self._asked:
                self._leases.ask(self)
            return self._take_alone(now)
        if now < self._again_at:
            return False
        if not self._asked:
            self._leases.ask(self)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    # Asked by Leases

    def want(self, now: float) -> Want:
        """What to ask for. `granted` or `failed` follows."""
        limit = self.limit
        self._need = self._need * math.exp((self._asked_at - now) / LATELY) + self._used
        self._used, self._asked_at = 0, now
        ahead = int(min(self._need / LATELY * AHEAD, max(limit.rate * AHEAD, limit.burst / 10)))
        tokens = len(self._waiting) + ahead
        self._told = self._spent
        if not tokens and not self._told:
            tokens = 1
        return Want(
            name=self.name,
            rate=limit.rate,
            burst=limit.burst,
            tokens=tokens,
            level=self._known(now),
            spent=self._told,
        )

    def granted(self, want: Want, grant: Grant, now: float) -> None:
        """The store has answered a question asked at `_asked_at`."""
        self._asked = False
        self._spent -= self._told
        self._level, self._level_at = grant.level, self._asked_at
        tokens, until = grant.tokens, self._asked_at + LIFE
        if grant.tokens < want.tokens:
            # Nodes that ask by turns must not always come in the same order.
            pause = min(PAUSE, max(SHORTEST_PAUSE, self.limit.burst / self.limit.rate / 2)) * random.uniform(0.5, 1.5)
            self._again_at = self._asked_at + max(pause, (1.0 - grant.level) / self.limit.rate)
        if now >= until:
            tokens = 0
        waiting, self._waiting = self._waiting, []
        for number, future in enumerate(waiting):
            if future.done():
                continue  # its client has gone
            if tokens:
                tokens -= 1
                future.set_result(True)
            elif now < self._again_at:
                future.set_result(False)
            else:  # it came after the question was asked
                self._waiting = [*waiting[number:], *self._waiting]
                break
        self._low = min(tokens, int(self._need / LATELY * SOON))
        if self._stock and now < self._until:
            self._next, self._next_until = tokens, until
        else:
            self._stock, self._until = tokens, until
        if self._waiting and not self._asked:
            self._leases.ask(self)

    def failed(self, now: float) -> None:
        """The store is away."""
        self._asked = False
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(self._take_alone(now))

    def asked(self) -> None:
        """It waits to be asked about."""
        self._asked = True

    @property
    def in_debt(self) -> bool:
        """Whether the store has to be told what was spent."""
        return self._spent > 0 and not self._asked

    # While the store is away

    def _take_alone(self, now: float) -> bool:
        leases, limit = self._leases, self.limit
        nodes = leases.nodes()
        if self._outage != leases.outages:
            self._outage = leases.outages
            # Of a bucket that this node never saw the others may have taken all there was.
            self._alone_left, self._alone_at = max(0.0, self._level or 0.0) / nodes, leases.away_since
        share = max(1.0, limit.burst / nodes)
        left = min(share, self._alone_left + max(0.0, now - self._alone_at) * limit.rate / nodes)
        self._alone_at = max(now, self._alone_at)
        if left < 1.0:
            self._alone_left = left
            return False
        self._alone_left = left - 1.0
        self._spent += 1
        leases.owes(self)
        return True

    def _known(self, now: float) -> float | None:
        """What the bucket holds by now, if nobody else takes from it."""
        if self._level is None:
            return None
        return min(self.limit.burst, self._level + max(0.0, now - self._level_at) * self.limit.rate)


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
        buckets, self._asking = self._asking, []
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
