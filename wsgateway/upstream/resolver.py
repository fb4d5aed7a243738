"""Names to addresses: one look-up per name at a time, kept for a moment."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

from wsgateway.errors import IntegrationFailure

KEPT_SECONDS = 2.0


class Resolver:
    """The addresses of one host.

    Connections opened at once share a look-up, so a name server that hangs holds one of the loop's few threads and not
    all; what it answers is kept two seconds, so a backend that moved is found.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        self._loop = loop
        self._host = host
        self._lookup: asyncio.Task[list[str]] | None = None
        self._stale = 0.0

    async def addresses(self) -> list[str]:
        """Where the host is now, best first. *Raises* IntegrationFailure if there is no such host."""
        if _is_address(self._host):
            return [self._host]
        lookup = self._lookup
        if lookup is None or (lookup.done() and self._loop.time() >= self._stale):
            lookup = self._lookup = self._loop.create_task(self._ask())
        return await asyncio.shield(lookup)

    async def _ask(self) -> list[str]:
        try:
            found = await self._loop.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise IntegrationFailure(f"backend host {self._host} has no address: {error}") from error
        self._stale = self._loop.time() + KEPT_SECONDS
        return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))

    @property
    def busy(self) -> bool:
        """Whether a look-up is under way."""
        return self._lookup is not None and not self._lookup.done()

    async def aclose(self) -> None:
        """Give up a look-up under way."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.gather(self._lookup, return_exceptions=True)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
