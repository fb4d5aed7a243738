"""What every DefinitionStore promises: the last deployments in order, and what is used in place of which."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from tests.redis import cluster, redis_server
from wsgateway.registry.base import KEPT, DefinitionStore, Stored
from wsgateway.registry.memory import MemoryDefinitions, MemoryStore
from wsgateway.registry.redis_definitions import RedisDefinitions

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DefinitionStore]:
    """An empty one."""
    match request.param:
        case "memory":
            yield MemoryDefinitions(MemoryStore())
        case "redis":
            async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
                yield RedisDefinitions(client.execute_command, "wsgateway")
        case "cluster":
            async with cluster(tmp_path) as servers:
                url = servers.servers[0].url
                async with RedisCluster.from_url(url) as clients:
                    yield RedisDefinitions(clients.execute_command, "wsgateway")


async def keep(store: DefinitionStore, *digests: str) -> None:
    for digest in digests:
        await store.keep(digest, f"about {digest}".encode(), f"text of {digest}".encode())


async def kept(store: DefinitionStore) -> list[str]:
    return [digest for digest, _ in (await store.read()).kept]


async def test_an_empty_store_says_so(store: DefinitionStore) -> None:
    stored = await store.read()

    assert (stored.mark, stored.kept, dict(stored.instead)) == (None, (), {})
    assert await store.mark() is None
    assert await store.text("aa") is None


async def test_a_deployment_is_kept_with_its_record_and_text(store: DefinitionStore) -> None:
    text = b"\x00\xff any bytes \r\n" * 10_000
    await store.keep("aa", b"\x00about\xff", text)

    assert (await store.read()).kept == (("aa", b"\x00about\xff"),)
    assert await store.text("aa") == text


async def test_the_newest_is_first_and_ten_are_kept(store: DefinitionStore) -> None:
    digests = [f"{number:02x}" for number in range(KEPT + 3)]
    await keep(store, *digests)

    assert KEPT == 10
    assert await kept(store) == digests[:2:-1]
    assert await store.text(digests[0]) is None
    assert await store.text(digests[3]) == b"text of 03"


async def test_one_that_comes_again_is_the_newest(store: DefinitionStore) -> None:
    await keep(store, "aa", "bb", "cc")
    await store.keep("aa", b"again", b"text of aa")

    assert (await store.read()).kept[0] == ("aa", b"again")
    assert await kept(store) == ["aa", "cc", "bb"]


async def test_the_newest_stays_as_it_is_when_it_comes_again(store: DefinitionStore) -> None:
    await keep(store, "aa", "bb")
    before = await store.read()

    await store.keep("bb", b"of another node, later", b"text of bb")

    assert await store.read() == before


async def test_a_text_that_was_spoilt_is_mended(store: DefinitionStore) -> None:
    await store.keep("aa", b"", b"spoilt")
    await keep(store, "aa")

    assert await store.text("aa") == b"text of aa"


async def test_the_mark_is_another_one_after_each_change_alone(store: DefinitionStore) -> None:
    seen = [await store.mark()]
    await keep(store, "aa")
    seen.append(await store.mark())
    await store.put_instead("aa", 1, b"bb")
    seen.append(await store.mark())

    assert len(set(seen)) == 3
    await keep(store, "aa")
    await store.put_instead("aa", 1, b"cc")
    assert await store.mark() == (await store.read()).mark == seen[-1]


async def test_the_highest_stamp_says_what_is_used_instead(store: DefinitionStore) -> None:
    await keep(store, "aa", "bb")
    for stamp, said in ((1, b"first"), (300, b"last"), (20, b"late"), (300, b"equal")):
        await store.put_instead("aa", stamp, said)

    assert dict((await store.read()).instead) == {"aa": b"last"}


async def test_stamps_are_compared_as_numbers(store: DefinitionStore) -> None:
    await keep(store, "aa")
    highest = (1 << 48) - 1
    await store.put_instead("aa", 9, b"nine")
    await store.put_instead("aa", 10, b"ten")
    assert (await store.read()).instead["aa"] == b"ten"
    await store.put_instead("aa", highest, b"highest")
    await store.put_instead("aa", highest - 1, b"just below")

    assert (await store.read()).instead["aa"] == b"highest"


async def test_what_is_used_instead_goes_with_its_deployment(store: DefinitionStore) -> None:
    digests = [f"{number:02x}" for number in range(KEPT)]
    await keep(store, *digests)
    await store.put_instead(digests[0], 1, b"said")
    await store.put_instead(digests[1], 1, b"said")

    await keep(store, "ff")

    assert set((await store.read()).instead) == {digests[1]}


async def test_what_is_used_instead_may_be_said_of_one_that_is_not_kept(store: DefinitionStore) -> None:
    await keep(store, "aa")
    for digest in ("aa", "bb", "cc"):
        await store.put_instead(digest, 1, b"said")

    assert set((await store.read()).instead) == {"aa", "cc"}


async def test_installations_that_share_a_server_know_nothing_of_each_other(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
        one, other = (RedisDefinitions(client.execute_command, prefix) for prefix in ("one", "other"))
        await keep(one, "aa")
        await one.put_instead("aa", 1, b"said")

        assert await other.read() == Stored(mark=None, kept=(), instead={})
        keys: list[bytes] = await client.execute_command("KEYS", "*")
        assert all(key.startswith(b"one:") for key in keys)
