"""Whether a backend can be reached: a connection, TLS included, over which nothing is sent."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import cast

from wsgateway.errors import IntegrationFailure
from wsgateway.upstream.complaint import complaint
from wsgateway.upstream.dial import Dialer

SECOND_THOUGHTS = 0.25
"""How long a server of TLS 1.3 has to say that it wants another client certificate: it does so behind the handshake
(RFC 8446 §4.4.2.4)."""


async def reach(dialer: Dialer) -> datetime | None:
    """Connect and hang up. Gives when the certificate that was shown and verified ends; None where none was.

    *Raises* IntegrationFailure with what went wrong. The caller bounds how long it takes.
    """
    silent = await dialer.dial(_Silent, probe=True)
    transport = silent.transport
    try:
        shown = transport.get_extra_info("ssl_object")
        if shown is None:
            return None
        certificate = shown.getpeercert()
        if shown.version() == "TLSv1.3":
            await asyncio.wait([silent.ended], timeout=SECOND_THOUGHTS)
        if silent.ended.done():
            raise IntegrationFailure(f"backend {dialer.url} {_why(silent.ended.result())}")
        ends = None if not certificate else certificate.get("notAfter")
        return None if ends is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC)
    finally:
        transport.abort()


def _why(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLError):
        return complaint(error)
    return "ended the connection behind the TLS handshake; perhaps it asks for a client certificate"


class _Silent(asyncio.Protocol):
    """Says nothing, and hears how it ends."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(exc)
