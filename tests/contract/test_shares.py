"""What every store of shared token buckets promises, whatever is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.harness import PATIENCE
from tests.memory_shares import MemoryShares
from tests.redis import cluster, redis_server, sentinels
from wsgateway.registry.base import Grant, Shares, Want
from wsgateway.registry.redis_shares import AT_ONCE
from wsgateway.registry.url import Registry, open_registry

pytestmark = pytest.mark.anyio

SLOW = 0.001
"""Tokens a second: in a test's time there is no other one."""
QUICK = 100.0


@dataclass
class Store:
    shares: Shares
    wait: Callable[[Want, float], Awaitable[None]]
    """Returns when the bucket of a `Want` holds as much, and was not asked for it in vain for longer than needed."""
    clear: Callable[[], Awaitable[None]]
    registry: Registry | None = None


@pytest.fixture(scope="module", params=["memory", "redis", "sentinel", "cluster"])
async def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder: Path = tmp_path_factory.mktemp("servers")
    async with AsyncExitStack() as stack:
        match request.param:
            case "redis":
                yield (await stack.enter_async_context(redis_server(folder))).url
            case "sentinel":
                yield (await stack.enter_async_context(sentinels(folder))).url
            case "cluster":
                yield (await stack.enter_async_context(cluster(folder))).url
            case _:
                yield "memory://"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(servers: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """An empty one."""
    monkeypatch.setattr("wsgateway.registry.redis_shares.ANSWER_SECONDS", PATIENCE)  # a machine may be slow
    if servers == "memory://":
        now = 0.0
        memory = MemoryShares(lambda: now)

        async def pass_by(want: Want, level: float) -> None:
            nonlocal now
            (grant,) = await memory.lease([msgspec.structs.replace(want, tokens=0)])
            now += max(0.0, level - grant.level) / want.rate

        async def clear() -> None:
            memory.clear()

        yield Store(memory, pass_by, clear)
        return
    registry = open_registry(servers, f"test:{abs(hash(request.node.name))}")

    async def fill(want: Want, level: float) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await registry.shares.lease([msgspec.structs.replace(want, tokens=0)]))[0].level < level:
                pass

    async def delete() -> None:
        await registry.link.command("DEL", registry.shares._key(want().name))

    yield Store(registry.shares, fill, delete, registry)
    await registry.nodes.aclose()


def want(tokens: int = 1, *, rate: float = SLOW, burst: float = 10.0, name: str = "say", **more: Any) -> Want:
    return Want(name=("route", "chat", "dev", name), rate=rate, burst=burst, tokens=tokens, **more)


async def got(store: Store, asked: Want) -> Grant:
    (grant,) = await store.shares.lease([asked])
    return grant


async def test_a_new_bucket_is_full_and_gives_what_it_has(store: Store) -> None:
    assert (await got(store, want(4))).tokens == 4
    assert (await got(store, want(4))).tokens == 4
    last = await got(store, want(4))
    assert last.tokens == 2
    assert last.level == pytest.approx(0.0, abs=0.1)
    assert (await got(store, want(1))).tokens == 0


async def test_it_fills_at_its_rate_up_to_its_burst(store: Store) -> None:
    quick = want(10, rate=QUICK)
    assert (await got(store, quick)).tokens == 10
    await store.wait(quick, 3.0)
    assert 3 <= (await got(store, quick)).tokens <= 10
    await store.wait(quick, 10.0)
    assert (await got(store, want(50, rate=QUICK))).tokens == 10


async def test_fractions_of_tokens_are_kept(store: Store) -> None:
    """At 40,000 a second the 10 tokens are there within a millisecond, which is all that Redis measures."""
    fast = want(10, rate=40_000.0)
    for _ in range(20):
        grant = await got(store, fast)
        assert grant.level >= 0.0
        assert grant.tokens <= 10


async def test_many_are_asked_for_at_once_and_answered_in_order(store: Store) -> None:
    names = [str(number) for number in range(AT_ONCE + 3)]
    grants = await store.shares.lease([want(number % 12, name=name) for number, name in enumerate(names)])
    assert [grant.tokens for grant in grants] == [min(10, number % 12) for number in range(len(names))]
    assert await store.shares.lease([]) == []


async def test_of_many_that_ask_each_token_is_one_s(store: Store) -> None:
    await got(store, want(0))  # a Cluster's client finds its nodes by its first call
    grants = await asyncio.gather(*(store.shares.lease([want(3)]) for _ in range(10)))
    assert sum(grant.tokens for (grant,) in grants) == 10


async def test_names_are_apart_however_they_are_cut(store: Store) -> None:
    one = replace_name(want(10), ("user", "a", "b:c"))
    other = replace_name(want(10), ("user", "a:b", "c"))
    assert [(await got(store, asked)).tokens for asked in (one, other)] == [10, 10]


def replace_name(asked: Want, name: tuple[str, ...]) -> Want:
    return msgspec.structs.replace(asked, name=name)


async def test_any_text_is_a_name(store: Store) -> None:
    for text in ("", "\x00", "{}", "ä" * 5000, "\U0001f600 \r\n"):
        assert (await got(store, replace_name(want(10), ("user", text)))).tokens == 10


async def test_what_was_spent_is_taken_and_may_leave_a_debt(store: Store) -> None:
    assert (await got(store, want(0, spent=7.0))).level == pytest.approx(3.0, abs=0.1)
    assert (await got(store, want(1, spent=5.0))) == Grant(0, pytest.approx(-2.0, abs=0.1))
    assert (await got(store, want(1, spent=500.0))).level == pytest.approx(-10.0, abs=0.1), "one burst at most"


async def test_a_debt_is_paid_before_there_is_anything(store: Store) -> None:
    quick = want(1, rate=QUICK)
    assert (await got(store, msgspec.structs.replace(quick, spent=14.0))).tokens == 0
    await store.wait(quick, 1.0)
    assert (await got(store, quick)).tokens == 1


async def test_of_a_bucket_it_does_not_know_it_believes_the_node(store: Store) -> None:
    assert (await got(store, want(9, level=4.0))).tokens == 4
    assert (await got(store, want(9, level=9.0))).tokens == 0, "it knows it now"
    await store.clear()
    assert (await got(store, want(9, level=2.0, spent=1.0))).tokens == 1


async def test_a_limit_that_changes_keeps_what_is_missing(store: Store) -> None:
    assert (await got(store, want(8))).tokens == 8
    assert (await got(store, want(100, burst=50.0, rate=2 * SLOW))).tokens == 42
    assert (await got(store, want(1, burst=5.0))).tokens == 0


async def test_a_very_slow_one_is_no_trouble(store: Store) -> None:
    slow = want(1, rate=1e-9, burst=1e6)
    assert (await got(store, slow)).tokens == 1
    assert (await got(store, slow)).tokens == 1


async def test_what_others_wrote_under_its_name_is_no_bucket(store: Store) -> None:
    if store.registry is None:
        pytest.skip("nobody else writes into a process's memory")
    link, key = store.registry.link, store.registry.shares._key(want().name)
    for command in (("SET", key, "nonsense"), ("SET", key, "nan nan", "EX", 60), ("RPUSH", key, "1")):
        await link.command("DEL", key)
        await link.command(*command)
        if command[0] == "RPUSH":
            await link.command("EXPIRE", key, 60)
        assert (await got(store, want(10))).tokens == 10
        assert (await got(store, want(10))).tokens == 0


async def test_a_full_bucket_leaves_nothing_behind(store: Store) -> None:
    if store.registry is None:
        pytest.skip("a process's memory ends with it")
    quick = want(10, rate=QUICK)
    await got(store, quick)
    await store.wait(quick, 10.0)
    async with asyncio.timeout(PATIENCE):
        while await store.registry.link.command("EXISTS", store.registry.shares._key(quick.name)):
            pass
