"""How many of something each client address has."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


class Sources:
    """Counts by source. One that has none left takes no memory."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, source: str) -> int:
        return self._counts.get(source, 0)

    def enter(self, source: str) -> None:
        self._counts[source] = self._counts.get(source, 0) + 1

    def leave(self, source: str) -> None:
        """One less; it has entered before."""
        left = self._counts[source] - 1
        if left:
            self._counts[source] = left
        else:
            del self._counts[source]


def source_of(address: str) -> str:
    """What counts as one client of an address as text: IPv4 by itself, IPv6 by its /64, which is what one subscriber
    has to choose from (RFC 6177 §2). An IPv4 address that is mapped into IPv6 is the IPv4 address.
    """
    return _ipv6_source(address) if ":" in address else address


@lru_cache(maxsize=4096)
def _ipv6_source(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether an address, as text, is one of this machine's own."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
