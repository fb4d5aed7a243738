"""What may be called is decided by the resolved address."""

from __future__ import annotations

import pytest

from wsgateway.errors import IntegrationFailure
from wsgateway.upstream import Egress

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%lo",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::ffff:0.0.0.0",
]


@pytest.mark.parametrize("address", NEVER)
def test_never_called(address: str) -> None:
    egress = Egress(allow=["0.0.0.0/0", "::/0"])
    for trusted in (True, False):
        with pytest.raises(IntegrationFailure, match=r"egress policy: backend\.example is .* never called"):
            egress.check("backend.example", address, 80, trusted=trusted)


@pytest.mark.parametrize(
    ("address", "trusted", "allow", "allowed"),
    [
        pytest.param("127.0.0.1", True, [], True, id="loopback, an operator's host"),
        pytest.param("127.0.0.1", False, [], False, id="loopback, another's"),
        pytest.param("::1", False, [], False, id="IPv6 loopback, another's"),
        pytest.param("::ffff:127.0.0.1", False, [], False, id="mapped loopback, another's"),
        pytest.param("10.1.2.3", True, [], True, id="private, an operator's"),
        pytest.param("10.1.2.3", False, [], False, id="private, another's"),
        pytest.param("10.1.2.3", False, ["10.0.0.0/8"], True, id="private, allowed"),
        pytest.param("::ffff:10.1.2.3", False, ["10.0.0.0/8"], True, id="mapped, allowed"),
        pytest.param("192.168.0.1", False, ["10.0.0.0/8"], False, id="private, another network allowed"),
        pytest.param("fd12::1", False, [], False, id="IPv6 private, another's"),
        pytest.param("100.64.0.1", False, [], False, id="carrier-grade NAT, another's"),
        pytest.param("93.184.216.34", False, [], True, id="public"),
        pytest.param("2606:2800:220:1::1", False, [], True, id="IPv6 public"),
    ],
)
def test_by_who_wrote_the_host(address: str, trusted: bool, allow: list[str], allowed: bool) -> None:
    egress = Egress(allow)
    if allowed:
        egress.check("host", address, 80, trusted=trusted)
    else:
        with pytest.raises(IntegrationFailure, match="need `egress"):
            egress.check("host", address, 80, trusted=trusted)


def test_own_ports_are_never_called() -> None:
    egress = Egress()
    egress.deny("127.0.0.1", 9090)
    egress.deny("::ffff:10.0.0.1", 6379)

    for address, port in (("127.0.0.1", 9090), ("::ffff:127.0.0.1", 9090), ("10.0.0.1", 6379)):
        with pytest.raises(IntegrationFailure, match="own ports"):
            egress.check("host", address, port, trusted=True)
    egress.check("host", "127.0.0.1", 9091, trusted=True)
    egress.check("host", "127.0.0.2", 9090, trusted=True)


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_listener_is_every_own_address(wildcard: str) -> None:
    egress = Egress()
    egress.deny(wildcard, 8080)

    for address in ("127.0.0.1", "127.1.2.3", "::1"):
        with pytest.raises(IntegrationFailure, match="own ports"):
            egress.check("host", address, 8080, trusted=True)
    egress.check("host", "192.0.2.1", 8080, trusted=True)  # a documentation address is not ours


def test_what_is_denied_are_addresses() -> None:
    with pytest.raises(ValueError, match="redis"):
        Egress().deny("redis", 6379)
    with pytest.raises(ValueError, match="10"):
        Egress(allow=["10.0.0.1/8"])
