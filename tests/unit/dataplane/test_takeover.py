"""What is left of dead nodes is finished by those that live: exactly one claims each connection."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dataplane.installation import Installation, Node, Socket, id_of, without_disconnect
from wsgateway.dataplane.takeover import AT_ONCE
from wsgateway.errors import RegistryAway

pytestmark = pytest.mark.anyio


def begun(*nodes: Node) -> list[str]:
    """The connections whose $disconnect was begun, sorted."""
    return sorted(connection_id for node in nodes for connection_id, *_ in node.finisher.begun)


def ids(sockets: list[Socket]) -> list[str]:
    return sorted(map(id_of, sockets))


async def crashed(number: int, *survivors: str) -> tuple[Installation, Node, list[Node], list[Socket]]:
    """An installation whose node `a` had `number` connections and has just crashed."""
    installation = Installation()
    a, *others = await installation.start("a", *survivors)
    sockets = [await a.connect() for _ in range(number)]
    a.runs = False
    return installation, a, others, sockets


async def test_survivors_finish_a_crashed_nodes_connections_within_thirty_seconds_each_once() -> None:
    installation, a, (b, c), sockets = await crashed(20, "b", "c")
    for node in (b, c):
        node.finisher.at_once = False

    await installation.pass_time(26)

    assert begun(b, c) == ids(sockets)
    for connection_id, owner, code, reason, staged in b.finisher.begun + c.finisher.begun:
        assert (owner, code, reason, staged) == (a.slot, 1006, "Connection closed abnormally", True)
        assert connection_id in ids(sockets)
    assert len(installation.records(a)) == 20, "each stays until its $disconnect was answered"
    for node in (b, c):
        node.finisher.finish()
    await installation.pass_time(3)
    assert not installation.records(a)
    assert a.slot in installation.store.retired
    assert a.slot not in b.peers.nodes
    assert begun(b, c) == ids(sockets)
    assert len(b.events("a dead node is finished") + c.events("a dead node is finished")) == 1


async def test_survivors_share_the_work() -> None:
    installation, _, (b, c), sockets = await crashed(10 * AT_ONCE, "b", "c")

    for _ in range(60):
        await installation.pass_time(1)

    assert begun(b, c) == ids(sockets)
    assert len(b.finisher.begun) >= 2 * AT_ONCE
    assert len(c.finisher.begun) >= 2 * AT_ONCE


async def test_no_more_run_at_once_than_is_good() -> None:
    installation, a, (b,), sockets = await crashed(3 * AT_ONCE, "b")
    b.finisher.at_once = False

    await installation.pass_time(40)
    assert len(b.finisher.begun) == AT_ONCE
    assert len(installation.store.claims[a.slot]) == AT_ONCE, "what can't be run yet is left to others"

    b.finisher.finish()
    await installation.pass_time(1)
    assert len(b.finisher.begun) == 2 * AT_ONCE
    b.finisher.at_once = True
    b.finisher.finish()
    await installation.pass_time(3)
    assert begun(b) == ids(sockets)


async def test_what_a_claimer_did_not_finish_before_it_died_is_claimed_again() -> None:
    installation, a, (b, c), sockets = await crashed(10, "b", "c")
    b.finisher.at_once = False
    c.sleeps = True
    await installation.pass_time(27)
    c.sleeps = False
    assert begun(b) == ids(sockets)
    b.runs = False

    await installation.pass_time(45)

    assert begun(c) == ids(sockets)
    assert {a.slot, b.slot} <= installation.store.retired


async def test_what_a_claimer_did_not_finish_before_it_left_is_claimed_again() -> None:
    installation, a, (b, c), sockets = await crashed(10, "b", "c")
    b.finisher.at_once = False
    c.sleeps = True
    await installation.pass_time(27)
    c.sleeps = False
    await installation.pass_time(12)
    assert not c.finisher.begun

    b.gateway.draining = True
    assert await b.takeover.leave() == 10
    await b.lease.leave()
    b.runs = False
    await installation.pass_time(2)

    assert begun(c) == ids(sockets)
    assert a.slot in installation.store.retired


async def test_a_claim_whose_answer_was_lost_is_used() -> None:
    installation, a, (b,), sockets = await crashed(5, "b")
    take = b.orphans.take

    async def lost(slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]) -> Mapping[str, bytes]:
        b.orphans.take = take  # type: ignore[method-assign]
        await take(slot, claimer, wanted)
        raise RegistryAway("the answer was lost")

    b.orphans.take = lost  # type: ignore[method-assign]
    await installation.pass_time(30)

    assert begun(b) == ids(sockets)
    assert a.slot in installation.store.retired


async def test_a_removal_that_failed_is_made_again_and_the_disconnect_is_not() -> None:
    installation, a, (b,), sockets = await crashed(5, "b")
    b.finisher.at_once = False
    await installation.pass_time(27)
    b.link.up = False
    b.finisher.finish()
    await installation.pass_time(5)
    assert len(installation.records(a)) == 5

    b.link.up = True
    await installation.pass_time(30)

    assert begun(b) == ids(sockets)
    assert not installation.records(a)


async def test_a_stage_that_is_gone_is_told_to_whoever_runs_it() -> None:
    installation, a, (b,), _ = await crashed(1, "b")
    b.gateway.stages = {}

    await installation.pass_time(30)

    assert [staged for *_, staged in b.finisher.begun] == [False]
    assert a.slot in installation.store.retired


async def test_a_record_that_cant_be_read_is_counted_and_holds_nothing_up() -> None:
    installation, a, (b,), sockets = await crashed(3, "b")
    installation.store.records[a.slot][id_of(sockets[0])] = b"\xc1 no record"

    await installation.pass_time(30)

    assert begun(b) == ids(sockets[1:])
    assert b.takeover.bad_records == 1
    assert a.slot in installation.store.retired


async def test_a_node_that_drains_takes_over_nothing() -> None:
    installation, _, (b,), _ = await crashed(3, "b")
    b.gateway.draining = True

    await installation.pass_time(60)

    assert not b.finisher.begun


async def test_a_dead_node_that_owed_nothing_is_retired() -> None:
    installation = Installation()
    a, _ = await installation.start("a", "b")
    a.stage.current = without_disconnect(a.stage.current)
    await a.connect()
    a.runs = False

    await installation.pass_time(30)

    assert a.slot in installation.store.retired


async def test_a_restart_of_everything_at_once_runs_what_was_left() -> None:
    """The registry alone survives: who starts next finishes it."""
    installation = Installation()
    a, b = await installation.start("a", "b")
    sockets = [await node.connect() for node in (a, b) for _ in range(5)]
    a.runs = b.runs = False

    await installation.pass_time(60)
    (c,) = await installation.start("c")
    await installation.pass_time(12)

    assert begun(c) == ids(sockets)


async def test_an_older_copy_of_the_registry_repeats_nothing_of_a_living_node() -> None:
    installation, a, (b,), sockets = await crashed(5, "b")
    before = copy.deepcopy(installation.store.records)
    await installation.pass_time(30)
    assert begun(b) == ids(sockets)

    installation.store.records = before
    await installation.pass_time(60)

    assert begun(b) == ids(sockets), "the slot is retired: nobody looks there"
    assert a.slot in installation.store.retired


FAULTS = st.lists(
    st.tuples(st.sampled_from(["crash", "sleep", "wake", "cut", "mend", "wipe", "close", "finish"]), st.integers(0, 2)),
    max_size=25,
)


@given(FAULTS)
@settings(max_examples=60)
async def test_whatever_happens_nobody_is_told_twice_of_a_living_nodes_connection(
    faults: list[tuple[str, int]],
) -> None:
    """Nodes crash, sleep and are cut off, the store is emptied; a third node stays. In the end no record is left, what
    is open is recorded, and a connection whose $disconnect was run is open nowhere."""
    installation = Installation()
    nodes = await installation.start("a", "b", "c", "d")
    keeper = nodes.pop()
    sockets = {node.name: [await node.connect() for _ in range(3)] for node in nodes}
    wiped = False
    for fault, which in faults:
        node = nodes[which]
        match fault:
            case "crash":
                node.runs = False
            case "sleep":
                node.sleeps = True
            case "wake":
                node.sleeps = False
            case "cut":
                node.link.up = False
            case "mend":
                node.link.up = True
            case "wipe":
                installation.store.clear()
                wiped = True
            case "close":
                if node.runs and not node.sleeps and node.ledger._entered:
                    next(iter(node.ledger._entered.values())).close(1000, "")
            case "finish":
                node.finisher.finish()
        await installation.pass_time(7)
    for node in nodes:
        node.sleeps, node.link.up = False, True
    await installation.pass_time(100)

    told = begun(keeper, *nodes)
    for node in nodes:
        if node.runs:
            still_open = {id_of(socket) for socket in sockets[node.name] if socket.closed is None}
            assert installation.records(node) == still_open
            # Who was claimed in a store that was emptied then can't be known.
            assert wiped or not still_open & set(told)
        else:
            assert not installation.records(node)
    if not wiped:
        closed_by_crash = {
            id_of(socket) for node in nodes if not node.runs for socket in sockets[node.name] if socket.closed is None
        }
        assert closed_by_crash <= set(told)
