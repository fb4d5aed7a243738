"""Answers whose body is written as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.unit.transport.test_http import connected, until
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.transport.pump import DRAIN_STALL_SECONDS, STALL_SECONDS

pytestmark = pytest.mark.anyio

GET = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"


class Source:
    """A body that yields what the test gives it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.begun = self.closed = False
        self.asked = 0

    async def body(self) -> AsyncGenerator[bytes, None]:
        self.begun = True
        try:
            while True:
                self.asked += 1
                match await self.queue.get():
                    case None:
                        return
                    case Exception() as error:
                        raise error
                    case data:
                        yield data
        finally:
            self.closed = True

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.target == "/1":
            return HttpResponse(200, ((b"X", b"y"),), self.body())
        return HttpResponse(200, (), request.target.encode())

    async def later(self, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return self(request)


async def test_each_piece_leaves_as_a_chunk_when_it_is_made() -> None:
    source = Source()
    connection, transport = connected(source)

    connection.data_received(GET)
    head = b"HTTP/1.1 200 OK\r\nX: y\r\n"
    assert transport.written.startswith(head)
    assert transport.written.endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    size = len(transport.written)
    source.queue.put_nowait(b"hello")
    await until(lambda: transport.written[size:] == b"5\r\nhello\r\n")
    source.queue.put_nowait(b"")  # an empty chunk would be the end
    source.queue.put_nowait(b"x" * 300)
    source.queue.put_nowait(None)
    await until(lambda: transport.written.endswith(b"\r\n0\r\n\r\n"))

    assert transport.written[size + 10 :] == b"12c\r\n" + b"x" * 300 + b"\r\n0\r\n\r\n"
    assert source.closed
    assert not transport.closed
    assert connection.idle


async def test_one_that_is_awaited_first_is_no_other() -> None:
    source = Source()
    connection, transport = connected(source.later)

    connection.data_received(GET)
    source.queue.put_nowait(b"hello")
    source.queue.put_nowait(None)

    await until(lambda: transport.written.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    await until(lambda: connection.idle)


async def test_what_is_pipelined_behind_it_waits() -> None:
    source = Source()
    connection, transport = connected(source)

    connection.data_received(GET + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    source.queue.put_nowait(b"first")
    await until(lambda: b"first" in transport.written)
    assert b"/2" not in transport.written
    source.queue.put_nowait(None)

    await until(lambda: transport.written.endswith(b"\r\n\r\n/2"))


async def test_http_1_0_gets_it_plain_and_the_close_is_its_end() -> None:
    source = Source()
    connection, transport = connected(source)

    connection.data_received(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    source.queue.put_nowait(b"hello")
    source.queue.put_nowait(None)

    await until(lambda: transport.closed)
    assert b"Transfer-Encoding" not in transport.written
    assert transport.written.endswith(b"Connection: close\r\n\r\nhello")


async def test_head_gets_the_head_and_the_body_never_begins() -> None:
    source = Source()
    connection, transport = connected(source)

    connection.data_received(GET.replace(b"GET", b"HEAD") + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")

    await until(lambda: transport.written.endswith(b"/2"))
    assert b"Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200" in transport.written
    assert not source.begun


async def test_a_client_that_takes_nothing_is_asked_for_nothing() -> None:
    source = Source()
    connection, transport = connected(source, takes=200)
    connection.data_received(GET)
    for _ in range(3):
        source.queue.put_nowait(b"x" * 200)
    await until(lambda: source.asked == 1 and len(transport.written) > 200)

    for _ in range(10):
        await asyncio.sleep(0)
    assert source.asked == 1
    transport.takes = float("inf")
    connection.resume_writing()

    await until(lambda: source.asked == 4)


@pytest.mark.parametrize(("draining", "patience"), [(False, STALL_SECONDS), (True, DRAIN_STALL_SECONDS)])
async def test_one_that_takes_nothing_for_long_is_cut(draining: bool, patience: float) -> None:
    source = Source()
    connection, transport = connected(source, takes=200)
    now = connection.listener.clock()
    connection.listener.clock = lambda: now
    connection.data_received(GET)
    source.queue.put_nowait(b"x" * 200)
    await until(lambda: source.asked == 1 and len(transport.written) > 200)
    connection.listener.draining = draining

    connection.sweep(now + patience - 0.1)
    assert not transport.closed
    connection.sweep(now + patience)
    assert transport.closed


async def test_silence_cuts_nobody() -> None:
    connection, transport = connected(Source())
    connection.data_received(GET)

    connection.sweep(connection.listener.clock() + 1e9)

    assert not transport.closed


async def test_the_body_is_closed_when_the_client_has_gone() -> None:
    source = Source()
    connection, _ = connected(source)
    connection.data_received(GET)
    await until(lambda: source.asked == 1)

    connection.connection_lost(None)

    await until(lambda: source.closed)


async def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    source = Source()
    connection, transport = connected(source)
    connection.data_received(GET)
    await until(lambda: source.asked == 1)
    written = transport.written

    source.queue.put_nowait(b"x")
    connection.connection_lost(None)
    await until(lambda: source.closed)

    assert transport.written == written


async def test_the_body_is_closed_when_a_client_goes_that_took_nothing() -> None:
    source = Source()
    connection, transport = connected(source, takes=200)
    connection.data_received(GET)
    source.queue.put_nowait(b"x" * 200)
    await until(lambda: len(transport.written) > 200)

    connection.connection_lost(None)

    await until(lambda: source.closed)


async def test_a_client_that_ends_its_side_has_gone() -> None:
    """The loop closes the transport where this is false."""
    connection, _ = connected(Source())
    connection.data_received(GET)

    assert connection.eof_received() is False


async def test_a_body_that_breaks_off_is_cut_and_reported() -> None:
    reported: list[BaseException] = []
    source = Source()
    connection, transport = connected(source, report=lambda error, method, target: reported.append(error))
    connection.data_received(GET)
    source.queue.put_nowait(b"some")
    source.queue.put_nowait(ValueError("broken"))

    await until(lambda: transport.closed)
    assert not transport.written.endswith(b"0\r\n\r\n")
    assert [str(error) for error in reported] == ["broken"]


async def test_a_body_that_ends_while_the_listener_leaves_ends_the_connection() -> None:
    source = Source()
    connection, transport = connected(source)
    connection.data_received(GET)
    connection.listener.draining = True
    source.queue.put_nowait(None)

    await until(lambda: transport.closed)
    assert transport.written.endswith(b"0\r\n\r\n")
