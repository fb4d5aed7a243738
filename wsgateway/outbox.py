"""One write a socket and loop turn, all of them together at its end.

Frames and answers that are ready in one turn leave in one `write` a socket. Writing them behind one another also wakes
a peer once for many of them rather than once for each.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """A connection that gathers what it will write."""

    def flush(self) -> None: ...


class Outbox:
    """Connections with something gathered in this loop turn."""

    __slots__ = ("_dirty", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Flush the connection at the end of this turn."""
        if not self._dirty:
            self._loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        """Write everything now."""
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
