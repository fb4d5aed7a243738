"""Buckets that nodes share: what passes in all, with the clock, the store and its answers in the test's hands."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.memory_shares import MemoryShares
from tests.unit.dataplane.test_buckets import SAY, Clock
from wsgateway.dataplane.buckets import Buckets, Limit
from wsgateway.dataplane.leases import AGAIN, ROUND, Leases
from wsgateway.dataplane.shared_bucket import AHEAD, LIFE, REMEMBERED
from wsgateway.errors import RegistryAway
from wsgateway.registry.base import Grant, Want

pytestmark = pytest.mark.anyio


@dataclass
class Question:
    wants: Sequence[Want]
    answer: Future[Sequence[Grant]]
    grants: Sequence[Grant] | None = None
    """What the store gave; None before it has the question."""


class Wire:
    """One node's way to the store. Questions and answers travel when the test says so, unless it is `quick`."""

    def __init__(self, store: MemoryShares, *, quick: bool) -> None:
        self.store = store
        self.quick = quick
        self.cut = False
        self.questions: list[Question] = []
        self.calls = 0

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        self.calls += 1
        if self.cut:
            raise RegistryAway("cut")
        if self.quick:
            return await self.store.lease(wants)
        question = Question(wants, asyncio.get_running_loop().create_future())
        self.questions.append(question)
        return await question.answer

    async def arrive(self) -> None:
        for question in self.questions:
            if question.grants is None:
                question.grants = await self.store.lease(question.wants)

    def return_(self) -> None:
        for question in self.questions:
            if question.grants is not None and not question.answer.done():
                question.answer.set_result(question.grants)
        self.questions = [question for question in self.questions if question.grants is None]

    def lose(self) -> None:
        for question in self.questions:
            if not question.answer.done():
                question.answer.set_exception(RegistryAway("lost"))
        self.questions = []


@dataclass
class Node:
    wire: Wire
    buckets: Buckets
    waiting: list[Future[bool]] = field(default_factory=list)


class World:
    """Some nodes and their store."""

    def __init__(self, count: int, limit: Limit, *, quick: bool = True) -> None:
        self.clock = Clock()
        self.store = MemoryShares(self.clock)
        self.limit = limit
        self.quick = quick
        self.count = count
        self.logged: list[str] = []
        self.nodes = [self._node() for _ in range(count)]
        self.admitted: list[tuple[float, int]] = []

    def _node(self) -> Node:
        wire = Wire(self.store, quick=self.quick)
        leases = Leases(wire, self.clock, lambda: self.count, self._log, patience=None)
        return Node(wire, Buckets(self.clock, leases))

    def _log(self, event: str, **facts: object) -> None:
        self.logged.append(event)

    async def take(self, number: int, tries: int = 1) -> int:
        """How many of so many messages at one node pass at once."""
        node = self.nodes[number]
        passed = 0
        for _ in range(tries):
            taken = node.buckets.bucket(SAY, self.limit).take()
            if isinstance(taken, bool):
                passed += taken
            else:
                assert isinstance(taken, Future)
                node.waiting.append(taken)
        self._count(passed)
        return passed + await self.settle()

    async def settle(self) -> int:
        """Let everything happen that can; gives how many of those that waited pass by that."""
        for _ in range(12):
            await asyncio.sleep(0)
        passed = 0
        for node in self.nodes:
            done = [future for future in node.waiting if future.done()]
            node.waiting = [future for future in node.waiting if not future.done()]
            passed += sum(future.result() for future in done)
        self._count(passed)
        return passed

    def _count(self, passed: int) -> None:
        if passed:
            self.admitted.append((self.clock.now, passed))

    async def restart(self, number: int) -> None:
        """The node dies, with all that waits, and another one comes in its place."""
        old = self.nodes[number]
        self.nodes[number] = self._node()
        old.wire.lose()
        await end(old)

    def most(self, seconds: float = 10.0) -> int:
        """The most that passed in any such time."""
        return max(
            (sum(n for at, n in self.admitted if begin <= at <= begin + seconds) for begin, _ in self.admitted),
            default=0,
        )

    async def aclose(self) -> None:
        for node in self.nodes:
            node.wire.lose()
            await end(node)


async def end(node: Node) -> None:
    assert node.buckets.leases is not None
    await node.buckets.leases.aclose()


def bound(limit: Limit) -> float:
    return limit.burst + 1.1 * limit.rate * 10.0 + 1e-6


async def test_the_first_is_asked_for_and_those_behind_it_with_it() -> None:
    world = World(1, Limit(10.0, 5.0), quick=False)
    assert await world.take(0, 3) == 0
    wire = world.nodes[0].wire
    assert [want.tokens for want in wire.questions[0].wants] == [3]
    await wire.arrive()
    wire.return_()
    assert await world.settle() == 3
    assert wire.calls == 1


async def test_what_came_after_the_question_is_asked_for_next() -> None:
    world = World(1, Limit(10.0, 50.0), quick=False)
    await world.take(0, 2)
    wire = world.nodes[0].wire
    await world.take(0, 4)
    await wire.arrive()
    wire.return_()
    assert await world.settle() == 2
    assert wire.questions[0].wants[0].tokens >= 4
    await wire.arrive()
    wire.return_()
    assert await world.settle() == 4


async def test_a_quiet_bucket_leases_nothing_ahead() -> None:
    world = World(2, Limit(1.0, 5.0))
    for _ in range(5):
        assert await world.take(0) == 1
        world.clock.now += 1.0
    assert await world.take(1, 5) >= 4, "the other node finds what this one has not used"


async def test_a_busy_one_asks_about_ten_times_a_second() -> None:
    world = World(1, Limit(1000.0, 500.0))
    for _ in range(4_000):
        assert await world.take(0) == 1
        world.clock.now += 0.0025
    assert world.nodes[0].wire.calls <= 12 * 10


async def test_an_exhausted_one_asks_about_twenty_times_a_second_and_wastes_little() -> None:
    limit = Limit(100.0, 50.0)
    world = World(3, limit)
    for _ in range(2_000):
        for number in range(3):
            await world.take(number, 5)
        world.clock.now += 0.01
    passed = sum(number for _, number in world.admitted)
    assert 0.95 * (50 + 100 * 20) <= passed <= 50 + 100 * 21
    assert max(node.wire.calls for node in world.nodes) <= 25 * 20
    assert world.most() <= bound(limit)


async def test_nodes_that_compete_share_by_what_they_need() -> None:
    world = World(2, Limit(100.0, 20.0))
    passed = [0, 0]
    for _ in range(3_000):
        passed[0] += await world.take(0, 3)
        passed[1] += await world.take(1, 3)
        world.clock.now += 0.01
    assert min(passed) > 0.3 * sum(passed)


async def test_a_small_burst_with_a_high_rate_is_asked_for_more_often() -> None:
    world = World(1, Limit(1000.0, 20.0))
    for _ in range(5_000):
        await world.take(0, 4)
        world.clock.now += 0.002
    assert sum(number for _, number in world.admitted) >= 0.8 * 1000 * 10


async def test_who_waits_is_refused_by_the_answer_however_slow_it_is() -> None:
    world = World(1, Limit(1.0, 2.0), quick=False)
    wire = world.nodes[0].wire
    await world.take(0, 3)
    await wire.arrive()
    world.clock.now += 0.24
    await world.take(0, 2)
    wire.return_()
    assert await world.settle() == 2
    assert not world.nodes[0].waiting, "there can be no other token for a while"
    assert not wire.questions


async def test_where_there_is_plenty_a_quiet_bucket_asks_once_a_second() -> None:
    world = World(1, Limit(1000.0, 500.0))
    for _ in range(40):
        assert await world.take(0) == 1
        world.clock.now += 0.25
    assert world.nodes[0].wire.calls <= 12


async def test_many_buckets_are_asked_about_by_rounds() -> None:
    world = World(1, Limit(1.0, 1.0))
    buckets = world.nodes[0].buckets
    taken = [buckets.bucket(("user", str(number)), world.limit).take() for number in range(2 * ROUND + 1)]
    assert all(await asyncio.gather(*(one for one in taken if not isinstance(one, bool))))
    assert world.nodes[0].wire.calls == 3


async def test_leased_tokens_are_good_for_a_second_from_the_question_on() -> None:
    world = World(1, Limit(100.0, 100.0), quick=False)
    wire = world.nodes[0].wire
    await world.take(0, 50)
    await wire.arrive()
    world.clock.now += LIFE + 0.01
    wire.return_()
    assert await world.settle() == 0
    assert wire.questions, "they are asked for anew"
    await world.aclose()


@pytest.mark.parametrize("limit", [Limit(0.0, 5.0), Limit(5.0, 0.0)], ids=str)
async def test_nothing_passes_a_zero_and_nobody_is_asked(limit: Limit) -> None:
    world = World(1, limit)
    assert await world.take(0, 5) == 0
    assert world.nodes[0].wire.calls == 0


async def test_a_higher_limit_holds_at_once() -> None:
    world = World(1, Limit(0.001, 1.0))
    assert await world.take(0, 2) == 1
    assert await world.take(0, 2) == 0
    world.limit = Limit(100.0, 100.0)
    assert await world.take(0, 2) == 2


@pytest.mark.parametrize("cut", [False, True], ids=["answered", "lost"])
async def test_a_limit_of_zero_holds_for_what_was_leased_and_asked_before(cut: bool) -> None:
    world = World(1, Limit(100.0, 100.0))
    await world.take(0, 30)
    await world.take(0, 1)
    wire = world.nodes[0].wire
    wire.quick = False
    await world.take(0, 100)
    asked = len(world.nodes[0].waiting)
    assert asked
    world.limit = Limit(0.0, 100.0)
    assert await world.take(0, 50) == 0
    if cut:
        wire.lose()
        assert await world.settle() == 0
    else:
        await wire.arrive()
        wire.return_()
        assert await world.settle() <= asked
    assert await world.take(0, 50) == 0
    world.clock.now += 60.0
    assert await world.take(0, 50) == 0


async def test_who_went_away_takes_no_token() -> None:
    world = World(1, Limit(0.001, 1.0), quick=False)
    node = world.nodes[0]
    await world.take(0, 2)
    node.waiting.pop(0).cancel()
    await node.wire.arrive()
    node.wire.return_()
    assert await world.settle() == 1


# The store is away


async def test_each_node_goes_on_with_its_share() -> None:
    world = World(4, Limit(40.0, 20.0))
    await world.take(0)  # it saw 19 tokens
    for node in world.nodes:
        node.wire.cut = True
    world.clock.now += LIFE
    passed = await world.take(0, 50)
    assert passed == 4, "of 19 tokens a fourth, 4.75"
    world.clock.now += 0.25
    assert await world.take(0, 50) == 3, "10 a second more"
    world.clock.now += 60.0
    assert await world.take(0, 50) == 5, "a fourth of the burst is saved up"
    assert world.logged == ["limits are held by each node's share"]


async def test_a_node_that_never_saw_the_bucket_begins_without() -> None:
    world = World(4, Limit(40.0, 20.0))
    world.nodes[0].wire.cut = True
    assert await world.take(0, 50) == 0
    world.clock.now += 0.5
    assert await world.take(0, 50) == 5


async def test_while_it_is_away_nobody_waits_and_it_is_asked_once_a_second() -> None:
    world = World(1, Limit(10.0, 10.0))
    wire = world.nodes[0].wire
    wire.cut = True
    await world.take(0, 3)
    wire.cut, wire.quick = False, False
    calls = wire.calls
    for _ in range(100):
        world.clock.now += AGAIN / 50
        await world.take(0, 2)
        assert not world.nodes[0].waiting
    assert wire.calls - calls == 1
    wire.lose()
    await world.settle()


async def test_when_it_is_back_it_hears_what_was_spent() -> None:
    world = World(2, Limit(10.0, 20.0))
    await world.take(0, 2)
    for node in world.nodes:
        node.wire.cut = True
    world.clock.now += LIFE
    assert await world.take(0, 20) == 9
    for node in world.nodes:
        node.wire.cut = False
    world.store.clear()
    world.clock.now += AGAIN
    assert await world.take(0) == 1, "its own yet"
    (grant,) = await world.store.lease([Want(name=SAY, rate=10.0, burst=20.0, tokens=0)])
    leased = 1
    assert grant.level == 14.0 - leased, "a store that was emptied is not full: the other share is, and this one has 4"
    assert world.logged[-1] == "limits are held together again"


async def test_what_a_share_got_again_is_no_debt() -> None:
    world = World(1, Limit(100.0, 50.0))
    await world.take(0)
    wire = world.nodes[0].wire
    wire.cut = True
    for _ in range(300):
        world.clock.now += 0.02
        await world.take(0)
    wire.cut = False
    world.clock.now += AGAIN
    for _ in range(100):
        assert await world.take(0) == 1, "half of the limit was used all the while"
        world.clock.now += 0.02


async def test_a_store_that_is_silent_is_away_soon() -> None:
    clock = Clock()
    wire = Wire(MemoryShares(clock), quick=False)
    logged: list[str] = []
    leases = Leases(wire, clock, lambda: 1, lambda event, **facts: logged.append(str(facts["error"])), patience=0.001)
    buckets = Buckets(clock, leases)
    taken = buckets.bucket(SAY, Limit(1.0, 5.0)).take()
    assert not isinstance(taken, bool)
    assert await taken is False, "of a bucket it never saw it has nothing yet"
    assert logged == ["no answer within 0.001 s"]


async def test_what_a_store_should_never_raise_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, Limit(1.0, 5.0))

    async def fail(wants: Sequence[Want]) -> Sequence[Grant]:
        raise ValueError("odd")

    monkeypatch.setattr(world.nodes[0].wire, "lease", fail)
    await world.take(0, 3)
    assert not world.nodes[0].waiting
    assert world.logged == ["limits are held by each node's share"]


async def test_the_end_leaves_nobody_waiting() -> None:
    world = World(1, Limit(1.0, 5.0), quick=False)
    await world.take(0, 3)
    await end(world.nodes[0])
    await world.settle()
    assert not world.nodes[0].waiting


async def test_idle_ones_are_forgotten() -> None:
    world = World(1, Limit(1.0, 5.0))
    await world.take(0, 3)
    buckets = world.nodes[0].buckets
    for seconds, left in ((0.5, 1), (LIFE, 1), (5.0, 1), (REMEMBERED, 0)):
        world.clock.now += seconds
        buckets.sweep()
        assert len(buckets) == left


async def test_who_was_silent_for_a_while_has_a_share_when_the_store_is_lost() -> None:
    world = World(1, Limit(0.1, 5.0))
    node = world.nodes[0]
    assert await world.take(0) == 1
    world.clock.now += 30.0
    node.buckets.sweep()
    node.wire.cut = True

    assert await world.take(0, 9) == 4, "what was there when it was last looked at"


# What all nodes let pass

LIMITS = st.builds(Limit, st.sampled_from([0.5, 3.0, 20.0, 200.0]), st.sampled_from([1.0, 15.0, 150.0]))
NODE = st.integers(0, 2)
PAUSES = st.sampled_from([0.001, 0.03, 0.2, 0.6, 1.0, 3.0, 9.0, 60.0])
STEPS = st.one_of(
    st.tuples(st.just("rush"), st.just(0), st.integers(1, 200)),
    st.tuples(st.just("return all"), st.just(0), st.just(0)),
    st.tuples(st.just("take"), NODE, st.integers(1, 200)),
    st.tuples(st.just("pass"), PAUSES, st.just(0)),
    st.tuples(st.just("arrive"), NODE, st.just(0)),
    st.tuples(st.just("return"), NODE, st.just(0)),
)
RESTARTS = st.tuples(st.just("restart"), NODE, st.just(0))
RUSH, SOME, BACK, LONG_PAUSE = ("rush", 0, 49), ("rush", 0, 10), ("return all", 0, 0), ("pass", 60.0, 0)
FAULTS = st.one_of(
    st.tuples(st.just("lose"), NODE, st.just(0)),
    st.tuples(st.just("cut"), st.just(0), st.just(0)),
    st.tuples(st.just("clear"), st.just(0), st.just(0)),
)


async def run(limit: Limit, steps: Sequence[tuple[str, float, int]], *, quick: bool) -> World:
    world = World(3, limit, quick=quick)
    for step, argument, tries in steps:
        node = world.nodes[int(argument) % 3]
        match step:
            case "take":
                await world.take(int(argument), tries)
            case "rush":
                for number in range(3):
                    await world.take(number, tries)
                    await world.nodes[number].wire.arrive()
            case "return all":
                for each in world.nodes:
                    each.wire.return_()
            case "pass":
                world.clock.now += argument
            case "arrive":
                await node.wire.arrive()
            case "return":
                node.wire.return_()
            case "restart":
                await world.restart(int(argument))
            case "lose":
                node.wire.lose()
            case "cut":
                for each in world.nodes:
                    each.wire.cut = not each.wire.cut
            case "clear":
                world.store.clear()
        await world.settle()
    await world.aclose()
    return world


@settings(max_examples=150, deadline=None)
@given(LIMITS, st.lists(st.one_of(STEPS, STEPS, STEPS, RESTARTS), max_size=80), st.sampled_from([True, False, False]))
@example(limit=Limit(3.0, 150.0), steps=[RUSH, LONG_PAUSE, BACK, RUSH, BACK, RUSH, BACK], quick=False)
@example(limit=Limit(1.0, 150.0), steps=[*[SOME] * 3, *[LONG_PAUSE] * 3, *[RUSH] * 4], quick=True)
def test_in_any_ten_seconds_no_more_passes_than_was_said(
    limit: Limit, steps: list[tuple[str, float, int]], quick: bool
) -> None:
    """However messages, questions and answers come, and whatever nodes end."""
    world = asyncio.run(run(limit, steps, quick=quick))
    assert world.most() <= bound(limit)


@settings(max_examples=150, deadline=None)
@given(LIMITS, st.lists(st.one_of(STEPS, STEPS, STEPS, RESTARTS, FAULTS), max_size=80), st.booleans())
def test_whatever_fails_there_is_a_limit(limit: Limit, steps: list[tuple[str, float, int]], quick: bool) -> None:
    """Each fault may cost a burst: what is spent twice is what the others could not know."""
    world = asyncio.run(run(limit, steps, quick=quick))
    faults = sum(step in ("lose", "cut", "clear", "restart") for step, _, _ in steps)
    share = max(limit.burst, world.count)
    assert world.most() <= (1 + faults) * share + 2 * 1.1 * limit.rate * 10.0 + 1e-6


def test_its_numbers_are_what_the_bound_rests_on() -> None:
    assert LIFE == 1.0
    assert AHEAD < LIFE
