"""The least an HTTP/1.1 client can be: keep-alive connections, httptools, one future a request."""

import asyncio
from collections import deque
from typing import cast

import httptools


class Connection(asyncio.Protocol):
    """One keep-alive connection; it goes back to its pool when the answer is whole."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.answer: asyncio.Future[bytes] | None = None
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only look like one
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        answer, self.answer = self.answer, None
        self.pool.release(self)
        if answer is not None and not answer.done():
            answer.set_result(self.body)


class Pool:
    """At most `size` connections to one port; who finds none free waits in a line that has no bound."""

    def __init__(self, port: int, size: int) -> None:
        self.port = port
        self.size = size
        self.opened = 0
        self.free: deque[Connection] = deque()
        self.waiting: deque[asyncio.Future[Connection]] = deque()
        self.loop = asyncio.get_running_loop()

    def release(self, connection: Connection) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.free.append(connection)

    async def post(self, path: bytes, body: bytes, connection_id: bytes) -> bytes:
        """The body of the answer, whatever its status."""
        if self.free:
            connection = self.free.pop()
        elif self.opened < self.size:
            self.opened += 1
            _, connection = await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        else:
            waiter: asyncio.Future[Connection] = self.loop.create_future()
            self.waiting.append(waiter)
            connection = await waiter
        answer: asyncio.Future[bytes] = self.loop.create_future()
        connection.answer = answer
        connection.transport.write(
            b"POST %s HTTP/1.1\r\nHost: backend\r\nContent-Type: application/json\r\n"
            b"X-Connection-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (path, connection_id, len(body), body)
        )
        return await answer
