"""This node among others: its lease, the records of its connections, and what it does for nodes that are dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from wsgateway.dataplane.lease import Lease
from wsgateway.dataplane.ledger import Ledger
from wsgateway.dataplane.peers import Peers
from wsgateway.dataplane.takeover import TakeOver
from wsgateway.errors import RegistryAway

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.registry.base import NodeEntry, Nodes, Orphans

LEAVE_SECONDS = 3.0


class Membership:
    """Where the registry outlives the process. `announce` gives what the node tells others of itself; `ttl` is a
    lease's seconds; `accepting` and `secret` as a Lease has them."""

    def __init__(
        self,
        gateway: Gateway,
        nodes: Nodes,
        orphans: Orphans,
        announce: Callable[[], NodeEntry],
        *,
        ttl: float,
        accepting: bool,
        secret: bytes | None = None,
    ) -> None:
        self._gateway = gateway
        self.peers = Peers(ttl, gateway.clock)
        self.ledger = gateway.ledger = Ledger(gateway, orphans, accepting=accepting)
        self.lease = Lease(
            gateway,
            nodes,
            self.peers,
            self.ledger,
            announce,
            ttl=ttl,
            accepting=accepting,
            secret=secret,
            clock=gateway.clock,
        )
        self.takeover = TakeOver(gateway, nodes, orphans, self.peers, gateway.disconnects, tick=ttl / 15)
        gateway.disconnects.finished = self._finished
        gateway.disconnects.durable = True
        gateway.admission.nodes = gateway.meters.nodes = lambda: self.peers.count

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.lease.run)
            tasks.start_soon(self.ledger.run)
            tasks.start_soon(self.takeover.run)

    def deployed(self) -> None:
        """The definitions have changed."""
        self.ledger.deployed()
        self.lease.announce_now()

    def draining(self) -> None:
        """The node is about to drain. Others finish what it leaves, if they can know of it."""
        self._gateway.disconnects.durable = not self.peers.away
        self.lease.announce_now()

    async def leave(self) -> None:
        """The node has drained. Its slot ends with it; what is left to be finished others take over at once. A registry
        that is away is waited for a little, then the lease is left to run out."""
        log = self._gateway.log
        with anyio.move_on_after(LEAVE_SECONDS) as scope:
            try:
                await self.ledger.settle()
                given_back = await self.takeover.leave()
                if given_back or len(self.ledger):
                    log("left to other nodes", own=len(self.ledger), of_dead_nodes=given_back)
                await self.lease.leave(unfinished=len(self.ledger) > 0)
            except RegistryAway as error:
                log("the lease is left to run out", error=str(error))
        if scope.cancelled_caught:
            log("the lease is left to run out", error=f"no answer within {LEAVE_SECONDS:g} s")

    def _finished(self, owner: bytes, connection_id: str) -> None:
        """A $disconnect was answered or given up."""
        if owner == self._gateway.ids.slot:
            self.ledger.leave(connection_id)
        else:
            self.takeover.finished(owner, connection_id)
