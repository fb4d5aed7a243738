"""Opening a connection: resolve, ask the egress policy, connect to exactly the address that passed, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from wsgateway.errors import IntegrationFailure
from wsgateway.upstream.complaint import UNTRUSTED, complaint
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.resolver import Resolver
from wsgateway.upstream.tls import peer_fault

P = TypeVar("P", bound=asyncio.Protocol)

NEXT_ADDRESS_SECONDS = 3.0  # for an address that doesn't answer, if there is another


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """How to reach one backend: `url` is what it is called, `host` and `port` are where it is.

    A `hasty` one gives each address NEXT_ADDRESS_SECONDS to take a connection, the last one too: somebody else may be
    asked instead.
    """

    url: str
    host: str
    port: int
    trusted: bool
    secure: ssl.SSLContext | None
    server_name: str
    egress: Egress
    resolver: Resolver
    hasty: bool = False

    async def dial(self, make: Callable[[], P], *, probe: bool = False) -> P:
        """A new connection, by the first address that takes it. *Raises* IntegrationFailure of the last one tried.

        A `probe` gives TCP no longer for the last address than for the others: whoever waits behind it must not wait
        for a SYN's retries (RFC 6298 §5: 1 s, then 2, 4, 8 …). TLS takes as long as it takes.
        """
        addresses = await self.resolver.addresses()
        failure = IntegrationFailure(f"backend host {self.host} has no address")
        for address in addresses:
            try:
                self.egress.check(self.host, address, self.port, trusted=self.trusted)
                last = address == addresses[-1]
                if last and (probe or self.hasty):
                    async with asyncio.timeout(NEXT_ADDRESS_SECONDS):
                        sock = await self._connected(address)
                    return await self._dial(make, address, sock)
                async with asyncio.timeout(None if last else NEXT_ADDRESS_SECONDS):
                    return await self._dial(make, address)
            except IntegrationFailure as error:
                failure = error
            except (OSError, ValueError) as error:  # ssl.SSLError and TimeoutError are OSErrors
                failure = IntegrationFailure(f"backend {self.url} {complaint(error)} (address {address})")
                failure.__cause__ = error
        try:
            raise failure
        finally:
            del failure  # else its traceback and this frame keep each other until the collector comes

    async def _connected(self, address: str) -> socket.socket:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, place)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _dial(self, make: Callable[[], P], address: str, sock: socket.socket | None = None) -> P:
        """A connection to `address`, over `sock` if that is connected already."""
        loop = asyncio.get_running_loop()
        secure, name = self.secure, None if self.secure is None else self.server_name
        if sock is None:
            made = loop.create_connection(make, address, self.port, ssl=secure, server_hostname=name)
        else:
            made = loop.create_connection(make, sock=sock, ssl=secure, server_hostname=name)
        transport, connection = await made
        if secure is not None and secure.verify_mode is ssl.CERT_NONE:
            certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            fault = peer_fault(certificate or b"", self.server_name)
            if fault is not None:
                transport.abort()
                raise IntegrationFailure(f"backend {self.url} {UNTRUSTED}: {fault} (address {address})")
        return connection
