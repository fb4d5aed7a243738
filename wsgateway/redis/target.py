"""Where Redis is and how it is reached, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["single", "sentinel", "cluster"]
Host = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a server's certificate is checked, and what this node shows of its own."""

    ca_file: str | None = None
    """None: what the system trusts."""
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    check_hostname: bool = True
    server_name: str | None = None
    """Expected instead of the host; of one server alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place where Redis is. As text it shows neither password."""

    kind: Kind = "single"
    addresses: tuple[Host, ...] = ()
    """Host and port of each server that the URL names."""
    path: str = ""
    """Of the socket, where there is no host."""
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        hosts = ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses)
        return f"{self.service} of {hosts}" if self.service else hosts or self.path
