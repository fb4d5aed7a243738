"""The faults that the other tests lean on do what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults import HOST, Link, link
from tests.harness import PATIENCE
from tests.redis import RedisServer, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def between(server: RedisServer) -> AsyncIterator[Link]:
    async with link(server.port) as healthy:
        yield healthy


@pytest.fixture
async def line(between: Link) -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
    """Says a line over one connection through the link; gives the answer's first line."""
    reader, writer = await asyncio.open_connection(HOST, between.port)

    async def say(text: str) -> bytes:
        writer.write(text.encode() + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            return await reader.readline()

    yield say
    writer.close()


async def test_a_hole_holds_what_is_said_until_it_is_healed(
    between: Link, line: Callable[[str], Awaitable[bytes]]
) -> None:
    assert await line("PING") == b"+PONG\r\n"
    between.hole()
    answer = asyncio.ensure_future(line("INCR counted"))
    done, _ = await asyncio.wait([answer], timeout=0.1)
    assert not done
    await between.heal()
    assert await answer == b":1\r\n"


async def test_a_hole_for_answers_lets_requests_through(
    server: RedisServer, between: Link, line: Callable[[str], Awaitable[bytes]]
) -> None:
    assert await line("PING") == b"+PONG\r\n"
    between.hole(answers_only=True)
    answer = asyncio.ensure_future(line("INCR counted"))
    await server.until(lambda counted: counted == "1", "GET", "counted")
    assert not answer.done()
    await between.heal()
    assert await answer == b":1\r\n"


async def test_a_cut_resets_and_a_refusal_is_one(between: Link, line: Callable[[str], Awaitable[bytes]]) -> None:
    assert await line("PING") == b"+PONG\r\n"
    between.cut()
    with pytest.raises(ConnectionResetError):
        await line("PING")
    await between.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, between.port)
    await between.heal()
    reader, writer = await asyncio.open_connection(HOST, between.port)
    between.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), PATIENCE)
    writer.close()


async def test_a_server_is_restarted_with_its_data_or_without(server: RedisServer) -> None:
    await server.run("SET", "kept", "1")
    await server.restart()
    assert await server.run("GET", "kept") == "1"
    await server.restart(data=False)
    assert await server.run("GET", "kept") is None
