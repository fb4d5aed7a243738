"""permessage-deflate (RFC 7692): what a client's offer gets, messages that come compressed, messages that leave so.

`websockets` negotiates, compresses, and inflates: no further than the limits, so that a bomb ends in 1009; a frame may
not be larger than they allow as it comes either. Ours: what is worth compressing, one frame for many sockets where no
context is taken over, and counting.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from wsgateway.dataplane.counters import Counters
    from wsgateway.messages import HttpRequest, Message
    from wsgateway.model.compression import Compression
    from wsgateway.model.quotas import Quotas

LARGEST = 256 * 1024
"""Larger messages leave uncompressed (RFC 7692 §6 lets each be either): a MiB would hold the loop for 15 to 20 ms, and
what is compressed with a context can't be left to a thread while others wait behind it."""

LEVEL = zlib.Z_BEST_SPEED
"""Half the time of zlib's usual level, for 6 to 8% more bytes of JSON."""


class Negotiated(NamedTuple):
    """What the 101 says in Sec-WebSocket-Extensions, and what holds from then on."""

    answer: bytes
    protocol: ServerProtocol
    deflate: Deflate


def negotiate(request: HttpRequest, quotas: Quotas, counters: Counters) -> Negotiated | None:
    """The first offer of permessage-deflate that can be met, or None. The offers are well-formed."""
    compression = quotas.compression
    if compression is None:
        return None
    values = [value for name, value in request.headers if name.lower() == b"sec-websocket-extensions"]
    if not values:
        return None
    limits = (quotas.max_message_bytes, quotas.max_frame_bytes)
    protocol = ServerProtocol(state=OPEN, max_size=limits, extensions=[_factory(compression)])
    offers = Headers(("Sec-WebSocket-Extensions", value.decode("latin-1")) for value in values)
    answer, extensions = protocol.process_extensions(offers)
    if answer is None:
        return None
    (negotiated,) = extensions
    assert isinstance(negotiated, PerMessageDeflate)  # the only one that was available
    deflate = Deflate(negotiated, compression.minimum_compression_size, counters)
    protocol.extensions = [deflate]
    counters.compressed_connections += 1
    return Negotiated(answer.encode("ascii"), protocol, deflate)


def _factory(compression: Compression) -> ServerPerMessageDeflateFactory:
    bits = compression.server_max_window_bits
    return ServerPerMessageDeflateFactory(
        compression.server_no_context_takeover,
        compression.client_no_context_takeover,
        bits,
        compression.client_max_window_bits,
        # zlib's own proportion of window to hash table: 8 for 15 bits.
        {"level": LEVEL, "memLevel": bits - 7},
    )


class Deflate(Extension):
    """The compression of one connection, in both directions."""

    name = PerMessageDeflate.name

    def __init__(self, negotiated: PerMessageDeflate, minimum: int, counters: Counters) -> None:
        self._negotiated = negotiated
        self._minimum = minimum
        self._counters = counters

    def frame(self, message: Message) -> bytes:
        """The frame to send next. One that took over context must be sent, and in the order of the calls."""
        size = len(message.data)
        if size < self._minimum or size > LARGEST:
            return message.frame()
        frame = self._alone(message) if self._negotiated.local_no_context_takeover else self._deflated(message)
        counters = self._counters
        counters.compressed_out += 1
        counters.compressed_bytes_out += len(frame)
        counters.compressed_payload_bytes_out += size
        return frame

    def _alone(self, message: Message) -> bytes:
        bits = self._negotiated.local_max_window_bits
        known = message.deflated
        if known is None:
            known = message.deflated = {}
        frame = known.get(bits)
        if frame is None:
            frame = known[bits] = self._deflated(message)
        return frame

    def _deflated(self, message: Message) -> bytes:
        opcode = Opcode.BINARY if message.binary else Opcode.TEXT
        return Frame(opcode, message.data).serialize(mask=False, extensions=(self._negotiated,))

    # websockets' Extension

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        plain = self._negotiated.decode(frame, max_size=max_size)
        if plain is frame:
            return frame
        size = len(plain.data)
        if max_size is not None and size > max_size:
            # zlib takes a limit of 0 for none, which lets out the last bytes of a match.
            raise PayloadTooBig(size, max_size)
        counters = self._counters
        counters.compressed_in += frame.rsv1
        counters.compressed_bytes_in += len(frame.data)
        counters.compressed_payload_bytes_in += size
        return plain

    def encode(self, frame: Frame) -> Frame:
        return self._negotiated.encode(frame)
