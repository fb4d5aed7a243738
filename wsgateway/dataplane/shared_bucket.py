"""A token bucket that nodes share, as one of them sees it: what it has leased and needs, and what it may alone."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from wsgateway.registry.base import Grant, Want

if TYPE_CHECKING:
    from wsgateway.dataplane.buckets import Limit, Name
    from wsgateway.dataplane.leases import Leases

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
REMEMBERED = 60.0
"""Seconds for which it is of use what a bucket held, though it is full again."""
SLOWEST = 1e-9
"""Tokens a second of a bucket that gets none, where something is divided by them."""


class SharedBucket:
    """One of the nodes' buckets, as this node sees it."""

    __slots__ = (
        "_again_at",
        "_alone_at",
        "_alone_left",
        "_asked",
        "_asked_at",
        "_asked_for",
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
        "kept",
        "limit",
        "name",
    )

    def __init__(self, name: Name, limit: Limit, leases: Leases) -> None:
        self.name = name
        self.limit = limit
        self.kept = True
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
        self._asked_for = 0
        """Of these, so many were there when the question went."""
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

    def take(self, now: float = 0.0) -> bool | Awaitable[bool]:
        now = now or self._clock()
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
            self._stock = self._next = 0
        self.limit = limit

    def idle(self, now: float) -> bool:
        if self._asked or self._waiting or self._spent or now < max(self._until, self._next_until):
            return False
        if self._level is None:
            return True
        # While the store is away it goes on with its part of what was there: from nothing, if that were forgotten.
        return now - self._level_at >= REMEMBERED and self._known(now) == self.limit.burst

    def _take_without_stock(self, now: float) -> bool | Awaitable[bool]:
        limit = self.limit
        if not (limit.rate and limit.burst):
            return False
        if self._next and now < self._next_until:
            self._stock, self._until, self._next = self._next, self._next_until, 0
            return self.take(now)
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
        known = self._known(now)
        if known is not None and known >= limit.burst / 2:
            # There is plenty: what is not used by then harms nobody.
            ahead = max(ahead, int(min(limit.rate * AHEAD, limit.burst / 20)))
        self._asked_for = len(self._waiting)
        tokens = self._asked_for + ahead
        self._told = self._spent
        if not tokens and not self._told:
            tokens = 1
        return Want(
            name=self.name,
            rate=limit.rate,
            burst=limit.burst,
            tokens=tokens,
            level=known,
            spent=self._debt(now),
        )

    def granted(self, want: Want, grant: Grant, now: float) -> None:
        """The store has answered a question asked at `_asked_at`."""
        self._asked = False
        self._spent -= self._told
        self._level, self._level_at = grant.level, self._asked_at
        tokens, until = grant.tokens, self._asked_at + LIFE
        short = grant.tokens < want.tokens
        if short:
            # Nodes that ask by turns must not always come in the same order.
            rate = max(want.rate, SLOWEST)
            pause = min(PAUSE, max(SHORTEST_PAUSE, want.burst / rate / 2)) * random.uniform(0.5, 1.5)
            self._again_at = self._asked_at + max(pause, (1.0 - grant.level) / rate)
        if now >= until:
            tokens = 0
        waiting, self._waiting = self._waiting, []
        for number, future in enumerate(waiting):
            if future.done():
                continue  # its client has gone
            if tokens:
                tokens -= 1
                future.set_result(True)
            elif now < self._again_at or (short and number < self._asked_for):
                future.set_result(False)
            else:  # it came after the question, or the answer came too late
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
        if not (limit.rate and limit.burst):
            return False
        nodes = leases.nodes()
        if self._outage != leases.outages:
            self._outage = leases.outages
            # Of a bucket that this node never saw the others may have taken all there was.
            self._alone_left, self._alone_at = max(0.0, self._level or 0.0) / nodes, leases.away_since
        share = max(1.0, limit.burst / nodes)
        left = self._alone(now, share, nodes)
        self._alone_at = max(now, self._alone_at)
        if left < 1.0:
            self._alone_left = left
            return False
        self._alone_left = left - 1.0
        self._spent += 1
        leases.owes(self)
        return True

    def _alone(self, now: float, share: float, nodes: int) -> float:
        """What there is of the share."""
        return min(share, self._alone_left + max(0.0, now - self._alone_at) * self.limit.rate / nodes)

    def _debt(self, now: float) -> float:
        """What was let pass alone, as far as the share has not got it again: no more is missing by it."""
        if not self._spent:
            return 0.0
        nodes = self._leases.nodes()
        share = max(1.0, self.limit.burst / nodes)
        return min(self._spent, share - self._alone(now, share, nodes))

    def _known(self, now: float) -> float | None:
        """What the bucket holds by now, if nobody else takes from it."""
        if self._level is None:
            return None
        return min(self.limit.burst, self._level + max(0.0, now - self._level_at) * self.limit.rate)
