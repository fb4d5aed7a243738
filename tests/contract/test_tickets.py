"""What every store of tickets promises: each is had once, by one of those who come, within its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from tests.redis import cluster, redis_server
from wsgateway.errors import RegistryAway
from wsgateway.registry.base import Tickets
from wsgateway.registry.memory_tickets import MemoryTickets
from wsgateway.registry.redis_tickets import RedisTickets
from wsgateway.registry.url import open_registry

pytestmark = pytest.mark.anyio

ONE, TWO = b"\x01" * 32, b"\xff\x00" * 16


class Store:
    """Tickets, and a way to let the store's own clock move on."""

    def __init__(self, tickets: Tickets, later: Callable[[], Awaitable[object]]) -> None:
        self.tickets = tickets
        self.later = later
        """At least 10 ms pass."""


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty one."""
    match request.param:
        case "memory":
            now = [0.0]

            async def later() -> None:
                now[0] += 0.01

            yield Store(MemoryTickets(lambda: now[0]), later)
        case "redis":
            async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
                # Redis itself waits for an element that nobody gives.
                yield Store(
                    RedisTickets(client.execute_command, "wsgateway"),
                    lambda: client.execute_command("BLPOP", "nothing", 0.01),
                )
        case "cluster":
            async with cluster(tmp_path) as servers, RedisCluster.from_url(servers.servers[0].url) as clients:
                yield Store(
                    RedisTickets(clients.execute_command, "wsgateway"),
                    lambda: clients.execute_command("BLPOP", "nothing", 0.01),
                )


@pytest.fixture
def tickets(store: Store) -> Tickets:
    return store.tickets


async def test_one_is_had_once(tickets: Tickets) -> None:
    said = b"\x00\xff any bytes \r\n" * 1000
    await tickets.put(ONE, said, 300)

    assert await tickets.take(ONE) == said
    assert await tickets.take(ONE) is None


async def test_nobody_has_what_was_never_put(tickets: Tickets) -> None:
    await tickets.put(ONE, b"one", 300)
    await tickets.put(TWO, b"", 300)

    assert await tickets.take(b"\x02" * 32) is None
    assert await tickets.take(TWO) == b""
    assert await tickets.take(ONE) == b"one"


async def test_of_many_who_come_at_once_one_has_it(tickets: Tickets) -> None:
    await tickets.put(ONE, b"one", 300)

    found = await asyncio.gather(*(tickets.take(ONE) for _ in range(50)))

    assert [each for each in found if each is not None] == [b"one"]


async def test_its_time_ends(store: Store) -> None:
    await store.tickets.put(ONE, b"one", 0.001)
    await store.tickets.put(TWO, b"two", 300)
    await store.later()

    assert await store.tickets.take(ONE) is None
    assert await store.tickets.take(TWO) == b"two"


def test_time_is_the_clocks() -> None:
    """A ticket is good until just before its end."""

    async def had(after: float) -> bytes | None:
        now = 0.0
        tickets = MemoryTickets(lambda: now)
        await tickets.put(ONE, b"one", 30)
        now = after
        return await tickets.take(ONE)

    assert asyncio.run(had(29.9)) == b"one"
    assert asyncio.run(had(30.0)) is None


async def test_memory_keeps_no_more_than_it_may() -> None:
    now = 0.0
    tickets = MemoryTickets(lambda: now, most=3, most_bytes=10)
    await tickets.put(ONE, b"12345", 30)
    with pytest.raises(RegistryAway):
        await tickets.put(TWO, b"123456", 30)
    await tickets.put(TWO, b"", 60)
    await tickets.put(b"3", b"", 60)
    with pytest.raises(RegistryAway):
        await tickets.put(b"4", b"", 30)

    now = 30.0
    await tickets.put(b"4", b"1234567890", 30)
    assert await tickets.take(TWO) == b""


async def test_keys_tell_no_ticket_and_are_the_installations_own(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
        await RedisTickets(client.execute_command, "one").put(ONE, b"said", 300)

        assert await RedisTickets(client.execute_command, "other").take(ONE) is None
        assert await client.execute_command("KEYS", "*") == [f"one:ticket:{ONE.hex()}".encode()]
        assert 0 < await client.execute_command("PTTL", f"one:ticket:{ONE.hex()}") <= 300_000


async def test_a_redis_that_is_away_is_told_of(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        registry = open_registry(server.url, "wsgateway")
    with pytest.raises(RegistryAway):
        await registry.tickets.take(ONE)
    with pytest.raises(RegistryAway):
        await registry.tickets.put(ONE, b"", 30)
    await registry.link.aclose()
