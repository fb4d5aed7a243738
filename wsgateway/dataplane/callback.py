"""How backends reach a connection: `domainName` in events, and the callback URL that works as it is."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.messages import HttpRequest

WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound


class Ports(Protocol):
    """A listener's ports, which are known once it has begun."""

    @property
    def port(self) -> int: ...
    @property
    def tls_port(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrls:
    """`unsigned` says that the public listener takes calls without signatures."""

    public: Ports
    internal: Ports
    internal_host: str
    unsigned: bool
    advertise: str | None
    """HOST[:PORT] at which backends reach the internal listener."""
    domain: str | None
    """HOST[:PORT] that stands in `domainName` whatever Host the client used."""
    secure_host: Callable[[str, str | None], str | None] | None = None
    """Where `domainName` names the public listener's TLS port: the name to use for a client's host, given the custom
    domain that it means. None: a name of this machine."""

    def __call__(self, request: HttpRequest, place: Place) -> tuple[str, str]:
        """`(domainName, base of callback URLs)` of a connection that `request` opens at `place`."""
        return self._domain_name(request, place), self._base(request, place)

    def _domain_name(self, request: HttpRequest, place: Place) -> str:
        if self.domain is not None:
            return self.domain + place.prefix_elsewhere
        if self.secure_host is None:
            return request.authority + place.prefix
        host = self.secure_host(request.host, place.domain)
        if host is None:
            return f"localhost:{self.public.tls_port}{place.prefix_elsewhere}"
        return f"{host}:{self.public.tls_port}{place.prefix}"

    def _base(self, request: HttpRequest, place: Place) -> str:
        """Without TLS, whose certificate backends need not trust, and without a domain, which they need not know."""
        if self.unsigned and request.scheme == "http" and place.domain is None:
            if self.domain is not None:
                return f"http://{self.domain}{place.prefix_elsewhere}/{place.stage}"
            return f"http://{request.authority}{place.base}"
        return f"http://{self.node_address}/execute-api/{place.api_id}/{place.stage}"

    @property
    def node_address(self) -> str:
        """HOST:PORT at which backends, and other nodes, reach the internal listener."""
        return _address(self.advertise, self.internal_host, self.internal.port, of_own=True)

    def address_at(self, port: int) -> str:
        """HOST:PORT at which another port on the internal listener's host is reached."""
        return _address(self.advertise, self.internal_host, port, of_own=False)


@lru_cache(maxsize=16)  # asked for with each connection, and the same for all
def _address(advertised: str | None, bound: str, port: int, *, of_own: bool) -> str:
    """`of_own`: an advertised port stands for this one."""
    if advertised is None:
        return f"{socket.gethostname() if bound in WILDCARDS else in_url(bound)}:{port}"
    parts = urlsplit(f"//{advertised}")
    return f"{in_url(parts.hostname or '')}:{parts.port or port if of_own else port}"


def in_url(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
