"""Whether a new connection may begin: before an authorizer, $connect or any store hears of it, and for little.

A handshake costs one look-up and some arithmetic here. What is refused leaves nothing behind.

`newConnectionsPerSecond` is AWS's quota "New connections per second per account across all WebSocket APIs per Region"
(API Gateway developer guide, "Quotas for configuring and running a WebSocket API in API Gateway"), here of one API and
across the nodes: each takes its share, `rate / live nodes`, as a token bucket that holds one second's worth and at
least one connection. The documentation gives no burst for it. A node that joins others begins with an empty one, so
that over any 10 s the installation admits at most the burst and 1.1 times the rate. `connectionsPerSource` is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.sources import Sources, is_loopback, source_of

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Log
    from wsgateway.model.quotas import Quotas

UNFINISHED_PER_SOURCE = 1000
"""Handshakes of one source that have begun and were not answered; loopback is not counted."""

CALM_SECONDS = 10.0
"""Without a refusal for so long, refusing has ended."""


class Cause(Enum):
    """Why a new connection was refused; the value is the metric's label."""

    RATE = "rate"
    CONNECTIONS_PER_SOURCE = "connections_per_source"
    UNFINISHED_PER_SOURCE = "unfinished_per_source"
    MAX_CONNECTIONS = "max_connections"
    DRAINING = "draining"
    REGISTRY_AWAY = "registry_away"

    @property
    def status(self) -> int:
        """429 where this API or client has had its share, 503 where the node can take nobody."""
        return 503 if self in (Cause.MAX_CONNECTIONS, Cause.DRAINING, Cause.REGISTRY_AWAY) else 429

    @property
    def reason(self) -> str:
        """For people: which limit it is."""
        return _REASONS[self]


_REASONS = {
    Cause.RATE: "the API lets in newConnectionsPerSecond",
    Cause.CONNECTIONS_PER_SOURCE: "the client's address has connectionsPerSource connections",
    Cause.UNFINISHED_PER_SOURCE: f"{UNFINISHED_PER_SOURCE} handshakes of the client's address are unfinished",
    Cause.MAX_CONNECTIONS: "the node has --max-connections connections",
    Cause.DRAINING: "the node is draining",
    Cause.REGISTRY_AWAY: "Redis can't be reached, and --redis-away is refuse",
}


class _Api:
    """What one API may have, and has."""

    __slots__ = ("bucket", "live", "per_source", "rate")

    def __init__(self) -> None:
        self.rate = 0.0
        self.bucket: Allowance | None = None
        self.per_source = 0
        self.live = Sources()


class _Refusing:
    """A cause for which an API refuses now."""

    __slots__ = ("last", "number", "since")

    def __init__(self, now: float) -> None:
        self.since = self.last = now
        self.number = 0


class Admission:
    """Decides for one node. `clock` gives seconds, `nodes` the live nodes of the installation as last known."""

    def __init__(self, clock: Callable[[], float], log: Log, nodes: Callable[[], int] = lambda: 1) -> None:
        self.nodes = nodes
        self.refused: dict[tuple[str, str], int] = {}
        """By apiId and cause. What was refused before its API was known is under ""."""
        self._clock = clock
        self._log = log
        self._apis: dict[str, _Api] = {}
        self._unfinished = Sources()
        self._refusing: dict[tuple[str, Cause], _Refusing] = {}

    def configure(self, quotas: Mapping[str, Quotas]) -> None:
        """Hold to these limits by apiId from the next handshake on. Who is connected stays, and counts."""
        for api_id in self._apis.keys() - quotas.keys():
            api = self._apis[api_id]
            api.rate, api.bucket, api.per_source = 0.0, None, 0
            if not len(api.live):
                del self._apis[api_id]
        for api_id, quota in quotas.items():
            api = self._apis.setdefault(api_id, _Api())
            api.per_source = quota.connections_per_source
            api.rate = quota.new_connections_per_second
            if not api.rate:
                api.bucket = None
            elif api.bucket is None:
                nodes = self.living()
                share = api.rate / nodes
                api.bucket = Allowance(share, max(1.0, share), empty=nodes > 1)

    def living(self) -> int:
        """The live nodes, 1 at least."""
        return max(1, self.nodes())

    # Handshakes

    def admit(self, api_id: str, source: str, address: str) -> Cause | None:
        """Let a handshake go on, or say why not. `source` is what its client's `address` counts as."""
        api = self._apis[api_id]
        if self.crowded(address):
            return Cause.UNFINISHED_PER_SOURCE
        if api.per_source and api.live.count(source) >= api.per_source:
            return Cause.CONNECTIONS_PER_SOURCE
        bucket = api.bucket
        if bucket is not None:
            share = api.rate / self.living()
            bucket.rate = share
            bucket.burst = max(1.0, share)
            if not bucket.take(self._clock()):
                return Cause.RATE
        return None

    def entered(self, api_id: str, source: str) -> None:
        """A connection of the source may come to be; `left` follows."""
        self._apis[api_id].live.enter(source)

    def left(self, api_id: str, source: str) -> None:
        """Its handshake was refused after all, or a close has begun."""
        self._apis[api_id].live.leave(source)

    # Unfinished handshakes. Of a TCP connection, and of what comes on it before a whole head, the address is the
    # peer's; behind the head it is the client's, which may be what a trusted proxy says.

    def crowded(self, address: str) -> bool:
        """Whether no other may begin."""
        return self._unfinished.count(source_of(address)) >= UNFINISHED_PER_SOURCE

    def begin(self, address: str) -> None:
        """One has begun; `end` follows when it was answered, or its client has gone."""
        if not is_loopback(address):
            self._unfinished.enter(source_of(address))

    def end(self, address: str) -> None:
        if not is_loopback(address):
            self._unfinished.leave(source_of(address))

    # Refusals

    def refuse(self, api_id: str, cause: Cause, address: str) -> None:
        """Count a refusal. The first for a while is told to the operator, with the address it came from."""
        key = (api_id, cause.value)
        self.refused[key] = self.refused.get(key, 0) + 1
        now = self._clock()
        refusing = self._refusing.get((api_id, cause))
        if refusing is None:
            refusing = self._refusing[api_id, cause] = _Refusing(now)
            self._log("new connections are refused", **_named(api_id), cause=cause.value, source=address)
        refusing.last = now
        refusing.number += 1

    def sweep(self, now: float) -> None:
        """Tell where refusing has ended; `now` is loop time."""
        for (api_id, cause), refusing in list(self._refusing.items()):
            if now - refusing.last >= CALM_SECONDS:
                del self._refusing[api_id, cause]
                self._log(
                    "new connections are admitted again",
                    **_named(api_id),
                    cause=cause.value,
                    refused=refusing.number,
                    after_seconds=round(refusing.last - refusing.since, 1),
                )


def _named(api_id: str) -> dict[str, object]:
    return {"api": api_id} if api_id else {}
