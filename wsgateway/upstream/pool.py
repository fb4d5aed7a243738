"""Every backend this process calls: a pool of connections for each who calls it, one clock for all."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Hashable, Sequence

from wsgateway.bodies import BodyMemory
from wsgateway.errors import ServiceUnavailable
from wsgateway.upstream.deadlines import Deadlines
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.link import Link
from wsgateway.upstream.origin import Bounds, Origin
from wsgateway.upstream.resolver import Resolver
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings, context, machine_version

__all__ = ["Origin", "Upstream"]


Place = tuple[str, int]
"""A host (a name, or an address without brackets) and a port."""

Key = tuple[str, str, int, TlsSettings, str, bool, Hashable, Place | None]


class Upstream:
    """Every backend this process calls; one per event loop, made inside it. `bounds` hold for each origin."""

    def __init__(self, *, egress: Egress, bounds: Bounds | None = None, bodies: BodyMemory | None = None) -> None:
        """`bodies` counts what is here of answers that are not whole yet."""
        self.egress = egress
        self._bodies = BodyMemory() if bodies is None else bodies
        self._bounds = bounds or Bounds()
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        self._origins: dict[Key, Origin] = {}
        self._links: dict[tuple[Origin, ...], Link] = {}
        self._retired: list[Origin] = []  # still busy when last looked at
        self._resolvers: dict[str, Resolver] = {}
        self._machine = machine_version()
        self._failures = {"unreachable": 0, "bad_answer": 0, "queue_full": 0}  # of origins that are gone

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All that were asked for, retired ones until they are forgotten."""
        return (*self._origins.values(), *self._retired)

    @property
    def in_flight(self) -> int:
        """Exchanges begun and not ended, waiting ones included."""
        return len(self._deadlines)

    def failures(self) -> dict[str, int]:
        """Calls that failed so far, by kind."""
        origins = self.origins
        return {
            "timeout": self.timeouts,
            "unreachable": self._failures["unreachable"] + sum(origin.unreachable for origin in origins),
            "bad_answer": self._failures["bad_answer"] + sum(origin.bad_answers for origin in origins),
            "queue_full": self._failures["queue_full"] + sum(origin.overflows for origin in origins),
        }

    @property
    def timeouts(self) -> int:
        """Exchanges ended by their deadline so far."""
        return self._deadlines.expired

    def origin(
        self,
        scheme: str,
        host: str,
        port: int,
        *,
        share: Hashable = None,
        tls: TlsSettings = DEFAULT_TLS,
        trusted: bool = True,
        target: Place | None = None,
    ) -> Origin:
        """The backend at `host` (a name, or an address without brackets); the same arguments give the same object.

        `share` is whose pool this is: calls of one share wait for one another, never for those of another. `trusted`
        says that an operator wrote the host. Connections are made to `target` where there is one, though TLS asks for
        `host`. *Raises* ValueError for a scheme other than http and https,
        OSError or ssl.SSLError if the files of `tls` can't be used.
        """
        machine = self._machine if scheme == "https" and tls.ca_file is None else ""
        key = (scheme, host, port, tls, machine, trusted, share, target)
        origin = self._origins.get(key)
        if origin is None:
            if scheme not in ("http", "https"):
                raise ValueError(f"backends are called by http or https, not {scheme}")
            # One per name, so that one that can't be looked up holds one of the few threads for look-ups.
            where, its_port = target or (host, port)
            resolver = self._resolvers.get(where)
            if resolver is None:
                resolver = self._resolvers[where] = Resolver(self._loop, where)
            url = f"{scheme}://{_authority(host, port)}"
            dialer = Dialer(
                url=url if target is None else f"{url} at {_authority(*target)}",
                host=where,
                port=its_port,
                trusted=trusted,
                secure=context(tls, machine) if scheme == "https" else None,
                server_name=tls.server_name or host,
                egress=self.egress,
                resolver=resolver,
                hasty=target is not None,
            )
            origin = self._origins[key] = self._made(dialer)
        return origin

    def link(
        self,
        scheme: str,
        host: str,
        port: int,
        targets: Sequence[Place],
        *,
        share: Hashable = None,
        tls: TlsSettings = DEFAULT_TLS,
    ) -> Origin | Link:
        """The backend called `host` and `port` wherever its `targets` are, at least one; else as `origin`."""
        found = [self.origin(scheme, host, port, share=share, tls=tls, target=target) for target in targets]
        origins = tuple(found)
        return found[0] if len(found) == 1 else self._links.setdefault(origins, Link(origins))

    def _made(self, dialer: Dialer) -> Origin:
        return Origin(self._loop, dialer, self._deadlines, self._bounds, self._bodies)

    def look_again(self) -> None:
        """From now on `origin` trusts the certificate authorities that the machine has now."""
        self._machine = machine_version()

    def keep_only(self, used: Container[Origin]) -> None:
        """Retire every other origin; one is forgotten the next time, for last calls may still come."""
        for origin in [origin for origin in self._retired if not origin.busy]:
            self._retired.remove(origin)
            for kind, number in _failures(origin).items():
                self._failures[kind] += number
        for key, origin in tuple(self._origins.items()):
            if origin not in used:
                del self._origins[key]
                origin.retire()
                self._retired.append(origin)
        self._links = {
            targets: link for targets, link in self._links.items() if all(target in used for target in targets)
        }
        hosts = {origin.host for origin in self.origins}
        self._resolvers = {
            host: resolver for host, resolver in self._resolvers.items() if host in hosts or resolver.busy
        }

    async def aclose(self) -> None:
        """End everything: exchanges under way fail with ServiceUnavailable, later ones at once."""
        for origin in self.origins:
            origin.closing = True
        for exchange in self._deadlines.exchanges():
            exchange.fail(ServiceUnavailable("the gateway is closing"))
            exchange.place.leave(exchange)
        await asyncio.gather(*(origin.aclose() for origin in self.origins))
        await asyncio.gather(*(resolver.aclose() for resolver in self._resolvers.values()))


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _failures(origin: Origin) -> dict[str, int]:
    return {"unreachable": origin.unreachable, "bad_answer": origin.bad_answers, "queue_full": origin.overflows}
