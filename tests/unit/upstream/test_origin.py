"""Requests go to backends over kept connections: whom they reach, what comes back, and when they give up.

The backends here are servers on loopback that do exactly as a test says, honest or not.
"""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from wsgateway.errors import BadGateway, GatewayError, IntegrationFailure, IntegrationTimeout, ServiceUnavailable
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.outbox import Flushable, Outbox
from wsgateway.upstream import Bounds, Egress, Gate, Origin, Upstream
from wsgateway.upstream.connection import Connection
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.exchange import Exchange
from wsgateway.upstream.origin import DOWN_ATTEMPTS

pytestmark = pytest.mark.anyio

HEAD = b"POST /integ HTTP/1.1\r\nHost: backend\r\n"
LONG = 60.0


class Peer:
    """The backend's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next request's body; its head must be the one sent here."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        match = re.fullmatch(rb"(.*\r\n)Content-Length: (\d+)\r\n\r\n", head, re.DOTALL)
        assert match is not None
        assert match[1].endswith(HEAD.partition(b"\r\n")[2])
        return await self._reader.readexactly(int(match[2]))

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def answer(self, body: bytes, headers: bytes = b"") -> None:
        self.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body))

    async def eof(self) -> None:
        """Wait until the gateway's end is closed."""
        try:
            while await self._reader.read(65_536):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


Serve = Callable[[Peer], Awaitable[None]]


class Backend:
    """A server that treats every connection as `serve` says, and closes it after that."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.accepted = 0
        self.faults: list[BaseException] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        try:
            await self._serve(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway closed
        except AssertionError as fault:
            self.faults.append(fault)
        finally:
            writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)
        await self._server.wait_closed()
        assert not self.faults


@asynccontextmanager
async def backend(serve: Serve) -> AsyncIterator[Backend]:
    server = Backend(serve)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def calling(server: Backend, bounds: Bounds | None = None) -> AsyncIterator[Origin]:
    upstream = Upstream(egress=Egress(), bounds=bounds)
    origin = upstream.origin("http", "127.0.0.1", server.port)
    try:
        yield origin
    finally:
        await upstream.aclose()
        assert upstream.in_flight == origin.waiting == origin.held == 0


def send(
    origin: Origin, body: bytes = b"", *, timeout: float = LONG, method: str = "POST", gate: Gate | None = None
) -> asyncio.Future[EndpointResponse]:
    head = HEAD.replace(b"POST", method.encode())
    return origin.send(EndpointRequest(head, body, method), timeout, max_body=1_000_000, gate=gate)


async def echo(peer: Peer) -> None:
    while True:
        peer.answer(await peer.request())


async def silence(peer: Peer) -> None:
    await peer.eof()


def closing_after(answer: bytes) -> Serve:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.write(answer)

    return serve


# What comes back


async def test_a_request_is_answered_and_its_connection_kept() -> None:
    async with backend(echo) as server, calling(server) as origin:
        for body in (b"one", b"", b"x" * 300_000):
            assert await send(origin, body) == EndpointResponse(200, (), body)

        assert (server.accepted, origin.opened, origin.reused) == (1, 1, 2)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhi", b"hi", id="whole"),
        pytest.param(OK + b"\r\nhi", b"hi", id="ended by closing"),
        pytest.param(OK + b"Connection: close\r\n\r\nhi", b"hi", id="Connection: close"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", id="chunked"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", id="after 100"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"\r\nmore", b"hi", id="followed by another"),
        pytest.param(b"", BadGateway, id="closed first"),
        pytest.param(OK + b"Content-Length: 3\r\n\r\nhi", BadGateway, id="half a body"),
        pytest.param(OK, BadGateway, id="half a head"),
        pytest.param(b"\x16\x03\x01 nonsense", BadGateway, id="garbage"),
        pytest.param(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", BadGateway, id="101"),
        pytest.param(OK + b"Content-Length: 1000001\r\n\r\n", BadGateway, id="too large"),
    ],
)
async def test_what_a_backend_says_before_it_closes(answer: bytes, outcome: bytes | type[GatewayError]) -> None:
    async with backend(closing_after(answer)) as server, calling(server) as origin:
        if isinstance(outcome, bytes):
            assert (await send(origin)).body == outcome
            assert origin.bad_answers == 0
        else:
            with pytest.raises(outcome, match=f"backend http://127.0.0.1:{server.port} gave no usable answer"):
                await send(origin)
            assert origin.bad_answers == 1
        assert server.accepted == 1, "nothing is sent twice"


async def test_head_has_no_body() -> None:
    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.write(OK + b"Content-Length: 5000\r\n\r\n")

    async with backend(serve) as server, calling(server) as origin:
        for _ in range(3):
            assert await send(origin, method="HEAD") == EndpointResponse(200, length=5000)
        assert origin.opened == 1


async def test_a_known_head_answers_neither_head_nor_more_than_allowed() -> None:
    """Heads are remembered; what was asked, and how much may come, is not of the head."""

    async def serve(peer: Peer) -> None:
        while True:
            body = await peer.request()
            peer.write(OK + b"Content-Length: 3\r\n\r\n" + body)

    async with backend(serve) as server, calling(server) as origin:
        for _ in range(2):
            assert (await send(origin, b"abc")).body == b"abc"
        assert (await send(origin, method="HEAD")).body == b""
        with pytest.raises(BadGateway, match="over 2 bytes"):
            await origin.send(EndpointRequest(HEAD, b"abc"), LONG, max_body=2)


async def test_no_byte_of_one_answer_reaches_another() -> None:
    """What follows an answer, at once or late, ends with its connection."""
    late = asyncio.Event()

    async def serve(peer: Peer) -> None:
        body = await peer.request()
        peer.answer(body)
        if body == b"late":
            await late.wait()
        peer.answer(b"not yours")
        await peer.eof()

    async with backend(serve) as server, calling(server) as origin:
        assert (await send(origin, b"early")).body == b"early"
        assert (await send(origin, b"late")).body == b"late"
        late.set()
        while origin.held:
            await asyncio.sleep(0)
        assert (await send(origin, b"early")).body == b"early"
        assert server.accepted == 3
        assert origin.bad_answers == 0


@pytest.mark.parametrize("greeting", [b"220 mail ready\r\n", OK + b"Content-Length: 0\r\n\r\n"])
async def test_a_backend_that_speaks_first(greeting: bytes) -> None:
    """Whether its words come before or after the request is written, they end the call soon, and the connection."""

    async def serve(peer: Peer) -> None:
        peer.write(greeting)
        await peer.eof()

    async with backend(serve) as server, calling(server) as origin:
        try:
            assert (await send(origin)).body == b"", "they came after the request: who can tell?"
        except BadGateway:
            assert origin.held == 0


# Which connection


async def test_a_connection_closed_between_requests_is_no_error() -> None:
    """The backend claims to keep its connections and closes each: the FIN is looked for before every write.

    A FIN still on its way when the next request is written can't be seen by anyone; here it is given time to arrive.
    """
    closed = asyncio.Event()

    async def serve(peer: Peer) -> None:
        peer.answer(await peer.request(), b"Keep-Alive: timeout=60\r\nConnection: keep-alive\r\n")
        peer.close()
        closed.set()

    async with backend(serve) as server, calling(server) as origin:
        for number in range(200):
            closed.clear()
            assert (await send(origin, b"%d" % number)).body == b"%d" % number
            await closed.wait()
            await asyncio.sleep(0)

        assert origin.bad_answers == 0
        assert server.accepted == 200


async def test_a_fin_the_loop_has_not_seen_is_seen_before_writing() -> None:
    """The backend closes right behind its answer, which is all the loop has read when the next request is sent."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        upstream = Upstream(egress=Egress())
        origin = upstream.origin("http", "127.0.0.1", listener.getsockname()[1])
        for _ in range(10):
            answer = send(origin)
            peer, _ = await loop.run_in_executor(None, listener.accept)
            await loop.run_in_executor(None, peer.recv, 65_536)
            peer.sendall(OK + b"Content-Length: 0\r\n\r\n")
            peer.close()
            await answer
        assert (origin.opened, origin.reused, origin.bad_answers) == (10, 0, 0)
        await upstream.aclose()


@asynccontextmanager
async def blocking() -> AsyncIterator[tuple[Origin, Callable[[], Awaitable[socket.socket]]]]:
    """An origin, and what waits for the next connection to it: a plain socket, used while the loop stands still."""
    loop = asyncio.get_running_loop()
    upstream = Upstream(egress=Egress())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        async def accepted() -> socket.socket:
            peer, _ = await loop.run_in_executor(None, listener.accept)
            peer.settimeout(10)
            return peer

        try:
            yield upstream.origin("http", "127.0.0.1", listener.getsockname()[1]), accepted
        finally:
            await upstream.aclose()


def reply(peer: socket.socket) -> bytes:
    """Read one request and answer with its body."""
    data = peer.recv(65_536)
    body = data.partition(b"\r\n\r\n")[2]
    peer.sendall(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    return body


class Unflushed(Outbox):
    """An outbox that writes only when it is told to."""

    def add(self, connection: Flushable) -> None:
        self._dirty.append(connection)


def connection_of(answer: asyncio.Future[EndpointResponse]) -> Connection:
    assert isinstance(answer, Exchange)
    assert isinstance(answer.place, Connection)
    return answer.place


@pytest.mark.parametrize("words", [b"", OK + b"Content-Length: 5\r\n\r\nwrong"], ids=["a FIN", "words unasked"])
async def test_what_was_not_written_yet_goes_over_another_connection(words: bytes) -> None:
    """Between taking a connection and writing to it, at the end of the loop turn, the backend leaves it."""
    loop = asyncio.get_running_loop()
    async with blocking() as (origin, accepted):
        answer = send(origin, b"1")
        with await accepted() as peer:
            await loop.run_in_executor(None, reply, peer)
            await answer
            answer = send(origin, b"2")
            connection = connection_of(answer)
            if words:
                connection.data_received(words)
            else:
                connection.eof_received()
            with await accepted() as other:
                assert await loop.run_in_executor(None, reply, other) == b"2"
                assert (await answer).body == b"2"
            assert (origin.opened, origin.bad_answers) == (2, 0)
            assert peer.recv(10) == b"", "nothing was written to the first"


async def test_what_was_not_written_yet_keeps_its_place_in_the_order() -> None:
    """Of connections lost together the requests start again in the order they were sent, before later ones."""
    async with backend(echo) as server, calling(server, Bounds(connections=3)) as origin:
        await asyncio.gather(*(send(origin) for _ in range(3)))
        origin.outbox = Unflushed(asyncio.get_running_loop())
        answers = [send(origin, b"%d" % number) for number in range(4)]
        for number in (1, 2, 0):
            connection_of(answers[number]).eof_received()
        started: list[asyncio.Future[EndpointResponse]] = []
        while len(started) < 3:
            await asyncio.sleep(0)
            started += [one for one in answers if cast("Exchange", one).place is not origin and one not in started]
        assert started == answers[:3]
        origin.outbox.flush()
        assert [(await answer).body for answer in answers[:3]] == [b"0", b"1", b"2"]
        origin.outbox.flush()
        assert (await answers[3]).body == b"3"


async def test_what_was_not_written_yet_takes_a_connection_that_is_free() -> None:
    async with backend(echo) as server, calling(server) as origin:
        await asyncio.gather(send(origin), send(origin))
        answer = send(origin, b"1")
        connection_of(answer).eof_received()
        assert origin.waiting == 0
        assert (await answer).body == b"1"
        assert origin.opened == 2


async def test_a_new_connection_lost_before_it_was_asked_is_not_replaced() -> None:
    """A backend that takes connections and drops them would be dialled until the call's time is over."""
    async with backend(silence) as server, calling(server) as origin:
        origin.outbox = Unflushed(asyncio.get_running_loop())
        answer = send(origin)
        while origin.waiting:
            await asyncio.sleep(0)
        connection_of(answer).eof_received()
        with pytest.raises(BadGateway, match="before it was asked"):
            await answer
        assert (origin.held, origin.bad_answers, server.accepted) == (0, 1, 1)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        pytest.param(b"", True, id="kept"),
        pytest.param(b"Keep-Alive: timeout=2\r\n", True, id="kept a second"),
        pytest.param(b"Keep-Alive: timeout=1\r\n", False, id="not worth keeping"),
        pytest.param(b"Connection: close\r\n", False, id="Connection: close"),
    ],
)
async def test_a_backend_says_whether_to_keep_a_connection(headers: bytes, kept: bool) -> None:
    async def serve(peer: Peer) -> None:
        while True:
            peer.answer(await peer.request(), headers)

    async with backend(serve) as server, calling(server) as origin:
        await send(origin)
        assert origin.held == kept


async def test_an_idle_connection_is_dropped() -> None:
    """By the sweep, without another request."""
    gone = asyncio.Event()

    async def serve(peer: Peer) -> None:
        peer.answer(await peer.request())
        await peer.eof()
        gone.set()

    async with backend(serve) as server, calling(server, Bounds(idle_seconds=0.01)) as origin:
        await send(origin)
        assert origin.held == 1
        await gone.wait()
        assert origin.held == 0


async def test_a_connection_idle_too_long_is_not_used_even_before_the_sweep() -> None:
    async with backend(echo) as server, calling(server, Bounds(idle_seconds=0.01)) as origin:
        await send(origin)
        await asyncio.get_running_loop().run_in_executor(None, asyncio.run, asyncio.sleep(0.02))
        await send(origin)
        assert origin.opened == 2


async def test_a_reset_between_requests_is_no_error() -> None:
    """RST right behind the answer: the socket is gone while its connection still counts as fresh."""

    async def serve(peer: Peer) -> None:
        peer.answer(await peer.request())
        peer.reset()

    async with backend(serve) as server, calling(server) as origin:
        for _ in range(50):
            await send(origin)
            while origin.held:
                await asyncio.sleep(0)
        assert (origin.opened, origin.bad_answers) == (50, 0)


async def test_the_last_used_connection_is_taken_first() -> None:
    async def serve(peer: Peer) -> None:
        accepted = b"%d" % server.accepted
        while True:
            await peer.request()
            peer.answer(accepted)

    async with backend(serve) as server, calling(server) as origin:
        bodies = {(await answer).body for answer in [send(origin), send(origin)]}
        assert bodies == {b"1", b"2"}
        last = (await send(origin)).body
        assert [(await send(origin)).body for _ in range(5)] == [last] * 5


# Whom it keeps waiting


async def test_starts_are_in_order_and_connections_bounded() -> None:
    seen: list[bytes] = []

    async def serve(peer: Peer) -> None:
        while True:
            body = await peer.request()
            seen.append(body)
            peer.answer(body)

    async with backend(serve) as server, calling(server, Bounds(connections=1)) as origin:
        bodies = [b"%d" % number for number in range(500)]
        answers = [send(origin, body) for body in bodies]
        assert origin.waiting == 500

        assert [(await answer).body for answer in answers] == bodies
        assert seen == bodies
        assert server.accepted == 1


async def test_the_queue_is_bounded() -> None:
    async with backend(silence) as server, calling(server, Bounds(connections=2, waiting=5)) as origin:
        waiting = [send(origin) for _ in range(5)]
        for _ in range(3):
            with pytest.raises(ServiceUnavailable, match="5 calls wait for backend"):
                await send(origin)
        assert origin.overflows == 3
        for answer in waiting:
            answer.cancel()


async def test_a_share_that_holds_all_it_may_holds_up_no_other() -> None:
    """What floods a slow part of a backend must not be felt by those who call another part of it."""

    async def serve(peer: Peer) -> None:
        while True:
            body = await peer.request()
            if body == b"slow":
                await peer.eof()
            peer.answer(body)

    async with backend(serve) as server, pools(Bounds(connections=2, waiting=3)) as upstream:
        flooded = upstream.origin("http", "127.0.0.1", server.port, share="flooded")
        quiet = upstream.origin("http", "127.0.0.1", server.port, share="quiet")
        answers = [send(flooded, b"slow") for _ in range(6)]
        for _ in range(5):
            assert (await send(quiet, b"hi", timeout=5)).body == b"hi"
        assert (quiet.overflows, flooded.overflows) == (0, 3)
        for answer in answers:
            answer.cancel()
        assert all(isinstance(answer.exception(), ServiceUnavailable) for answer in answers if not answer.cancelled())


async def test_a_gate_refuses_at_once_and_opens_again() -> None:
    gate = Gate(2)
    async with backend(echo) as server, calling(server) as origin:
        first, second = send(origin, b"1", gate=gate), send(origin, b"2", gate=gate)
        third = send(origin, b"3", gate=gate)
        assert third.done()
        with pytest.raises(ServiceUnavailable, match="2 calls to"):
            await third
        assert (await send(origin, b"other")).body == b"other", "another integration of the backend is not concerned"
        await asyncio.gather(first, second)

        assert (gate.in_flight, gate.refused) == (0, 1)
        assert (await send(origin, b"4", gate=gate)).body == b"4"


async def test_every_end_opens_the_gate() -> None:
    gate = Gate(1)
    async with backend(closing_after(b"nonsense")) as server, calling(server) as origin:
        for _ in range(3):
            with pytest.raises(BadGateway):
                await send(origin, gate=gate)
    async with backend(silence) as server, calling(server) as origin:
        for _ in range(3):
            with pytest.raises(IntegrationTimeout):
                await send(origin, gate=gate, timeout=0.01)
            send(origin, gate=gate).cancel()
    assert gate.in_flight == 0


# When it gives up


async def test_a_silent_backend_times_out_and_its_connection_goes() -> None:
    async with backend(silence) as server, calling(server) as origin:
        with pytest.raises(IntegrationTimeout, match=f"http://127.0.0.1:{server.port} took longer than 0.02 s"):
            await send(origin, timeout=0.02)
        assert origin.held == 0


async def test_waiting_counts_against_the_deadline() -> None:
    async with backend(silence) as server, calling(server, Bounds(connections=1)) as origin:
        holder = send(origin)
        with pytest.raises(IntegrationTimeout, match="a connection to backend"):
            await send(origin, timeout=0.02)
        assert origin.waiting == 0
        assert holder.cancel()


async def test_deadlines_of_one_timeout_and_of_many() -> None:
    """One timer serves a timeout value, and none is forgotten."""
    async with backend(silence) as server, calling(server) as origin:
        answers = [send(origin, timeout=0.01 * (1 + number % 3)) for number in range(30)]
        done, pending = await asyncio.wait(answers, timeout=LONG)
        assert not pending
        assert all(isinstance(answer.exception(), IntegrationTimeout) for answer in done)


async def test_an_answer_in_time_disarms_its_deadline() -> None:
    upstream = Upstream(egress=Egress())
    async with backend(echo) as server:
        origin = upstream.origin("http", "127.0.0.1", server.port)
        for _ in range(20):
            await send(origin, timeout=0.2)
        with pytest.raises(IntegrationTimeout):
            async with backend(silence) as other:
                await send(upstream.origin("http", "127.0.0.1", other.port), timeout=0.2)
        assert upstream.timeouts == 1
        assert upstream.in_flight == 0
        await upstream.aclose()


async def test_cancelling_drops_the_connection_in_use() -> None:
    gone = asyncio.Event()
    asked = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.eof()
        gone.set()

    async with backend(serve) as server, calling(server, Bounds(connections=1)) as origin:
        call = asyncio.ensure_future(send(origin))
        await asked.wait()
        assert call.cancel()
        assert not call.cancel()
        await gone.wait()
        assert origin.held == 0


async def test_cancelling_what_waits_leaves_the_others_their_turn() -> None:
    async with backend(echo) as server, calling(server, Bounds(connections=1)) as origin:
        first, second, third = (send(origin, body) for body in (b"1", b"2", b"3"))
        second.cancel()
        assert [(await answer).body for answer in (first, third)] == [b"1", b"3"]


async def test_a_connection_lost_makes_room_for_who_waits() -> None:
    async def serve(peer: Peer) -> None:
        if await peer.request() != b"close":
            peer.answer(b"fine")

    async with backend(serve) as server, calling(server, Bounds(connections=1)) as origin:
        first, second = send(origin, b"close"), send(origin)
        with pytest.raises(BadGateway):
            await first
        assert (await second).body == b"fine"


async def test_closing_ends_everything() -> None:
    upstream = Upstream(egress=Egress(), bounds=Bounds(connections=1))
    async with backend(silence) as server:
        origin = upstream.origin("http", "127.0.0.1", server.port)
        answers = [send(origin), send(origin)]
        await upstream.aclose()
        for answer in [*answers, send(origin)]:
            with pytest.raises(ServiceUnavailable):
                await answer
        assert (origin.held, origin.waiting, upstream.in_flight) == (0, 0, 0)


# Where it can't get to


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def pools(bounds: Bounds | None = None) -> AsyncIterator[Upstream]:
    upstream = Upstream(egress=Egress(), bounds=bounds)
    try:
        yield upstream
    finally:
        await upstream.aclose()


async def test_a_refused_connection_fails_every_call_at_once(unused_port: int) -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", unused_port)
        answers = await asyncio.gather(*(send(origin) for _ in range(200)), return_exceptions=True)
        assert {str(answer) for answer in answers} == {
            f"backend http://127.0.0.1:{unused_port} refused the connection (address 127.0.0.1)"
        }
        assert all(isinstance(answer, IntegrationFailure) for answer in answers)
        assert origin.unreachable == 200


async def test_a_backend_that_is_down_is_tried_by_one_call_at_a_time(unused_port: int) -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", unused_port)
        await asyncio.gather(*(send(origin) for _ in range(50)), return_exceptions=True)
        while origin._opening:
            await asyncio.wait(origin._opening)
        attempts = 0
        dial = origin._dialer.dial

        async def counted(make: Callable[[], Connection], *, probe: bool = False) -> Connection:
            nonlocal attempts
            attempts += 1
            assert probe
            return await dial(make, probe=probe)

        origin._dialer = cast("Dialer", SimpleNamespace(dial=counted))
        origin._down_until = 0.0  # its time is over
        answers = await asyncio.gather(*(send(origin) for _ in range(50)), return_exceptions=True)

        assert all(isinstance(answer, IntegrationFailure) for answer in answers)
        assert attempts == DOWN_ATTEMPTS
        assert origin.unreachable == 100


def _kinds() -> Counter[str]:
    return Counter(type(found).__name__ for found in gc.get_objects())


async def test_failed_attempts_leave_no_garbage(unused_port: int) -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", unused_port)
        gc.collect()
        before = _kinds()["IntegrationFailure"]  # of other tests
        await asyncio.gather(send(origin), return_exceptions=True)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                origin._down_until = 0.0
                await asyncio.gather(send(origin), return_exceptions=True)
            left = _kinds()
            assert left["AnswerReader"] == 0
            assert left["IntegrationFailure"] - before <= 3, "the last, and what this task was just woken by"
        finally:
            gc.enable()


async def test_an_unknown_host() -> None:
    async with pools() as upstream:
        with pytest.raises(IntegrationFailure, match=r"backend host nowhere\.invalid has no address"):
            await send(upstream.origin("http", "nowhere.invalid", 80))
        with pytest.raises(IntegrationFailure, match="has no address"):
            await send(upstream.origin("http", "a" * 64 + ".example", 80))


async def test_the_policy_is_asked_about_the_address(unused_port: int) -> None:
    async with pools() as upstream:
        with pytest.raises(IntegrationFailure, match=r"egress policy: 169\.254\.169\.254"):
            await send(upstream.origin("http", "169.254.169.254", 80))
        untrusted = upstream.origin("http", "localhost", unused_port, trusted=False)
        with pytest.raises(IntegrationFailure, match=r"egress policy: localhost is (127\.0\.0\.1|::1) port"):
            await send(untrusted)
        upstream.egress.deny("0.0.0.0", unused_port)
        with pytest.raises(IntegrationFailure, match="own ports"):
            await send(upstream.origin("http", "127.0.0.1", unused_port))


async def test_the_next_address_is_tried() -> None:
    """localhost may be ::1 first, where this backend does not listen."""
    async with backend(echo) as server, pools() as upstream:
        assert (await send(upstream.origin("http", "localhost", server.port), b"hi")).body == b"hi"


async def test_a_backend_that_comes_back_is_found(unused_port: int) -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", unused_port)
        with pytest.raises(IntegrationFailure):
            await send(origin)
        server = Backend(echo)
        server.port = unused_port
        await server.start()
        assert (await send(origin, b"hi")).body == b"hi"
        await server.stop()


async def test_same_backend_same_pool() -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", 80)
        assert upstream.origin("http", "127.0.0.1", 80) is origin
        others = [
            upstream.origin("http", "127.0.0.1", 81),
            upstream.origin("http", "127.0.0.1", 80, trusted=False),
            upstream.origin("http", "127.0.0.1", 80, share="other"),
        ]
        assert origin not in others
        assert upstream.origin("http", "127.0.0.1", 80, share="other") is others[-1]
        with pytest.raises(ValueError, match="ftp"):
            upstream.origin("ftp", "127.0.0.1", 80)


async def test_an_origin_no_longer_used_lets_go_and_what_runs_there_ends_as_it_would() -> None:
    go = asyncio.Event()

    async def serve(peer: Peer) -> None:
        while True:
            body = await peer.request()
            if body:
                await go.wait()
            peer.answer(body)

    async with backend(serve) as server, pools(Bounds(connections=2)) as upstream:
        used = upstream.origin("http", "127.0.0.1", server.port, share="used")
        origin = upstream.origin("http", "127.0.0.1", server.port, share="gone")
        await asyncio.gather(send(used), send(origin), send(origin))
        assert (used.held, origin.held) == (1, 2)
        running = send(origin, b"1")

        upstream.keep_only({used})

        assert (used.held, origin.held) == (1, 1)
        assert upstream.origins == (used, origin), "it is still answering"
        more = [send(origin, b"2"), send(origin, b"3")]
        go.set()
        assert [(await answer).body for answer in (running, *more)] == [b"1", b"2", b"3"]
        assert origin.held == 0
        await send(used)
        assert used.opened == 1
        assert upstream.origin("http", "127.0.0.1", server.port, share="gone") is not origin


async def test_failures_of_an_origin_no_longer_used_stay_counted(unused_port: int) -> None:
    async with pools() as upstream:
        origin = upstream.origin("http", "127.0.0.1", unused_port)
        with pytest.raises(IntegrationFailure):
            await send(origin)
        for left in ((origin,), ()):
            upstream.keep_only(())
            assert upstream.origins == left
            assert upstream.failures() == {"timeout": 0, "unreachable": 1, "bad_answer": 0, "queue_full": 0}


async def test_a_storm_leaves_nothing_behind() -> None:
    """Answers, timeouts, cancellations and closed connections together: every call ends once, nothing is held."""

    async def serve(peer: Peer) -> None:
        while True:
            number = int(await peer.request())
            if number % 7 == 0:
                return
            if number % 11 == 0:
                await peer.eof()
            peer.answer(b"%d" % number, b"Connection: close\r\n" if number % 5 == 0 else b"")

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(backend(serve))
        origin = await stack.enter_async_context(calling(server, Bounds(connections=8)))
        gate = Gate(1000)
        answers = [send(origin, b"%d" % number, timeout=0.5, gate=gate) for number in range(1000)]
        for answer in answers[::13]:
            answer.cancel()
        results = await asyncio.gather(*answers, return_exceptions=True)
        for number, result in enumerate(results):
            if isinstance(result, EndpointResponse):
                assert result.body == b"%d" % number
            else:
                assert isinstance(result, BadGateway | IntegrationTimeout | asyncio.CancelledError)
        assert gate.in_flight == 0
        assert (await send(origin, b"1")).body == b"1"


async def test_a_finished_exchange_leaves_no_garbage() -> None:
    """What an answer held is free at once: big bodies must not wait for a garbage collection."""

    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")

    async with backend(serve) as server, calling(server) as origin:
        await send(origin)
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await send(origin)
            left = [type(found).__name__ for found in gc.get_objects()]
            assert left.count("AnswerReader") == 1, "the connection's"
            assert left.count("Exchange") <= 1, "the one this task was just woken by"
        finally:
            gc.enable()
