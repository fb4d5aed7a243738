"""What every store of nodes and orphans promises, whatever is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import PATIENCE
from tests.redis import cluster, redis_server, sentinels
from wsgateway.errors import RegistryAway
from wsgateway.registry.base import NodeEntry, Nodes, Orphans
from wsgateway.registry.memory import MemoryNodes, MemoryOrphans, MemoryStore
from wsgateway.registry.url import open_registry

pytestmark = pytest.mark.anyio

LONG, SHORT = 60.0, 0.2
A, B, C = b"aaa", b"\x00\xff}", b":*{"
ONE, TWO = NodeEntry(slot=A, address="127.0.0.1:1", name="one"), NodeEntry(slot=B, address="127.0.0.1:2", name="two")


@dataclass
class Store:
    nodes: Nodes
    orphans: Orphans
    lapse: Callable[[bytes], Awaitable[None]]
    """Returns when the (short) lease of a slot has run out."""


@pytest.fixture(scope="module", params=["memory", "redis", "sentinel", "cluster"])
async def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A URL; its servers serve all tests of the module, each under a prefix of its own."""
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
async def store(servers: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty one."""
    if servers == "memory://":
        now = 0.0
        kept = MemoryStore(lambda: now)

        async def pass_by(slot: bytes) -> None:
            nonlocal now
            now += SHORT

        yield Store(MemoryNodes(kept), MemoryOrphans(kept), pass_by)
        return
    registry = open_registry(servers, f"test:{abs(hash(request.node.name))}")

    async def lapse(slot: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while slot in (await registry.nodes.view(b"e", b"s")).leased:
                pass

    yield Store(registry.nodes, registry.orphans, lapse)
    await registry.nodes.aclose()


async def with_orphans(store: Store, count: int = 3) -> list[str]:
    """Node B had connections and its lease has run out; A lives."""
    assert await store.nodes.claim(ONE, LONG)
    assert await store.nodes.claim(TWO, SHORT)
    ids = [f"id-{number}==" for number in range(count)]
    await asyncio.gather(*(store.orphans.add(B, name, b"\x00about\xff" + name.encode()) for name in ids))
    await store.lapse(B)
    return ids


async def test_a_slot_is_claimed_once(store: Store) -> None:
    assert await store.nodes.claim(ONE, LONG)
    assert not await store.nodes.claim(ONE, LONG)


async def test_a_slot_whose_lease_ran_out_is_not_free(store: Store) -> None:
    await with_orphans(store)
    assert not await store.nodes.claim(TWO, LONG)


async def test_the_directory_tells_who_is_there_and_whose_lease_runs(store: Store) -> None:
    await with_orphans(store)
    view = await store.nodes.view(b"epoch", b"secret")

    assert dict(view.nodes) == {A: ONE, B: TWO}
    assert view.leased == {A}


async def test_the_first_epoch_and_secret_stay(store: Store) -> None:
    assert (await store.nodes.look_up(A, "x")).epoch is None
    await store.nodes.view(b"epoch", b"secret")
    later = await store.nodes.view(b"other", b"other")

    assert (later.epoch, later.secret) == (b"epoch", b"secret")
    assert (await store.nodes.look_up(A, "x")).epoch == b"epoch"


async def test_a_lease_is_renewed_and_the_entry_with_it(store: Store) -> None:
    await store.nodes.claim(ONE, LONG)
    moved = NodeEntry(slot=A, address="127.0.0.1:9", digest="d", draining=True)

    assert await store.nodes.renew(moved, LONG)
    assert (await store.nodes.view(b"e", b"s")).nodes[A] == moved


async def test_a_lease_that_ran_out_is_not_renewed(store: Store) -> None:
    await with_orphans(store)
    moved = NodeEntry(slot=B, address="127.0.0.1:9")

    assert not await store.nodes.renew(moved, LONG)
    view = await store.nodes.view(b"e", b"s")
    assert view.leased == {A}
    assert view.nodes[B] == TWO


async def test_recovering_tells_what_was_claimed_and_ends_claims(store: Store) -> None:
    first, second, _ = await with_orphans(store)
    assert await store.orphans.take(B, A, [(first, None)])

    assert await store.nodes.recover(TWO, LONG) == {first}
    assert await store.orphans.take(B, A, [(second, None)]) == {}


async def test_recovering_at_once_does_the_same_and_nothing_while_the_lease_runs(store: Store) -> None:
    first, second, _ = await with_orphans(store)
    assert await store.orphans.take(B, A, [(first, None)])

    assert store.nodes.recover_now(TWO, LONG, PATIENCE) == frozenset((first,))
    assert store.nodes.recover_now(TWO, LONG, PATIENCE) is None
    assert await store.orphans.take(B, A, [(second, None)]) == {}


async def test_records_are_kept_until_they_are_removed(store: Store) -> None:
    await store.nodes.claim(ONE, LONG)
    ids = [f"id-{number}==" for number in range(2_500)]
    await asyncio.gather(*(store.orphans.add(A, name, name.encode()) for name in ids))
    await asyncio.gather(*(store.orphans.remove(A, name) for name in ids[::2]))

    assert await store.orphans.count(A) == 1_250
    assert await store.orphans.ids(A) == set(ids[1::2])
    assert {name for name, _ in await store.orphans.page(A, 5_000)} == set(ids[1::2])


async def test_writes_to_one_record_count_in_their_order(store: Store) -> None:
    await store.nodes.claim(ONE, SHORT)
    added, removed = store.orphans.add(A, "gone", b"1"), store.orphans.remove(A, "gone")
    again, last = store.orphans.remove(A, "kept"), store.orphans.add(A, "kept", b"2")
    for write in (added, removed, again, last):
        await write

    assert await store.orphans.ids(A) == {"kept"}


async def test_a_claim_is_given_to_one_of_many(store: Store) -> None:
    ids = await with_orphans(store, 50)
    wanted = [(name, None) for name in ids]
    claimers = [b"%03d" % number for number in range(8)]
    taken = await asyncio.gather(*(store.orphans.take(B, claimer, wanted) for claimer in claimers))

    assert sorted(name for some in taken for name in some) == sorted(ids)
    records = {name: record for some in taken for name, record in some.items()}
    assert records == {name: b"\x00about\xff" + name.encode() for name in ids}
    claims = dict(await store.orphans.page(B, 100))
    assert all(claims[name] == claimer for claimer, some in zip(claimers, taken, strict=True) for name in some)


async def test_nothing_is_claimed_of_a_node_that_lives_nor_what_is_not_there(store: Store) -> None:
    first, *_ = await with_orphans(store)
    await store.orphans.add(A, "live", b"")

    assert await store.orphans.take(A, B, [("live", None)]) == {}
    assert await store.orphans.take(B, A, [("never", None)]) == {}
    assert await store.orphans.take(B, A, [(first, C)]) == {}


async def test_a_dead_claimers_claim_is_taken_by_one(store: Store) -> None:
    first, *_ = await with_orphans(store)
    await store.orphans.take(B, A, [(first, None)])

    assert set(await store.orphans.take(B, C, [(first, A)])) == {first}
    assert await store.orphans.take(B, A, [(first, None)]) == {}
    assert set(await store.orphans.take(B, C, [(first, A)])) == {first}, "its own, once more"


async def test_a_claim_given_back_is_free(store: Store) -> None:
    first, *_ = await with_orphans(store)
    await store.orphans.take(B, A, [(first, None)])
    await store.orphans.give_back(B, first, C)
    assert await store.orphans.take(B, C, [(first, None)]) == {}
    await store.orphans.give_back(B, first, A)

    assert set(await store.orphans.take(B, C, [(first, None)])) == {first}


async def test_a_slot_with_records_is_not_retired(store: Store) -> None:
    ids = await with_orphans(store)
    assert not await store.nodes.retire(B)
    assert not await store.nodes.retire(A)
    await store.orphans.take(B, A, [(ids[0], None)])
    await asyncio.gather(*(store.orphans.remove(B, name) for name in ids))

    assert await store.nodes.retire(B)
    found = await store.nodes.look_up(B, ids[0])
    assert (found.entry, found.leased, found.retired, found.recorded, found.claimed) == (None, False, True, False, True)
    assert not await store.nodes.claim(TWO, LONG)


async def test_a_node_that_leaves_is_retired_unless_it_leaves_records(store: Store) -> None:
    await store.nodes.claim(ONE, LONG)
    await store.nodes.leave(A)
    await store.nodes.claim(TWO, LONG)
    await store.orphans.add(B, "left", b"")
    await store.nodes.leave(B)

    assert (await store.nodes.look_up(A, "x")).retired
    left = await store.nodes.look_up(B, "left")
    assert (left.entry, left.leased, left.retired, left.recorded) == (TWO, False, False, True)


async def test_a_retired_node_that_comes_back_is_not_retired(store: Store) -> None:
    await store.nodes.claim(ONE, LONG)
    await store.nodes.leave(A)
    await store.nodes.recover(ONE, LONG)

    found = await store.nodes.look_up(A, "x")
    assert (found.entry, found.leased, found.retired) == (ONE, True, False)


async def test_a_dead_redis_is_away(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        registry = open_registry(server.url, "p")
        await registry.nodes.claim(ONE, LONG)
        await server.kill()
        for attempt in (
            lambda: registry.nodes.claim(TWO, LONG),
            lambda: registry.nodes.view(b"e", b"s"),
            lambda: registry.nodes.look_up(A, "x"),
            lambda: registry.orphans.add(A, "x", b""),
            lambda: registry.orphans.take(A, B, [("x", None)]),
        ):
            with pytest.raises(RegistryAway):
                await attempt()
        with pytest.raises(RegistryAway):
            registry.nodes.recover_now(ONE, LONG, 1)
        await server.start()
        assert A in (await registry.nodes.view(b"e", b"s")).nodes
        await registry.nodes.aclose()
