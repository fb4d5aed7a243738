"""One node: what it executes, its one sweep, and its end."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import anyio

from wsgateway.dataplane.compile import Deployment, StageRef

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.model.quotas import Quotas

CALM_TICK = 1.0
FASTEST_TICK = 0.02
GRACE_SECONDS = 35.0
"""From the end of the drain window to the cut of whatever is left."""


class Edge(Protocol):
    """A listener as the node sees it."""

    def sweep(self, now: float) -> None: ...
    def drain(self) -> None: ...
    def stop_accepting(self) -> None: ...
    def abort(self) -> None: ...
    @property
    def busy(self) -> bool: ...


class Node:
    """Runs a Gateway: deploys, sweeps and drains it."""

    def __init__(self, gateway: Gateway, *, drain_window: float) -> None:
        self.gateway = gateway
        self.edges: list[Edge] = []
        self.ready = False
        self.digest = ""
        self._drain_window = drain_window
        self._refs: dict[tuple[str, str], StageRef] = {}
        self._tick = CALM_TICK

    def deploy(self, deployment: Deployment) -> None:
        """Swap to new definitions. Each stage changes in one step; connections of stages that are gone close (1001)."""
        refs: dict[tuple[str, str], StageRef] = {}
        for key, stage in deployment.stages.items():
            ref = self._refs.get(key)
            if ref is None:
                ref = StageRef(stage)
            else:
                ref.current = stage
            refs[key] = ref
        gone = self._refs.keys() - refs.keys()
        self._refs = refs
        gateway = self.gateway
        gateway.stages = refs
        gateway.endpoints = deployment.endpoints
        self.digest = deployment.digest
        gateway.admission.configure({api_id: stage.quotas for (api_id, _), stage in deployment.stages.items()})
        self._tick = tick_of(stage.quotas for stage in deployment.stages.values())
        gateway.disconnects.look_again()
        if gone:
            for connection in gateway.hub:
                if (connection.client.api_id, connection.client.stage) in gone:
                    connection.close(1001, "Going away")

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
        with anyio.move_on_after(self._drain_window + GRACE_SECONDS) as scope:
            end = gateway.loop.time() + self._drain_window
            await self._close_all()
            while (
                gateway.closing
                or gateway.disconnects.holding
                or gateway.opening
                or len(gateway.hub)
                or any(edge.busy for edge in self.edges)
                or (gateway.running and gateway.loop.time() < end)
            ):
                for connection in gateway.hub:
                    connection.close(1001, "Going away")  # its $connect said yes only now
                await anyio.sleep(0.02)
        if scope.cancelled_caught:
            gateway.log(
                "drain is over its time",
                connections=len(gateway.hub),
                disconnects_running=gateway.closing + gateway.disconnects.running,
                disconnects_waiting=gateway.disconnects.waiting,
                handshakes_running=gateway.opening,
            )
        await gateway.disconnects.end()
        for edge in self.edges:
            edge.stop_accepting()
            edge.abort()

    async def _close_all(self) -> None:
        """1001 to every connection, spread evenly over the window with jitter.

        One with messages in flight gets its replies first, until the window is over.
        """
        connections = list(self.gateway.hub)
        if not connections:
            return
        random.shuffle(connections)
        now = self.gateway.loop.time
        pause = self._drain_window / len(connections)
        start = now()
        busy: list[Connection] = []
        for index, connection in enumerate(connections):
            due = start + pause * (index + random.random())
            if now() < due:
                await anyio.sleep(due - now())
            if connection.in_flight:
                busy.append(connection)
            else:
                connection.close(1001, "Going away")
        while busy and now() < start + self._drain_window:
            await anyio.sleep(0.02)
            for connection in busy:
                if not connection.in_flight:
                    connection.close(1001, "Going away")
            busy = [connection for connection in busy if connection.in_flight]


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
