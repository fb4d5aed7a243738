"""Answers that are written and that the client does not take: counted, and not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgateway.bodies import Hold

STALL_SECONDS = 60.0
"""How long a client may take nothing of them."""


class Unread:
    """What waits to be written to one client while it is more than the transport likes; `now` is loop time."""

    __slots__ = ("_hold", "_moved", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, hold: Hold) -> None:
        self._transport = transport
        self._hold = hold
        self._waiting = 0
        self._moved = 0.0

    def begin(self, now: float) -> None:
        """The client takes nothing for now."""
        self._moved = now
        self._look()

    def end(self) -> None:
        """It has taken nearly all, or is gone."""
        self._hold.give_back()

    def stalled(self, now: float) -> bool:
        """Whether it has taken nothing for too long."""
        before = self._waiting
        self._look()
        if self._waiting != before:
            self._moved = now
        return now - self._moved >= STALL_SECONDS

    def _look(self) -> None:
        self._waiting = self._transport.get_write_buffer_size()
        self._hold.count(self._waiting)
