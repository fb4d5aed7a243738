"""This node's part in an installation of many: its membership, and the way to the other nodes, put together."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from wsgateway.dataplane.agreement import Agreement
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.membership import Membership
from wsgateway.dataplane.neighbours import Neighbours
from wsgateway.dataplane.node import Node
from wsgateway.messages import Handler
from wsgateway.registry.base import NodeEntry, Nodes, Orphans
from wsgateway.settings import Settings
from wsgateway.upstream.egress import Egress


class Installation:
    """Where the registry outlives the process, and there may be other nodes.

    `announce` gives what the node tells the others of itself, `egress` is the policy of integrations (they may not call
    nodes), `secret` the installation's where an operator chose one.
    """

    def __init__(
        self,
        settings: Settings,
        node: Node,
        nodes: Nodes,
        orphans: Orphans,
        announce: Callable[[], NodeEntry],
        egress: Egress,
        secret: bytes | None,
    ) -> None:
        self._gateway: Gateway = node.gateway
        self._nodes = nodes
        self._orphans = orphans
        self.membership = membership = Membership(
            self._gateway,
            nodes,
            orphans,
            announce,
            ttl=settings.lease_ttl,
            accepting=settings.redis_away == "accept",
            secret=secret,
        )
        self.peers = membership.peers
        self._neighbours = Neighbours(self._gateway, self.peers, nodes, egress, lambda: membership.lease.secret)
        self.peers.heard = self._heard
        self.agreement: Agreement | None = None
        node.deployed.append(membership.deployed)

    def _heard(self) -> None:
        """The directory was read."""
        self._neighbours.heard()
        if self.agreement is not None:
            nodes, leased = self.peers.nodes, self.peers.leased
            self.agreement.look({nodes[slot].name: nodes[slot].digest for slot in leased})

    def calls(self, otherwise: Handler) -> Handler:
        """Answers what other nodes ask; everything else is for `otherwise`."""
        return self._neighbours.relayed(otherwise)

    async def wait_for_slot(self) -> None:
        """Until other nodes may hear of this one's connections."""
        await self.membership.lease.claimed.wait()

    @property
    def unreadable(self) -> int:
        """What was met in the registry that no node of this version wrote."""
        return self._nodes.unreadable + self._orphans.unreadable

    @property
    def has_slot(self) -> bool:
        return self.membership.lease.held

    async def aclose(self) -> None:
        """Let go of all connections to others."""
        with anyio.CancelScope(shield=True):
            await self._neighbours.aclose()
            await self._nodes.aclose()
