"""The end of a connection whose client may still be sending: what comes is read and dropped, so much and so long.

Closing at once would reset the connection before the client has read its answer (RFC 9112 §9.6).
"""

from __future__ import annotations

DISCARD_BYTES = 1 << 20
DISCARD_SECONDS = 5.0


class Linger:
    """What is left of one connection behind its last answer; `now` is loop time."""

    __slots__ = ("_dropped", "_until")

    def __init__(self, now: float) -> None:
        self._until = now + DISCARD_SECONDS
        self._dropped = 0

    def drop(self, data: bytes) -> bool:
        """Drop it; gives whether that was more than is read."""
        self._dropped += len(data)
        return self._dropped > DISCARD_BYTES

    def over(self, now: float) -> bool:
        return now >= self._until
