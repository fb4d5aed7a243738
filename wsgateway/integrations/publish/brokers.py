"""Every broker this process publishes to: an outlet each, shared by the integrations that name it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from wsgateway.integrations.publish.base import Broker, Publisher
from wsgateway.integrations.publish.handover import Tally
from wsgateway.integrations.publish.outlet import Outlet
from wsgateway.upstream.deadlines import Deadlines


class Log(Protocol):
    """One fact per call."""

    def __call__(self, event: str, **facts: object) -> None: ...


class Brokers:
    """Outlets by broker; one per event loop, made inside it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._outlets: dict[Broker, Outlet] = {}
        self._retired: list[Outlet] = []  # still busy when last looked at
        self._tallies: dict[tuple[str, str], Tally] = {}

    def outlet(self, broker: Broker) -> Outlet:
        """The way to a broker; the link is made once `keep_only` says that it is used."""
        outlet = self._outlets.get(broker)
        if outlet is None:
            outlet = self._outlets[broker] = Outlet(str(broker), publisher(broker), self._deadlines, self._log)
        return outlet

    def tally(self, api_id: str, integration: str) -> Tally:
        """What is counted of an integration; kept for as long as the process lives, as counters are."""
        return self._tallies.setdefault((api_id, integration), Tally())

    def keep_only(self, used: Collection[Broker]) -> None:
        """Have links to these brokers, from now on if there were none, and to no others once nothing waits for them."""
        self._retired = [outlet for outlet in self._retired if outlet.busy]
        for broker, outlet in tuple(self._outlets.items()):
            if broker in used:
                outlet.use()
            else:
                del self._outlets[broker]
                outlet.retire()
                self._retired.append(outlet)

    @property
    def known(self) -> tuple[Broker, ...]:
        """Those that outlets were asked for."""
        return tuple(self._outlets)

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        """Those that were asked for and not retired."""
        return tuple(self._outlets.values())

    @property
    def results(self) -> Mapping[tuple[str, str, str], int]:
        """Messages so far, by API, integration and what became of them."""
        return {(*key, result): n for key, tally in self._tallies.items() for result, n in tally.results.items()}

    @property
    def pending(self) -> Mapping[tuple[str, str], int]:
        """Messages without an answer yet, by API and integration."""
        return {key: tally.pending for key, tally in self._tallies.items()}

    @property
    def up(self) -> Mapping[str, bool]:
        """Whether there is a link, by broker; where several users have one each, whether all have."""
        found: dict[str, bool] = {}
        for outlet in self._outlets.values():
            if outlet.wanted:
                found[outlet.name] = found.get(outlet.name, True) and outlet.up
        return found

    async def aclose(self) -> None:
        """End everything; what waits gets a moment, and is refused then."""
        await asyncio.gather(*(outlet.aclose() for outlet in (*self._outlets.values(), *self._retired)))


def publisher(broker: Broker) -> Publisher:
    """One line for each kind of broker."""
    match broker.kind:
        case "redis":
            from wsgateway.integrations.publish.redis_streams import RedisStreams

            return RedisStreams(broker)
        case "nats":
            from wsgateway.integrations.publish.nats_subjects import NatsSubjects

            return NatsSubjects(broker)
