"""VPC links: named upstreams, by which HTTP integrations reach backends that have no address of their own to write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from typing import Annotated

from annotated_types import MaxLen, MinLen

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.explain import shown
from wsgateway.model.tls import TlsConfig

LinkName = Annotated[str, Matches(r"[A-Za-z0-9_-]{1,64}", "a VPC link's name is 1 to 64 letters, digits, - and _")]

Target = Annotated[
    str,
    Matches(
        r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?)(?::[0-9]{1,5})?",
        "a target is written HOST:PORT, or HOST alone for the port of integrationUri; IPv6 in brackets",
    ),
]

_parts = re.compile(r"\[?([^\]]*?)\]?(?::([0-9]+))?").fullmatch


class VpcLink(Definition):
    """Where integrations with `connectionType: VPC_LINK` connect to, in place of the host in their `integrationUri`."""

    targets: Annotated[Sequence[Target], MinLen(1), MaxLen(64)]
    """Where the backend is: `HOST:PORT`, or `HOST` for the port of `integrationUri`; of several the one least busy."""
    tls_config: TlsConfig | None = None
    """How https backends are verified and what they are shown, where the integration says nothing of it. (Ours.)"""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the link leads to."""

    def check(self) -> Iterator[Problem]:
        seen: dict[tuple[str, int | None], int] = {}
        for number, target in enumerate(self.targets):
            host, port = place(target)
            if port is not None and not 0 < port < 65536:
                yield Problem(("targets", number), f"{shown(target)}: a port is 1 to 65535")
            if ":" in host and not _is_address(host):
                yield Problem(("targets", number), f"{shown(target)}: what stands in brackets is no IPv6 address")
            first = seen.setdefault((host.lower(), port), number)
            if first != number:
                yield Problem(("targets", number), f"{shown(target)} stands there already; write each target once")

    def places(self, port: int) -> list[tuple[str, int]]:
        """Host and port of every target; `port` where one names none."""
        found = [place(target) for target in self.targets]
        return list(dict.fromkeys((host, its_port or port) for host, its_port in found))


def place(target: str) -> tuple[str, int | None]:
    """Host, without brackets, and port of a target as it is written."""
    found = _parts(target)
    assert found is not None  # Target matches less
    return found[1], None if found[2] is None else int(found[2])


def _is_address(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
