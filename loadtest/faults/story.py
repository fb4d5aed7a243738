"""A history put in order: what became of each connection, call and push, and when what was broken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from loadtest.faults import history as happened
from loadtest.faults.history import AnyEvent, Breakage, During


@dataclass(slots=True)
class Fault:
    """Something broken from `begun` to `ended`; what is never mended ends at infinity."""

    kind: Breakage
    node: str
    other: str
    begun: float
    ended: float = inf


@dataclass(slots=True)
class Node:
    """One process."""

    ready: float
    exited: float = inf
    status: int | None = None


@dataclass(slots=True)
class Call:
    """One call of the backend."""

    kind: Literal["CONNECT", "MESSAGE", "DISCONNECT"]
    at: float
    connection: str
    request_id: str
    client: str
    message: str
    code: int
    answered: float = inf
    status: int | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class Push:
    """One POST to a connection."""

    name: str
    connection: str
    client: str
    node: str
    asked: float
    during: During
    before: str
    told: float = inf
    status: int | None = None


@dataclass(slots=True)
class Connection:
    """One handshake and what came of it, as its client saw it."""

    client: str
    node: str
    begun: float
    opened: float = inf
    refused: int | None = None
    closing: float = inf
    closing_code: int = 0
    dropped: float = inf
    ended: float = inf
    """When it was refused, dropped, or its TCP connection ended."""
    code: int | None = None
    sent: dict[str, float] = field(default_factory=dict)
    received: list[tuple[float, str]] = field(default_factory=list)
    id: str = ""
    accepted: float = inf
    """When the backend had said yes to its $connect."""
    rejected: bool = False
    """The backend said no."""
    last_alive: float = -inf
    """Until then it was live for certain: something begun at that time went over it, or its client closed it then and
    the gateway answered that with the same close code."""
    last_heard: float = -inf
    """What was sent until then was heard by the gateway for certain: something sent then was answered, in order."""

    @property
    def was_open(self) -> bool:
        return self.opened < inf

    @property
    def cleanly_closed(self) -> bool:
        """The gateway's close frame was read, and with it all that the gateway had written before."""
        return self.code is not None and self.code != happened.ABNORMAL


class Story:
    """The index over a history."""

    def __init__(self, events: Iterable[AnyEvent]) -> None:
        self.nodes: dict[str, Node] = {}
        self.faults: dict[int, Fault] = {}
        self.connections: dict[str, Connection] = {}
        self.calls: dict[int, Call] = {}
        self.pushes: dict[str, Push] = {}
        self.left: list[happened.Left] = []
        self.end = -inf
        for event in events:
            self.end = max(self.end, event.at)
            self._tell(event)
        self.by_id = {connection.id: connection for connection in self.connections.values() if connection.id}
        self.called: dict[str, list[Call]] = defaultdict(list)
        """Calls by connection id, in order."""
        self.calls_of_message: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls.values():
            self.called[call.connection].append(call)
            if call.kind == "MESSAGE":
                self.calls_of_message[call.message].append(call)
        for connection in self.connections.values():
            connection.last_heard = max(_heard(connection), default=-inf)
            connection.last_alive = max(connection.last_heard, max(self._pushes_to(connection), default=-inf))

    def disconnects(self, connection_id: str) -> list[Call]:
        """The calls of a connection's $disconnect."""
        return [call for call in self.called.get(connection_id, ()) if call.kind == "DISCONNECT"]

    def faults_of(self, *kinds: Breakage, node: str = "") -> Iterator[Fault]:
        """Of these kinds; of this node, where one is named."""
        return (fault for fault in self.faults.values() if fault.kind in kinds and (not node or fault.node == node))

    def _pushes_to(self, connection: Connection) -> Iterator[float]:
        """When those that arrived were begun."""
        for _, text in connection.received:
            match text.split(" "):
                case ["push", name, *_] if name in self.pushes:
                    yield self.pushes[name].asked

    def _tell(self, event: AnyEvent) -> None:
        match event:
            case happened.Ready(at=at, node=node):
                self.nodes[node] = Node(at)
            case happened.Exited(at=at, node=node, status=status):
                found = self.nodes.setdefault(node, Node(at))  # it may end before it was ready
                found.exited, found.status = at, status
            case happened.Broke(at=at, fault=number, kind=kind, node=node, other=other):
                self.faults[number] = Fault(kind, node, other, at)
            case happened.Mended(at=at, fault=number):
                self.faults[number].ended = at
            case happened.Called(at=at, call=number):
                self.calls[number] = Call(
                    event.kind, at, event.connection, event.request_id, event.client, event.message, event.code
                )
                if event.kind == "CONNECT" and event.client in self.connections:
                    self.connections[event.client].id = event.connection
            case happened.Answered(at=at, call=number, status=status):
                call = self.calls[number]
                call.answered, call.status = at, status
                if call.kind == "CONNECT" and call.client in self.connections:
                    connection = self.connections[call.client]
                    if call.accepted:
                        connection.accepted = at
                    connection.rejected = status == happened.NO
            case happened.Asked(at=at):
                self.pushes[event.push] = Push(
                    event.push, event.connection, event.client, event.node, at, event.during, event.before
                )
            case happened.Told(at=at, push=name, status=status):
                self.pushes[name].told, self.pushes[name].status = at, status
            case happened.Left():
                self.left.append(event)
            case happened.Handshake(at=at, client=client, node=node):
                self.connections[client] = Connection(client, node, at)
            case _:
                self._tell_connection(self.connections[event.client], event)

    @staticmethod
    def _tell_connection(
        connection: Connection,
        event: happened.Opened
        | happened.Refused
        | happened.Sent
        | happened.Received
        | happened.Closing
        | happened.Dropped
        | happened.Closed,
    ) -> None:
        at = event.at
        match event:
            case happened.Opened():
                connection.opened = at
            case happened.Refused(status=status):
                connection.refused, connection.ended = status, at
            case happened.Sent(message=message):
                connection.sent[message] = at
            case happened.Received(text=text):
                connection.received.append((at, text))
            case happened.Closing(code=code):
                connection.closing, connection.closing_code = at, code
            case happened.Dropped():
                connection.dropped = connection.ended = at
            case happened.Closed(code=code):
                connection.code, connection.ended = code, at


def _heard(connection: Connection) -> Iterator[float]:
    """When the messages that were replied to, and the close that was answered, were sent."""
    for _, text in connection.received:
        match text.split(" "):
            case ["reply", message] if message in connection.sent:
                yield connection.sent[message]
    if connection.code is not None and connection.code == connection.closing_code:
        yield connection.closing
