"""What every Usage promises: never more granted than there is, over all nodes; and who used what, by day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness import PATIENCE
from tests.redis import cluster, redis_server
from wsgateway.registry.link import Link
from wsgateway.registry.redis_usage import RedisUsage
from wsgateway.registry.target import target
from wsgateway.registry.usage import USAGE_DAYS, Claim, MemoryUsage, MeterName, Usage

pytestmark = pytest.mark.anyio

DAY = 20_780
METER = ("gold", "mobile")
ODD = ("gold", "{a}:b/c é")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["memory", "redis", "cluster"])
async def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Servers that serve all tests of the module, each under a prefix of its own."""
    folder: Path = tmp_path_factory.mktemp("servers")
    async with AsyncExitStack() as stack:
        match request.param:
            case "redis":
                yield (await stack.enter_async_context(redis_server(folder))).url
            case "cluster":
                yield (await stack.enter_async_context(cluster(folder))).url
            case _:
                yield ""


@pytest.fixture
async def store(url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Usage]:
    """An empty one."""
    monkeypatch.setattr("wsgateway.registry.redis_usage.CLAIM_SECONDS", PATIENCE)  # a machine may be slow
    if not url:
        yield MemoryUsage()
        return
    link = Link(target(url), f"test{request.node.name}".replace("{", "").replace("}", ""))
    try:
        await link.command("PING", seconds=PATIENCE)  # a node has been talking to it for long when it counts something
        yield RedisUsage(link)
    finally:
        await link.aclose()


def claim(wanted: int = 1, *, limit: int | None = 10, meter: MeterName = METER, mark: str = "", **more: int) -> Claim:
    day = more.pop("day", DAY)
    return Claim(
        meter=meter,
        day=day,
        first=more.get("first", day),
        limit=limit,
        wanted=wanted,
        seen=more.get("seen", 0),
        spent=more.get("spent", 0),
        offset=more.get("offset", 0),
        mark=mark,
    )


async def ask(store: Usage, *claims: Claim) -> list[tuple[int, int]]:
    return [(answer.granted, answer.used) for answer in await store.claim(claims)]


async def test_what_is_left_is_granted_and_no_more(store: Usage) -> None:
    assert await ask(store, claim(4)) == [(4, 4)]
    assert await ask(store, claim(4)) == [(4, 8)]
    assert await ask(store, claim(4)) == [(2, 10)]
    assert await ask(store, claim(4)) == [(0, 10)]
    assert await store.read([METER]) == [{DAY: 10}]


async def test_each_meter_is_counted_by_itself(store: Usage) -> None:
    assert await ask(store, claim(10), claim(3, meter=ODD)) == [(10, 10), (3, 3)]
    assert await store.read([METER, ODD, ("nobody", "none")]) == [{DAY: 10}, {DAY: 3}, {}]


async def test_all_days_of_a_period_count(store: Usage) -> None:
    await ask(store, claim(4, day=DAY - 5, first=DAY - 7))
    await ask(store, claim(4, day=DAY - 8, first=DAY - 8))

    assert await ask(store, claim(10, first=DAY - 7)) == [(6, 10)]
    assert await store.read([METER]) == [{DAY - 8: 4, DAY - 5: 4, DAY: 6}]


async def test_a_new_period_begins_anew(store: Usage) -> None:
    await ask(store, claim(10))

    assert await ask(store, claim(1, day=DAY + 1)) == [(1, 1)]


async def test_what_was_used_without_asking_counts_first(store: Usage) -> None:
    assert await ask(store, claim(5, spent=8)) == [(2, 10)]
    assert await ask(store, claim(5, spent=3)) == [(0, 13)]


async def test_without_a_quota_all_is_granted_and_counted(store: Usage) -> None:
    assert await ask(store, claim(0, limit=None, spent=1_000_000), claim(2, limit=None)) == [
        (0, 1_000_000),
        (2, 1_000_002),
    ]


async def test_a_store_that_forgot_believes_what_a_node_knows(store: Usage) -> None:
    assert await ask(store, claim(5, seen=7)) == [(3, 10)]
    assert await ask(store, claim(5, seen=7)) == [(0, 10)]


async def test_what_is_given_back_can_be_had_by_others(store: Usage) -> None:
    (first,) = await store.claim([claim(10)])
    (second,) = await store.claim([claim(1, mark=first.mark, seen=10, spent=-4)])

    assert (second.granted, second.used, second.mark) == (1, 7, first.mark)
    assert await ask(store, claim(9, mark=first.mark, seen=10)) == [(3, 10)]


async def test_no_more_is_given_back_than_was_used_on_the_day(store: Usage) -> None:
    await ask(store, claim(5, day=DAY - 1, first=DAY - 1), claim(2, first=DAY - 1))

    assert await ask(store, claim(0, first=DAY - 1, spent=-4)) == [(0, 5)]
    assert await store.read([METER]) == [{DAY - 1: 5, DAY: 0}]


async def test_the_first_period_has_less(store: Usage) -> None:
    assert await ask(store, claim(10, offset=3)) == [(7, 7)]
    assert await ask(store, claim(10, offset=3)) == [(0, 7)]
    assert await ask(store, claim(20, offset=3, day=DAY + 1)) == [(10, 10)]


async def test_days_of_long_ago_are_forgotten(store: Usage) -> None:
    await ask(store, claim(1, day=DAY - USAGE_DAYS), claim(1, day=DAY - USAGE_DAYS + 1))
    await ask(store, claim(1))

    assert await store.read([METER]) == [{DAY - USAGE_DAYS + 1: 1, DAY: 1}]


async def test_of_many_at_once_none_gets_what_another_has(store: Usage) -> None:
    answers = await asyncio.gather(*(store.claim([claim(3, limit=100)]) for _ in range(50)))

    assert sum(answer.granted for (answer,) in answers) == 100
    assert await store.read([METER]) == [{DAY: 100}]


async def test_nothing_is_asked_of_nobody(store: Usage) -> None:
    assert list(await store.claim([])) == []
    assert list(await store.read([])) == []


async def test_the_largest_numbers_stay_exact(store: Usage) -> None:
    large = 2**53 - 2

    assert await ask(store, claim(3, limit=large, spent=large - 1)) == [(1, large)]
    assert await store.read([METER]) == [{DAY: large}]
