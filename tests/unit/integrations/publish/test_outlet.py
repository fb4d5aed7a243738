"""What goes to one broker: rounds, bounds, deadlines, and what happens while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from wsgateway.errors import GatewayError, IntegrationFailure, IntegrationTimeout, ServiceUnavailable
from wsgateway.integrations.publish import outlet as module
from wsgateway.integrations.publish.base import BrokerAway, Outcome, Publication, Refused
from wsgateway.integrations.publish.handover import Handover, Tally
from wsgateway.integrations.publish.outlet import Outlet
from wsgateway.upstream.deadlines import Deadlines
from wsgateway.upstream.exchange import Gate

pytestmark = pytest.mark.anyio

SOON = 0.03
LONG = 20.0


class Scripted:
    """A Publisher that does as it is told: `answers` makes what becomes of a batch."""

    def __init__(self) -> None:
        self.lost: Callable[[str], None] = lambda reason: None
        self.batches: list[list[bytes]] = []
        self.opened = 0
        self.closed = 0
        self.away: Exception | None = None
        self.arrived = asyncio.Event()
        self.answers: Callable[[Sequence[Publication]], Awaitable[list[Any]]] = self.take

    async def take(self, batch: Sequence[Publication]) -> list[Any]:
        return [b'{"id":"%b"}' % one.body for one in batch]

    async def open(self) -> None:
        self.opened += 1
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Outcome | asyncio.Future[Outcome]]:
        self.batches.append([one.body for one in batch])
        self.arrived.set()
        return await self.answers(batch)

    async def aclose(self) -> None:
        self.closed += 1


class World:
    """An outlet in front of a scripted publisher."""

    def __init__(self) -> None:
        self.publisher = Scripted()
        self.log: list[tuple[str, dict[str, object]]] = []
        self.heard = asyncio.Event()
        self.tally = Tally()
        self.deadlines = Deadlines(asyncio.get_running_loop())
        self.outlet = Outlet("Broker at x", self.publisher, self.deadlines, self._log)

    def publish(self, body: str = "1", *, seconds: float = LONG, gate: Gate | None = None) -> Handover:
        return self.outlet.publish(Publication("in", body.encode(), []), seconds, self.tally, gate)

    async def logged(self, event: str, times: int = 1) -> dict[str, object]:
        """The last of so many lines."""
        async with asyncio.timeout(LONG):
            while len(found := [facts for name, facts in self.log if name == event]) < times:
                self.heard.clear()
                await self.heard.wait()
        return found[times - 1]

    def _log(self, event: str, **facts: object) -> None:
        self.log.append((event, facts))
        self.heard.set()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.outlet.aclose()
    assert len(made.deadlines) == 0
    assert made.tally.pending == 0


async def failed(handover: Handover) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await asyncio.wait_for(handover, LONG)
    return caught.value


async def test_what_one_turn_asks_for_is_one_round_in_order(world: World) -> None:
    handovers = [world.publish(str(number)) for number in range(100)]
    answers = await asyncio.gather(*handovers)
    assert world.publisher.batches == [[str(number).encode() for number in range(100)]]
    assert answers[7].body == b'{"id":"7"}'
    assert (answers[7].status, answers[7].binary) == (200, False)
    assert world.tally.results == {"published": 100}


async def test_one_round_is_under_way_at_a_time(world: World) -> None:
    go = asyncio.Event()

    async def slow(batch: Sequence[Publication]) -> list[Any]:
        await go.wait()
        return await world.publisher.take(batch)

    world.publisher.answers = slow
    first = world.publish("1")
    await world.publisher.arrived.wait()
    others = [world.publish(str(number)) for number in range(2, 5)]
    await asyncio.sleep(0)
    assert world.publisher.batches == [[b"1"]]
    assert world.tally.pending == 4
    go.set()
    await asyncio.gather(first, *others)
    assert world.publisher.batches == [[b"1"], [b"2", b"3", b"4"]]


async def test_rounds_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND_MESSAGES", 3)
    monkeypatch.setattr(module, "ROUND_BYTES", 3000)
    bodies = ["a", "b", "c", "d", "x" * 5000, "e"]
    await asyncio.gather(*[world.publish(body) for body in bodies])
    assert world.publisher.batches == [[b"a", b"b", b"c"], [b"d"], [b"x" * 5000], [b"e"]]


async def test_too_much_is_refused_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MESSAGES", 2)
    taken = [world.publish(), world.publish()]
    with pytest.raises(ServiceUnavailable, match="too much waits for Broker at x"):
        world.publish()
    assert world.tally.results["queue_full"] == 1
    await asyncio.gather(*taken)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(ServiceUnavailable):
        world.publish("x" * 1000)
    await world.publish()


async def test_deadlines_say_who_has_the_message(world: World) -> None:
    """One that was not sent is not sent any more."""
    go = asyncio.Event()

    async def silent(batch: Sequence[Publication]) -> list[Any]:
        await go.wait()
        return await world.publisher.take(batch)

    world.publisher.answers = silent
    sent = world.publish("1", seconds=SOON)
    await world.publisher.arrived.wait()
    waiting, patient = world.publish("2", seconds=SOON), world.publish("3")
    error = await failed(sent)
    assert isinstance(error, IntegrationTimeout)
    assert "may have the message all the same" in error.reason
    assert "has not got the message" in (await failed(waiting)).reason
    go.set()
    assert (await patient).body == b'{"id":"3"}'
    assert world.publisher.batches == [[b"1"], [b"3"]]
    assert world.tally.results == {"published": 1, "timeout": 2}


async def test_who_gives_up_is_not_sent(world: World) -> None:
    gate = Gate(1)
    handover = world.publish(gate=gate)
    assert gate.in_flight == 1
    handover.cancel()
    assert gate.in_flight == 0
    await world.publish("2")
    assert world.publisher.batches == [[b"2"]]
    assert world.tally.results == {"published": 1, "cancelled": 1}


async def test_a_refusal_is_of_one_message(world: World) -> None:
    async def picky(batch: Sequence[Publication]) -> list[Any]:
        return [Refused("no", transient=False) if one.body == b"bad" else b"{}" for one in batch]

    world.publisher.answers = picky
    good, bad = world.publish("good"), world.publish("bad")
    await good
    error = await failed(bad)
    assert isinstance(error, IntegrationFailure)
    assert (error.status, error.reason, error.transient) == (500, "no", False)
    assert world.tally.results == {"published": 1, "refused": 1}


async def test_what_takes_longer_holds_up_nobody(world: World) -> None:
    later: dict[bytes, asyncio.Future[Outcome]] = {}

    async def acknowledge_later(batch: Sequence[Publication]) -> list[Any]:
        for one in batch:
            later[one.body] = asyncio.get_running_loop().create_future()
        return [later[one.body] for one in batch]

    world.publisher.answers = acknowledge_later
    one, two, three = world.publish("1"), world.publish("2", seconds=SOON), world.publish("3")
    await world.publisher.arrived.wait()
    world.publisher.answers = world.publisher.take
    await world.publish("4")
    assert isinstance(await failed(two), IntegrationTimeout)
    assert later[b"2"].cancelled()
    later[b"1"].set_result(b'{"sequence":1}')
    later[b"3"].set_result(Refused("no"))
    assert (await one).body == b'{"sequence":1}'
    assert (await failed(three)).reason == "no"


async def test_while_it_is_away_everybody_is_told_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    world.publisher.away = BrokerAway("Broker at x: refused")
    world.outlet.use()
    waiting = world.publish()
    assert (await failed(waiting)).reason == "Broker at x: refused"
    with pytest.raises(IntegrationFailure, match="Broker at x: refused"):
        world.publish()
    assert not world.outlet.up
    assert (await world.logged("broker can't be reached"))["error"] == "Broker at x: refused"
    world.publisher.away = BrokerAway("Broker at x: it refuses the user and password")
    await world.logged("broker can't be reached", times=2)
    world.publisher.away = None
    assert "after_seconds" in await world.logged("broker answers again")
    assert world.outlet.up
    await world.publish()
    assert world.tally.results == {"published": 1, "unreachable": 2}


async def test_a_lost_link_is_made_anew_at_once(world: World) -> None:
    async def lose(batch: Sequence[Publication]) -> list[Any]:
        world.publisher.answers = world.publisher.take
        raise BrokerAway("Broker at x: gone")

    world.outlet.use()
    world.publisher.answers = lose
    first = world.publish("1")
    await world.publisher.arrived.wait()
    second = world.publish("2")
    assert (await failed(first)).reason == "Broker at x: gone; the message may have been taken all the same"
    assert (await second).status == 200
    assert world.publisher.opened == 2
    assert [event for event, _ in world.log] == ["broker connected", "broker lost", "broker answers again"]
    assert world.tally.results == {"published": 1, "lost": 1}


async def test_a_link_lost_while_idle_is_made_anew(world: World) -> None:
    world.outlet.use()
    await world.logged("broker connected")
    world.publisher.lost("Broker at x: gone")
    await world.logged("broker answers again")
    assert world.publisher.opened == 2


async def test_who_is_used_no_more_sends_what_waits_and_ends(world: World) -> None:
    world.outlet.use()
    last = world.publish()
    world.outlet.retire()
    await last
    await idle(world)
    assert world.publisher.closed == 1
    await world.publish("of an old deployment")
    await idle(world)
    assert world.publisher.closed == 2


async def test_who_is_used_no_more_waits_for_what_takes_longer(world: World) -> None:
    later: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def acknowledge_later(batch: Sequence[Publication]) -> list[Any]:
        return [later]

    world.publisher.answers = acknowledge_later
    world.outlet.use()
    last = world.publish()
    await world.publisher.arrived.wait()
    world.outlet.retire()
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.publisher.closed == 0
    later.set_result(Refused("gone", result="lost"))
    error = await failed(last)
    assert (error.reason, error.failure) == ("gone", "reset")
    assert world.tally.results["lost"] == 1
    await idle(world)
    assert world.publisher.closed == 1


async def idle(world: World) -> None:
    async with asyncio.timeout(LONG):
        while world.outlet.busy:
            await asyncio.sleep(0)


async def test_who_is_used_no_more_is_not_mended(world: World) -> None:
    world.publisher.away = BrokerAway("refused")
    world.outlet.use()
    await world.logged("broker can't be reached")
    world.outlet.retire()
    opened = world.publisher.opened
    assert (await failed(world.publish())).reason == "refused"
    assert world.publisher.opened == opened + 1
    await idle(world)


async def test_the_end_waits_a_moment_and_then_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", SOON)

    async def silent(batch: Sequence[Publication]) -> list[Any]:
        never: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        return await never

    world.publisher.answers = silent
    sent = world.publish()
    await world.publisher.arrived.wait()
    waiting = world.publish()
    await world.outlet.aclose()
    for one in (sent, waiting):
        assert isinstance(await failed(one), ServiceUnavailable)
    with pytest.raises(ServiceUnavailable):
        world.publish()
    assert world.tally.results == {"published": 0, "closed": 2}


@pytest.mark.parametrize("where", ["open", "send"])
async def test_a_fault_of_ours_is_told_and_leaves_nobody_waiting(world: World, where: str) -> None:
    async def wrong(batch: Sequence[Publication]) -> list[Any]:
        raise TypeError("ours")

    if where == "open":
        world.publisher.away = TypeError("ours")
    else:
        world.publisher.answers = wrong
    world.outlet.use()
    assert "unexpected TypeError" in (await failed(world.publish())).reason
    assert isinstance((await world.logged("unexpected error"))["error"], TypeError)
    world.publisher.away = None
    world.publisher.answers = world.publisher.take
    await world.logged("broker answers again")
    await world.publish()
