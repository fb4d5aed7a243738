"""What every store of kept answers promises: what was put, for its time, until its stage is flushed; so many bytes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness import PATIENCE
from tests.redis import cluster, redis_server
from wsgateway.errors import RegistryAway
from wsgateway.registry.answers import ENTRY_BYTES, NO_MARK, Answers, Looked, MemoryAnswers, Stage
from wsgateway.registry.link import Link
from wsgateway.registry.redis_answers import AT_ONCE, RedisAnswers
from wsgateway.registry.target import target
from wsgateway.registry.url import open_registry

pytestmark = pytest.mark.anyio

STAGE = ("shop", "v1")
OTHER = ("shop", "v2")
ONE, TWO, THREE = (bytes([number]) * 16 for number in (1, 2, 255))
ROOM = 1_000_000


class Store:
    """A store, and a way to let its own clock move on."""

    def __init__(self, answers: Answers, later: Callable[[], Awaitable[object]]) -> None:
        self.answers = answers
        self.later = later
        """At least 10 ms pass."""

    async def look(self, digest: bytes, stage: Stage = STAGE) -> Looked:
        held = self.answers.held(stage, digest)
        looked = await self.answers.get(stage, digest)
        assert held is None or held == looked
        return looked

    async def get(self, digest: bytes, stage: Stage = STAGE) -> bytes | None:
        return (await self.look(digest, stage)).data

    async def put(
        self, digest: bytes, data: bytes, *, stage: Stage = STAGE, ttl: float = 300, most: int = ROOM, mark: bytes = b""
    ) -> None:
        mark = mark or (await self.look(digest, stage)).mark
        putting = self.answers.put(stage, digest, data, mark=mark, ttl=ttl, most=most)
        if putting is not None:
            await putting


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
async def store(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """An empty one."""
    if not url:
        now = [0.0]

        async def later() -> None:
            now[0] += 0.01

        yield Store(MemoryAnswers(10 * ROOM, lambda: now[0]), later)
        return
    monkeypatch.setattr("wsgateway.registry.redis_answers.LOOK_SECONDS", PATIENCE)  # a machine may be slow
    link = Link(target(url), f"test{secrets.token_hex(8)}")
    try:
        await link.command("PING", seconds=PATIENCE)
        # Redis itself waits for an element that nobody gives.
        yield Store(RedisAnswers(link), lambda: link.command("BLPOP", "nothing", "0.01", seconds=PATIENCE))
    finally:
        await link.aclose()


async def test_what_was_put_is_had_again_and_again(store: Store) -> None:
    data = b"\x00\xff any bytes \r\n" * 1000
    await store.put(ONE, data)
    await store.put(TWO, b"")

    assert [await store.get(ONE), await store.get(ONE), await store.get(TWO)] == [data, data, b""]
    assert await store.get(THREE) is None


async def test_stages_have_their_own(store: Store) -> None:
    await store.put(ONE, b"one")

    assert await store.get(ONE, OTHER) is None
    assert await store.get(ONE, ("sho", "p/v1")) is None


async def test_the_last_one_that_was_put_counts(store: Store) -> None:
    await store.put(ONE, b"one", most=600)
    for number in range(5):
        await store.put(ONE, f"{number}".encode(), most=600)
        await store.put(TWO, b"two", most=600)

    assert (await store.get(ONE), await store.get(TWO)) == (b"4", b"two")


async def test_its_time_ends(store: Store) -> None:
    await store.put(ONE, b"one", ttl=0.001)
    await store.put(TWO, b"two")
    await store.later()

    assert (await store.get(ONE), await store.get(TWO)) == (None, b"two")


async def test_a_flush_forgets_all_of_a_stage(store: Store) -> None:
    digests = [bytes([high, low]) * 8 for high in range(2) for low in range(0, 256, 1)]
    assert len(digests) > AT_ONCE  # more than goes at a time
    for digest in digests:
        await store.put(digest, b"data", most=ROOM, mark=NO_MARK)
    await store.put(ONE, b"other", stage=OTHER)
    await store.answers.flush(STAGE)

    assert [digest for digest in digests if await store.get(digest) is not None] == []
    assert await store.get(ONE, OTHER) == b"other"
    await store.put(ONE, b"new")
    assert await store.get(ONE) == b"new"


async def test_what_was_under_way_at_a_flush_is_not_kept(store: Store) -> None:
    before = (await store.look(ONE)).mark
    await store.answers.flush(STAGE)
    await store.put(ONE, b"old", mark=before)
    assert await store.get(ONE) is None

    between = (await store.look(ONE)).mark
    await store.answers.flush(STAGE)
    await store.put(ONE, b"old", mark=between)
    assert await store.get(ONE) is None


async def test_a_stage_keeps_so_many_bytes(store: Store) -> None:
    most = 3 * (ENTRY_BYTES + 100)
    for digest in (ONE, TWO, THREE):
        await store.put(digest, bytes(100), most=most)
    assert None not in [await store.get(digest) for digest in (ONE, TWO, THREE)]

    await store.put(b"4" * 16, bytes(100), most=most)
    assert [await store.get(digest) is None for digest in (ONE, TWO, THREE, b"4" * 16)] == [True, False, False, False]
    await store.put(b"5" * 16, bytes(most), most=most)
    assert await store.get(b"5" * 16) is None
    assert await store.get(THREE) is not None


async def test_in_memory_what_was_not_asked_for_longest_goes_first_and_all_stages_share_the_room() -> None:
    entry = ENTRY_BYTES + 100
    store = Store(MemoryAnswers(4 * entry), lambda: pytest.fail("no time passes"))
    for digest in (ONE, TWO, THREE):
        await store.put(digest, bytes(100))
    await store.get(ONE)
    await store.put(ONE, bytes(100), stage=OTHER)
    assert store.answers.bytes_held == 4 * entry
    await store.put(TWO, bytes(100), stage=OTHER)

    assert [await store.get(digest) is None for digest in (ONE, TWO, THREE)] == [False, True, False]
    assert store.answers.bytes_held == 4 * entry
    store.answers.keep_only([OTHER])
    assert await store.get(ONE) is None
    assert store.answers.bytes_held == 2 * entry


async def test_in_memory_nothing_waits_and_what_is_over_makes_room() -> None:
    now = 0.0
    answers = MemoryAnswers(ROOM, lambda: now)
    for digest in (ONE, TWO):
        answers.put(STAGE, digest, bytes(100), mark=NO_MARK, ttl=30, most=ROOM)
    assert answers.held(STAGE, ONE) == Looked(NO_MARK, bytes(100))
    now = 30.0
    assert answers.held(STAGE, ONE) == Looked(NO_MARK, None)
    answers.put(STAGE, THREE, bytes(100), mark=NO_MARK, ttl=30, most=ROOM)

    assert answers.bytes_held == ENTRY_BYTES + 100


async def test_in_redis_room_is_counted_anew_and_foreign_values_are_nothing(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        link = Link(target(server.url), "p")
        store = Store(RedisAnswers(link), lambda: pytest.fail("no time passes"))
        await link.command("PING", seconds=PATIENCE)
        await store.put(ONE, b"one", mark=NO_MARK)
        key = f"p:{{answers:shop/v1}}:a:{ONE.hex()}"
        assert 0 < await server.run("PTTL", key) <= 300_000
        assert 0 < await server.run("PTTL", "p:{answers:shop/v1}:sizes") <= 7_200_000
        await server.run("RENAME", key, f"p:{{answers:shop/v1}}:a:{TWO.hex()}")
        assert await store.get(TWO) is None  # what is under it was kept for another question
        await server.run("DEL", "p:{answers:shop/v1}:order")
        await store.put(THREE, b"three", most=ENTRY_BYTES + 200, mark=NO_MARK)
        assert await store.get(THREE) == b"three"
        await store.answers.flush(STAGE)
        assert await server.run("KEYS", "*a:*") == [f"p:{{answers:shop/v1}}:a:{TWO.hex()}"]
        assert await server.run("EXISTS", "p:{answers:shop/v1}:order", "p:{answers:shop/v1}:sizes") == 0
        await link.aclose()


async def test_a_redis_that_is_away_is_left_in_peace_for_a_while(tmp_path: Path) -> None:
    now = 0.0
    async with redis_server(tmp_path) as server:
        registry = open_registry(server.url, "wsgateway")
        await server.kill()
        link = Link(target(server.url), "p")
        store = Store(RedisAnswers(link, lambda: now), lambda: pytest.fail("no time passes"))
        with pytest.raises(RegistryAway, match="Redis at"):
            await store.get(ONE)
        await server.start()
        with pytest.raises(RegistryAway, match="did not answer just now"):
            await store.get(ONE)
        with pytest.raises(RegistryAway, match="did not answer just now"):
            await store.put(ONE, b"one", mark=NO_MARK)
        now = 1.0
        assert await store.get(ONE) is None
        await link.aclose()
        await registry.link.aclose()


async def test_a_redis_that_is_full_is_read_on(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        link = Link(target(server.url), "p")
        store = Store(RedisAnswers(link), lambda: pytest.fail("no time passes"))
        await link.command("PING", seconds=PATIENCE)
        await store.put(ONE, b"one", mark=NO_MARK)
        await server.run("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(RegistryAway, match="its memory is full"):
            await store.put(TWO, b"two", mark=NO_MARK)
        assert await store.get(ONE) == b"one"
        await link.aclose()
