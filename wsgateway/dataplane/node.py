"""One node: what it executes, its one sweep, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import anyio

from wsgateway.dataplane.compiled import Deployment, StageRef
from wsgateway.dataplane.drain import Leaving, close

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.model.quotas import Quotas

CALM_TICK = 1.0
FASTEST_TICK = 0.02
GRACE_SECONDS = 35.0
"""From the end of the drain window to the cut of whatever is left."""
LAST_SECONDS = 1.0
"""For requests of those who had connected when the ports closed."""
DRAIN_TICK = 0.01
LOOK_SECONDS = 0.1
"""Between two looks at how late the loop is: a standstill of so long is seen for certain."""


class Edge(Protocol):
    """A listener as the node sees it."""

    def sweep(self, now: float) -> None: ...
    def drain(self) -> None: ...
    def stop_accepting(self) -> None: ...
    def abort(self) -> None: ...
    @property
    def busy(self) -> bool: ...
    @property
    def awaited(self) -> bool: ...


class Node:
    """Runs a Gateway: deploys, sweeps and drains it."""

    def __init__(self, gateway: Gateway, *, drain_window: float, grace: float = GRACE_SECONDS) -> None:
        self.gateway = gateway
        self.edges: list[Edge] = []
        self.ready = False
        self.deployed: list[Callable[[], None]] = []
        """Called after each deployment."""
        self._drain_window = drain_window
        self._grace = grace
        self._refs: dict[tuple[str, str], StageRef] = {}
        self._tick = CALM_TICK

    def deploy(self, deployment: Deployment) -> None:
        """Swap to new definitions. Each stage changes in one step; connections of stages that are gone close (1001)."""
        for key, rest in deployment.rest.items():
            tallies = self.gateway.tallies[key]
            tallies.share(rest.together)
            for each in (rest, *([] if rest.canary is None else [rest.canary.stage])):
                each.tallies = tallies
        refs: dict[tuple[str, str], StageRef] = {}
        for key, stage in deployment.stages.items():
            self.gateway.tallies[key].share(stage.together)
            ref = self._refs.get(key)
            if ref is None:
                ref = StageRef(stage, self.gateway.tallies[key])
            else:
                ref.current = stage
            refs[key] = ref
        gone = self._refs.keys() - refs.keys()
        self._refs = refs
        gateway = self.gateway
        gateway.stages = refs
        gateway.endpoints = deployment.endpoints
        gateway.usage_plans = deployment.usage_plans
        gateway.rest, gateway.rest_endpoints = deployment.rest, deployment.rest_endpoints
        gateway.private_endpoints, gateway.vpc_endpoints = deployment.private_endpoints, deployment.vpc_endpoints
        gateway.admission.configure({api_id: stage.quotas for (api_id, _), stage in deployment.stages.items()})
        self._tick = tick_of(stage.quotas for stage in deployment.stages.values())
        gateway.disconnects.look_again()
        if gone:
            leaving = [one for one in gateway.hub if (one.client.api_id, one.client.stage) in gone]
            close(leaving, "stage_gone")
        for listener in self.deployed:
            listener()

    async def sweep(self) -> None:
        """Run every timer of the node, about once a second or as often as the shortest limit needs; never returns."""
        gateway = self.gateway
        while True:
            await anyio.sleep(self._tick)
            if gateway.clock() > gateway.check_at:
                gateway.awoken()
            now = gateway.loop.time()
            for connection in gateway.hub:
                connection.sweep(now)
            for edge in self.edges:
                edge.sweep(now)
            gateway.admission.sweep(now)
            gateway.throttling.sweep(now)
            gateway.bodies.sweep()
            gateway.messages.sweep()
            gateway.buckets.sweep()
            gateway.meters.sweep()

    async def watch_loop(self) -> None:
        """Measure how late the loop comes to what is due, ten times a second; never returns."""
        gateway = self.gateway
        while True:
            due = gateway.clock() + LOOK_SECONDS
            await anyio.sleep(LOOK_SECONDS)
            gateway.lag.add(max(0.0, gateway.clock() - due))

    async def drain(self) -> None:
        """Leave without breaking a promise: no new connections, 1001 to all over the window, every $disconnect run.

        Returns when no WebSocket and no running request is left, or when the grace is over; what is left then is cut.
        """
        gateway = self.gateway
        self.ready = False
        gateway.draining = True
        gateway.disconnects.drain()
        for edge in self.edges:
            edge.drain()
        start = gateway.loop.time()
        end = start + self._drain_window
        leaving = Leaving(gateway.hub, start, self._drain_window)
        with anyio.move_on_after(self._drain_window + self._grace) as scope:
            while (
                gateway.closing
                or gateway.disconnects.holding
                or gateway.opening
                or len(gateway.hub)
                or any(edge.busy for edge in self.edges)
                or (gateway.running and gateway.loop.time() < end)
            ):
                now = gateway.loop.time()
                leaving.step(now)
                if leaving.tells(now):
                    gateway.log("drain goes on", seconds_left=max(0.0, round(end - now, 1)), **self._left())
                await anyio.sleep(DRAIN_TICK)
        if scope.cancelled_caught:
            gateway.log("drain is over its time", **self._left())
        await gateway.disconnects.end()
        for edge in self.edges:
            edge.stop_accepting()
        if not scope.cancelled_caught:
            await self._answer_the_last()
            gateway.log("drained", connections=leaving.number, seconds=round(gateway.loop.time() - start, 1))
        for edge in self.edges:
            edge.abort()

    def _left(self) -> dict[str, int]:
        gateway = self.gateway
        return {
            "connections": len(gateway.hub),
            "disconnects_running": gateway.closing + gateway.disconnects.running,
            "disconnects_waiting": gateway.disconnects.waiting,
            "handshakes_running": gateway.opening,
            "messages_running": gateway.running,
        }

    async def _answer_the_last(self) -> None:
        """Wait for the requests of those who connected before the ports closed; nobody is cut off while asking."""
        with anyio.move_on_after(LAST_SECONDS):
            while any(edge.awaited for edge in self.edges):
                await anyio.sleep(DRAIN_TICK)


def tick_of(quotas: Iterable[Quotas]) -> float:
    """How often to sweep so that the shortest limit is met within a quarter of it, at least each second."""
    tick = CALM_TICK
    for quota in quotas:
        for limit in (
            quota.idle_timeout,
            quota.max_connection,
            quota.ping_interval,
            quota.pong_timeout,
            quota.stalled_write,
            quota.handshake_seconds,
        ):
            if limit:
                tick = min(tick, limit / 4)
    return max(tick, FASTEST_TICK)
