"""What is said of a connection that is not here, by all that can be known of its node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.peers import Peers, Standing
from wsgateway.dataplane.verdict import GONE, LOOK_UP, Ask, Doubt, Verdict, at_first, looked_up
from wsgateway.registry.base import LookUp, NodeEntry, View

TTL = 15.0
SLOT = b"abc"
EPOCH = b"first"
HERE = "node:9090"
THERE = "elsewhere:9090"


def entry(address: str = HERE) -> NodeEntry:
    return NodeEntry(slot=SLOT, address=address)


def view(*, known: bool = True, leased: bool = True, epoch: bytes = EPOCH) -> View:
    return View(
        epoch=epoch,
        secret=b"",
        nodes={SLOT: entry()} if known else {},
        leased=frozenset({SLOT}) if leased and known else frozenset(),
    )


def peers(standing: Standing, *, away: bool = False, settled: bool = True) -> Peers:
    """What a node knows that has come to this standing of the slot by readings each second."""
    now = 0.0
    found = Peers(TTL, lambda: now)
    readings = {
        Standing.LIVE: [view()] * 20,
        Standing.DOUBTFUL: [view()] * 20 + [view(leased=False)] * 2,
        Standing.DEAD: [view()] * 20 + [view(leased=False)] * 12,
        Standing.UNKNOWN: [view(known=False)] * 20,
    }[standing]
    for reading in readings if settled else readings[-1:]:
        now += 1
        found.read(reading)
    if away:
        found.failed()
    return found


ENDED = LookUp(
    epoch=EPOCH,
    entry=NodeEntry(slot=SLOT, address=THERE, ended=True),
    leased=False,
    retired=False,
    recorded=True,
    claimed=False,
)


def found(
    *,
    epoch: bytes | None = EPOCH,
    there: bool = True,
    leased: bool = False,
    retired: bool = False,
    recorded: bool = False,
    claimed: bool = False,
) -> LookUp:
    return LookUp(
        epoch=epoch,
        entry=entry(THERE) if there else None,
        leased=leased,
        retired=retired,
        recorded=recorded,
        claimed=claimed,
    )


def test_the_readings_make_the_standings() -> None:
    for standing in Standing:
        assert peers(standing).standing(SLOT) is standing


@pytest.mark.parametrize(
    ("standing", "away", "verdict"),
    [
        pytest.param(Standing.LIVE, False, Ask(HERE, Doubt.UNREACHABLE), id="a living node is asked"),
        pytest.param(Standing.DOUBTFUL, False, LOOK_UP, id="a lease that is missing"),
        pytest.param(Standing.DEAD, False, LOOK_UP, id="a dead node"),
        pytest.param(Standing.UNKNOWN, False, LOOK_UP, id="a node never seen"),
        pytest.param(Standing.LIVE, True, Ask(HERE, Doubt.REGISTRY_AWAY), id="the store is away, the address kept"),
        pytest.param(Standing.DOUBTFUL, True, Ask(HERE, Doubt.REGISTRY_AWAY), id="away, and the lease was missing"),
        pytest.param(Standing.DEAD, True, Ask(HERE, Doubt.REGISTRY_AWAY), id="away, and it had been dead"),
        pytest.param(Standing.UNKNOWN, True, Doubt.REGISTRY_AWAY, id="away, and nothing is known"),
    ],
)
def test_at_first(standing: Standing, away: bool, verdict: Ask | Doubt | None) -> None:
    assert at_first(peers(standing, away=away), SLOT) == verdict


LIVE, DOUBTFUL, DEAD, UNKNOWN = Standing.LIVE, Standing.DOUBTFUL, Standing.DEAD, Standing.UNKNOWN


@pytest.mark.parametrize(
    ("standing", "said", "verdict"),
    [
        pytest.param(DEAD, None, Ask(HERE, Doubt.REGISTRY_AWAY), id="the store can't be read: who is known is asked"),
        pytest.param(UNKNOWN, None, Doubt.REGISTRY_AWAY, id="the store can't be read, nobody is known"),
        pytest.param(DEAD, found(epoch=None), Ask(HERE, Doubt.UNKNOWN_NODE), id="an empty store says nothing"),
        pytest.param(UNKNOWN, found(epoch=None, there=False), Doubt.UNKNOWN_NODE, id="an empty store, nobody known"),
        pytest.param(UNKNOWN, found(there=False, retired=True), GONE, id="retired"),
        pytest.param(DOUBTFUL, found(there=False, retired=True), GONE, id="retired a moment ago"),
        pytest.param(LIVE, ENDED, GONE, id="it said that it ended, with something left to be finished"),
        pytest.param(LIVE, found(leased=True), Ask(THERE, Doubt.UNREACHABLE), id="leased, at another address"),
        pytest.param(DEAD, found(leased=True), Ask(THERE, Doubt.UNREACHABLE), id="it came back"),
        pytest.param(UNKNOWN, found(leased=True), Ask(THERE, Doubt.UNREACHABLE), id="leased, not read yet"),
        pytest.param(UNKNOWN, found(leased=True, there=False), Doubt.UNREACHABLE, id="leased, without an address"),
        pytest.param(DEAD, found(leased=True, claimed=True), Ask(THERE, Doubt.UNREACHABLE), id="back, it closes it"),
        pytest.param(DEAD, found(recorded=True, claimed=True), GONE, id="taken over"),
        pytest.param(DEAD, found(claimed=True), GONE, id="taken over and finished"),
        pytest.param(DOUBTFUL, found(claimed=True), GONE, id="taken over by one that read longer"),
        pytest.param(DEAD, found(recorded=True), Ask(THERE, Doubt.TAKE_OVER), id="dead, the take-over to come"),
        pytest.param(DOUBTFUL, found(recorded=True), Ask(THERE, Doubt.LEASE_LOST), id="no lease, and a record"),
        pytest.param(LIVE, found(), Ask(THERE, Doubt.LEASE_LOST), id="the lease has just run out"),
        pytest.param(DOUBTFUL, found(), Ask(THERE, Doubt.LEASE_LOST), id="no lease, not for long"),
        pytest.param(DEAD, found(), Ask(THERE, None), id="dead, nothing to be finished: 410 unless it says otherwise"),
        pytest.param(DEAD, found(epoch=b"second"), Ask(THERE, Doubt.LEASE_LOST), id="emptied since it was found dead"),
        pytest.param(UNKNOWN, found(there=False), GONE, id="nobody ever had the slot, or a day has passed"),
        pytest.param(
            UNKNOWN, found(there=False, epoch=b"second"), Doubt.UNKNOWN_NODE, id="not there, in a store emptied since"
        ),
        pytest.param(
            LIVE, found(there=False, epoch=b"second"), Ask(HERE, Doubt.UNKNOWN_NODE), id="emptied, it may live"
        ),
        pytest.param(DEAD, found(there=False), Ask(HERE, None), id="it left the directory, and was dead"),
    ],
)
def test_looked_up(standing: Standing, said: LookUp | None, verdict: Verdict) -> None:
    assert looked_up(peers(standing), SLOT, said) == verdict


def test_to_a_node_that_has_only_begun_to_read_absence_means_nothing() -> None:
    new = peers(UNKNOWN, settled=False)

    assert looked_up(new, SLOT, found(there=False)) is Doubt.UNKNOWN_NODE
    assert looked_up(peers(DEAD, settled=False), SLOT, found()) == Ask(THERE, Doubt.LEASE_LOST)


@given(
    st.sampled_from(Standing),
    st.booleans(),
    st.none()
    | st.builds(
        found,
        epoch=st.sampled_from([None, EPOCH, b"second"]),
        there=st.booleans(),
        leased=st.booleans(),
        retired=st.booleans(),
        recorded=st.booleans(),
        claimed=st.booleans(),
    ),
)
def test_410_is_said_of_nothing_that_may_live(standing: Standing, away: bool, said: LookUp | None) -> None:
    """A store that can't be read or is empty, a lease that runs and a record nobody claimed are each enough for 503."""
    known = peers(standing, away=away)

    for verdict in (at_first(known, SLOT), looked_up(known, SLOT, said)):
        if verdict is GONE or (isinstance(verdict, Ask) and verdict.otherwise is None):
            assert said is not None
            assert said.epoch is not None
            assert said.retired or not said.leased
            assert said.retired or said.claimed or (not said.recorded and said.epoch == EPOCH and not away)
