"""What an API offers of permessage-deflate (RFC 7692)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from wsgateway.model.base import Definition

# RFC 7692 allows 8 too, but zlib can't compress with a window of 256 bytes.
WindowBits = Annotated[int, Ge(9), Le(15)]


class Compression(Definition):
    """Compression of messages with clients that offer permessage-deflate (RFC 7692). AWS has none. (Ours.)"""

    minimum_compression_size: Annotated[int, Ge(0), Le(10_485_760)] = 1024
    """Messages to clients of fewer bytes are sent as they are; 1024. (AWS's name, of REST APIs.)"""
    server_no_context_takeover: bool = True
    """Whether each message to a client is compressed by itself; false compresses small ones better, for memory."""
    client_no_context_takeover: bool = True
    """Whether clients are told to compress each message by itself; false costs memory for each of them."""
    server_max_window_bits: WindowBits = 12
    """How far back the gateway looks for repetitions, as a power of two; a client may ask for less."""
    client_max_window_bits: WindowBits = 12
    """The same of clients; those that can't be told look back 32 KiB."""
