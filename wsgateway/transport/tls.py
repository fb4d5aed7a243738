"""TLS under a connection of ours: how it begins, and a transport whose buffers are counted to the last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from wsgateway.transport.certificates import Certificates

SHUTDOWN_SECONDS = 5.0
"""How long a peer has to answer the end of the stream, and to take what waits (`close`)."""

BUFFER_BYTES = 65_536
"""Held back in either direction before the other side is stopped; besides, the socket's own as without TLS."""


class TlsTransport(asyncio.Transport):
    """`inner` encrypts onto `raw`. What waits in either counts as waiting; the end of the stream is its close.

    Sizes are those of the plain text, so that what is counted as written and what is counted as waiting compare.
    """

    __slots__ = ("_inner", "_overhead", "_raw")

    def __init__(self, inner: asyncio.Transport, raw: asyncio.Transport) -> None:
        self._inner = inner
        self._raw = raw
        self._overhead = 0
        """Bytes that encryption added to what was written since nothing waited."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        before = self._waiting()
        if not before:
            self._overhead = 0
        self._inner.write(data)
        # Where more has left the process than came in, how much is added is not seen, and needs not be.
        self._overhead += max(0, self._waiting() - before - len(data))

    def writelines(self, chunks: Any) -> None:
        # One record for all (RFC 8446 §5.1), where each would be one of its own.
        self.write(b"".join(chunks))

    def get_write_buffer_size(self) -> int:
        waiting = self._waiting()
        return max(1, waiting - self._overhead) if waiting else 0

    def _waiting(self) -> int:
        return self._inner.get_write_buffer_size() + self._raw.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """End the stream: what comes from now on is dropped until the peer ends its own, for a few seconds at most."""
        self._inner.close()

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._inner.is_closing() or self._raw.is_closing()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def lost(self) -> None:
        """The connection is lost: let go of the protocol, which refers to us, so that both go at once."""
        self._inner.set_protocol(_NOBODY)


_NOBODY = asyncio.Protocol()


def begin(
    raw: asyncio.Transport,
    protocol: asyncio.Protocol,
    certificates: Certificates,
    seconds: float,
    done: Callable[[TlsTransport | None], None],
) -> None:
    """Begin the handshake on a connection just made. `done` gets the transport, or None where it failed.

    `protocol` gets data behind that, and `connection_lost` in either case.
    """
    loop = asyncio.get_running_loop()
    handshake = loop.start_tls(
        raw,
        protocol,
        certificates.context,
        server_side=True,
        ssl_handshake_timeout=seconds,
        ssl_shutdown_timeout=SHUTDOWN_SECONDS,
    )
    # Its first step is taken here and not by a task: by the loop's next turn the client's first bytes would have been
    # given to `protocol`. It waits once.
    waiter: asyncio.Future[None] = handshake.send(None)

    def finished(_waiter: asyncio.Future[None]) -> None:
        try:
            handshake.send(None)
        except StopIteration as end:
            inner = cast("asyncio.Transport", end.value)
        except OSError as error:  # ssl.SSLError, time-outs and lost connections are of this kind
            error.__traceback__ = None  # it leads to this frame and so to itself: garbage of a failure clients choose
            done(None)
            return
        if raw.is_closing():
            done(None)
            return
        inner.set_write_buffer_limits(high=BUFFER_BYTES)
        # uvloop's transport has it as asyncio's own does, which no stub tells.
        inner.set_read_buffer_limits(high=BUFFER_BYTES)  # type: ignore[attr-defined]
        done(TlsTransport(inner, raw))

    waiter.add_done_callback(finished)
