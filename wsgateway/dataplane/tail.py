"""Tails: what happens on one connection, as JSON lines while it happens. Ours, not AWS's.

`GET /{stage}/@connections/{id}/tail` on the internal listener answers with them. They show what messages say, so that
listener must be private. While it is tailed a connection is a `TailedConnection`: its class is another for that time,
so that connections nobody looks at pay nothing, not even a branch.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.traces import HIDDEN
from wsgateway.errors import ApiConfigurationError, GatewayError
from wsgateway.invocation import iso_time

if TYPE_CHECKING:
    from wsgateway.dataplane.compiled import Operation
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse, Message

SHOWN_BYTES = 4096
"""What is shown of a message; its size is told whole."""
WAITING_BYTES = 262_144
"""Lines that may wait for a reader; one that is slower loses events and is told how many."""
MAX_TAILS = 64
"""On one node."""
HEARTBEAT_SECONDS = 15.0
"""An empty line after so long a silence: proxies keep the connection, and a reader that has gone is noticed."""


class Tail:
    """One reader's lines, bounded."""

    __slots__ = ("_dropped", "_ended", "_lines", "_size", "_wake")

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._wake = asyncio.Event()
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether all is read and nothing will come."""
        return self._ended and not self._lines

    def put(self, line: bytes) -> None:
        """Keep a line for the reader, unless too much waits: then all is lost until it reads again."""
        if self._dropped or self._size + len(line) > WAITING_BYTES:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        self._wake.set()

    def end(self, line: bytes) -> None:
        """The last line; it is never lost."""
        self._tell_dropped()
        self._lines.append(line)
        self._ended = True
        self._wake.set()

    async def read(self) -> bytes:
        """What there is, waited for; an empty line where nothing comes for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return b"\n"
        self._wake.clear()
        self._tell_dropped()
        data = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        return data

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._lines.append(_line("dropped", count=self._dropped))
            self._dropped = 0


class _Watch:
    """What is known of a connection while it is tailed."""

    __slots__ = ("clock", "count", "current", "messages", "tails")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.tails: list[Tail] = []
        self.count = 0
        self.messages: dict[int, tuple[int, float]] = {}
        """By `id()` of each message under way: its number, and when its integration was called. They live as long."""
        self.current: int | None = None
        """The number of the message whose answer is being sent; None for one that came before the tail."""

    def tell(self, event: str, **facts: object) -> None:
        line = _line(event, **facts)
        for tail in self.tails:
            tail.put(line)

    def landed(self, invocation: Invocation) -> dict[str, object]:
        """A message's integration is through: what is told of it."""
        self.current, since = self.messages.pop(id(invocation.message), (None, None))
        millis = None if since is None else round((self.clock() - since) * 1000, 2)
        facts = {"number": self.current, "route": invocation.route_key, "requestId": invocation.request_id}
        return facts | {"millis": millis}


class Tails:
    """The tails of a node. `clock` gives seconds, for latencies."""

    __slots__ = ("_clock", "_watches", "running")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watches: dict[Connection, _Watch] = {}
        self.running = 0

    async def lines(self, connection: Connection) -> AsyncGenerator[bytes, None]:
        """JSON lines until the connection closes; tailing begins with the first and ends when this is closed."""
        if self.running >= MAX_TAILS:  # many may have asked in one turn of the loop
            yield _line("refused", reason=f"{MAX_TAILS} tails are running; end one")
            return
        tail = self._attach(connection)
        try:
            while not tail.over:
                yield await tail.read()
        finally:
            self._detach(connection, tail)

    def of(self, connection: Connection) -> _Watch:
        return self._watches[connection]

    def end(self, connection: Connection, line: bytes) -> None:
        """The connection has closed: all its tails end with this line."""
        for tail in self._watches[connection].tails:
            tail.end(line)
        self._forget(connection)

    def _attach(self, connection: Connection) -> Tail:
        self.running += 1
        tail = Tail()
        tail.put(_line("tail", **_facts(connection)))
        if connection.closed is not None:
            tail.end(_close_line(*connection.closed))
            return tail
        watch = self._watches.get(connection)
        if watch is None:
            watch = self._watches[connection] = _Watch(self._clock)
            connection.__class__ = TailedConnection
        watch.tails.append(tail)
        return tail

    def _detach(self, connection: Connection, tail: Tail) -> None:
        self.running -= 1
        watch = self._watches.get(connection)
        if watch is not None:
            watch.tails.remove(tail)
            if not watch.tails:
                self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._watches[connection]
        connection.__class__ = Connection


class TailedConnection(Connection):
    """A connection whose every event is told to its tails. It does all that a Connection does, and nothing else."""

    __slots__ = ()

    def _start(self, message: Message, arrived: float) -> None:
        watch = self._gateway.tails.of(self)
        self._arrived(watch, message)
        watch.messages[id(message)] = (watch.messages[id(message)][0], watch.clock())
        super()._start(message, arrived)

    def _take(self, message: Message) -> None:
        # `messageOrdering: SEQUENTIAL`: one that waits for those before it is told when it comes, not when it starts.
        self._arrived(self._gateway.tails.of(self), message)
        super()._take(message)

    def _arrived(self, watch: _Watch, message: Message) -> None:
        if id(message) in watch.messages:
            return
        watch.count += 1
        watch.messages[id(message)] = (watch.count, watch.clock())
        stage = self._stage.current
        operation = (stage.select_binary if message.binary else stage.select)(message.data)
        facts = {"bytes": len(message.data), "body": HIDDEN} if operation.brings_token else _shown(message)
        watch.tell("message", number=watch.count, route=operation.key, **facts)

    def _answer(self, operation: Operation, invocation: Invocation, answer: EndpointResponse) -> None:
        watch = self._gateway.tails.of(self)
        watch.tell("answer", **watch.landed(invocation), status=answer.status)
        super()._answer(operation, invocation, answer)

    def _fail(self, error: BaseException, invocation: Invocation) -> None:
        watch = self._gateway.tails.of(self)
        fault = error if isinstance(error, GatewayError) else ApiConfigurationError(type(error).__name__)
        watch.tell(
            "error",
            **watch.landed(invocation),
            status=fault.status,
            type=fault.response_type,
            reason=fault.reason or fault.message,
        )
        super()._fail(error, invocation)

    def _reply(self, message: Message) -> Sent:
        watch = self._gateway.tails.of(self)
        sent = super()._reply(message)
        if sent is Sent.QUEUED:  # one that does not fit closes the connection, and that is told
            watch.tell("reply", number=watch.current, **_shown(message))
        return sent

    def push(self, message: Message) -> Sent:
        watch = self._gateway.tails.of(self)
        sent = super().push(message)
        watch.tell("push", status=_PUSHED[sent], **_shown(message))
        return sent

    def on_close(self, code: int, reason: str) -> None:
        super().on_close(code, reason)
        self._gateway.tails.end(self, _close_line(code, reason))


_PUSHED = {Sent.QUEUED: 200, Sent.GONE: 410, Sent.FULL: 429}


def _line(event: str, **facts: object) -> bytes:
    fields = {"at": iso_time(time.time_ns() // 1_000_000), "event": event} | facts
    # "replace": whatever a fault's text holds, it is not worth a connection.
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _close_line(code: int, reason: str) -> bytes:
    return _line("close", code=code, reason=reason)


def _facts(connection: Connection) -> dict[str, object]:
    client = connection.client
    return {
        "connectionId": client.connection_id,
        "apiId": client.api_id,
        "stage": client.stage,
        "sourceIp": client.source_ip,
        "connectedAt": iso_time(client.connected_at),
        "inFlight": connection.in_flight,
    }


def _shown(message: Message) -> dict[str, object]:
    """A message's size, and what is shown of it; `truncated` where that is not all."""
    data = message.data
    shown = data[:SHOWN_BYTES]
    facts: dict[str, object] = {"bytes": len(data)}
    if message.binary:
        facts["bodyBase64"] = b64encode(shown).decode()
    else:
        facts["body"] = shown.decode("utf-8", "ignore")  # the cut may go through a character
    if len(shown) < len(data):
        facts["truncated"] = True
    return facts
