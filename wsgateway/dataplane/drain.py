"""The way out of every connection of a node: one after the other, evenly over the drain window."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.hub import Hub

TELL_SECONDS = 5.0
"""How often a drain that goes on says so."""


def moments(count: int, window: float) -> Iterator[float]:
    """When each of `count` connections is to go, in seconds from the start and in order: one at random in each of
    `count` equal parts of the window, so that clients neither leave nor come back in step.
    """
    for index in range(count):
        yield window * (index + random.random()) / count


class Leaving:
    """The connections that were open when a drain began at `start`, loop time. Those that open later go at its end."""

    def __init__(self, hub: Hub, start: float, window: float) -> None:
        connections = list(hub)
        random.shuffle(connections)
        self.number = len(connections)
        self._hub = hub
        self._start = start
        self._window = window
        self._told_at = start
        self._due = zip(moments(self.number, window), connections, strict=True)
        self._next = next(self._due, None)

    def step(self, now: float) -> None:
        """Have everyone go whose time has come. Behind the window nobody waits for replies any more."""
        elapsed = now - self._start
        if elapsed >= self._window:
            close(self._hub, "drain")
            return
        while self._next is not None and self._next[0] <= elapsed:
            self._next[1].leave()
            self._next = next(self._due, None)

    def tells(self, now: float) -> bool:
        """Whether it is time to tell how far it is."""
        if now - self._told_at < TELL_SECONDS:
            return False
        self._told_at = now
        return True


def close(connections: Iterable[Connection], cause: str) -> None:
    """Begin the close handshake with all of them, counted as `cause`."""
    for connection in connections:
        connection.close(1001, "Going away", cause)
