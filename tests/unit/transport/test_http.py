"""One HTTP connection takes its turn: what a pipelining client gets answered at once, and what waits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.websocket import Accepted
from wsgateway.messages import Handler, HttpRequest, HttpResponse, PromptAnswer, collect
from wsgateway.transport.http import TURN_ANSWERS, TURN_BYTES, HttpConnection
from wsgateway.transport.listener import Entrance, Listener, Report, Upgrade
from wsgateway.transport.requests import SLICE_BYTES, RequestReader

pytestmark = pytest.mark.anyio


READ = 262_144
"""Bytes uvloop reads at once."""


class Transport:
    """The loop's side of a connection; `takes` bytes are taken before writing is to pause."""

    def __init__(self, takes: float = float("inf")) -> None:
        self.written = b""
        self.reading = True
        self.closed = False
        self.takes = takes
        self.protocol: HttpConnection | None = None

    def write(self, data: bytes) -> None:
        assert self.protocol is not None
        self.written += data
        if len(self.written) > self.takes:
            self.protocol.pause_writing()

    def answers(self) -> list[bytes]:
        return re.findall(rb"HTTP/1\.1 \d{3} .*\r\n(?:.*\r\n)*?\r\n(/\d+)", self.written)

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def write_eof(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    abort = close


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, (), request.target.encode())


def no_upgrade(request: HttpRequest) -> HttpResponse:
    raise AssertionError


def fatal(error: BaseException, method: str, target: str) -> None:
    raise error


def connected(
    handler: Handler = echo, *, takes: float = float("inf"), upgrade: Upgrade = no_upgrade, report: Report = fatal
) -> tuple[HttpConnection, Transport]:
    listener = Listener(handler=handler, upgrade=upgrade, report=report, counters=Counters())
    transport = Transport(takes)
    connection = transport.protocol = HttpConnection(listener, Entrance())
    connection.connection_made(cast("asyncio.Transport", transport))
    return connection, transport


def pipelined(number: int, body: bytes = b"", start: int = 0) -> bytes:
    return b"".join(
        b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (n, len(body), body)
        for n in range(start, start + number)
    )


def targets(number: int) -> list[bytes]:
    return [b"/%d" % n for n in range(number)]


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


async def test_one_turn_answers_so_many_and_the_rest_follows() -> None:
    asked = 0

    def count(request: HttpRequest) -> HttpResponse:
        nonlocal asked
        asked += 1
        return echo(request)

    connection, transport = connected(count)
    number = READ // 50

    connection.data_received(pipelined(number))

    assert asked == TURN_ANSWERS
    assert not transport.reading
    most = 0
    while asked < number:
        before = asked
        await asyncio.sleep(0)
        most = max(most, asked - before)
    assert most <= TURN_ANSWERS
    await until(lambda: transport.reading)
    await asyncio.sleep(0)
    assert transport.answers() == targets(number)


async def test_large_answers_end_a_turn_early() -> None:
    large = b"x" * (TURN_BYTES // 2)
    connection, transport = connected(lambda request: HttpResponse(200, (), large))

    connection.data_received(pipelined(10))

    assert transport.written.count(b"HTTP/1.1 200") == 2
    await until(lambda: transport.written.count(b"HTTP/1.1 200") == 10)
    assert transport.reading


async def test_a_client_that_does_not_read_is_answered_no_further() -> None:
    asked = 0

    def count(request: HttpRequest) -> HttpResponse:
        nonlocal asked
        asked += 1
        return echo(request)

    connection, transport = connected(count, takes=10_000)
    connection.data_received(pipelined(2000))
    await until(lambda: len(transport.written) > 10_000)
    stood = asked

    for _ in range(50):
        await asyncio.sleep(0)

    assert asked == stood
    answer = len(transport.written) // asked
    assert len(transport.written) <= 10_000 + (TURN_ANSWERS + 1) * answer, "one turn is too many, no more"
    assert not transport.reading
    transport.takes = float("inf")
    connection.resume_writing()
    await until(lambda: transport.reading)
    await asyncio.sleep(0)
    assert transport.answers() == targets(2000)


async def test_heads_wait_unparsed_behind_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0

    class Counting(RequestReader):
        def on_message_begin(self) -> None:
            nonlocal parsed
            parsed += 1
            super().on_message_begin()

    monkeypatch.setattr("wsgateway.transport.http.RequestReader", Counting)
    connection, transport = connected()

    connection.data_received(pipelined(5000))

    assert parsed <= 1 + SLICE_BYTES // len(pipelined(1))
    await until(lambda: transport.reading)
    assert parsed == 5000


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_bodies_of_all_sizes_arrive_whole_behind_one_another(later: bool) -> None:
    sizes = [0, 1, 4000, 5000, 30_000, 0, 131_072, 3, 70_000]

    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        body = await collect(request.body, 1 << 20)
        assert body is not None
        return HttpResponse(200, (), b"/%d" % len(body))

    def either(request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if later or not isinstance(request.body, bytes):
            return slow(request)
        return HttpResponse(200, (), b"/%d" % len(request.body))

    connection, transport = connected(either)
    data = b"".join(pipelined(1, b"x" * size) for size in sizes)
    for start in range(0, len(data), 100_000):
        await until(lambda: transport.reading)
        connection.data_received(data[start : start + 100_000])

    await until(lambda: len(transport.answers()) == len(sizes))
    assert transport.answers() == [b"/%d" % size for size in sizes]


async def test_a_large_request_that_comes_at_once_is_known_again() -> None:
    connection, _transport = connected()
    request = pipelined(1, b"x" * 20_000)

    connection.data_received(request)

    assert connection.listener.heads.recall(request) is not None


async def test_nothing_is_answered_behind_a_malformed_request_far_back() -> None:
    connection, transport = connected()

    connection.data_received(pipelined(500) + b"nonsense\r\n\r\n" + pipelined(500, start=500))

    await until(lambda: b"HTTP/1.1 400" in transport.written)
    assert transport.answers() == targets(500)


async def test_a_client_that_goes_in_its_turn_is_let_go() -> None:
    connection, transport = connected()
    connection.data_received(pipelined(500))
    connection.connection_lost(None)

    for _ in range(10):
        await asyncio.sleep(0)

    assert len(transport.answers()) <= TURN_ANSWERS
    assert not len(connection.listener)


HANDSHAKE = (
    b"GET /dev HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_a_handshake_that_breaks_off_is_answered_and_reported(later: bool) -> None:
    reported: list[tuple[str, str, str]] = []

    def report(error: BaseException, method: str, target: str) -> None:
        reported.append((str(error), method, target))

    async def break_later(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("broke")

    def upgrade(request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | Accepted]:
        if later:
            return break_later(request)
        raise RuntimeError("broke")

    connection, transport = connected(upgrade=upgrade, report=report)
    connection.data_received(HANDSHAKE)

    await until(lambda: transport.written)
    assert transport.written.startswith(b"HTTP/1.1 500 ")
    assert reported == [("broke", "GET", "/dev")]
    assert connection.idle


async def test_an_answer_that_is_a_future_takes_no_task() -> None:
    promised: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    connection, transport = connected(lambda request: promised if request.target == "/0" else echo(request))
    tasks = len(asyncio.all_tasks())

    connection.data_received(pipelined(2))
    promised.set_result(HttpResponse(200, (), b"/0"))
    assert len(asyncio.all_tasks()) == tasks
    await until(lambda: len(transport.answers()) == 2)

    assert transport.answers() == targets(2)


async def test_a_client_that_leaves_ends_the_future_it_waits_for() -> None:
    promised: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    connection, transport = connected(lambda request: promised)
    connection.data_received(pipelined(1))

    connection.connection_lost(None)
    await asyncio.sleep(0)

    assert promised.cancelled()
    assert not transport.written


async def test_blanks_around_a_value_are_no_part_of_it() -> None:
    connection, transport = connected(
        lambda request: HttpResponse(200, (), b"|".join([request.host.encode(), *dict(request.headers).values()]))
    )

    connection.data_received(b"GET / HTTP/1.1\r\nHost: api.example:80 \t\r\nX-Api-Key: \t key \r\nX-Empty: \t \r\n\r\n")

    await until(lambda: transport.written)
    assert transport.written.endswith(b"api.example|api.example:80|key|")


async def test_a_handler_hears_of_a_client_that_leaves_at_once() -> None:
    heard = asyncio.Event()

    async def answer(request: HttpRequest) -> HttpResponse:
        try:
            await asyncio.Event().wait()
            return HttpResponse(200)
        except asyncio.CancelledError:
            heard.set()
            raise

    connection, _ = connected(answer)
    connection.data_received(pipelined(1))
    connection.connection_lost(None)

    await until(heard.is_set)


async def test_a_future_that_nobody_will_keep_ends_the_connection() -> None:
    promised: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    connection, transport = connected(lambda request: promised)
    connection.data_received(pipelined(1))

    promised.cancel()
    await until(lambda: transport.closed)

    assert not transport.written


async def test_a_future_that_fails_is_an_internal_error_that_is_told() -> None:
    promised: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    told: list[BaseException] = []
    connection, transport = connected(lambda request: promised, report=lambda error, *_: told.append(error))
    connection.data_received(pipelined(1))

    promised.set_exception(ValueError("odd"))
    await until(lambda: transport.written)

    assert transport.written.startswith(b"HTTP/1.1 500 ")
    assert [str(error) for error in told] == ["odd"]


async def test_a_prompt_answer_is_written_without_another_turn() -> None:
    promised: PromptAnswer = PromptAnswer(loop=asyncio.get_running_loop())
    promised.told = None
    connection, transport = connected(lambda request: promised if request.target == "/0" else echo(request))
    connection.data_received(pipelined(2))

    promised.tell(HttpResponse(200, (), b"/0"))
    connection.flush()

    assert transport.answers() == targets(2)


async def test_a_prompt_answer_may_be_there_before_anybody_waits() -> None:
    def at_once(request: HttpRequest) -> PromptAnswer:
        promised = PromptAnswer(loop=asyncio.get_running_loop())
        promised.told = None
        promised.tell(echo(request))
        return promised

    connection, transport = connected(at_once)
    connection.data_received(pipelined(3))
    await until(lambda: len(transport.answers()) == 3)

    assert transport.answers() == targets(3)
