"""Names to addresses: one look-up per name at a time, kept for a moment."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TypeAlias

from wsgateway.errors import IntegrationFailure

Endpoint: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""An address family and what `connect` takes; the address is numeric."""

KEPT_SECONDS = 2.0


class Resolver:
    """The addresses of one host and port.

    Many connections opened at once share a look-up, so a name server that hangs holds one of the few threads and not
    all; its answer is kept two seconds, so a moved backend is found.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        self._loop = loop
        self._host = host
        self._port = port
        self._lookup: asyncio.Task[list[Endpoint]] | None = None
        self._stale = 0.0
        try:
            address = ip_address(host)
        except ValueError:
            self._numeric: list[Endpoint] = []
        else:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            self._numeric = [(family, (host, port) if address.version == 4 else (host, port, 0, 0))]

    async def endpoints(self) -> list[Endpoint]:
        """Where the host is now, best first. *Raises* IntegrationFailure if there is no such host."""
        if self._numeric and "%" not in self._host:
            return self._numeric
        lookup = self._lookup
        if lookup is None or (lookup.done() and (lookup.cancelled() or self._loop.time() >= self._stale)):
            lookup = self._lookup = self._loop.create_task(self._ask())
        return await asyncio.shield(lookup)

    async def _ask(self) -> list[Endpoint]:
        try:
            found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise IntegrationFailure(f"backend host {self._host} has no address: {error}") from error
        finally:
            self._stale = self._loop.time() + KEPT_SECONDS
        return [(family, address) for family, _, _, _, address in found if len(address) in (2, 4)]

    async def aclose(self) -> None:
        """Give up a look-up under way."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.gather(self._lookup, return_exceptions=True)
