"""What limits a route is asked before anything else: at once, or later, with the messages behind it in order."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from tests.unit.dataplane.test_websocket import Backend, World, texts
from tests.unit.dataplane.values import handshake, message, quotas
from wsgateway.dataplane.admit import Admit, in_turn
from wsgateway.dataplane.compiled import Operation
from wsgateway.dataplane.websocket import Accepted, WebSocketApis
from wsgateway.errors import Throttled
from wsgateway.invocation import Invocation
from wsgateway.messages import HttpResponse

pytestmark = pytest.mark.anyio


class Limiter:
    """Has the messages wait that say so."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.waiting: list[Future[None]] = []

    def admit(self, invocation: Invocation) -> Awaitable[None] | None:
        self.asked.append(invocation.body())
        if invocation.body().startswith(b"no"):
            raise Throttled
        if not invocation.body().startswith(b"wait"):
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


def limited(limiter: Limiter, *, sequential: bool = False, most: int = 64) -> World:
    world = World(replace(quotas(), max_in_flight=most), sequential=sequential)
    world.swap(select=lambda data: Operation("say", (), world.messages.call, True, admit=limiter.admit))
    return world


async def settle(future: Future[None], error: Exception | None = None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    await asyncio.sleep(0)


async def test_a_message_beyond_its_limit_reaches_nobody() -> None:
    limiter = Limiter()
    world = limited(limiter)

    world.say(b"1", b"no", b"2")

    assert world.messages.bodies == [b"1", b"2"]
    assert texts(world.replies) == ["Too Many Requests"]
    assert world.gateway.counters.route_errors == {("chat", "say", "THROTTLED"): 1}


async def test_while_a_message_waits_those_behind_it_wait_too() -> None:
    limiter = Limiter()
    world = limited(limiter)

    world.say(b"1", b"wait 2", b"3", b"wait 4", b"5")
    assert world.messages.bodies == [b"1"]
    assert world.connection.in_flight == 5
    await world.messages.answer(0)
    assert limiter.asked == [b"1", b"wait 2"], "an answer lets nobody pass"

    await settle(limiter.waiting[0])
    assert world.messages.bodies == [b"1", b"wait 2", b"3"]
    await settle(limiter.waiting[1])
    assert world.messages.bodies == [b"1", b"wait 2", b"3", b"wait 4", b"5"]
    assert world.connection.in_flight == 4
    for number in range(1, 5):
        await world.messages.answer(number)
    assert world.connection.in_flight == world.gateway.running == 0


async def test_a_message_refused_later_lets_the_next_one_start() -> None:
    limiter = Limiter()
    world = limited(limiter)

    world.say(b"wait", b"2")
    await settle(limiter.waiting[0], Throttled())

    assert texts(world.replies) == ["Too Many Requests"]
    assert world.messages.bodies == [b"2"]


async def test_sequential_messages_are_asked_for_one_at_a_time() -> None:
    limiter = Limiter()
    world = limited(limiter, sequential=True)

    world.say(b"wait 1", b"wait 2", b"3")
    await settle(limiter.waiting[0])
    assert limiter.asked == [b"wait 1"]
    await world.messages.answer(0)
    assert limiter.asked == [b"wait 1", b"wait 2"]
    await settle(limiter.waiting[1])
    assert world.messages.bodies == [b"wait 1", b"wait 2"]
    await world.messages.answer(1)
    assert world.messages.bodies == [b"wait 1", b"wait 2", b"3"]


async def test_messages_that_wait_count_as_in_flight() -> None:
    limiter = Limiter()
    world = limited(limiter, most=2)

    world.say(b"wait", b"2")
    assert world.socket.told == ["pause"]
    await settle(limiter.waiting[0])
    await world.messages.answer(0)
    assert world.socket.told == ["pause", "resume"]


async def test_disconnect_waits_for_it_but_nothing_follows_disconnect() -> None:
    limiter = Limiter()
    world = limited(limiter)
    world.say(b"wait", b"2")
    world.connection.on_close(1000, "")
    assert not world.backend.begun

    world.loop.move(5)
    await asyncio.sleep(0)
    assert len(world.backend.begun) == 1
    await settle(limiter.waiting[0], Throttled())
    assert world.messages.bodies == []
    assert world.connection.in_flight == world.gateway.running == 0


async def test_it_goes_on_when_the_client_has_closed_meanwhile() -> None:
    limiter = Limiter()
    world = limited(limiter)
    world.say(b"wait")
    world.connection.on_close(1000, "")

    await settle(limiter.waiting[0])
    assert world.messages.bodies == [b"wait"]
    assert not world.backend.begun
    await world.messages.answer(0)
    await asyncio.sleep(0)
    assert len(world.backend.begun) == 1


@pytest.mark.parametrize("refused", [pytest.param(None, id="let in"), pytest.param(Throttled(), id="refused")])
async def test_a_handshake_may_have_to_wait(refused: Throttled | None) -> None:
    world = World()
    calls = Backend()
    pending: Future[None] = asyncio.get_running_loop().create_future()
    world.swap(connect=Operation("$connect", (), calls.call, False, admit=lambda invocation: pending))

    answering = WebSocketApis(world.gateway).connect(handshake())
    assert not isinstance(answering, HttpResponse | Accepted)
    answer = asyncio.ensure_future(answering)
    await asyncio.sleep(0)
    assert world.gateway.opening == 1
    assert not calls.begun

    await settle(pending, refused)
    if refused is None:
        await calls.answer(0)
        assert isinstance(await answer, Accepted)
    else:
        response = await answer
        assert isinstance(response, HttpResponse)
        assert response.status == 429
        assert not calls.begun
        assert world.gateway.opening == 0


async def test_a_handshake_beyond_its_limit_calls_nobody() -> None:
    world = World()
    calls = Backend()

    def refuse(invocation: Invocation) -> None:
        raise Throttled

    world.swap(connect=Operation("$connect", (), calls.call, False, admit=refuse))
    answer = WebSocketApis(world.gateway).connect(handshake())
    assert isinstance(answer, HttpResponse)
    assert answer.status == 429
    assert 1 <= int(dict(answer.headers)[b"Retry-After"]) <= 5
    assert not calls.begun
    assert world.gateway.counters.connects[429] == 1


async def test_of_several_limits_each_is_asked_until_one_refuses() -> None:
    asked: list[str] = []

    def of(name: str, pending: Awaitable[None] | None = None) -> Admit:
        def admit(invocation: Invocation) -> Awaitable[None] | None:
            asked.append(name)
            return pending

        return admit

    waits: Future[None] = asyncio.get_running_loop().create_future()
    refuses: Future[None] = asyncio.get_running_loop().create_future()
    admit = in_turn([of("1"), of("2", waits), of("3"), of("4", refuses), of("5")])
    assert admit is not None
    pending = admit(message())
    assert pending is not None
    assert asked == ["1", "2"]
    running = asyncio.ensure_future(pending)
    waits.set_result(None)
    refuses.set_exception(Throttled())
    with pytest.raises(Throttled):
        await running
    assert asked == ["1", "2", "3", "4"]
    assert in_turn([]) is None
