"""A long run: so many faults of each kind, in an order by chance, each healed before the next."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtest.faults.site import Site

Fault = Callable[[Site], Awaitable[None]]
SLOW_SECONDS = 0.2


async def kill(site: Site) -> None:
    """A node is killed, and another begins in its place."""
    position = site.position()
    await site.kill(position)
    await site.nodes.start(position)


async def restart_with_data(site: Site) -> None:
    """Redis is killed and comes back as it was."""
    async with site.redis_down(data=True):
        await site.hold(*site.outage)


async def restart_without_data(site: Site) -> None:
    """Redis is killed and comes back empty."""
    async with site.redis_down(data=False):
        await site.hold(*site.outage)


async def flush(site: Site) -> None:
    """All that Redis holds is deleted."""
    await site.wipe()


async def pause(site: Site) -> None:
    """A node stops for longer than its lease, and goes on."""
    async with site.paused(site.position()):
        await site.hold(*site.absence)


async def silent_redis(site: Site) -> None:
    """Nothing reaches Redis, nor comes from it."""
    async with site.redis_silent():
        await site.hold(*site.outage)


async def silent_redis_of_one(site: Site) -> None:
    """One node's link with Redis carries nothing, for longer than its lease."""
    async with site.redis_silent(site.position()):
        await site.hold(*site.absence)


async def silent_peer(site: Site) -> None:
    """Nothing that other nodes send to one arrives."""
    async with site.unreachable(site.position()):
        await site.hold(*site.outage)


async def slow_redis(site: Site) -> None:
    """Redis' answers are 200 ms late, or what of that a node has the time for between two renewals of a short lease."""
    async with site.redis_slow(min(SLOW_SECONDS, site.plan.lease_ttl / 30)):
        await site.hold(*site.outage)


async def leave(site: Site) -> None:
    """A node is told to leave, as in a rolling restart, and another begins in its place."""
    position = site.position()
    await site.leave(position)
    await site.nodes.start(position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many of each kind."""

    kills: int = 20
    redis_restarts: int = 10
    """Half of them without data."""
    flushes: int = 10
    others: int = 2
    """Of each of the rest."""

    def faults(self, chance: random.Random) -> list[Fault]:
        """All of them, in an order by chance."""
        emptied = self.redis_restarts // 2
        chosen: list[Fault] = [
            *[kill] * self.kills,
            *[restart_with_data] * (self.redis_restarts - emptied),
            *[restart_without_data] * emptied,
            *[flush] * self.flushes,
            *[fault for fault in OTHERS for _ in range(self.others)],
        ]
        chance.shuffle(chosen)
        return chosen


OTHERS: tuple[Fault, ...] = (pause, silent_redis, silent_redis_of_one, silent_peer, slow_redis, leave)
