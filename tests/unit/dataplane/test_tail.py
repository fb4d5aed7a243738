"""Tails: what is told of one connection, and that nothing of it is felt."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.dataplane import test_websocket
from tests.unit.dataplane.test_websocket import Socket, World
from tests.unit.dataplane.values import quotas
from wsgateway.dataplane import tail
from wsgateway.dataplane.compiled import Operation
from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.tail import SHOWN_BYTES, WAITING_BYTES, TailedConnection, Tails
from wsgateway.errors import IntegrationTimeout
from wsgateway.messages import EndpointResponse, Message

pytestmark = pytest.mark.anyio


class Reader:
    """Reads a tail of a world's connection; it is attached when this is awaited."""

    def __init__(self, world: World) -> None:
        self.lines: AsyncGenerator[bytes, None] = world.gateway.tails.lines(world.connection)
        self.heading: dict[str, Any] = {}

    def __await__(self) -> Any:
        return self._begin().__await__()

    async def _begin(self) -> Reader:
        (self.heading,) = await self.read()
        return self

    async def read(self) -> list[dict[str, Any]]:
        """What has happened since; waited for."""
        async with asyncio.timeout(10):
            return [json.loads(line) for line in (await anext(self.lines)).splitlines()]

    async def told(self, *names: str) -> list[tuple[Any, ...]]:
        """These fields of what has happened since."""
        return [tuple(event.get(name) for name in names) for event in await self.read()]


@pytest.fixture
def world() -> World:
    made = World(sequential=False)
    made.gateway.tails = Tails(made.loop.time)
    return made


async def test_it_begins_with_whose_it_is(world: World) -> None:
    world.say(b"before")
    reader = await Reader(world)

    assert reader.heading["event"] == "tail"
    assert reader.heading["connectionId"] == world.connection.client.connection_id
    assert (reader.heading["apiId"], reader.heading["stage"]) == ("chat", "dev")
    assert reader.heading["connectedAt"] == "2026-09-24T00:03:04.123Z"
    assert reader.heading["inFlight"] == 1


async def test_a_message_its_answer_and_its_reply(world: World) -> None:
    reader = await Reader(world)

    world.say(b"hello")
    assert await reader.told("event", "number", "route", "bytes", "body") == [("message", 1, "say", 5, "hello")]
    world.loop.move(0.25)
    await world.messages.answer(0, 201, "grüß".encode())

    answer, reply = await reader.read()
    assert (answer["event"], answer["number"], answer["route"], answer["status"]) == ("answer", 1, "say", 201)
    assert answer["millis"] == 250.0
    assert answer["requestId"] == world.messages.begun[0].request_id
    assert (reply["event"], reply["number"], reply["bytes"], reply["body"]) == ("reply", 1, 6, "grüß")


async def test_a_token_in_a_message_is_not_shown(world: World) -> None:
    reader = await Reader(world)
    renew = Operation("renew", (), lambda invocation: EndpointResponse(200), False, authorizer="users")
    world.swap(select=lambda data: renew, select_binary=lambda data: renew)

    world.connection.on_message(Message(b"a secret"))
    world.connection.on_message(Message(b"another", True))

    told = [event for event in await reader.read() if event["event"] == "message"]
    assert [(event["route"], event["bytes"], event["body"]) for event in told] == [
        ("renew", 8, "***"),
        ("renew", 7, "***"),
    ]


async def test_answers_name_the_message_they_belong_to(world: World) -> None:
    reader = await Reader(world)

    world.say(b"a", b"a")
    await world.messages.answer(1)
    await world.messages.answer(0)

    events = await reader.told("event", "number")
    assert events == [("message", 1), ("message", 2), ("answer", 2), ("reply", 2), ("answer", 1), ("reply", 1)]


async def test_an_answer_at_once(world: World) -> None:
    """MOCK doesn't wait."""
    reader = await Reader(world)
    world.swap(select=lambda data: Operation("ping", (), lambda invocation: EndpointResponse(200, (), b"pong"), True))

    world.say(b"1")

    assert await reader.told("event", "route", "body") == [
        ("message", "ping", "1"),
        ("answer", "ping", None),
        ("reply", None, "pong"),
    ]


async def test_a_one_way_route_has_an_answer_and_no_reply(world: World) -> None:
    reader = await Reader(world)
    world.swap(select=lambda data: Operation("log", (), world.messages.call, False))

    world.say(b"1")
    await world.messages.answer(0)

    assert await reader.told("event", "status") == [("message", None), ("answer", 200)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IntegrationTimeout("http://backend/: no answer"), (504, "INTEGRATION_TIMEOUT", "http://backend/: no answer")),
        (IntegrationTimeout(), (504, "INTEGRATION_TIMEOUT", "Endpoint request timed out")),
        (RuntimeError("the inside"), (500, "API_CONFIGURATION_ERROR", "RuntimeError")),
    ],
)
async def test_a_failure_and_its_error_frame(world: World, error: Exception, told: tuple[Any, ...]) -> None:
    reader = await Reader(world)

    world.say(b"1")
    world.loop.move(1)
    await world.messages.fail(0, error)

    _, failed, reply = await reader.read()
    assert (failed["event"], failed["number"], failed["route"], failed["millis"]) == ("error", 1, "say", 1000.0)
    assert (failed["status"], failed["type"], failed["reason"]) == told
    assert (reply["event"], json.loads(reply["body"])["requestId"]) == ("reply", failed["requestId"])


async def test_what_came_before_the_tail_has_no_number_and_no_time(world: World) -> None:
    world.say(b"before")
    reader = await Reader(world)

    await world.messages.answer(0)

    assert await reader.told("event", "number", "millis") == [("answer", None, None), ("reply", None, None)]


async def test_a_message_that_waits_its_turn_is_told_when_it_comes() -> None:
    world = World(sequential=True)
    world.gateway.tails = Tails(world.loop.time)
    reader = await Reader(world)

    world.say(b"1", b"2")
    assert await reader.told("event", "body") == [("message", "1"), ("message", "2")]
    world.loop.move(5)
    await world.messages.answer(0)
    world.loop.move(1)
    await world.messages.answer(1)

    events = await reader.told("event", "number", "millis")
    assert events == [("answer", 1, 5000.0), ("reply", 1, None), ("answer", 2, 1000.0), ("reply", 2, None)]


async def test_pushes_and_what_became_of_them(world: World) -> None:
    reader = await Reader(world)

    world.connection.push(Message(b"hi"))
    world.socket.takes = Sent.FULL
    world.connection.push(Message(b"\x00\x01", True))

    assert await reader.told("event", "status", "bytes", "body", "bodyBase64") == [
        ("push", 200, 2, "hi", None),
        ("push", 429, 2, None, "AAE="),
    ]


async def test_the_close_is_the_end(world: World) -> None:
    reader = await Reader(world)

    world.say(b"1")
    world.connection.on_close(4001, "done")

    assert await reader.told("event", "code", "reason") == [("message", None, None), ("close", 4001, "done")]
    with pytest.raises(StopAsyncIteration):
        await anext(reader.lines)
    assert type(world.connection) is Connection
    assert world.gateway.tails.running == 0
    await world.messages.answer(0)  # it lands on a connection nobody looks at any more


async def test_a_connection_that_closed_before_the_tail_began(world: World) -> None:
    reader = Reader(world)
    world.connection.on_close(1001, "Going away")

    assert await reader.told("event", "code") == [("tail", None), ("close", 1001)]
    with pytest.raises(StopAsyncIteration):
        await anext(reader.lines)
    assert type(world.connection) is Connection


async def test_a_reply_that_does_not_fit_is_told_by_the_close(world: World) -> None:
    reader = await Reader(world)
    world.say(b"1")
    world.socket.takes = Sent.FULL
    closing: list[tuple[int, str]] = []

    class Closing(Socket):
        def send(self, message: Message) -> Sent:
            return Sent.FULL

        def close(self, code: int, reason: str) -> None:
            closing.append((code, reason))
            world.connection.on_close(code, reason)

    world.connection.socket = Closing()
    await world.messages.answer(0)

    assert [event for (event,) in await reader.told("event")] == ["message", "answer", "close"]
    assert closing == [(1008, "Client does not read its replies")]


async def test_two_readers_hear_the_same_and_leave_alone(world: World) -> None:
    one, two = await Reader(world), await Reader(world)
    assert world.gateway.tails.running == 2

    world.connection.push(Message(b"1"))
    assert await one.read() == await two.read()
    await one.lines.aclose()
    assert type(world.connection) is TailedConnection
    world.connection.push(Message(b"2"))
    assert await two.told("body") == [("2",)]
    await two.lines.aclose()

    assert type(world.connection) is Connection
    assert world.gateway.tails.running == 0


async def test_a_reader_that_leaves_while_it_waits(world: World) -> None:
    reader = await Reader(world)
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert type(world.connection) is Connection
    world.connection.push(Message(b"1"))


async def test_one_that_is_never_read_is_none(world: World) -> None:
    lines = world.gateway.tails.lines(world.connection)

    await lines.aclose()

    assert type(world.connection) is Connection
    assert world.gateway.tails.running == 0


async def test_a_slow_reader_loses_events_and_hears_how_many(world: World) -> None:
    reader, quick = await Reader(world), await Reader(world)
    number = 2 * WAITING_BYTES // SHOWN_BYTES

    quickly = 0
    for _ in range(number):
        world.connection.push(Message(b"x" * SHOWN_BYTES))
        quickly += len(await quick.read())
    world.connection.push(Message(b"small ones are lost too, or the order would be another"))

    *kept, dropped = await reader.told("event", "count")
    assert quickly == number
    assert {event for event, _ in kept} == {"push"}
    assert dropped == ("dropped", number + 1 - len(kept))
    assert 0 < len(kept) <= WAITING_BYTES // SHOWN_BYTES
    world.connection.push(Message(b"on"))
    assert await reader.told("event", "body") == [("push", "on")]
    assert len(world.socket.sent) == number + 2  # the client lost nothing


async def test_a_slow_reader_hears_of_the_close(world: World) -> None:
    reader = await Reader(world)
    for _ in range(2 * WAITING_BYTES // SHOWN_BYTES):
        world.connection.push(Message(b"x" * SHOWN_BYTES))
    world.connection.on_close(1000, "")

    *_, dropped, close = await reader.told("event")
    assert (dropped, close) == (("dropped",), ("close",))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param(Message(b"x" * SHOWN_BYTES), (SHOWN_BYTES, "x" * SHOWN_BYTES, None), id="all"),
        pytest.param(Message(b"x" * 10**6), (10**6, "x" * SHOWN_BYTES, True), id="its beginning"),
        pytest.param(Message("ü".encode() * SHOWN_BYTES), (2 * SHOWN_BYTES, "ü" * (SHOWN_BYTES // 2), True), id="ü"),
        pytest.param(
            Message(b"x" + "ü".encode() * SHOWN_BYTES),
            (1 + 2 * SHOWN_BYTES, "x" + "ü" * (SHOWN_BYTES // 2 - 1), True),
            id="no half character",
        ),
        pytest.param(Message(b""), (0, "", None), id="nothing"),
        pytest.param(Message(b'"\n\x1b[2J\x00'), (7, '"\n\x1b[2J\x00', None), id="controls"),
    ],
)
async def test_what_is_shown_of_a_message(world: World, message: Message, shown: tuple[Any, ...]) -> None:
    reader = await Reader(world)

    world.connection.push(message)

    assert await reader.told("bytes", "body", "truncated") == [shown]


async def test_silence_is_broken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = await Reader(world)
    monkeypatch.setattr(tail, "HEARTBEAT_SECONDS", 0.001)

    assert await anext(reader.lines) == b"\n"


async def test_a_deployment_goes_on_under_it(world: World) -> None:
    reader = await Reader(world)
    world.swap(select=lambda data: Operation("new", (), world.messages.call, True))

    world.say(b"1")

    assert await reader.told("event", "route") == [("message", "new")]


STORIES = [
    story
    for name, story in inspect.getmembers(test_websocket, inspect.iscoroutinefunction)
    if name.startswith("test_") and not inspect.signature(story).parameters
]


@pytest.mark.parametrize("story", STORIES)
async def test_nothing_of_it_is_felt(story: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds of a connection holds of one that is tailed."""
    opened = Connection.opened

    def opened_and_tailed(self: Connection, socket: Any) -> None:
        opened(self, socket)
        self._gateway.tails._attach(self)

    monkeypatch.setattr(Connection, "opened", opened_and_tailed)

    await story()


async def test_limits_hold_for_one_that_is_tailed() -> None:
    world = World(replace(quotas(), max_in_flight=1))
    await Reader(world)

    world.say(b"1")

    assert world.socket.told == ["pause"]
