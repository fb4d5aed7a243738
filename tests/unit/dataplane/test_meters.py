"""Quotas at a node: what is asked for ahead, what becomes of it, and what a node does alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.meters import MOST_CLAIMS, Meter, Meters
from wsgateway.dataplane.periods import DAY
from wsgateway.errors import RegistryAway
from wsgateway.model.usage_plan import Quota
from wsgateway.registry.usage import Claim, Granted, MemoryUsage, MeterName

pytestmark = pytest.mark.anyio

TODAY = 20_780
NAME = ("gold", "mobile")


class Store(MemoryUsage):
    """A registry that can be away, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.broken = False
        self.rounds: list[Sequence[Claim]] = []

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Granted]:
        self.rounds.append(claims)
        await asyncio.sleep(0)
        if self.broken:
            raise ZeroDivisionError
        if self.away:
            raise RegistryAway("away")
        return await super().claim(claims)


class Nodes:
    """Nodes of one installation, whose clock is moved by hand; `step` is how wrong the time of day is."""

    def __init__(self, number: int = 1) -> None:
        self.time = float(TODAY * DAY)
        self.step = 0.0
        self.store = Store()
        self.log: list[str] = []
        self.all = [Meters(lambda: self.time + self.step, self._tell, lambda: self.time) for _ in range(number)]
        for meters in self.all:
            meters.store = self.store
            meters.nodes = lambda: number

    def _tell(self, event: str, **facts: Any) -> None:
        self.log.append(event)

    async def used(self, day: int = TODAY, name: MeterName = NAME) -> int:
        (days,) = await self.store.read([name])
        return days.get(day, 0)


def quota(limit: int, period: str = "DAY", offset: int = 0) -> Quota:
    return Quota.model_validate({"limit": limit, "period": period, "offset": offset})


async def take(meter: Meter) -> bool:
    taken = meter.take()
    return taken if isinstance(taken, bool) else await taken


async def taken(meter: Meter, times: int) -> int:
    return sum([await take(meter) for _ in range(times)])


async def test_a_small_quota_is_exact_over_nodes() -> None:
    nodes = Nodes(3)
    meters = [each.meter(NAME, quota(10)) for each in nodes.all]

    assert [await taken(meter, 5) for meter in meters] == [5, 5, 0]
    assert await nodes.used() == 10


async def test_most_of_a_large_quota_is_taken_without_asking() -> None:
    nodes = Nodes()
    meter = nodes.all[0].meter(NAME, quota(1_000_000))

    assert await taken(meter, 20_000) == 20_000
    assert len(nodes.store.rounds) < 20


async def test_many_at_once_are_one_round() -> None:
    nodes = Nodes()
    meter, other = (nodes.all[0].meter(("gold", name), quota(10)) for name in ("a", "b"))

    results = await asyncio.gather(*(take(meter) for _ in range(12)), *(take(other) for _ in range(3)))

    assert results == [True] * 10 + [False] * 2 + [True] * 3
    assert [len(claims) for claims in nodes.store.rounds] == [2]


async def test_an_empty_quota_is_believed_for_a_second() -> None:
    nodes = Nodes()
    meter = nodes.all[0].meter(NAME, quota(1))
    await taken(meter, 2)
    asked = len(nodes.store.rounds)

    assert meter.take() is False
    assert len(nodes.store.rounds) == asked

    nodes.time += 1
    assert await take(meter) is False
    assert len(nodes.store.rounds) == asked + 1


@pytest.mark.parametrize(
    ("period", "days"),
    [
        pytest.param("DAY", 1, id="a day"),
        pytest.param("WEEK", 5, id="until Sunday"),  # 2026-11-24 is a Tuesday
        pytest.param("MONTH", 7, id="until the first"),
    ],
)
async def test_a_new_period_begins_at_midnight_utc(period: str, days: int) -> None:
    nodes = Nodes()
    nodes.time = (TODAY + 1) * DAY  # 2026-11-24
    meter = nodes.all[0].meter(NAME, quota(2, period))
    assert await taken(meter, 3) == 2

    nodes.time += days * DAY - 1
    assert await taken(meter, 1) == 0

    nodes.time += 1
    assert await taken(meter, 3) == 2


async def test_a_step_of_the_time_of_day_makes_nobody_wait_longer() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    nodes.time += 7200
    nodes.store.away = True
    assert await taken(node.meter(NAME, quota(10)), 1) == 1
    nodes.store.away = False
    nodes.step = -3600.0
    nodes.time += 1
    asked = len(nodes.store.rounds)
    assert await taken(node.meter(NAME, quota(10)), 1) == 1
    assert len(nodes.store.rounds) == asked + 1, "the registry is asked again after a second, and not after an hour"


async def test_a_clock_that_is_set_right_is_believed() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    nodes.step = 40.0 * DAY
    assert await taken(node.meter(NAME, quota(3)), 5) == 3
    nodes.step = 0.0
    nodes.time += 1
    assert await taken(node.meter(NAME, quota(3)), 5) == 3, "today nothing was used yet"
    assert await nodes.used() == 3
    nodes.time += DAY
    assert await taken(node.meter(NAME, quota(3)), 5) == 3


async def test_one_that_waits_while_the_quota_goes_is_let_through() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    waiting = asyncio.ensure_future(take(node.meter(NAME, quota(0))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    node.meter(NAME, None)

    assert await waiting is True
    await node.aclose()
    assert await nodes.used() == 1


async def test_what_is_left_is_shared_while_the_registry_is_away() -> None:
    nodes = Nodes(2)
    meters = [each.meter(NAME, quota(10)) for each in nodes.all]
    assert await taken(meters[0], 4) == 4
    nodes.store.away = True

    assert await taken(meters[0], 10) == 3
    assert await taken(meters[1], 10) == 5, "it never heard of the other's"

    nodes.store.away = False
    nodes.time += 1
    assert [await taken(meter, 1) for meter in meters] == [1, 0]
    assert await nodes.used() == 13
    assert nodes.log == [
        "quotas: the registry is away, so each node grants its share of what is left",
        "quotas: the registry is away, so each node grants its share of what is left",
        "quotas: the registry is back",
        "quotas: the registry is back",
    ]


async def test_a_registry_that_is_away_is_asked_once_a_second() -> None:
    nodes = Nodes()
    meter = nodes.all[0].meter(NAME, quota(100))
    nodes.store.away = True
    await take(meter)
    asked = len(nodes.store.rounds)

    assert all(meter.take() is True for _ in range(50))
    assert len(nodes.store.rounds) == asked

    nodes.time += 1
    assert await take(meter)
    assert len(nodes.store.rounds) == asked + 1


async def test_nobody_waits_for_more_than_one_round_that_fails() -> None:
    nodes = Nodes()
    nodes.store.away = True
    meters = [nodes.all[0].meter(("gold", str(number)), quota(10)) for number in range(3 * MOST_CLAIMS)]

    assert all(await asyncio.gather(*(take(meter) for meter in meters)))
    assert len(nodes.store.rounds) == 1


async def test_an_emptied_registry_is_told_what_was_used() -> None:
    nodes = Nodes()
    meter = nodes.all[0].meter(NAME, quota(10))
    await taken(meter, 8)
    nodes.all[0].store = nodes.store = Store()

    assert await taken(meter, 8) == 2
    assert await nodes.used() == 10


async def test_without_a_quota_nobody_is_asked_and_all_is_reported() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    meter = node.meter(NAME, None)

    assert all(meter.take() is True for _ in range(30))
    assert nodes.store.rounds == []

    nodes.time += DAY
    assert meter.take() is True
    await node.aclose()
    assert [await nodes.used(), await nodes.used(TODAY + 1)] == [30, 1]


async def test_what_was_not_taken_by_the_registry_is_reported_later_under_its_own_day() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    node.meter(NAME, None).take()
    nodes.store.away = True
    await node.aclose()
    nodes.time += DAY
    node.meter(NAME, None).take()
    nodes.store.away = False
    await node.aclose()
    await node.aclose()

    assert [await nodes.used(), await nodes.used(TODAY + 1)] == [1, 1]


async def test_another_quota_holds_at_once() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    assert await taken(node.meter(NAME, quota(2)), 3) == 2

    assert await taken(node.meter(NAME, quota(5)), 9) == 3
    assert await taken(node.meter(NAME, quota(1)), 1) == 0


async def test_one_that_waits_while_the_quota_changes_is_asked_for_anew() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    await taken(node.meter(NAME, quota(1)), 1)
    nodes.time += 2
    waiting = asyncio.ensure_future(take(node.meter(NAME, quota(1))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    node.meter(NAME, quota(3))

    assert await waiting is True


async def test_a_fault_of_the_store_leaves_nobody_waiting() -> None:
    nodes = Nodes()
    nodes.store.broken = True

    assert await taken(nodes.all[0].meter(NAME, quota(2)), 3) == 2


async def test_a_client_that_went_away_takes_nothing_from_others() -> None:
    nodes = Nodes()
    meter = nodes.all[0].meter(NAME, quota(2))
    first, second, third = (asyncio.ensure_future(take(meter)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second, await third) == (True, True)


async def test_what_nobody_takes_is_given_back() -> None:
    nodes = Nodes(2)
    meters = [each.meter(NAME, quota(1000)) for each in nodes.all]
    await taken(meters[0], 20)
    held = await nodes.used() - 20
    assert held > 0
    await take(meters[1])

    nodes.time += 10
    nodes.all[0].sweep()
    await nodes.all[0].aclose()
    await nodes.all[1].aclose()

    assert await nodes.used() == 21
    assert await taken(meters[1], 1000) == 979


async def test_a_node_that_ends_or_gets_another_quota_gives_back_what_it_holds() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    await taken(node.meter(NAME, quota(1000)), 20)
    assert await nodes.used() > 20
    await node.aclose()
    assert await nodes.used() == 20

    await taken(node.meter(NAME, quota(1000)), 25)
    assert await nodes.used() > 45
    node.meter(NAME, quota(2000))
    await node.aclose()
    assert await nodes.used() == 45


async def test_what_is_left_of_a_day_is_given_back_after_it() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    await taken(node.meter(NAME, quota(1000)), 20)
    nodes.time += DAY
    node.sweep()
    await node.aclose()

    assert [await nodes.used(), await nodes.used(TODAY + 1)] == [20, 0]


async def test_meters_of_periods_that_are_over_are_forgotten() -> None:
    nodes = Nodes()
    (node,) = nodes.all
    old = node.meter(NAME, quota(2))
    await take(old)
    nodes.time += DAY
    node.sweep()

    assert node.meter(NAME, quota(2)) is not old


Step = tuple[int, str]


@given(
    limit=st.integers(0, 500),
    steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["one", "many", "wait", "sweep"])), max_size=40),
)
def test_never_more_than_the_quota(limit: int, steps: list[Step]) -> None:
    """Over all nodes, in any order; and nearly all of it to whoever wants more."""

    async def run() -> None:
        nodes = Nodes(3)
        admitted = await _play(nodes, limit, steps, {})
        assert admitted <= limit
        nodes.time += 2
        admitted += await taken(nodes.all[0].meter(NAME, quota(limit)), limit + 1)
        assert limit - limit // 100 <= admitted <= limit
        for node in nodes.all:
            await node.aclose()
        assert await nodes.used() == admitted

    asyncio.run(run())


@given(
    limit=st.integers(0, 500),
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["one", "many", "wait", "sweep", "away", "back"])), max_size=40
    ),
)
def test_what_nodes_grant_alone_is_bounded(limit: int, steps: list[Step]) -> None:
    """At most the whole quota again for each time that the registry goes, for then no node knows of the others."""

    async def run() -> None:
        nodes = Nodes(3)
        gone = sum(step == "away" for _, step in steps)
        assert await _play(nodes, limit, steps, {"away": True, "back": False}) <= limit * (1 + gone)

    asyncio.run(run())


async def _play(nodes: Nodes, limit: int, steps: list[Step], switches: Mapping[str, bool]) -> int:
    admitted = 0
    for number, step in steps:
        node = nodes.all[number]
        match step:
            case "one":
                admitted += await take(node.meter(NAME, quota(limit)))
            case "many":
                meter = node.meter(NAME, quota(limit))
                admitted += sum(await asyncio.gather(*(take(meter) for _ in range(60))))
            case "wait":
                nodes.time += 0.5
            case "sweep":
                node.sweep()
            case _:
                nodes.store.away = switches[step]
    return admitted
