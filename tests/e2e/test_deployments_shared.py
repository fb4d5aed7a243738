"""One definition on several nodes: differences are told, pointing back reaches all, whatever becomes of Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from tests.e2e.test_deployments import ONE, THREE, TWO, V1, V2, V3, deployments, listed, post, reloaded
from tests.harness import PATIENCE, Gateway, gateway, heard
from tests.redis import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SECRET = "never-in-redis.example"
NEEDS = V1.replace("{dev: {}}", "{dev: {stageVariables: {host: '${NEEDED}'}}}")


class Site:
    """A Redis, and nodes with a folder each."""

    def __init__(self, stack: AsyncExitStack, folder: Path, redis: RedisServer) -> None:
        self._stack = stack
        self._folder = folder
        self.redis = redis

    async def node(self, name: str, text: str, *flags: str, **env: str) -> Gateway:
        folder = self.folder(name)
        folder.mkdir(exist_ok=True)
        common = ("--redis-url", self.redis.url, "--lease-ttl", "1.5", "--drain-window", "0")
        return await self._stack.enter_async_context(gateway(text, folder, *common, *flags, env=env))

    def folder(self, name: str) -> Path:
        return self._folder / name

    async def reads(self, running: Gateway, name: str, text: str) -> None:
        await reloaded(running, self.folder(name), text)

    async def holds(self) -> bytes:
        """Every value of the Redis, in one piece."""
        async with Redis(host="127.0.0.1", port=self.redis.port) as client:
            return b"\n".join([repr(await client.dump(key)).encode() for key in await client.keys()])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    # Dumps of small values are as they were written: nothing is to be compressed.
    config = {"rdbcompression": "no"}
    async with redis_server(tmp_path / "redis", config) as redis, AsyncExitStack() as stack:
        yield Site(stack, tmp_path, redis)


async def becomes(good: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await good():
            await asyncio.sleep(0.05)


async def says(running: Gateway) -> str:
    """What a new client hears."""
    async with connect(running.ws()) as client:
        await client.send("{}")
        return str(await heard(client))


async def all_say(nodes: list[Gateway], reply: str) -> None:
    async def good() -> bool:
        return [await says(node) for node in nodes] == [reply] * len(nodes)

    await becomes(good)


async def seen_by(running: Gateway, count: int) -> Any:
    """The state that a node tells, once it knows of so many nodes that say what they execute."""

    async def good() -> bool:
        nodes = (await listed(running))["nodes"]
        return len(nodes) == count and all(node["executes"] for node in nodes)

    await becomes(good)
    return await listed(running)


async def test_nodes_that_differ_say_so_after_five_seconds_and_when_it_is_over(site: Site) -> None:
    nodes = [await site.node("a", V1), await site.node("b", V2)]
    for node in nodes:
        line = json.loads(await node.logged("nodes execute different definitions"))
        assert {part.split(":")[0] for part in line["definitions"].split("; ")} == {ONE[:12], TWO[:12]}
        assert all(str(other.pid) in line["definitions"] for other in nodes)
        metrics = await node.metrics()
        assert (metrics["wsgateway_definitions"], metrics["wsgateway_definition_mismatch"]) == (2, 1)

    await site.reads(nodes[0], "a", V2)

    for node in nodes:
        await node.logged("nodes execute the same definition again")
        metrics = await node.metrics()
        assert (metrics["wsgateway_definitions"], metrics["wsgateway_definition_mismatch"]) == (1, 0)
        assert sum("nodes execute different definitions" in line for line in node.log) == 1


async def test_other_values_of_the_environment_are_a_difference_and_stay_on_their_machine(site: Site) -> None:
    nodes = [await site.node("a", NEEDS, NEEDED="one.example"), await site.node("b", NEEDS, NEEDED=SECRET)]

    line = json.loads(await nodes[0].logged("nodes execute different definitions"))

    assert "the text is the same" in line["reason"]
    table = await deployments(nodes[0], "ls")
    assert "other variables of the environment" in table.err
    held = await site.holds()
    assert b"${NEEDED}" in held
    assert SECRET.encode() not in held
    assert SECRET not in "".join(line for node in nodes for line in node.log)


async def test_pointing_back_at_one_node_reaches_all_and_outlives_them(site: Site) -> None:
    nodes = [await site.node(name, V1) for name in "abc"]
    for node, name in zip(nodes, "abc", strict=True):
        await site.reads(node, name, V2)
    state = await seen_by(nodes[1], 3)
    assert [item["digest"] for item in state["deployments"]] == [TWO, ONE]
    open_socket = connect(nodes[2].ws())
    async with open_socket as client:
        used = await deployments(nodes[0], "use", ONE[:8])
        assert (used.code, used.err) == (0, "")
        await all_say(nodes, "v1")
        await client.send("{}")
        assert await heard(client) == "v1"

    nodes[2].process.kill()
    await nodes[2].wait()
    again = await site.node("c", V2)
    assert await says(again) == "v1"

    await site.reads(again, "c", V3)
    assert await says(again) == "v3"
    assert [await says(node) for node in nodes[:2]] == ["v1"] * 2
    for name, node in zip("ab", nodes, strict=False):
        await site.reads(node, name, V3)
    await all_say([*nodes[:2], again], "v3")


async def test_no_rollback_ends_because_of_what_becomes_of_redis(site: Site) -> None:
    nodes = [await site.node(name, V2) for name in "ab"]
    await site.reads(nodes[0], "a", V1)
    await site.reads(nodes[0], "a", V2)
    await seen_by(nodes[0], 2)
    await deployments(nodes[0], "use", ONE)
    await all_say(nodes, "v1")

    await site.redis.kill()
    for node, name in zip(nodes, "ab", strict=True):
        await node.logged("registry away")
        async with asyncio.timeout(PATIENCE):
            assert (await post(node, TWO)).status == 503
        await reloaded(node, site.folder(name), V2, "definition unchanged")
        state = await listed(node)
        assert (state["registryAway"], state["inForce"]) == (True, ONE)
    site.redis.forget()
    await site.redis.start()

    async def filled() -> bool:
        state = await listed(nodes[1])
        return [item["digest"] for item in state["deployments"]] == [TWO, ONE] and not state["registryAway"]

    await becomes(filled)
    late = await site.node("late", V2)
    assert [await says(node) for node in (*nodes, late)] == ["v1"] * 3


async def test_a_node_that_can_not_follow_is_seen_at_the_others(site: Site) -> None:
    able, unable = await site.node("able", NEEDS, NEEDED="one.example"), await site.node("unable", V2)
    await site.reads(able, "able", V2)
    needs = (await seen_by(able, 2))["deployments"][1]["digest"]

    assert (await deployments(able, "use", needs)).code == 0

    line = json.loads(await unable.logged("rollback refused"))
    assert "${NEEDED} is not set" in line["problem"]
    assert await says(unable) == "v2"
    assert (await unable.metrics())["wsgateway_definition_valid"] == 0
    assert "NEEDED" in (await deployments(unable, "ls")).err
    await seen_by(able, 2)
    table = await deployments(able, "ls")
    assert f"{unable.pid} executes {TWO[:12]}" in table.err
    assert "1 of 2" in table.out


async def test_nodes_with_different_files_are_all_pointed_back(site: Site) -> None:
    one, other = await site.node("one", V1), await site.node("other", V2)
    await site.reads(one, "one", V3)

    async def known() -> bool:
        return {node["file"] for node in (await listed(one))["nodes"]} == {THREE, TWO}

    await becomes(known)
    assert (await deployments(one, "use", ONE)).code == 0

    await all_say([one, other], "v1")
