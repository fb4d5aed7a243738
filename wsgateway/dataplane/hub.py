"""The hub: every live connection of this node, by id, and what the data plane asks of a socket."""

from __future__ import annotations

from enum import Enum
from heapq import nsmallest
from typing import TYPE_CHECKING, Protocol

from wsgateway.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsgateway.dataplane.connection import Connection


class Sent(Enum):
    """What became of a message given to a socket."""

    QUEUED = "queued"
    """It is in the outbox, whole and in order."""
    FULL = "full"
    """The outbox has no room; nothing of it was taken."""
    GONE = "gone"
    """A close has begun on either side, or the TCP connection is lost."""


class Socket(Protocol):
    """One open WebSocket, as transport implements it. No method blocks or raises.

    The outbox is bounded (`outboxBytes`, `outboxMessages`); an empty one always takes one message. Messages leave in
    the order of `send`. After `close` nothing more is sent, and the connection hears `on_close` exactly once, whoever
    began.
    """

    def send(self, message: Message) -> Sent: ...

    def close(self, code: int, reason: str) -> None:
        """Begin the close handshake; the TCP connection ends with it or 5 s later."""

    def pause(self) -> None:
        """Stop reading; the client feels TCP back-pressure. Pong and idle clocks stop too."""

    def resume(self) -> None: ...


class Hub:
    """Live connections by id. A connection is here from its 101 until a close begins."""

    __slots__ = ("_connections",)

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def add(self, connection: Connection) -> None:
        self._connections[connection.client.connection_id] = connection

    def get(self, connection_id: str) -> Connection | None:
        return self._connections.get(connection_id)

    def discard(self, connection: Connection) -> None:
        self._connections.pop(connection.client.connection_id, None)

    def page(self, api_id: str, after: str, size: int) -> list[Connection]:
        """Up to `size` connections of an API, in id order, behind the id `after`."""
        chosen = nsmallest(
            size,
            (
                key
                for key, connection in self._connections.items()
                if key > after and connection.client.api_id == api_id
            ),
        )
        return [self._connections[key] for key in chosen]
