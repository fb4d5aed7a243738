"""This node's calls to others and theirs to it: the parts, kept in step with each reading of the directory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from wsgateway.dataplane.hop import host_and_port
from wsgateway.dataplane.relay import BOUNDS, Relay
from wsgateway.dataplane.relayed import RelayedCalls
from wsgateway.dataplane.seals import Seals
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.peers import Peers
    from wsgateway.messages import Handler
    from wsgateway.registry.base import Nodes


class Neighbours:
    """Gives `gateway` its relay. `secret` is the installation's at present, `egress` the policy of integrations.

    Integrations may never call where other nodes listen. Host names among the nodes' addresses are looked up when they
    first appear; until that is done (and where it fails) the names' addresses are not denied.
    """

    def __init__(
        self, gateway: Gateway, peers: Peers, nodes: Nodes, egress: Egress, secret: Callable[[], bytes]
    ) -> None:
        self._gateway = gateway
        self._peers = peers
        self._egress = egress
        self._secret = secret
        self._upstream = Upstream(egress=Egress(), bounds=BOUNDS)
        self.seals = Seals()
        self.relay = gateway.relay = Relay(gateway, peers, nodes, self.seals, self._upstream)
        self._addresses: frozenset[str] = frozenset()
        self._resolved: dict[str, list[str]] = {}
        self._looking_up: asyncio.Task[None] | None = None
        self._unresolved = False
        """A name is still to be looked up, at the next reading."""
        peers.heard = self.heard

    def relayed(self, otherwise: Handler) -> Handler:
        """What the node's own port answers: relayed calls, and all else by `otherwise`."""
        return RelayedCalls(self._gateway, self.seals, otherwise)

    def heard(self) -> None:
        """The directory was read."""
        self.seals.use(self._secret())
        addresses = frozenset(entry.address for entry in self._peers.known)
        if addresses != self._addresses:
            self._addresses = addresses
            self.relay.tidy()
            self._deny()
        elif not self._unresolved:
            return
        names = {host for host, _ in self._places() if not _is_address(host)}
        self._resolved = {name: found for name, found in self._resolved.items() if name in names}
        new = names - self._resolved.keys()
        self._unresolved = bool(new)
        if new and (self._looking_up is None or self._looking_up.done()):
            self._looking_up = asyncio.get_running_loop().create_task(self._look_up(new))

    async def aclose(self) -> None:
        """End every call under way."""
        if self._looking_up is not None:
            self._looking_up.cancel()
            await asyncio.gather(self._looking_up, return_exceptions=True)
        await self._upstream.aclose()

    def _places(self) -> list[tuple[str, int]]:
        places: list[tuple[str, int]] = []
        for address in self._addresses:
            try:
                places.append(host_and_port(address))
            except ValueError:  # nobody can be called by it
                continue
        return places

    def _deny(self) -> None:
        self._egress.deny_nodes(
            (address, port)
            for host, port in self._places()
            for address in ([host] if _is_address(host) else self._resolved.get(host, ()))
        )

    async def _look_up(self, names: set[str]) -> None:
        loop = asyncio.get_running_loop()
        for name in names:
            try:
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                continue
            self._resolved[name] = [str(info[4][0]) for info in found]
        self._deny()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
