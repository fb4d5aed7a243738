"""Where a request came from, and who may say so (`--trusted-proxies`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from wsgateway import http1
from wsgateway.messages import Header
from wsgateway.transport.head import canonical_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Origin(NamedTuple):
    """A request's source address; scheme, authority and port as a trusted proxy says, empty where none does."""

    source: str
    scheme: str = ""
    authority: str = ""
    port: int = 0


class TrustedProxies:
    """Believes `X-Forwarded-*` from these networks, and from nobody else."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)

    def trusts(self, address: str) -> bool:
        if not self.networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self.networks if network.version == parsed.version)

    def origin_of(self, peer: str, headers: Sequence[Header]) -> Origin:
        """The origin of a request that `peer` sent."""
        if not self.trusts(peer):
            return Origin(peer)
        source, scheme, authority, port = peer, "", "", 0
        chain = http1.list_items(value for name, value in headers if name.lower() == b"x-forwarded-for")
        # From the nearest hop back: the first address that is no proxy of ours is the client's.
        for item in reversed(chain):
            try:
                address = ipaddress.ip_address(item.decode("ascii", "replace"))
            except ValueError:
                break
            if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
                break  # of one link (RFC 4007 §11), so that of no client; and its zone may be any text
            source = str(address)
            if not self.trusts(source):
                break
        for name, value in headers:
            match name.lower():
                case b"x-forwarded-proto" if value.lower() in (b"http", b"https", b"ws", b"wss"):
                    scheme = "https" if value.lower() in (b"https", b"wss") else "http"
                case b"x-forwarded-host":
                    text = value.decode("latin-1").strip()
                    # A proxy may pass on what it was sent, so the rules of Host hold.
                    authority = text if canonical_host(text) is not None else ""
                case b"x-forwarded-port" if value.isdigit() and len(value) <= 5 and 0 < int(value) <= 65535:
                    port = int(value)
        return Origin(source, scheme, authority, port)
