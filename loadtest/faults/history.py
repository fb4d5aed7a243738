"""What happened, as values in the order of their times: the one thing the promises are judged by.

All times are seconds of one monotonic clock, that of the process that holds the clients, the backend and the links, so
any two can be compared. A client is named by a token that is in its handshake and in every payload meant for it; a node
by a name that each process start gets anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

ABNORMAL = 1006
"""A close without a close frame (RFC 6455 §7.1.5)."""

NO = 403
"""What the backend refuses a $connect with."""

During = Literal["", "connect", "open", "first"]
"""When a push was begun: at any time, inside the $connect integration, as soon as the client had read its 101, or
inside the integration of the connection's first message."""

Breakage = Literal[
    "kill",
    "pause",
    "terminate",
    "redis-away",
    "redis-wiped",
    "redis-slow",
    "redis-cut",
    "peer-cut",
    "standstill",
]
"""SIGKILL, SIGSTOP to SIGCONT, or SIGTERM of `node`; Redis out of every node's reach; all it held gone at that moment;
its answers late; out of `node`'s reach alone; what other nodes send to `other` is not delivered; all links
at rest, since the process that holds them was."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Something that happened."""

    at: float


class Ready(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A node takes connections."""

    node: str


class Exited(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A node's process has ended; a negative status is the signal that ended it."""

    node: str
    status: int


class Broke(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A fault begins; written down just before it is made."""

    fault: int
    kind: Breakage
    node: str = ""
    other: str = ""


class Mended(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A fault is over; written down just after it was undone."""

    fault: int


class Handshake(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client dials a node."""

    client: str
    node: str


class Opened(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client has read its 101."""

    client: str


class Refused(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A handshake ended without 101: in this HTTP status, or in none (0)."""

    client: str
    status: int


class Sent(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client has written a whole message."""

    client: str
    message: str


class Received(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client has read a message."""

    client: str
    text: str


class Closing(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client sends a close frame, and had not been sent one."""

    client: str
    code: int


class Dropped(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A client resets its TCP connection, in the handshake or later."""

    client: str


class Closed(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The TCP connection of an open WebSocket has ended, with the code of the gateway's close frame or 1006."""

    client: str
    code: int


class Called(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The backend was called. `message` is a MESSAGE's, `client` a CONNECT's, `code` a DISCONNECT's."""

    call: int
    kind: Literal["CONNECT", "MESSAGE", "DISCONNECT"]
    connection: str
    request_id: str
    client: str = ""
    message: str = ""
    code: int = 0


class Answered(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The backend has written its answer; 0 where the caller had hung up by then."""

    call: int
    status: int


class Asked(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A push is sent to a node. It is sent once; `before` is the push to the same connection whose answer it waited
    for."""

    push: str
    connection: str
    client: str
    node: str
    during: During = ""
    before: str = ""


class Told(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The node's answer to a push; 0: the TCP connection ended without one."""

    push: str
    status: int


class Left(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """Something of a node or connection was in Redis when the last node had ended."""

    what: str


AnyEvent = (
    Ready | Exited | Broke | Mended | Handshake | Opened | Refused | Sent | Received | Closing | Dropped | Closed
    | Called | Answered | Asked | Told | Left
)  # fmt: skip

_decoder = msgspec.json.Decoder(AnyEvent)


class History:
    """Events in the order they were written down."""

    def __init__(self, events: list[AnyEvent] | None = None) -> None:
        self.events: list[AnyEvent] = [] if events is None else events

    def __iter__(self) -> Iterator[AnyEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def add(self, event: AnyEvent) -> None:
        self.events.append(event)

    def write(self, path: Path) -> None:
        """One JSON object a line."""
        path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in self.events))

    @classmethod
    def read(cls, path: Path) -> History:
        """*Raises* msgspec.ValidationError where a line is no event."""
        return cls([_decoder.decode(line) for line in path.read_bytes().splitlines()])


def pushed(push: str, client: str) -> str:
    """The payload of a push."""
    return f"push {push} {client}"


def reply(message: str) -> str:
    """What the backend answers a message with."""
    return f"reply {message}"
