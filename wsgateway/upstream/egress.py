"""Egress policy: which addresses the gateway may call, asked of the resolved address just before connecting."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wsgateway.errors import IntegrationFailure

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_ALWAYS_DENIED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), rule)
    for network, rule in (
        ("169.254.0.0/16", "link-local and metadata addresses are never called"),
        ("fe80::/10", "link-local addresses are never called"),
        ("fd00:ec2::254/128", "metadata addresses are never called"),  # AWS
        ("fd20:ce::254/128", "metadata addresses are never called"),  # Google Cloud
        ("100.100.100.200/32", "metadata addresses are never called"),  # Alibaba Cloud
        ("168.63.129.16/32", "metadata addresses are never called"),  # Azure
        ("192.0.0.192/32", "metadata addresses are never called"),  # Oracle Cloud
        ("0.0.0.0/8", "the unspecified address is never called"),
        ("::/128", "the unspecified address is never called"),
        ("224.0.0.0/4", "multicast addresses are never called"),
        ("ff00::/8", "multicast addresses are never called"),
        ("255.255.255.255/32", "the broadcast address is never called"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


class Egress:
    """What may be called.

    Link-local, metadata, unspecified and multicast addresses never are, nor what `deny` and `deny_nodes` were told: the
    gateway's own listeners, those of other nodes, and Redis. Other addresses are free to hosts an operator wrote
    (`trusted`); for all other hosts, loopback and private ones only within `allow`.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        """*Raises* ValueError if `allow` holds something other than CIDRs."""
        self._allow = tuple(ip_network(cidr) for cidr in allow)
        self._denied: set[tuple[Address, int]] = set()
        self._denied_everywhere: set[int] = set()
        self._nodes: frozenset[tuple[Address, int]] = frozenset()

    def deny(self, address: str, port: int) -> None:
        """Never call `port` on `address`; a wildcard address means any address of this machine.

        *Raises* ValueError if `address` is a host name.
        """
        numeric = _innermost(ip_address(address))
        if numeric.is_unspecified:
            self._denied_everywhere.add(port)
        else:
            self._denied.add((numeric, port))

    def deny_own(self, host: str, port: int) -> None:
        """Never call `port` on any address of `host`, which a listener is bound to."""
        with suppress(OSError):
            for info in socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM):
                self.deny(str(info[4][0]), port)

    def deny_nodes(self, places: Iterable[tuple[str, int]]) -> None:
        """Never call these addresses and ports, where other nodes listen, from now on in place of those given before.

        *Raises* ValueError if one is a host name.
        """
        self._nodes = frozenset((_innermost(ip_address(address)), port) for address, port in places)

    def check(self, host: str, address: str, port: int, *, trusted: bool) -> None:
        """Let `address`, to which `host` resolved, be called. *Raises* IntegrationFailure if it may not."""
        rule = self._rule_against(_innermost(ip_address(address)), port, trusted)
        if rule:
            raise IntegrationFailure(f"egress policy: {host} is {address} port {port}, and {rule}")

    def _rule_against(self, address: Address, port: int, trusted: bool) -> str:
        for network, rule in _ALWAYS_DENIED:
            if address in network:
                return rule
        if (address, port) in self._denied or (port in self._denied_everywhere and _is_own(address)):
            return "the gateway's own ports are never called"
        if (address, port) in self._nodes:
            return "other nodes' internal ports are never called"
        if not (trusted or address.is_global or any(address in network for network in self._allow)):
            return "loopback and private addresses of hosts no operator wrote need `egress: {allow: [CIDR]}`"
        return ""


def _innermost(address: Address) -> Address:
    """The address packets end up at: IPv4 in its IPv6 disguises unwrapped, scope taken off."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return IPv6Address(address.packed)


def _is_own(address: Address) -> bool:
    """Whether `address` is one of this machine: then it is also the source of packets to it. None is sent."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False  # not reachable, so not ours
