"""Three nodes, Redis and a backend as real processes, under load: one fault each, and every promise is judged.

The judge is tested by itself, with histories that break each promise; `python -m loadtest faults` makes many faults in
one run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from loadtest.faults.crowd import Load
from loadtest.faults.history import ABNORMAL
from loadtest.faults.report import examples
from loadtest.faults.site import Plan, Site, site
from loadtest.faults.story import Story

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PLAN = Plan(seed=1, lease_ttl=1.0, drain_window=1.0, slack=2.0, load=Load(clients=45, messages=40, pushes=90, life=6.0))


@asynccontextmanager
async def judged(folder: Path, plan: Plan = PLAN) -> AsyncIterator[Site]:
    """An installation under load; at the end no promise may have been broken."""
    async with site(plan, folder) as running:
        yield running
        broken = await running.finish()
        if broken:
            running.recorder.history.write(folder / "history.jsonl")
        assert not broken, "\n".join(examples(broken))


def told(running: Site) -> Story:
    return Story(running.recorder.history)


async def seconds(running: Site, leases: float) -> None:
    """The length of a fault, in lease times."""
    await running.hold(leases * running.plan.lease_ttl, leases * running.plan.lease_ttl)


async def taken_over(running: Site, node: str, ids: set[str]) -> None:
    """Wait until the $disconnect of each of these connections of a node has been called for."""
    assert ids, f"{node} had no connections"
    assert await running.until(
        lambda: not ids & running.backend.undone, running.terms.orphaned + running.terms.takeover
    ), f"{len(ids & running.backend.undone)} of {len(ids)} connections of {node} have had no $disconnect"


def ids_at(running: Site, node: str) -> set[str]:
    return {client.connection_id for client in running.crowd.live_at(node)}


async def test_a_quiet_time_breaks_nothing(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        await running.heal()

    story = told(running)
    assert {push.status for push in story.pushes.values()} == {200, 410}
    assert {push.during for push in story.pushes.values()} == {"", "connect", "open", "first"}
    assert any(
        push.status == 200 and push.node != story.connections[push.client].node for push in story.pushes.values()
    )


async def test_a_killed_nodes_connections_are_finished_by_the_others(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        node = running.nodes.running["a"].name
        ids = ids_at(running, node)
        await running.kill("a")
        await taken_over(running, node, ids)
        await running.heal()

    story = told(running)
    assert any(c.code == ABNORMAL for c in story.connections.values() if c.node == node)
    assert any(push.status == 410 and story.connections[push.client].node == node for push in story.pushes.values())


async def test_two_nodes_killed_at_once(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        nodes = [running.nodes.running[position].name for position in "ab"]
        ids = {name: ids_at(running, name) for name in nodes}
        await running.kill("a")
        await running.kill("b")
        for name in nodes:
            await taken_over(running, name, ids[name])


async def test_a_node_that_slept_past_its_lease_wakes_and_gives_up_what_was_taken(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        node = running.nodes.running["a"].name
        ids = ids_at(running, node)
        async with running.paused("a"):
            await taken_over(running, node, ids)
        await running.heal()

    story = told(running)
    assert all(story.by_id[connection_id].code in (1000, 1001, None) for connection_id in ids)
    assert any(story.by_id[connection_id].code == 1001 for connection_id in ids)


async def test_a_node_that_slept_within_its_lease_loses_nothing(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        async with running.paused("a"):
            await seconds(running, 0.3)
        await running.heal()

    assert not any(c.code == 1001 and c.ended < running.crowd.ended for c in told(running).connections.values())


@pytest.mark.parametrize("data", [pytest.param(True, id="with its data"), pytest.param(False, id="empty")])
@pytest.mark.parametrize("leases", [0.2, 2.5])
async def test_redis_is_killed_and_comes_back(data: bool, leases: float, tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        async with running.redis_down(data=data):
            await seconds(running, leases)
        await running.heal()

    assert not any(c.code == 1001 and c.ended < running.crowd.ended for c in told(running).connections.values())


async def test_all_that_redis_held_is_deleted_and_then_a_node_dies(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        await running.wipe()
        await running.heal()
        node = running.nodes.running["a"].name
        ids = ids_at(running, node)
        await running.kill("a")
        await taken_over(running, node, ids)


async def test_nobody_hears_from_redis(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        async with running.redis_silent():
            await seconds(running, 3)
        await running.heal()

    story = told(running)
    assert any(connection.refused == 503 for connection in story.connections.values())
    assert not any(c.code == 1001 and c.ended < running.crowd.ended for c in story.connections.values())


async def test_one_node_hears_nothing_from_redis(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        node = running.nodes.running["a"].name
        ids = ids_at(running, node)
        async with running.redis_silent("a"):
            await taken_over(running, node, ids)
        await running.heal()


async def test_nothing_that_is_sent_to_one_node_by_others_arrives(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        async with running.unreachable("a"):
            await seconds(running, 3)
        await running.heal()

    story = told(running)
    node = running.nodes.running["a"].name
    doubted = {story.connections[push.client].node for push in story.pushes.values() if push.status == 503}
    assert doubted == {node}


async def test_redis_is_slow_and_handshakes_are_cut(tmp_path: Path) -> None:
    plan = replace(PLAN, lease_ttl=15.0)  # with which five answers of Redis come between two renewals
    async with judged(tmp_path, plan) as running, running.redis_slow(0.2):
        for _ in range(20):
            await running.crowd.vanishing(running.random.uniform(0, 0.5))

    story = told(running)
    assert all(push.status in (200, 410) for push in story.pushes.values())
    assert any(c.accepted < inf and c.dropped < inf and not c.was_open for c in story.connections.values())


async def test_every_node_is_told_to_leave_one_after_another(tmp_path: Path) -> None:
    async with judged(tmp_path) as running:
        for position in "abc":
            await running.leave(position)
            await running.nodes.start(position)
        await running.heal()

    codes = {connection.code for connection in told(running).connections.values()}
    assert 1001 in codes
    assert ABNORMAL not in codes
