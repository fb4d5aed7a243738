"""A connection's life, with the clock and the socket in the test's hands."""

from __future__ import annotations

import asyncio
import json
from asyncio import Future
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.dataplane.values import client, handshake, quotas
from wsgateway.bodies import MessageMemory
from wsgateway.dataplane.compiled import CompiledStage, Operation, StageRef
from wsgateway.dataplane.connection import DISCONNECT_SECONDS, Connection
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub, Sent
from wsgateway.dataplane.identity import ConnectionIds
from wsgateway.dataplane.node import Node
from wsgateway.dataplane.websocket import Accepted, WebSocketApis
from wsgateway.errors import AccessDenied
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse, HttpResponse, Message
from wsgateway.model.quotas import Quotas

pytestmark = pytest.mark.anyio


class Loop:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], object]) -> Loop:
        self.timers.append((self.now + seconds, call))
        return self

    def call_soon(self, call: Callable[..., object], *arguments: object) -> None:
        asyncio.get_running_loop().call_soon(call, *arguments)

    def cancel(self) -> None:
        self.timers.clear()

    def move(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [(at, call) for at, call in self.timers if at > self.now]
        for call in due:
            call()


class Socket:
    """An open socket that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.told: list[object] = []
        self.takes = Sent.QUEUED

    def send(self, message: Message) -> Sent:
        if self.takes is Sent.QUEUED:
            self.sent.append(message)
        return self.takes

    def close(self, code: int, reason: str) -> None:
        self.told.append((code, reason))

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Backend:
    """Calls in the order they began, each answered when the test says so; `$…` routes and others alike."""

    def __init__(self) -> None:
        self.begun: list[Invocation] = []
        self.answers: list[Future[EndpointResponse]] = []

    def call(self, invocation: Invocation) -> Future[EndpointResponse]:
        self.begun.append(invocation)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    async def answer(self, number: int, status: int = 200, body: bytes = b"reply") -> None:
        self.answers[number].set_result(EndpointResponse(status, (), body))
        await asyncio.sleep(0)

    async def fail(self, number: int, error: BaseException) -> None:
        self.answers[number].set_exception(error)
        await asyncio.sleep(0)

    @property
    def bodies(self) -> list[bytes]:
        return [invocation.body() for invocation in self.begun]


class World:
    """A gateway with one stage whose every route is the backend's, two-way, and one open connection."""

    def __init__(self, limits: Quotas | None = None, *, sequential: bool = False, disconnect: bool = True) -> None:
        self.loop = Loop()
        self.backend = Backend()
        self.messages = Backend()
        say = Operation("say", (), self.messages.call, True)
        self.stage = CompiledStage(
            api_id="chat",
            name="dev",
            quotas=limits or quotas(),
            variables={},
            select=lambda data: say,
            select_binary=lambda data: say,
            connect=None,
            disconnect=Operation("$disconnect", (), self.backend.call, False) if disconnect else None,
            sequential=sequential,
        )
        self.logged: list[dict[str, Any]] = []
        self.ref = StageRef(self.stage)
        self.gateway = Gateway(
            loop=cast("asyncio.AbstractEventLoop", self.loop),
            hub=Hub(),
            ids=ConnectionIds(b"abc"),
            counters=Counters(),
            faults=Faults(self.log, self.loop.time),
            log=self.log,
            stages={("chat", "dev"): self.ref},
            endpoints=Endpoints({"chat": frozenset({"dev"})}, "chat"),
            callback_url=lambda request, place: ("chat.example", "http://chat.example/dev"),
            show_reasons=False,
            max_connections=10,
        )
        self.gateway.admission.configure({"chat": self.stage.quotas})
        self.socket = Socket()
        self.connection = Connection(self.gateway, self.ref, client())
        self.gateway.opening = 1
        self.connection.opened(self.socket)

    def log(self, event: str, **facts: object) -> None:
        self.logged.append({"event": event, **facts})

    def say(self, *bodies: bytes) -> None:
        for body in bodies:
            self.connection.on_message(Message(body))

    def swap(self, **changes: Any) -> None:
        self.ref.current = replace(self.ref.current, **changes)

    @property
    def replies(self) -> list[bytes]:
        return [message.data for message in self.socket.sent]


def texts(frames: list[bytes]) -> list[str]:
    return [json.loads(frame)["message"] for frame in frames]


async def test_messages_start_in_order_without_waiting_for_each_other() -> None:
    world = World()

    world.say(b"1", b"2", b"3")
    assert world.messages.bodies == [b"1", b"2", b"3"]

    await world.messages.answer(2, body=b"third")
    await world.messages.answer(0, body=b"first")
    assert world.replies == [b"third", b"first"]


async def test_sequential_messages_wait_for_the_one_before() -> None:
    world = World(sequential=True)

    world.say(b"1", b"2", b"3")
    assert world.messages.bodies == [b"1"]
    await world.messages.answer(0, body=b"a")
    assert world.messages.bodies == [b"1", b"2"]
    await world.messages.fail(1, AccessDenied())
    assert world.messages.bodies == [b"1", b"2", b"3"]
    await world.messages.answer(2, body=b"c")

    assert world.replies[0] == b"a"
    assert texts(world.replies[1:2]) == ["Forbidden"]
    assert world.replies[2] == b"c"


async def test_reading_pauses_at_max_in_flight_and_goes_on_below() -> None:
    world = World(replace(quotas(), max_in_flight=2))

    world.say(b"1", b"2")
    assert world.socket.told == ["pause"]
    await world.messages.answer(1)
    assert world.socket.told == ["pause", "resume"]


async def test_large_messages_in_flight_count_and_without_room_no_more_is_read() -> None:
    world = World(replace(quotas(), max_message_bytes=1_000_000))
    memory = world.gateway.messages = MessageMemory(250_000)
    other = memory.hold("arriving")

    world.say(b"small", b"x" * 100_000)
    assert (memory.held["running"], world.socket.told) == (100_005, [])
    await world.messages.answer(0)
    assert memory.held["running"] == 100_000
    await world.messages.answer(1)
    assert memory.taken == 0

    other.count(200_000)
    world.say(b"small", b"x" * 100_000)
    assert (memory.held["running"], world.socket.told) == (100_005, ["pause"])
    await world.messages.answer(3)
    assert (memory.held["running"], world.socket.told) == (0, ["pause", "resume"])


async def test_what_a_closed_connection_has_in_flight_counts_until_it_is_through() -> None:
    world = World(replace(quotas(), max_message_bytes=1_000_000))
    memory = world.gateway.messages = MessageMemory()
    world.say(b"x" * 100_000, b"x" * 100_000)

    world.connection.on_close(1000, "")
    await world.messages.answer(0)
    assert memory.taken == 200_000
    await world.messages.answer(1)
    assert memory.taken == 0


async def test_reading_pauses_at_twice_the_largest_message_in_flight() -> None:
    world = World(replace(quotas(), max_message_bytes=10))

    world.say(b"x" * 10)
    assert world.socket.told == []
    world.say(b"x" * 10)
    assert world.socket.told == ["pause"]
    await world.messages.answer(0)
    assert world.socket.told == ["pause", "resume"]


async def test_waiting_sequential_messages_count_as_in_flight() -> None:
    world = World(replace(quotas(), max_in_flight=2), sequential=True)

    world.say(b"1", b"2")

    assert world.socket.told == ["pause"]
    assert world.connection.in_flight == 2


async def test_a_reply_that_finds_the_outbox_full_ends_the_connection() -> None:
    world = World()
    world.say(b"1")
    world.socket.takes = Sent.FULL

    await world.messages.answer(0)

    assert world.socket.told == [(1008, "Client does not read its replies")]
    assert world.gateway.counters.slow_clients == 1


async def test_an_unexpected_error_is_told_to_the_operator_and_hides_from_the_client() -> None:
    world = World()
    world.say(b"1")

    await world.messages.fail(0, RuntimeError("the inside"))

    assert texts(world.replies) == ["Internal server error"]
    assert b"inside" not in world.replies[0]
    (line,) = world.logged
    assert line["request_id"] == json.loads(world.replies[0])["requestId"]
    assert isinstance(line["error"], RuntimeError)


async def test_the_next_message_runs_what_was_deployed_meanwhile() -> None:
    world = World()
    other = Backend()
    world.say(b"1")

    world.swap(select=lambda data: Operation("say", (), other.call, True))
    world.say(b"2")

    assert (world.messages.bodies, other.bodies) == ([b"1"], [b"2"])


# $disconnect


async def test_disconnect_runs_after_the_last_message_in_flight() -> None:
    world = World()
    world.say(b"1", b"2")

    world.connection.on_close(1000, "bye")
    await world.messages.answer(0)
    assert world.backend.begun == []
    await world.messages.answer(1)

    (invocation,) = world.backend.begun
    assert (invocation.status_code, invocation.reason) == (1000, "bye")
    assert world.replies == [], "nothing is sent after the close"
    world.loop.move(DISCONNECT_SECONDS)
    assert len(world.backend.begun) == 1, "and never twice"
    assert (world.gateway.closing, world.gateway.disconnects.running) == (0, 1)
    await world.backend.answer(0)
    assert not world.gateway.disconnects.holding


async def test_disconnect_waits_five_seconds_at_most() -> None:
    world = World()
    world.say(b"1")

    world.connection.on_close(1006, "")
    world.loop.move(DISCONNECT_SECONDS - 0.1)
    assert world.backend.begun == []
    world.loop.move(0.1)
    assert len(world.backend.begun) == 1

    await world.messages.answer(0)
    assert len(world.backend.begun) == 1


async def test_waiting_messages_of_a_closed_connection_still_run_before_disconnect() -> None:
    world = World(sequential=True)
    world.say(b"1", b"2")

    world.connection.on_close(1000, "")
    await world.messages.answer(0)
    assert world.messages.bodies == [b"1", b"2"]
    assert world.backend.begun == []
    await world.messages.answer(1)

    assert len(world.backend.begun) == 1


async def test_a_disconnect_that_fails_is_one_log_line() -> None:
    world = World()
    world.connection.on_close(1000, "")

    await world.backend.fail(0, AccessDenied("why"))

    assert [line["event"] for line in world.logged] == ["$disconnect failed"]
    assert world.gateway.counters.disconnect_failures == 1
    assert not world.gateway.disconnects.holding


async def test_a_client_that_left_before_its_101_gets_its_disconnect() -> None:
    world = World()
    connection = Connection(world.gateway, world.ref, client(connection_id="other"))

    connection.abandoned()

    (invocation,) = world.backend.begun
    assert (invocation.status_code, invocation.reason) == (1006, "Connection closed abnormally")
    assert len(world.gateway.hub) == 1, "it was never addressable"


async def test_without_a_disconnect_route_nothing_runs_and_nothing_is_waited_for() -> None:
    world = World(disconnect=False)

    world.connection.on_close(1000, "")

    assert world.gateway.closing == 0
    assert not world.gateway.disconnects.holding


# Timers


async def test_an_idle_connection_is_closed() -> None:
    world = World(replace(quotas(), idle_timeout=10.0))

    world.loop.move(9)
    world.connection.sweep(world.loop.now)
    assert world.socket.told == []
    world.connection.push(Message(b"hi"))
    world.loop.move(9)
    world.connection.sweep(world.loop.now)
    assert world.socket.told == [], "a push is activity"
    world.loop.move(1)
    world.connection.sweep(world.loop.now)
    assert world.socket.told == [(1001, "Going away")]


async def test_while_we_pause_reading_a_client_is_not_idle() -> None:
    world = World(replace(quotas(), idle_timeout=10.0, max_in_flight=1))
    world.say(b"1")

    world.loop.move(100)
    world.connection.sweep(world.loop.now)

    assert world.socket.told == ["pause"]


async def test_a_connection_ends_at_its_age_whatever_it_does() -> None:
    world = World(quotas("aws"))

    for _ in range(7199):
        world.loop.move(1)
        world.say(b"x")
        world.connection.sweep(world.loop.now)
    assert (1001, "Going away") not in world.socket.told
    world.loop.move(1)
    world.connection.sweep(world.loop.now)
    assert (1001, "Going away") in world.socket.told


# Handshakes


async def test_a_draining_node_takes_no_handshake() -> None:
    world = World()
    world.gateway.draining = True

    answer = WebSocketApis(world.gateway).connect(handshake())

    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.close) == (503, True)
    assert 1 <= int(dict(answer.headers)[b"Retry-After"]) <= 5


async def test_at_the_cap_handshakes_that_still_run_count() -> None:
    world = World()
    world.gateway.max_connections = 3
    calls = Backend()
    world.swap(connect=Operation("$connect", (), calls.call, False))
    apis = WebSocketApis(world.gateway)

    running = [apis.connect(handshake()) for _ in range(2)]
    refused = apis.connect(handshake())
    assert isinstance(refused, HttpResponse)
    assert refused.status == 503

    waiting = [asyncio.ensure_future(one) for one in running if not isinstance(one, HttpResponse | Accepted)]
    await asyncio.sleep(0)
    await calls.answer(0, 403)
    await calls.answer(1, 200)
    answers = await asyncio.gather(*waiting)
    assert isinstance(answers[0], HttpResponse)
    assert isinstance(answers[1], Accepted)
    assert len(calls.begun) == 2, "a refused handshake calls nothing"
    assert world.gateway.opening == 1, "its 101 is not written yet"
    answers[1].connection.opened(Socket())
    assert world.gateway.opening == 0


async def test_a_connection_whose_stage_went_during_connect_is_closed() -> None:
    world = World()
    world.gateway.stages = {}
    socket = Socket()

    Connection(world.gateway, world.ref, client(connection_id="late")).opened(socket)
    assert socket.told == [], "the 101 comes first"
    await asyncio.sleep(0)

    assert socket.told == [(1001, "Going away")]


# Drain


class Edge:
    """A listener with nothing to do."""

    busy = False
    awaited = False

    def __init__(self) -> None:
        self.told: list[str] = []

    def sweep(self, now: float) -> None:
        self.told.append("sweep")

    def drain(self) -> None:
        self.told.append("drain")

    def stop_accepting(self) -> None:
        self.told.append("stop")

    def abort(self) -> None:
        self.told.append("abort")


async def test_a_drain_without_connections_ends_at_once() -> None:
    world = World()
    world.gateway.hub.discard(world.connection)
    node = Node(world.gateway, drain_window=25)
    edge = Edge()
    node.edges = [edge]

    await node.drain()

    assert edge.told == ["drain", "stop", "abort"]
    assert world.gateway.draining
    assert not node.ready


async def test_nothing_starts_behind_disconnect() -> None:
    world = World(sequential=True)
    world.say(b"1", b"2", b"3")

    world.connection.on_close(1006, "")
    world.loop.move(DISCONNECT_SECONDS)
    await world.messages.answer(0)

    assert world.messages.bodies == [b"1"]
    assert len(world.backend.begun) == 1


@pytest.mark.parametrize("sequential", [False, True])
async def test_what_runs_is_counted_until_it_is_through_though_the_connection_has_gone(sequential: bool) -> None:
    """A drain waits for it."""
    world = World(sequential=sequential)
    world.say(b"1", b"2")
    assert world.gateway.running == 2

    world.connection.on_close(1006, "")
    world.loop.move(DISCONNECT_SECONDS)
    assert world.gateway.running == (1 if sequential else 2)
    for number in range(len(world.messages.answers)):
        await world.messages.answer(number)

    assert world.gateway.running == 0


async def test_handshakes_of_one_address_that_wait_for_connect_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgateway.dataplane.admission.UNFINISHED_PER_SOURCE", 2)
    world = World()
    calls = Backend()
    world.swap(connect=Operation("$connect", (), calls.call, False))
    apis = WebSocketApis(world.gateway)

    running = [apis.connect(handshake()) for _ in range(2)]
    refused = apis.connect(handshake())
    assert isinstance(refused, HttpResponse)
    assert refused.status == 429
    assert world.gateway.admission.refused == {("chat", "unfinished_per_source"): 1}

    waiting = [asyncio.ensure_future(one) for one in running if not isinstance(one, HttpResponse | Accepted)]
    await asyncio.sleep(0)
    await calls.answer(0, 403)
    await calls.fail(1, AccessDenied())
    await asyncio.gather(*waiting)
    again = apis.connect(handshake())
    assert not isinstance(again, HttpResponse | Accepted)
    waiting = [asyncio.ensure_future(again)]
    await asyncio.sleep(0)
    await calls.answer(2)
    assert isinstance(await waiting[0], Accepted)


async def test_a_refused_handshake_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a storm nothing is made for those who can't come in."""

    def nothing(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("wsgateway.dataplane.websocket.Connection", nothing)
    monkeypatch.setattr("wsgateway.dataplane.websocket._client", nothing)
    world = World(replace(quotas(), new_connections_per_second=1.0))
    world.gateway.admission.admit("chat", "", "")

    refused = WebSocketApis(world.gateway).connect(handshake())
    assert isinstance(refused, HttpResponse)
    assert refused.status == 429
    world.gateway.show_reasons = True
    refused = WebSocketApis(world.gateway).connect(handshake())
    assert isinstance(refused, HttpResponse)
    assert json.loads(cast("bytes", refused.body))["reason"] == "the API lets in newConnectionsPerSecond"


async def test_leaving_waits_for_the_replies_and_begins_nothing_more() -> None:
    world = World()
    world.say(b"1", b"2")

    world.connection.leave()
    assert world.socket.told == ["pause"]
    await world.messages.answer(0, body=b"a")
    assert world.socket.told == ["pause"], "one is still to come, and none is read meanwhile"
    await world.messages.answer(1, body=b"b")
    assert world.replies == [b"a", b"b"]
    assert world.socket.told == ["pause", (1001, "Going away")]


async def test_leaving_runs_what_was_taken_in_order_first() -> None:
    world = World(sequential=True)
    world.say(b"1", b"2")

    world.connection.leave()
    await world.messages.answer(0, body=b"a")
    await world.messages.answer(1, body=b"b")
    assert world.replies == [b"a", b"b"]
    assert world.socket.told == ["pause", (1001, "Going away")]


async def test_leaving_at_rest_is_a_close_at_once() -> None:
    world = World()

    world.connection.leave()
    assert world.socket.told == [(1001, "Going away")]


async def test_leaving_while_reading_is_paused_pauses_no_second_time_and_never_resumes() -> None:
    world = World(replace(quotas(), max_in_flight=2))
    world.say(b"1", b"2")
    assert world.socket.told == ["pause"]

    world.connection.leave()
    await world.messages.answer(0)
    await world.messages.answer(1)
    assert world.socket.told == ["pause", (1001, "Going away")]


class BrokenLedger:
    """Records that can't be written, for no reason that anybody foresaw."""

    def __init__(self) -> None:
        self.left: list[str] = []

    def wants(self, stage: CompiledStage) -> bool:
        return True

    async def enter(self, connection: Connection) -> None:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    def leave(self, connection_id: str) -> None:
        self.left.append(connection_id)


async def test_a_handshake_that_can_not_be_recorded_leaves_nothing_behind() -> None:
    world, ledger = World(), BrokenLedger()
    world.gateway.ledger = cast("Any", ledger)
    request = handshake()
    answer = WebSocketApis(world.gateway).connect(request)
    assert isinstance(answer, Awaitable)
    response = await answer

    assert isinstance(response, HttpResponse)
    assert response.status == 500
    assert len(ledger.left) == 1
    assert world.gateway.opening == 0
    assert not len(world.gateway.admission._apis["chat"].live)
