"""Redis slow, gone, stopped, emptied, demoted, refusing: calls end in time, with the truth or with RegistryAway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.certificates import Authority, server_context
from tests.faults import HOST, Link, free_port, link
from tests.harness import PATIENCE
from tests.redis import RedisServer, cluster, redis_server, sentinels
from wsgateway.errors import RegistryAway
from wsgateway.registry.base import NodeEntry
from wsgateway.registry.link import slot_name
from wsgateway.registry.url import Registry, open_registry

pytestmark = pytest.mark.anyio

LONG = 600.0
A, B = b"aaa", b"\x00\xff}"
ONE, TWO = NodeEntry(slot=A, address="127.0.0.1:1", name="one"), NodeEntry(slot=B, address="127.0.0.1:2", name="two")


def key(slot: bytes, name: str) -> str:
    """As the first lines of registry/redis.py have it."""
    return f"p:{{{slot_name(slot)}}}:{name}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def between(server: RedisServer) -> AsyncIterator[Link]:
    async with link(server.port) as healthy:
        yield healthy


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Registry]:
    registry = open_registry(url, "p")
    try:
        yield registry
    finally:
        await registry.nodes.aclose()


@pytest.fixture
async def registry(between: Link) -> AsyncIterator[Registry]:
    """Over a link that can fail."""
    async with opened(f"redis://{HOST}:{between.port}") as through:
        yield through


def calls(registry: Registry) -> list[Callable[[], Awaitable[object]]]:
    nodes, orphans = registry.nodes, registry.orphans
    return [
        lambda: nodes.claim(ONE, LONG),
        lambda: nodes.recover(ONE, LONG),
        lambda: nodes.view(b"e", b"s"),
        lambda: nodes.look_up(A, "x"),
        lambda: nodes.retire(B),
        lambda: nodes.leave(B),
        lambda: orphans.add(A, "x", b""),
        lambda: orphans.remove(A, "x"),
        lambda: orphans.take(B, A, [("x", None)]),
        lambda: orphans.give_back(B, "x", A),
    ]


async def refused(call: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(RegistryAway) as away:
        async with asyncio.timeout(PATIENCE):
            await call()
    return str(away.value)


async def all_refused(registry: Registry) -> set[str]:
    """Why each of the calls, made at once, was refused."""
    return set(await asyncio.gather(*(refused(call) for call in calls(registry))))


async def back(registry: Registry) -> None:
    """Wait until the registry answers again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await registry.nodes.view(b"epoch", b"secret")
            except RegistryAway:
                await asyncio.sleep(0.01)
            else:
                return


async def orphaned(server: RedisServer, registry: Registry, *ids: str) -> None:
    """B had connections, and is dead."""
    assert await registry.nodes.claim(TWO, LONG)
    await asyncio.gather(*(registry.orphans.add(B, name, name.encode()) for name in ids))
    await server.run("DEL", key(B, "lease"))


async def test_a_stopped_server_is_away_in_time_and_back_when_it_goes_on(
    server: RedisServer, registry: Registry
) -> None:
    await registry.nodes.claim(ONE, LONG)
    server.pause()
    try:
        said = await all_refused(registry)
        with pytest.raises(RegistryAway):
            registry.nodes.recover_now(ONE, LONG, 0.2)
    finally:
        server.resume()

    assert all("no answer within" in text for text in said)
    await back(registry)
    assert A in (await registry.nodes.view(b"e", b"s")).leased


async def test_a_silent_link_is_away_and_the_next_call_after_it_is_fine(between: Link, registry: Registry) -> None:
    await registry.nodes.claim(ONE, LONG)
    between.hole()
    await all_refused(registry)
    await between.heal()

    assert A in (await registry.nodes.view(b"e", b"s")).leased


@pytest.mark.parametrize("fault", ["refused", "reset", "cut"])
async def test_a_link_that_breaks_is_away(between: Link, registry: Registry, fault: str) -> None:
    await registry.nodes.claim(ONE, LONG)
    await between.refuse()
    between.cut()
    if fault == "reset":
        await between.heal()
        between.reset()
    if fault != "cut":
        await all_refused(registry)
    await between.heal()

    await back(registry)
    assert A in (await registry.nodes.view(b"e", b"s")).leased


async def test_a_slow_link_is_no_fault(between: Link, registry: Registry) -> None:
    between.delay = 0.1
    assert await registry.nodes.claim(ONE, LONG)
    assert (await registry.nodes.look_up(A, "x")).leased
    await registry.orphans.add(A, "x", b"")


async def test_a_recovery_whose_answer_was_lost_is_done_again(
    server: RedisServer, between: Link, registry: Registry
) -> None:
    await orphaned(server, registry, "taken", "left")
    async with opened(server.url) as other:
        assert await other.orphans.take(B, A, [("taken", None)])
    await registry.nodes.recover(ONE, LONG)  # the script is known now, so that one word does it
    between.hole(answers_only=True)
    await refused(lambda: registry.nodes.recover(TWO, LONG))
    await between.heal()

    assert B in (await registry.nodes.view(b"e", b"s")).leased, "it was done"
    assert not await registry.nodes.renew(TWO, LONG)
    # From another thread, since this one carries the link.
    assert await asyncio.to_thread(registry.nodes.recover_now, TWO, LONG, PATIENCE) == frozenset(["taken"])
    assert await registry.nodes.renew(TWO, LONG)


async def test_a_renewal_that_is_overtaken_by_a_recovery_is_one_of_what_was_recovered(
    server: RedisServer, between: Link, registry: Registry
) -> None:
    """As where a process that slept wakes up in the midst of it."""
    await registry.nodes.claim(ONE, LONG)
    await registry.nodes.renew(ONE, LONG)
    await server.run("DEL", key(A, "lease"))
    between.hole()
    renewal = asyncio.ensure_future(registry.nodes.renew(ONE, LONG))
    await asyncio.wait([renewal], timeout=0.05)
    async with opened(server.url) as direct:
        # The same process, by the way around: this thread carries the link.
        direct.nodes._tokens = registry.nodes._tokens
        assert direct.nodes.recover_now(ONE, LONG, PATIENCE) == frozenset()
    await between.heal()

    assert await renewal


async def test_a_claim_whose_answer_was_lost_is_had_again(
    server: RedisServer, between: Link, registry: Registry
) -> None:
    await orphaned(server, registry, "x")
    await registry.orphans.take(B, A, [("no such", None)])
    between.hole(answers_only=True)
    await refused(lambda: registry.orphans.take(B, A, [("x", None)]))
    await between.heal()

    assert await registry.orphans.page(B, 10) == [("x", A)]
    assert await registry.orphans.take(B, A, [("x", None)]) == {"x": b"x"}


async def test_cancelled_calls_leave_nothing_for_others(between: Link, registry: Registry) -> None:
    """Each answer is about what was asked, whatever was given up around it, and when."""
    dice = random.Random(7)
    await registry.nodes.claim(ONE, LONG)
    await asyncio.gather(*(registry.orphans.add(A, f"id{number}", b"") for number in range(0, 400, 2)))

    async def ask(number: int) -> None:
        found = await registry.nodes.look_up(A, f"id{number}")
        assert found.recorded == (number % 2 == 0)

    asking = [asyncio.ensure_future(ask(number)) for number in range(400)]
    given_up = set(dice.sample(asking, 200))
    for call in dice.sample(sorted(given_up, key=asking.index), 200):
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        call.cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    kept = [outcome for call, outcome in zip(asking, outcomes, strict=True) if call not in given_up]
    assert kept == [None] * 200
    between.hole(answers_only=True)
    late = asyncio.ensure_future(registry.nodes.look_up(A, "id0"))
    await asyncio.wait([late], timeout=0.05)
    late.cancel()
    await asyncio.wait([late])
    await between.heal()
    await ask(1)


async def test_what_one_turn_of_the_loop_asks_for_is_one_command(server: RedisServer, registry: Registry) -> None:
    await registry.orphans.add(A, "first", b"")
    await server.run("CONFIG", "RESETSTAT")
    written = [registry.orphans.add(A, f"id{number}", b"") for number in range(100)]
    removed = registry.orphans.remove(A, "first")
    while_under_way: list[Awaitable[None]] = []
    asyncio.get_running_loop().call_soon(
        lambda: while_under_way.extend(registry.orphans.add(A, f"later{number}", b"") for number in range(100))
    )
    await asyncio.gather(removed, *written)
    await asyncio.gather(*while_under_way)

    statistics = await server.run("INFO", "commandstats")
    assert statistics["cmdstat_hset"]["calls"] <= 2
    assert statistics["cmdstat_hdel"]["calls"] == 1
    assert await registry.orphans.count(A) == 200


async def test_whoever_gives_up_a_write_gives_up_nobody_elses(registry: Registry) -> None:
    one, other = (asyncio.ensure_future(registry.orphans.add(A, name, b"")) for name in ("one", "other"))
    one.cancel()
    await other

    assert await registry.orphans.ids(A) == {"one", "other"}


async def test_a_replica_is_away_for_reading_too(tmp_path: Path, server: RedisServer, registry: Registry) -> None:
    """What a replica holds may be old: least of all may it say that somebody is gone."""
    await registry.nodes.claim(ONE, LONG)
    async with redis_server(tmp_path / "master") as master:
        await server.replicate(master)
        said = await all_refused(registry)
        assert said == {
            f"Redis at {HOST}:{registry.link.target.addresses[0][1]}: it is a replica, which takes no writes"
        }
        await server.replicate(None)
    await back(registry)


async def test_an_emptied_redis_has_another_epoch_and_knows_nobody(server: RedisServer, registry: Registry) -> None:
    await registry.nodes.claim(ONE, LONG)
    assert (await registry.nodes.view(b"before", b"s")).epoch == b"before"
    await server.wipe()

    assert (await registry.nodes.look_up(A, "x")).epoch is None
    assert not await registry.nodes.renew(ONE, LONG)
    assert await registry.nodes.recover(ONE, LONG) == frozenset()
    view = await registry.nodes.view(b"after", b"s")
    assert (view.epoch, dict(view.nodes), set(view.leased)) == (b"after", {A: ONE}, {A})


@pytest.mark.parametrize("data", [True, False], ids=["with its data", "without"])
async def test_a_restarted_redis_goes_on(server: RedisServer, registry: Registry, data: bool) -> None:
    await registry.nodes.claim(ONE, LONG)
    await registry.nodes.view(b"before", b"s")
    await registry.orphans.add(A, "x", b"record")
    await server.restart(data=data)

    await back(registry)
    assert await registry.nodes.renew(ONE, LONG) is data
    assert await registry.orphans.ids(A) == ({"x"} if data else frozenset())
    assert (await registry.nodes.view(b"after", b"s")).epoch == (b"before" if data else b"epoch")


async def test_a_full_redis_is_away(server: RedisServer, registry: Registry) -> None:
    await server.run("CONFIG", "SET", "maxmemory", "1")

    assert "its memory is full (maxmemory)" in await refused(lambda: registry.nodes.claim(ONE, LONG))
    assert "its memory is full (maxmemory)" in await refused(lambda: registry.orphans.add(A, "x", b""))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"name": "b\x1b[2J"}, id="a name that clears the terminal it is shown on"),
        pytest.param({"name": "n" * 100_000}, id="a name without an end"),
        pytest.param({"address": "127.0.0.1:1\n"}, id="an address of two lines"),
        pytest.param({"started": 2**62}, id="a time that no calendar has"),
        pytest.param({"started": -1}, id="a time before all times"),
    ],
)
async def test_an_entry_that_nobody_could_be_shown_is_left_out(registry: Registry, said: dict[str, Any]) -> None:
    """One node's nonsense must not spoil the list of all."""
    await registry.nodes.claim(ONE, LONG)
    await registry.nodes.claim(msgspec.structs.replace(TWO, **said), LONG)

    assert set((await registry.nodes.view(b"e", b"s")).nodes) == {A}
    assert registry.nodes.unreadable == 1


async def test_what_can_not_be_read_is_left_out_and_counted(server: RedisServer, registry: Registry) -> None:
    await orphaned(server, registry, "x")
    directory = "p:{directory}:nodes"
    raw = registry.link.command
    for name, value in [
        (slot_name(A), b"\xc1"),
        ("zz", b""),
        ("YWJj", b"\x80"),
        ("\xff", b"\xc7\x00\x01"),
        ("YWJh", b""),
    ]:
        await raw("HSET", directory, name, value)
    entry = await raw("HGET", directory, slot_name(B))
    await raw("HSET", directory, slot_name(b"bbb"), entry)  # another's
    await raw("HSET", directory, slot_name(b"ccc"), entry.replace(b"\xa1v\x01", b"\xa1v\x02"))  # of another version
    await raw("HSET", key(B, "orphans"), b"\xff\xfe", b"?")

    assert dict((await registry.nodes.view(b"e", b"s")).nodes) == {B: TWO}
    assert (await registry.nodes.look_up(A, "x")).entry is None
    assert registry.nodes.unreadable == 8
    assert await registry.orphans.ids(B) == {"x"}
    assert await registry.orphans.page(B, 10) == [("x", None)]
    assert registry.orphans.unreadable == 2
    await raw("HSET", key(B, "claims"), "x", "no slot")
    assert await registry.orphans.page(B, 10) == [("x", b"no slot")]
    assert await registry.orphans.take(B, A, [("x", b"no slot")]) == {"x": b"x"}
    await raw("HSET", key(B, "lease"), "a", "b")
    assert "is somebody else's" in await refused(lambda: registry.nodes.renew(TWO, LONG))


async def test_tls_and_a_user_of_an_acl(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue_to("localhost", HOST)
    config = {
        # As docs/operations.md has it.
        "user gateway": "on >s3cret:/@ resetkeys ~p:* resetchannels -@all +@read +@write +@scripting +@connection +info"
    }
    async with (
        redis_server(tmp_path / "redis", config) as server,
        link(server.port, tls=server_context(certificate, authority.file)) as secure,
    ):
        own = "&".join(
            f"{name}={file}" for name, file in zip(("ssl_certfile", "ssl_keyfile"), certificate, strict=True)
        )
        place = f"localhost:{secure.port}"
        trusted = f"?ssl_ca_certs={authority.file}&{own}"
        async with opened(f"rediss://gateway:s3cret%3A%2F%40@{place}{trusted}") as registry:
            assert await registry.nodes.claim(ONE, LONG)
            await orphaned(server, registry, "x")
            assert await registry.orphans.take(B, A, [("x", None)]) == {"x": b"x"}
            assert (await registry.nodes.view(b"e", b"s")).leased == {A}
            assert (await registry.nodes.look_up(B, "x")).claimed
            assert await asyncio.to_thread(registry.nodes.recover_now, TWO, LONG, PATIENCE) == frozenset(["x"])
        async with opened(f"rediss://gateway:wr0ng@{place}{trusted}") as registry:
            assert "it refuses the user and password" in await refused(lambda: registry.nodes.view(b"e", b"s"))
        async with opened(f"rediss://gateway:s3cret%3A%2F%40@{place}?{own}") as registry:
            said = await refused(lambda: registry.nodes.view(b"e", b"s"))
            assert "certificate" in said
            assert "s3cret" not in said
        other = open_registry(f"rediss://gateway:s3cret%3A%2F%40@{place}{trusted}", "q")
        assert "the user may not do this" in await refused(lambda: other.nodes.view(b"e", b"s"))
        await other.nodes.aclose()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("-LOADING Redis is loading the dataset in memory", "it is loading its data"),
        ("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "lost its master"),
        ("-CLUSTERDOWN The cluster is down", "the Cluster is down"),
        ("-NOAUTH Authentication required.", "it asks for a password"),
        ("-MISCONF Redis is configured to save RDB snapshots, but", "it can't save its data"),
        ("-NOREPLICAS Not enough good replicas to write.", "too few replicas"),
        ("-ERR Error running script (call to f_0): @user_script:2: -READONLY You can't write.", "it is a replica"),
        ("-ERR max number of clients reached", "as many clients as it takes"),
        ("-ERR unknown command 'EVALSHA', with args beginning with: 's3cret'", "unknown command"),
        ("HTTP/1.1 400 Bad Request", ""),
    ],
    ids=lambda text: text.split(maxsplit=1)[0] if text else "not Redis",
)
async def test_answers_that_refuse_are_told_in_words(answer: str, reason: str) -> None:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer.encode() + b"\r\n")
        writer.close()

    fake = await asyncio.start_server(answering, HOST, 0)
    async with fake, opened(f"redis://{HOST}:{fake.sockets[0].getsockname()[1]}") as registry:
        said = await refused(lambda: registry.nodes.look_up(A, "x"))
        assert reason in said
        assert "s3cret" not in said


async def test_a_redis_that_is_too_old_is_told(server: RedisServer) -> None:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            text = b"redis_version:6.0.16\r\n" if b"INFO" in asked else b"?"
            writer.write(b"$%d\r\n%b\r\n" % (len(text), text))
        writer.close()

    fake = await asyncio.start_server(answering, HOST, 0)
    async with fake, opened(f"redis://{HOST}:{fake.sockets[0].getsockname()[1]}") as registry:
        assert "has version 6.0; 6.2 or later is needed" in await refused(lambda: registry.nodes.claim(ONE, LONG))


async def test_a_failover_of_sentinels_is_away_and_then_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        trio = await stack.enter_async_context(sentinels(tmp_path))
        registry = await stack.enter_async_context(opened(trio.url))
        assert await registry.nodes.claim(ONE, LONG)
        await registry.orphans.add(A, "x", b"record")
        old = await trio.master()
        await old.run("WAIT", "1", "0")
        await old.kill()
        await refused(lambda: registry.nodes.view(b"e", b"s"))
        await trio.switched(old)

        await back(registry)
        assert await registry.nodes.renew(ONE, LONG)
        assert await registry.orphans.ids(A) == {"x"}
        assert registry.nodes.recover_now(ONE, LONG, PATIENCE) is None


async def test_a_cluster_that_lost_a_node_is_away_and_then_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        three = await stack.enter_async_context(cluster(tmp_path))
        registry = await stack.enter_async_context(opened(three.url))
        slots = [bytes([number, 1, 2]) for number in range(12)]
        for slot in slots:
            assert await registry.nodes.claim(NodeEntry(slot=slot, address="127.0.0.1:1"), LONG)
        await asyncio.gather(*(registry.orphans.add(slot, "x", b"") for slot in slots))
        await three.servers[0].kill()
        await refused(lambda: registry.nodes.view(b"e", b"s"))
        await three.servers[0].start()
        await three.ok()

        await back(registry)
        assert (await registry.nodes.view(b"e", b"s")).leased == set(slots)
        assert [await registry.orphans.count(slot) for slot in slots] == [1] * 12


async def test_sentinels_that_are_not_there_are_told_of_in_a_sentence() -> None:
    registry = open_registry(f"redis+sentinel://127.0.0.1:{free_port()}/gateway", "p")
    with pytest.raises(RegistryAway, match=r"no Sentinel that can be reached knows a master by this name$"):
        await registry.nodes.view(b"e", b"s")
    await registry.nodes.aclose()
