"""The membership of nodes, with several in one process: crash, sleep, cut-off, an emptied or older store."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import cast
from unittest import mock

import pytest

from tests.unit.dataplane.installation import TTL, Installation, Node, Socket, id_of
from tests.unit.dataplane.values import handshake
from wsgateway.dataplane.compiled import Operation
from wsgateway.dataplane.peers import Standing
from wsgateway.dataplane.websocket import WebSocketApis
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse, HttpResponse, Message
from wsgateway.registry.base import NodeEntry

pytestmark = pytest.mark.anyio


def refused(node: Node) -> bool:
    """Whether a handshake is refused because the registry is away."""
    answer = WebSocketApis(node.gateway).connect(handshake())
    if isinstance(answer, HttpResponse):
        assert answer.status == 503
        assert 1 <= int(dict(answer.headers)[b"Retry-After"]) <= 5
        assert b"Redis" in cast("bytes", answer.body)
        return True
    asyncio.ensure_future(answer).cancel()  # type: ignore[arg-type]  # it waits for its record
    return False


# The slot


async def test_nodes_claim_slots_and_see_each_other() -> None:
    a, b = await Installation().start("a", "b")

    assert a.peers.standing(b.slot) is Standing.LIVE
    assert b.peers.address(a.slot) == "a:9090"
    assert a.peers.count == 2
    assert a.lease.secret == b.lease.secret
    assert len(a.events("slot claimed")) == 1


async def test_a_slot_that_somebody_has_is_not_taken() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    b = Node(installation, "b")
    b.gateway.ids.slot = a.slot

    await b.tick()

    assert b.lease.held
    assert b.slot != a.slot
    assert b.gateway.ids.new("chat")[:4] != a.gateway.ids.new("chat")[:4]


async def test_a_claim_whose_answer_was_lost_is_known_again() -> None:
    installation = Installation()
    a = Node(installation, "a")
    slot = a.slot
    a.link.lost = True
    await a.tick()
    assert not a.lease.held

    await a.tick()

    assert a.lease.held
    assert a.slot == slot


async def test_a_node_that_starts_without_the_registry_waits_for_it() -> None:
    installation = Installation()
    a = Node(installation, "a")
    installation.nodes.append(a)
    a.link.up = False

    assert refused(a), "before the first round"
    await installation.pass_time(100)
    assert refused(a)
    assert not a.lease.claimed.is_set()
    assert len(a.events("registry away")) == 1, "told once"

    a.link.up = True
    await installation.pass_time(1)
    assert a.lease.claimed.is_set()
    assert not refused(a)
    assert a.events("registry back")


async def test_a_node_that_accepts_meanwhile_enters_its_connections_once_it_has_its_slot() -> None:
    installation = Installation()
    a = Node(installation, "a", accepting=True)
    installation.nodes.append(a)
    a.link.up = False
    await installation.pass_time(3)
    assert not refused(a)
    socket = await a.connect()
    assert installation.store.records == {}

    a.link.up = True
    await installation.pass_time(1)

    assert installation.records(a) == {id_of(socket)}


async def test_a_client_that_comes_when_the_registry_is_back_costs_a_node_without_a_slot_nothing() -> None:
    """Nothing may be written under a slot that is not claimed: it could not be claimed any more."""
    installation = Installation()
    a = Node(installation, "a", accepting=True)
    installation.nodes.append(a)
    a.link.up = False
    await installation.pass_time(3)
    slot, early = a.slot, await a.connect()
    a.link.up = True
    late, gone = await a.connect(), await a.connect()
    gone.close(1000, "")
    assert installation.store.records == {}

    await installation.pass_time(1)

    assert (a.slot, early.closed, late.closed) == (slot, None, None)
    assert installation.store.records == {slot: {id_of(one): mock.ANY for one in (early, late)}}


async def test_connections_whose_ids_name_anothers_slot_are_closed() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    b = Node(installation, "b", accepting=True)
    b.gateway.ids.slot = a.slot
    b.link.up = False
    await b.tick()
    socket = await b.connect()

    b.link.up = True
    await b.tick()

    assert socket.closed == (1001, "Going away")
    assert b.slot != a.slot


# Renewal


async def test_the_lease_is_renewed_each_third_of_its_time() -> None:
    installation = Installation()
    a, _ = await installation.start("a", "b")
    renewed: list[float] = []
    renew = a.nodes.renew

    async def noted(entry: NodeEntry, ttl: float) -> bool:
        renewed.append(installation.clock.now)
        return await renew(entry, ttl)

    a.nodes.renew = noted  # type: ignore[method-assign]
    await installation.pass_time(30)

    assert len(renewed) == 6
    assert installation.store.leased(a.slot)
    assert a.gateway.check_at > installation.clock.now


async def test_news_is_announced_at_once() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    a.entry = lambda: NodeEntry(slot=a.slot, address="a:9090", name="a", started=1, digest="new")  # type: ignore[method-assign]
    a.lease._announce = a.entry

    a.lease.announce_now()
    await installation.pass_time(1)
    await b.tick()

    assert b.peers.digests[a.slot] == "new"


# Cut off, or the store gone


async def test_while_the_registry_is_away_everything_that_is_goes_on() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    socket = await a.connect()
    a.link.up = b.link.up = False

    await installation.pass_time(100)

    assert socket.closed is None
    assert refused(a)
    assert a.peers.address(b.slot) == "b:9090"
    assert not a.finisher.begun
    assert a.gateway.check_at > installation.clock.now, "messages need not ask each time"
    a.link.up = b.link.up = True
    await installation.pass_time(1)
    assert not refused(a)
    assert socket.closed is None
    assert a.lease.counts.away == 1
    assert a.lease.counts.missed == 1
    assert a.lease.counts.fenced == 0
    await installation.pass_time(20)
    assert not a.finisher.begun + b.finisher.begun, "nobody was dead"


async def test_a_node_cut_off_for_long_ends_what_others_took_over_and_nothing_else() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    taken, kept = await a.connect(), await a.connect()
    a.link.up = False
    kept_record = installation.store.records[a.slot].pop(id_of(kept))  # nobody claims it
    await installation.pass_time(30)
    assert [begun[0] for begun in b.finisher.begun] == [id_of(taken)]
    assert (taken.closed, kept.closed) == (None, None)
    assert kept_record

    a.link.up = True
    await installation.pass_time(1)

    assert taken.closed == (1001, "Going away")
    assert kept.closed is None
    assert not a.finisher.begun, "its $disconnect ran elsewhere"
    assert a.lease.counts.fenced == 1
    assert installation.records(a) == {id_of(kept)}
    assert b.peers.standing(a.slot) is not Standing.DEAD
    assert not installation.store.retired


async def test_an_emptied_registry_has_everything_again_and_nobody_dies() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    sockets = [await a.connect() for _ in range(1200)]
    epoch = a.peers.epoch

    installation.store.clear()
    await installation.pass_time(2)

    assert a.peers.epoch != epoch
    assert b.peers.epoch == a.peers.epoch
    assert installation.records(a) == {id_of(socket) for socket in sockets}
    assert a.peers.standing(b.slot) is Standing.LIVE
    await installation.pass_time(60)
    assert not a.finisher.begun + b.finisher.begun
    assert all(socket.closed is None for socket in sockets)


async def test_an_older_copy_of_the_registry_is_mended() -> None:
    """A replica that had not heard of the last writes takes over: with records of connections that are over, without
    those that are new, and with leases that ended long ago."""
    installation = Installation()
    a, b = await installation.start("a", "b")
    over = await a.connect()
    old = copy.deepcopy({"records": installation.store.records, "leases": installation.store.leases})
    await installation.pass_time(30)
    over.connection.close(1000, "")
    a.finisher.begun.clear()
    a.ledger.leave(id_of(over))
    new = await a.connect()

    installation.store.records = old["records"]  # type: ignore[assignment]
    installation.store.leases = old["leases"]  # type: ignore[assignment]
    await installation.pass_time(30)

    assert installation.records(a) == {id_of(new)}
    assert not a.finisher.begun + b.finisher.begun
    assert new.closed is None


# Sleep


async def slept_past_its_lease(*, records: int = 2) -> tuple[Installation, Node, Node, list[Socket]]:
    """A node that was stopped, and another that took over one half of its connections and then stopped looking."""
    installation = Installation()
    a, b = await installation.start("a", "b")
    sockets = [await a.connect() for _ in range(records)]
    spared = installation.store.records[a.slot].pop(id_of(sockets[-1]))
    assert spared
    a.sleeps = True
    await installation.pass_time(30)
    assert len(b.finisher.begun) == records - 1
    a.sleeps = False
    return installation, a, b, sockets


async def test_a_message_that_is_read_first_after_a_sleep_runs_nothing_if_the_connection_was_taken_over() -> None:
    _, a, _, (taken, kept) = await slept_past_its_lease()

    taken.connection.on_message(Message(b"too late"))
    kept.connection.on_message(Message(b"still here"))

    assert a.messages == [b"still here"]
    assert taken.closed == (1001, "Going away")
    assert taken.sent == []
    assert kept.closed is None
    assert not a.finisher.begun
    assert a.lease.counts.fenced == 1


async def test_a_push_that_comes_first_after_a_sleep_finds_no_connection_that_was_taken_over() -> None:
    _, _, _, (taken, kept) = await slept_past_its_lease()

    kept.connection.push(Message(b"push"))
    taken.connection.push(Message(b"push"))

    assert [message.data for message in kept.sent] == [b"push"]
    assert taken.sent == []
    assert taken.closed == (1001, "Going away")


async def test_a_client_that_left_during_a_sleep_has_one_disconnect() -> None:
    _, a, _, (taken, kept) = await slept_past_its_lease()

    taken.connection.on_close(1006, "")

    assert kept.closed is None
    assert not a.finisher.begun
    assert a.gateway.closing == 0


async def test_the_first_round_after_a_sleep_asks_before_it_says_that_all_is_well() -> None:
    installation, a, _, (taken, kept) = await slept_past_its_lease()

    await installation.pass_time(1)

    assert taken.closed == (1001, "Going away")
    assert kept.closed is None
    assert installation.records(a) == {id_of(kept)}


async def test_a_round_that_failed_because_of_a_sleep_does_not_hide_it() -> None:
    """The answer it waited for came too late, and that is no sign of an outage."""
    installation, a, _, (taken, kept) = await slept_past_its_lease()
    view = a.nodes.view

    async def late(epoch: bytes, secret: bytes) -> object:
        a.nodes.view = view  # type: ignore[method-assign]
        raise TimeoutError

    renew_at, a.lease._renew_at = a.lease._renew_at, installation.clock.now + 100
    a.nodes.view = late  # type: ignore[assignment,method-assign]
    await a.lease.tick()

    assert renew_at < installation.clock.now
    assert taken.closed == (1001, "Going away")
    assert kept.closed is None


async def test_a_node_that_wakes_without_the_registry_goes_on_and_learns_later() -> None:
    installation, a, _, (taken, kept) = await slept_past_its_lease()
    a.link.up = False

    taken.connection.on_message(Message(b"1"))
    assert a.messages == [b"1"], "nobody can be asked"
    a.link.up = True
    await installation.pass_time(1)

    assert taken.closed == (1001, "Going away")
    assert kept.closed is None


@pytest.mark.parametrize("asked_by", ["a message", "the next round"])
async def test_claims_whose_answer_was_lost_are_asked_for_again(asked_by: str) -> None:
    """The slot is leased again by then, so that a renewal alone would say that all is well."""
    installation, a, _, (taken, kept) = await slept_past_its_lease()
    a.link.lost = True
    if asked_by == "a message":
        kept.connection.on_message(Message(b"1"))
    else:
        await a.tick()
    assert taken.closed is None

    await installation.pass_time(1)

    assert taken.closed == (1001, "Going away")
    assert kept.closed is None


async def test_a_sleep_shorter_than_the_lease_changes_nothing() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    socket = await a.connect()
    a.sleeps = True
    await installation.pass_time(int(TTL) - 6)
    a.sleeps = False

    socket.connection.on_message(Message(b"1"))

    assert a.messages == [b"1"]
    assert a.lease.counts.missed == 0
    assert not b.finisher.begun


async def test_a_handshake_whose_record_was_claimed_during_a_sleep_is_refused() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    answered: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    asked: list[Invocation] = []

    def connect(invocation: Invocation) -> asyncio.Future[EndpointResponse]:
        assert len(installation.records(a)) == 1, "it is recorded before anybody hears of it"
        asked.append(invocation)
        return answered

    a.stage.current = replace(a.stage.current, connect=Operation("$connect", (), connect, False))
    waiting = asyncio.ensure_future(WebSocketApis(a.gateway).connect(handshake()))  # type: ignore[arg-type]
    while not asked:
        await asyncio.sleep(0)
    a.sleeps = True
    await installation.pass_time(30)
    assert len(b.finisher.begun) == 1

    answered.set_result(EndpointResponse(200))
    answer = await waiting

    assert isinstance(answer, HttpResponse)
    assert answer.status == 503
    assert not a.finisher.begun
    assert not len(a.ledger)
    assert a.gateway.opening == 0


async def test_connect_is_not_called_behind_the_disconnect_that_another_node_ran_during_a_sleep() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    a.stage.current = replace(
        a.stage.current, connect=Operation("$connect", (), lambda invocation: pytest.fail("called"), False)
    )
    add, recorded, slept = a.orphans.add, asyncio.Event(), asyncio.Event()

    async def written(slot: bytes, connection_id: str, record: bytes) -> None:
        await add(slot, connection_id, record)
        recorded.set()
        await slept.wait()  # the answer comes when the process runs again

    a.orphans.add = written  # type: ignore[method-assign]
    waiting = asyncio.ensure_future(WebSocketApis(a.gateway).connect(handshake()))  # type: ignore[arg-type]
    await recorded.wait()
    a.sleeps = True
    await installation.pass_time(30)
    assert len(b.finisher.begun) == 1

    slept.set()
    answer = await waiting

    assert isinstance(answer, HttpResponse)
    assert answer.status == 503
    assert not a.finisher.begun
    assert not len(a.ledger)
    assert a.gateway.opening == 0


# The end


async def test_a_node_that_left_is_known_to_have_ended() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")

    await a.lease.leave()
    a.runs = False
    await installation.pass_time(1)

    assert a.slot in installation.store.retired
    assert a.slot not in b.peers.nodes


async def test_a_node_that_left_takes_no_other_slot_while_its_process_ends() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    slot = a.slot

    await a.lease.leave()
    await installation.pass_time(20)

    assert (a.slot, a.lease.held) == (slot, False)
    assert set(b.peers.nodes) == {b.slot}
    assert len(a.events("slot claimed")) == 1


async def test_what_a_node_that_left_had_not_finished_is_taken_over_at_once() -> None:
    installation = Installation()
    a, b = await installation.start("a", "b")
    a.finisher.at_once = False
    connection_id = id_of(await a.connect())
    a.gateway.hub.get(connection_id).socket.close(1001, "Going away")

    await a.lease.leave(unfinished=True)
    a.runs = False
    await installation.pass_time(1)

    assert [begun[:2] for begun in b.finisher.begun] == [(connection_id, a.slot)]
    await installation.pass_time(2)
    assert a.slot in installation.store.retired


async def test_leaving_without_the_registry_is_told_and_goes_on() -> None:
    (a,) = await Installation().start("a")
    a.link.up = False

    await a.lease.leave()

    assert a.events("the lease is left to run out")


async def test_a_fault_of_a_round_does_not_end_it() -> None:
    (a,) = await Installation().start("a")

    async def broken(epoch: bytes, secret: bytes) -> object:
        raise RuntimeError("a fault")

    a.nodes.view = broken  # type: ignore[assignment,method-assign]
    await a.lease.tick()

    assert a.gateway.counters.unexpected_errors == 1
    assert a.events("unexpected error")
