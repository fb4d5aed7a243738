"""What a stage's definitions let in: limits to an `Admit` for each route, and who was told that one is reached.

A message takes a token of each limit that is about it, the narrowest first, so that who is over a limit of their own
takes nothing from the others. One that a wider limit refuses has spent what it took. So does a request of a REST API,
whose routes are methods; the limit of its address comes before its authorizer is asked. Levels are AWS's (API Gateway
developer guide, "Throttle requests to your WebSocket APIs", "Throttle requests to your REST APIs"): route or method,
account; ours are stage, connection, user, source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.buckets import Bucket, Buckets, Limit, Name
from wsgateway.dataplane.sources import source_of
from wsgateway.errors import Throttled
from wsgateway.invocation import Client, Invocation
from wsgateway.model.throttle import AWS_ACCOUNT, RateLimit, StageThrottle
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.authorizers.base import Identity
    from wsgateway.dataplane.admit import Admit
    from wsgateway.dataplane.gateway import Log
    from wsgateway.model.definitions import Api, Definitions

CALM_SECONDS = 10.0
"""Without a refusal for so long, a limit is no longer reached."""

Whose = Callable[[Client], str]
_Level = tuple[str, Name, Whose | None, Limit]
"""The level, the name of the bucket, what of the client is the rest of that name, and the limit."""


class Throttle:
    """The limits of one stage."""

    def __init__(self, buckets: Buckets, definitions: Definitions, api_id: str, stage_name: str) -> None:
        api = definitions.apis[api_id]
        self._buckets = buckets
        self._place = (api_id, stage_name)
        self._stage = api.stages[stage_name]
        self._requests = api.protocol_type == "REST"
        self.account = _limit(_account(definitions, api))
        """What `@connections` calls take from; None where nothing limits them."""

    def admit(self, route_key: str) -> Admit | None:
        """What limits the events of a route, or of a method as `GET /pets`; None where nothing does.

        Nobody is asked whether a connection may end.
        """
        if route_key == "$disconnect":
            return None
        levels = tuple(self._levels(route_key))
        shared = _shared(self._buckets, levels) if levels else None
        throttle = self._stage.throttle
        own = throttle.per_connection if isinstance(throttle, StageThrottle) else None
        if own is None or route_key == "$connect":
            return shared
        return _of_connection(Limit(own.rate_limit, float(own.burst_limit)), self._buckets.clock, shared)

    def admit_source(self) -> Admit | None:
        """What limits the requests of one address to a REST API, before anybody is asked who they are; None where
        nothing does. New connections to WebSocket APIs are limited otherwise before that, and by `admit` behind it."""
        limit = self._stage.throttle.per_source
        if limit is None or not self._requests:
            return None
        return _shared(self._buckets, (_level("source", self._place, _source, limit),))

    def _levels(self, route_key: str) -> Iterator[_Level]:
        throttle = self._stage.throttle
        own = "method" if self._requests else "route"
        written: tuple[tuple[str, Name, Whose | None, RateLimit | None], ...] = (
            ("user", self._place, _user, throttle.per_user),
            ("source", self._place, _source, None if self._requests else throttle.per_source),
            (own, (*self._place, route_key), None, self._stage.limit_of(route_key)),
            ("stage", self._place, None, throttle.limit),
        )
        for level, place, whose, limit in written:
            if limit is not None:
                yield _level(level, place, whose, limit)
        if self.account is not None:
            yield ACCOUNT[0], ACCOUNT, None, self.account


def _level(level: str, place: Name, whose: Whose | None, limit: RateLimit) -> _Level:
    return level, (level, *place), whose, _same(limit.rate_limit, float(limit.burst_limit))


ACCOUNT: Name = ("account",)
"""The bucket of all APIs together."""


MOST_KEPT = 64
"""Routes, of all deployments it has lived to see, whose buckets a client has at hand."""


def _shared(buckets: Buckets, levels: tuple[_Level, ...]) -> Admit:
    bucket_of, clock, ours = buckets.bucket, buckets.clock, object()
    of_all: dict[object, list[Bucket]] | None = {} if all(whose is None for _, _, whose, _ in levels) else None

    def look_up(client: Client) -> list[Bucket]:
        """The client's buckets, kept for its next event; where they are everybody's, for everybody's."""
        found = [
            bucket_of(name if whose is None else (*name, whose(client)), limit) for _, name, whose, limit in levels
        ]
        if of_all is not None:
            of_all[ours] = found
            return found
        if client.buckets is None or len(client.buckets) >= MOST_KEPT:
            client.buckets = {}
        client.buckets[ours] = found
        return found

    def admit(invocation: Invocation) -> Awaitable[None] | None:
        client = invocation.client
        known = client.buckets if of_all is None else of_all
        found: list[Bucket] | None = None if known is None else known.get(ours)
        if found is None:
            found = look_up(client)
        # After the look-up: a new bucket asked by an earlier clock than it was made at lacks a little of its burst.
        now, number = clock(), 0
        for bucket in found:
            taken = bucket.take(now) if bucket.kept else look_up(client)[number].take()
            number += 1
            if taken is True:
                continue
            if taken is False:
                level, _, _, limit = levels[number - 1]
                raise _throttled(level, limit)
            return waited_for(invocation.trace, "limits", later(taken, number, client))
        return None

    async def later(taken: bool | Awaitable[bool], number: int, client: Client) -> None:
        """Go on from the level before `number`, which has to be waited for."""
        while True:
            level, _, _, limit = levels[number - 1]
            if not (taken if isinstance(taken, bool) else await taken):
                raise _throttled(level, limit)
            if number == len(levels):
                return
            _, name, whose, limit = levels[number]
            number += 1
            taken = bucket_of(name if whose is None else (*name, whose(client)), limit).take()

    return admit


def _of_connection(limit: Limit, clock: Callable[[], float], shared: Admit | None) -> Admit:
    def admit(invocation: Invocation) -> Awaitable[Identity | None] | None:
        client = invocation.client
        allowance: Allowance | None = client.allowance
        if allowance is None:
            allowance = client.allowance = Allowance(limit.rate, limit.burst)
        elif allowance.rate != limit.rate or allowance.burst != limit.burst:
            allowance.rate, allowance.burst = limit.rate, limit.burst
        if not limit.rate or not allowance.take(clock()):
            raise _throttled("connection", limit)
        return None if shared is None else shared(invocation)

    return admit


def _account(definitions: Definitions, api: Api) -> RateLimit | None:
    return definitions.account.throttle or (AWS_ACCOUNT if api.profile == "aws" else None)


def _limit(limit: RateLimit | None) -> Limit | None:
    return None if limit is None else _same(limit.rate_limit, float(limit.burst_limit))


_same = lru_cache(Limit)
"""Of routes and stages that share a bucket one object, so that it does not seem to change with every event."""


LONGEST_NAME = 128
"""Characters of a user's name that are kept as they are: what is remembered of many users has a bound."""


def _user(client: Client) -> str:
    user = client.user
    return user if len(user) <= LONGEST_NAME else sha256(user.encode()).hexdigest()


def _source(client: Client) -> str:
    return source_of(client.source_ip)


def _throttled(level: str, limit: Limit) -> Throttled:
    return Throttled(f"the limit of the {level}: {limit.rate:g} a second, {limit.burst:g} at once", level=level)


class _Reached:
    """A limit that is reached now."""

    __slots__ = ("last", "number", "since")

    def __init__(self, now: float) -> None:
        self.since = self.last = now
        self.number = 0


class Throttling:
    """Where events are refused now. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], log: Log) -> None:
        self.refused: dict[tuple[str, str, str], int] = {}
        """By apiId, stage and level."""
        self._clock = clock
        self._log = log
        self._reached: dict[tuple[str, str, str], _Reached] = {}

    def refuse(self, api_id: str, stage: str, level: str, **first: object) -> None:
        """Count a refused event. The first for a while is told to the operator, with what is known of it."""
        key = (api_id, stage, level)
        self.refused[key] = self.refused.get(key, 0) + 1
        now = self._clock()
        reached = self._reached.get(key)
        if reached is None:
            reached = self._reached[key] = _Reached(now)
            self._log("a limit is reached", api=api_id, stage=stage, limit=level, **first)
        reached.last = now
        reached.number += 1

    def sweep(self, now: float) -> None:
        """Tell which limits are no longer reached; `now` is loop time."""
        for key, reached in list(self._reached.items()):
            if now - reached.last >= CALM_SECONDS:
                del self._reached[key]
                api_id, stage, level = key
                self._log(
                    "a limit is no longer reached",
                    api=api_id,
                    stage=stage,
                    limit=level,
                    refused=reached.number,
                    after_seconds=round(reached.last - reached.since, 1),
                )
