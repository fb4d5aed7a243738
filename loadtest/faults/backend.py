"""The backend of a fault run: answers by a script of its own, and writes down each call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, cast

import httptools

from loadtest.faults.history import NO, Answered, Called, reply
from loadtest.faults.recorder import Recorder

Kind = Literal["CONNECT", "MESSAGE", "DISCONNECT"]
KINDS: dict[str, Kind] = {"/connect": "CONNECT", "/message": "MESSAGE", "/disconnect": "DISCONNECT"}

DEFINITION = """\
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      connect:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:@port@/connect
        requestParameters:
          integration.request.header.Connection-Id: context.connectionId
          integration.request.header.Request-Id: context.requestId
          integration.request.header.Client: route.request.querystring.client
      message:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:@port@/message
        requestParameters:
          integration.request.header.Connection-Id: context.connectionId
          integration.request.header.Request-Id: context.requestId
      disconnect:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:@port@/disconnect
        requestParameters:
          integration.request.header.Connection-Id: context.connectionId
          integration.request.header.Request-Id: context.requestId
          integration.request.header.Code: context.disconnectStatusCode
    routes:
      $connect: {integration: connect, requestParameters: {route.request.querystring.client: true}}
      $disconnect: {integration: disconnect}
      say: {integration: message, routeResponse: true}
"""

REJECTED = "no-"
"""Names of clients that $connect refuses begin so."""


@dataclass(slots=True)
class Incoming:
    """One call, before it is answered."""

    kind: Kind
    connection: str
    client: str
    message: str


Hook = Callable[[Incoming], Awaitable[int]]
"""What is done inside a call; gives the status of the answer, or 0 for none."""


class Backend:
    """Listens on loopback. `hook` runs inside each call."""

    def __init__(self, recorder: Recorder, hook: Hook) -> None:
        self.recorder = recorder
        self.hook = hook
        self.port = 0
        self.connections: set[_Connection] = set()
        self.undone: set[str] = set()
        """Connections whose $connect was answered yes and whose $disconnect was not answered."""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def answered(self, number: int, incoming: Incoming, status: int) -> None:
        """Write down an answer that was sent (0: that could not be)."""
        self.recorder.add(Answered(at=self.recorder.now(), call=number, status=status))
        if status == 200 and incoming.kind == "CONNECT":
            self.undone.add(incoming.connection)
        elif status == 200 and incoming.kind == "DISCONNECT":
            self.undone.discard(incoming.connection)

    def stop(self) -> None:
        """Refuse and reset everything, as a backend that is down."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.transport.abort()


class _Connection(asyncio.Protocol):
    """One keep-alive connection of a node's; one call at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._parser = httptools.HttpRequestParser(self)
        self._task: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._backend.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        kind, headers = KINDS[self._url.decode().partition("?")[0]], self._headers
        message = json.loads(self._body)["id"] if kind == "MESSAGE" else ""
        incoming = Incoming(kind, headers[b"connection-id"], headers.get(b"client", ""), message)
        recorder = self._backend.recorder
        number = recorder.number()
        recorder.add(
            Called(
                at=recorder.now(),
                call=number,
                kind=kind,
                connection=incoming.connection,
                request_id=headers[b"request-id"],
                client=incoming.client,
                message=message,
                code=int(headers.get(b"code", 0)),
            )
        )
        self._begin()
        self._task = asyncio.ensure_future(self._answer(number, incoming))

    async def _answer(self, number: int, incoming: Incoming) -> None:
        status = await self._backend.hook(incoming)
        if self.transport.is_closing() or not status:
            self.transport.abort()
            self._backend.answered(number, incoming, 0)
            return
        body = reply(incoming.message).encode() if incoming.kind == "MESSAGE" else b""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        self._backend.answered(number, incoming, status)


def says_no(client: str) -> int:
    """$connect's answer to a client."""
    return NO if client.startswith(REJECTED) else 200
