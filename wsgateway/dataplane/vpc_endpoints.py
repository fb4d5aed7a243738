"""By which VPC endpoint a request to a PRIVATE REST API has come: its source address says so."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from wsgateway.model.endpoint import VpcEndpoint

KEPT = 1024
_NONE: Mapping[str, str] = {}


class VpcEndpoints:
    """The endpoints of one set of definitions."""

    __slots__ = ("_known", "_networks")

    def __init__(self, endpoints: Mapping[str, VpcEndpoint]) -> None:
        found = [
            (ip_network(cidr), {"vpceId": name} | ({} if endpoint.vpc_id is None else {"vpcId": endpoint.vpc_id}))
            for name, endpoint in endpoints.items()
            for cidr in endpoint.cidrs
        ]
        self._networks = sorted(found, key=lambda each: -each[0].prefixlen)
        self._known: dict[str, Mapping[str, str]] = {}

    def identity(self, source: str) -> Mapping[str, str]:
        """What `$context.identity` has of the endpoint of a client's address: `vpceId`, `vpcId`; empty without one."""
        known = self._known.get(source)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[source] = self._look(source)
        return known

    def _look(self, source: str) -> Mapping[str, str]:
        try:
            address = ip_address(source)
        except ValueError:  # a proxy said so
            return _NONE
        address = getattr(address, "ipv4_mapped", None) or address
        return next((identity for network, identity in self._networks if address in network), _NONE)
