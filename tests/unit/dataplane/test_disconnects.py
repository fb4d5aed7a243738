"""$disconnect until it is answered or given up, with the clock and the backend in the test's hands."""

from __future__ import annotations

import asyncio
import math
from asyncio import Future
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.harness import PATIENCE
from tests.unit.dataplane.values import client, quotas
from wsgateway.dataplane import disconnects as module
from wsgateway.dataplane.backlog import MOST_IN_FLIGHT
from wsgateway.dataplane.compiled import CompiledStage, Operation, StageRef
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.disconnects import Disconnects
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds
from wsgateway.dataplane.node import Node
from wsgateway.errors import (
    ApiConfigurationError,
    BadGateway,
    GatewayError,
    IntegrationFailure,
    IntegrationTimeout,
    ServiceUnavailable,
)
from wsgateway.ids import disconnect_request_id
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse

pytestmark = pytest.mark.anyio

SLOT = b"abc"
REFUSED = "backend http://b:1 refused the connection"


def refused() -> IntegrationFailure:
    """Made anew each time: errors keep what they were raised in alive."""
    return IntegrationFailure(REFUSED)


class Timer:
    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.made: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], object]) -> Timer:
        self.made.append(Timer(at, call))
        return self.made[-1]

    @property
    def timers(self) -> list[Timer]:
        return [timer for timer in self.made if not timer.cancelled]

    async def move(self, seconds: float) -> None:
        """Let time pass; what is due runs when it is due, and so does what follows from it."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self.now = max(self.now, first.at)
            first.cancelled = True
            first.call()
            for _ in range(3):
                await asyncio.sleep(0)
        self.now = end


class Backend:
    """Answers each call with what `answer` is, or when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Invocation] = []
        self.open: list[Future[EndpointResponse]] = []
        self.answer: int | Exception | None = None
        """A status, an error, or None: the test answers."""

    def call(self, invocation: Invocation) -> Future[EndpointResponse]:
        self.calls.append(invocation)
        future: Future[EndpointResponse] = asyncio.get_running_loop().create_future()
        match self.answer:
            case None:
                self.open.append(future)
            case int() as status:
                future.set_result(EndpointResponse(status))
            case Exception() as error:
                future.set_exception(error)
        return future

    async def end(self, *, status: int | None = None, error: Exception | None = None) -> None:
        """End every call that is open."""
        calls, self.open = self.open, []
        for future in calls:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(EndpointResponse(status or 200))
        for _ in range(3):
            await asyncio.sleep(0)


class World:
    """A node with one stage, whose connections end when the test says so."""

    def __init__(self, *, retry_seconds: float = 600.0, durable: bool = False, at_least_once: bool = True) -> None:
        self.loop = Loop()
        self.backend = Backend()
        self.logged: list[dict[str, Any]] = []
        self.finished: list[tuple[bytes, str]] = []
        operation = Operation("$disconnect", (), self.backend.call, False, at_least_once)
        stage = CompiledStage(
            api_id="chat",
            name="dev",
            quotas=quotas(),
            variables={"color": "blue"},
            select=lambda data: operation,
            select_binary=lambda data: operation,
            connect=None,
            disconnect=operation,
            sequential=False,
        )
        self.ref = StageRef(stage)
        self.gateway = Gateway(
            loop=cast("asyncio.AbstractEventLoop", self.loop),
            hub=Hub(),
            ids=ConnectionIds(SLOT),
            counters=Counters(),
            faults=Faults(self.log, self.loop.time),
            log=self.log,
            stages={("chat", "dev"): self.ref},
            endpoints=Endpoints({"chat": frozenset({"dev"})}, "chat"),
            callback_url=lambda request, place: ("chat.example", "http://chat.example/dev"),
            show_reasons=False,
            max_connections=10,
        )
        self.disconnects = self.gateway.disconnects = Disconnects(
            self.gateway,
            retry_seconds=retry_seconds,
            finished=lambda owner, connection_id: self.finished.append((owner, connection_id)),
            durable=durable,
            jitter=lambda: 0.0,
        )

    def log(self, event: str, **facts: object) -> None:
        self.logged.append({"event": event, **facts})

    async def ends(self, *connection_ids: str, owner: bytes = SLOT) -> None:
        for connection_id in connection_ids:
            self.disconnects.begin(client(connection_id=connection_id), self.ref, 1001, "Going away", owner=owner)
        for _ in range(3):
            await asyncio.sleep(0)

    def swap(self, **changes: Any) -> None:
        self.ref.current = replace(self.ref.current, **changes)

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [line for line in self.logged if line["event"] == "$disconnect dead letter"]

    def tried(self, connection_id: str) -> int:
        return sum(call.client.connection_id == connection_id for call in self.backend.calls)


async def test_an_answer_ends_it_with_neither_timer_nor_line() -> None:
    world = World()

    await world.ends("one")
    assert world.disconnects.running == 1
    await world.backend.end(status=200)

    assert world.finished == [(SLOT, "one")]
    assert (world.loop.made, world.logged, world.disconnects.holding) == ([], [], False)


RETRIED = [
    pytest.param(refused, id="no connection"),
    pytest.param(IntegrationTimeout("29 s"), id="timeout"),
    pytest.param(BadGateway("breaks off"), id="half an answer"),
    pytest.param(ServiceUnavailable("the queue is full"), id="a cap"),
    *(pytest.param(status, id=str(status)) for status in (429, 502, 503, 504)),
]


@pytest.mark.parametrize("fault", RETRIED)
async def test_a_backend_that_could_not_is_asked_again(fault: int | Exception | Callable[[], Exception]) -> None:
    world = World()
    world.backend.answer = fault() if callable(fault) else fault
    await world.ends("one")
    assert world.finished == []
    assert (world.disconnects.waiting, world.disconnects.holding) == (1, True)

    world.backend.answer = 200
    await world.loop.move(1)

    assert world.tried("one") == 2
    assert world.finished == [(SLOT, "one")]
    assert world.gateway.counters.disconnect_retries == 1
    assert (world.disconnects.waiting, world.disconnects.holding, world.letters) == (0, False, [])


FINAL = [
    *(pytest.param(status, id=str(status)) for status in (200, 204, 302, 400, 404, 408, 500, 501, 505)),
    pytest.param(BadGateway("function f failed", transient=False), id="FunctionError"),
    pytest.param(ApiConfigurationError("mapping"), id="a definition that fails"),
    pytest.param(ValueError("ours"), id="a fault of our own"),
]


@pytest.mark.parametrize("answer", FINAL)
async def test_any_other_answer_is_final(answer: int | Exception) -> None:
    world = World()
    world.backend.answer = answer

    await world.ends("one")
    await world.loop.move(700)

    assert world.tried("one") == 1
    assert world.finished == [(SLOT, "one")]
    assert world.letters == []
    told = [line for line in world.logged if line["event"] == "$disconnect failed"]
    assert len(told) == isinstance(answer, Exception)


async def test_each_attempt_is_the_same_event() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one")
    first = world.backend.calls[0].epoch, world.backend.calls[0].request_id
    await world.loop.move(100)

    assert len(world.backend.calls) > 3
    assert {(call.epoch, call.request_id) for call in world.backend.calls} == {first}
    assert first[1] == disconnect_request_id("one"), "any node derives the same"
    assert {call.reason for call in world.backend.calls} == {"Going away"}


async def test_after_ten_minutes_it_is_a_dead_letter_that_can_be_delivered_by_hand() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one")

    await world.loop.move(599.9)
    assert (world.letters, world.finished) == ([], [])
    await world.loop.move(0.2)

    (letter,) = world.letters
    # at 0, 1, 3, 7, 15, 31, 63, then each minute until 543
    assert letter == {
        "event": "$disconnect dead letter",
        "cause": "its time is over",
        "error": REFUSED,
        "attempts": 15,
        "api": "chat",
        "stage": "dev",
        "connection_id": "one",
        "request_id": disconnect_request_id("one"),
        "request_time_epoch": world.backend.calls[0].epoch,
        "connected_at": 1_790_208_184_123,
        "domain_name": "chat.example:8080",
        "source_ip": "203.0.113.9",
        "user_agent": "tests/1",
        "code": 1001,
        "reason": "Going away",
    }
    assert world.finished == [(SLOT, "one")]
    assert world.gateway.counters.dead_letters == 1
    await world.loop.move(1000)
    assert world.tried("one") == 15
    assert not world.disconnects.holding
    assert world.loop.timers == []


async def test_an_attempt_under_way_when_the_time_is_over_is_the_last() -> None:
    world = World(retry_seconds=2)
    world.backend.answer = refused()
    await world.ends("one", "two")
    world.backend.answer = None
    await world.loop.move(5)
    assert [letter["connection_id"] for letter in world.letters] == ["two"]

    await world.backend.end(error=refused())

    assert [letter["attempts"] for letter in world.letters] == [1, 2]
    assert sorted(world.finished) == [(SLOT, "one"), (SLOT, "two")]


async def test_an_attempt_under_way_when_the_time_is_over_may_be_answered() -> None:
    world = World(retry_seconds=2)
    world.backend.answer = refused()
    await world.ends("one")
    world.backend.answer = None
    await world.loop.move(5)

    await world.backend.end(status=200)

    assert (world.letters, world.finished) == ([], [(SLOT, "one")])


async def test_no_time_for_retries_is_one_attempt() -> None:
    world = World(retry_seconds=0)
    world.backend.answer = refused()

    await world.ends("one")

    assert [letter["attempts"] for letter in world.letters] == [1]
    assert (world.finished, world.loop.made) == ([(SLOT, "one")], [])


async def test_at_most_once_is_one_attempt_and_no_dead_letter() -> None:
    world = World(at_least_once=False)
    world.backend.answer = refused()

    await world.ends("one")
    await world.loop.move(700)

    assert world.tried("one") == 1
    assert world.finished == [(SLOT, "one")]
    assert [line["event"] for line in world.logged] == ["integration fails", "$disconnect failed"]


async def test_a_backend_that_is_down_is_asked_by_one_at_a_time_and_then_the_others_follow() -> None:
    world = World()
    world.backend.answer = refused()
    ids = [f"c{number}" for number in range(2000)]
    await world.ends(*ids)
    assert len(world.backend.calls) == 2000

    await world.loop.move(30)
    assert len(world.backend.calls) == 2004, "at 1, 3, 7 and 15 s"

    world.backend.answer = None
    await world.loop.move(1)
    assert len(world.backend.open) == 1
    most = 0
    while len(world.finished) < 2000:
        most = max(most, len(world.backend.open))
        await world.backend.end(status=200)
        await world.loop.move(0.01)

    assert most == MOST_IN_FLIGHT
    assert sorted(connection_id for _, connection_id in world.finished) == sorted(ids)
    assert world.letters == []
    lines = [line["event"] for line in world.logged]
    assert lines == ["integration fails"] * (len(lines) - 1) + ["integration answers again"]
    assert len(lines) <= 6, "not a line an attempt"


async def test_there_is_one_timer_however_many_wait() -> None:
    world = World()
    world.backend.answer = refused()

    await world.ends(*(f"c{number}" for number in range(1000)))

    assert len(world.loop.timers) == 1
    assert len(world.loop.made) < 10


async def test_a_connection_that_closes_meanwhile_tells_that_the_backend_is_back() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends(*(f"c{number}" for number in range(10)))
    await world.loop.move(40)

    world.backend.answer = 200
    await world.ends("later")
    await world.loop.move(0.1)

    assert len(world.finished) == 11


async def test_stages_wait_for_themselves_alone() -> None:
    world = World()
    other = Backend()
    other.answer = 503
    operation = Operation("$disconnect", (), other.call, False)
    ref = StageRef(replace(world.ref.current, name="live", disconnect=operation))
    world.gateway.stages = {**world.gateway.stages, ("chat", "live"): ref}
    world.backend.answer = refused()
    await world.ends("one")
    world.disconnects.begin(client(stage="live", connection_id="two"), ref, 1000, "", owner=SLOT)
    await asyncio.sleep(0)

    world.backend.answer = 200
    await world.loop.move(1)

    assert world.finished == [(SLOT, "one")]
    assert len(other.calls) == 2


async def test_more_than_a_node_keeps_are_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    world = World()
    world.backend.answer = refused()

    await world.ends("a", "b", "c", "d")

    assert [letter["connection_id"] for letter in world.letters] == ["d"]
    assert world.letters[0]["cause"] == "3 events wait already"
    await world.loop.move(20)
    assert len(world.letters) == 1, "those that wait already may be tried again"


async def test_many_dead_letters_are_told_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    world = World(retry_seconds=10)
    world.backend.answer = refused()
    await world.ends(*(f"c{number}" for number in range(35)))

    told = []
    await world.loop.move(10.01)
    for _ in range(4):
        told.append(len(world.letters))
        await world.loop.move(module.BATCH_SECONDS)

    assert told == [10, 20, 30, 35]


async def test_a_new_deployment_is_asked_at_once_and_gets_its_own_variables() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one")
    await world.loop.move(40)
    new = Backend()
    new.answer = 200

    world.swap(disconnect=Operation("$disconnect", (), new.call, False), variables={"color": "green"})
    world.disconnects.look_again()
    await world.loop.move(30)

    assert [call.stage_variable("color") for call in new.calls] == ["green"]
    assert world.finished == [(SLOT, "one")]


async def test_a_route_that_is_gone_has_nobody_to_tell() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two", "three")

    world.swap(disconnect=None)
    await world.loop.move(5)

    assert len(world.finished) == 3
    assert (world.letters, world.disconnects.holding) == ([], False)


async def test_a_stage_that_is_gone_is_waited_for() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two")
    stages, world.gateway.stages = world.gateway.stages, {}
    await world.loop.move(100)
    world.backend.calls.clear()

    world.gateway.stages = stages
    world.backend.answer = 200
    world.disconnects.look_again()
    await world.loop.move(61)

    assert len(world.backend.calls) == 2
    assert sorted(connection_id for _, connection_id in world.finished) == ["one", "two"]
    assert not world.letters


async def test_a_stage_that_stays_away_leaves_dead_letters() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two")

    world.gateway.stages = {}
    await world.loop.move(700)

    assert [(letter["cause"], letter["error"]) for letter in world.letters] == [
        ("its time is over", "its stage is not deployed here")
    ] * 2
    assert len(world.finished) == 2
    assert not world.disconnects.holding


async def test_a_connection_of_another_node_whose_stage_is_not_here_yet_waits_for_it() -> None:
    world = World()
    stages, world.gateway.stages = world.gateway.stages, {}
    world.disconnects.begin(client(), None, 1006, "Connection closed abnormally", owner=b"xyz")
    await world.loop.move(10)
    assert not world.finished

    world.gateway.stages = stages
    world.backend.answer = 200
    await world.loop.move(61)

    assert [owner for owner, _ in world.finished] == [b"xyz"]
    assert [call.status_code for call in world.backend.calls] == [1006]
    assert not world.letters


async def test_a_node_that_slept_asks_what_others_finish_before_it_tries_again() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two", "three")
    world.gateway.check_at = 0.0
    asked = []

    def awoken() -> None:
        asked.append(len(world.backend.calls))
        world.gateway.check_at = math.inf
        world.disconnects.forget(frozenset({"one", "three"}))

    world.gateway.awoken = awoken
    world.backend.answer = 200
    await world.loop.move(60)

    assert asked == [3], "before the next call"
    assert world.finished == [(SLOT, "two")]
    assert (world.disconnects.waiting, world.letters, len(world.backend.calls)) == (0, [], 4)


async def test_an_attempt_under_way_for_what_another_node_has_claimed_ends_in_nothing() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two")
    world.backend.answer = None
    await world.loop.move(1)

    world.disconnects.forget({"one", "two"})
    await world.backend.end(error=refused())
    world.backend.answer = refused()
    await world.ends("three")
    world.backend.answer = 200
    await world.loop.move(5)

    assert world.finished == [(SLOT, "three")]
    assert (world.letters, world.disconnects.holding) == ([], False)


# The end of the node


async def test_a_node_that_drains_tries_each_second_and_then_leaves_dead_letters() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one")
    await world.loop.move(100)
    before = world.tried("one")

    world.disconnects.drain()
    await world.loop.move(10)
    assert world.tried("one") >= before + 9
    assert world.disconnects.holding
    await world.disconnects.end()

    assert [letter["cause"] for letter in world.letters] == ["the node ended"]
    assert world.finished == [(SLOT, "one")]
    assert not world.disconnects.holding


async def test_calls_under_way_at_the_end_are_dead_letters_once() -> None:
    world = World()
    await world.ends("one")
    world.backend.answer = refused()
    await world.ends("two")

    await world.disconnects.end()
    await world.backend.end(error=ServiceUnavailable("the gateway is closing"))

    assert sorted(letter["connection_id"] for letter in world.letters) == ["one", "two"]
    assert sorted(world.finished) == [(SLOT, "one"), (SLOT, "two")]


async def test_at_most_once_is_no_dead_letter_at_the_end_either() -> None:
    world = World(at_least_once=False)
    await world.ends("one")

    await world.disconnects.end()

    assert [line["event"] for line in world.logged] == ["$disconnect failed"]


async def test_a_drain_ends_with_its_grace_and_leaves_dead_letters_behind() -> None:
    world = World()
    world.backend.answer = refused()
    await world.ends("one", "two")
    world.backend.answer = None
    await world.ends("three")

    await Node(world.gateway, drain_window=0, grace=0.05).drain()

    assert {letter["connection_id"]: letter["cause"] for letter in world.letters} == dict.fromkeys(
        ("one", "two", "three"), "the node ended"
    )
    assert world.gateway.counters.dead_letters == 3
    (over,) = [line for line in world.logged if line["event"] == "drain is over its time"]
    assert (over["disconnects_running"], over["disconnects_waiting"]) == (1, 2)


async def test_a_drain_with_a_registry_waits_for_nothing_but_first_attempts() -> None:
    world = World(durable=True)
    world.backend.answer = refused()
    await world.ends("one")
    world.backend.answer = None
    await world.ends("two")
    drain = asyncio.ensure_future(Node(world.gateway, drain_window=0).drain())
    await asyncio.sleep(0)
    assert not drain.done()

    await world.backend.end(status=200)
    async with asyncio.timeout(PATIENCE):
        await drain

    assert world.finished == [(SLOT, "two")]
    assert world.disconnects.release() == [(SLOT, "one")]
    assert world.letters == []


async def test_with_a_registry_what_waits_is_left_to_the_others() -> None:
    world = World(durable=True)
    world.backend.answer = refused()
    await world.ends("one")
    await world.ends("two", owner=b"xyz")
    world.backend.answer = None
    await world.ends("three", "four")

    world.disconnects.drain()
    assert world.disconnects.holding, "a first attempt is awaited"
    assert sorted(world.disconnects.release()) == [(SLOT, "one"), (b"xyz", "two")]
    assert world.disconnects.release() == []
    world.backend.open[0].set_result(EndpointResponse(200))
    world.backend.open.pop(0)
    await world.backend.end(error=refused())
    await world.loop.move(1000)

    assert not world.disconnects.holding
    assert world.disconnects.release() == [(SLOT, "four")]
    await world.disconnects.end()
    assert world.finished == [(SLOT, "three")]
    assert (world.letters, len(world.backend.calls)) == ([], 4)


async def test_a_retry_under_way_when_it_is_released_may_still_be_answered() -> None:
    world = World(durable=True)
    world.backend.answer = refused()
    await world.ends("one")
    world.backend.answer = None
    await world.loop.move(1)

    assert world.disconnects.release() == []
    await world.backend.end(status=200)

    assert world.finished == [(SLOT, "one")]
    assert not world.disconnects.holding


async def test_errors_of_an_answer_are_told_by_few_lines() -> None:
    world = World()
    world.backend.answer = cast("GatewayError", BadGateway("function f failed", transient=False))

    await world.ends(*(f"c{number}" for number in range(1000)))

    assert sum(line["event"] == "$disconnect failed" for line in world.logged) == module.FAILED_BURST
    assert world.gateway.counters.disconnect_failures == 1000
    assert len(world.finished) == 1000
