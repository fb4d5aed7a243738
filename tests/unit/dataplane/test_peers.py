"""What a node knows of the others, from its readings of the directory."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.peers import MAX_GONE, Peers, Standing
from wsgateway.registry.base import NodeEntry, View

TTL = 15.0
A, B = b"aaa", b"bbb"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def entry(slot: bytes, digest: str = "") -> NodeEntry:
    return NodeEntry(slot=slot, address=f"{slot.decode()}:9090", digest=digest)


def view(leased: Collection[bytes], *, known: Collection[bytes] = (A, B), epoch: bytes = b"first") -> View:
    return View(
        epoch=epoch, secret=b"", nodes={slot: entry(slot, slot.decode()) for slot in known}, leased=frozenset(leased)
    )


class Reader:
    """Reads a directory each second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.peers = Peers(TTL, self.clock)

    def read(self, reading: View | None, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            if reading is None:
                self.peers.failed()
            else:
                self.peers.read(reading)


def test_before_the_first_reading_the_store_is_away() -> None:
    peers = Reader().peers

    assert peers.away
    assert not peers.settled
    assert peers.count == 1
    assert peers.standing(A) is Standing.UNKNOWN
    assert peers.address(A) is None


def test_a_node_that_said_it_ended_is_dead_at_once() -> None:
    reader = Reader()
    reader.read(view({A, B}), 20)
    ended = View(
        epoch=b"first",
        secret=b"",
        nodes={A: NodeEntry(slot=A, address="aaa:9090", ended=True), B: entry(B)},
        leased=frozenset({B}),
    )
    reader.read(ended)

    assert reader.peers.standing(A) is Standing.DEAD
    assert [entry.slot for entry in reader.peers.dead] == [A]
    reader.read(None)
    assert reader.peers.standing(A) is Standing.DOUBTFUL
    reader.read(view({B}, known=[B], epoch=b"second"))
    assert reader.peers.standing(A) is Standing.DEAD, "whatever the store has lost since"


def test_a_leased_node_is_live() -> None:
    reader = Reader()
    reader.read(view([A, B]))

    assert reader.peers.standing(B) is Standing.LIVE
    assert reader.peers.address(B) == "bbb:9090"
    assert reader.peers.count == 2
    assert reader.peers.digests == {A: "aaa", B: "bbb"}
    assert not reader.peers.dead


def test_a_node_is_dead_when_its_lease_was_missing_for_two_thirds_of_a_lease() -> None:
    reader = Reader()
    reader.read(view([A, B]))
    reader.read(view([A]), 10)
    assert reader.peers.standing(B) is Standing.DOUBTFUL

    reader.read(view([A]))

    assert reader.peers.standing(B) is Standing.DEAD
    assert [node.slot for node in reader.peers.dead] == [B]
    assert reader.peers.address(B) == "bbb:9090"
    assert reader.peers.digests == {A: "aaa"}


def test_a_node_that_renews_again_is_live_at_once_and_its_absence_forgotten() -> None:
    reader = Reader()
    reader.read(view([A]), 10)
    reader.read(view([A, B]))
    assert reader.peers.standing(B) is Standing.LIVE

    reader.read(view([A]), 9)

    assert reader.peers.standing(B) is Standing.DOUBTFUL


def test_while_the_store_is_away_nobody_dies_and_addresses_stay() -> None:
    reader = Reader()
    reader.read(view([A]), 11)
    reader.read(None)

    assert reader.peers.away
    assert reader.peers.standing(A) is Standing.LIVE
    assert reader.peers.standing(B) is Standing.DOUBTFUL
    assert reader.peers.address(B) == "bbb:9090"
    assert not reader.peers.dead


def test_an_absence_before_an_outage_does_not_count_after_it() -> None:
    reader = Reader()
    reader.read(view([A]), 8)
    reader.read(None)
    reader.read(view([A]), 10)
    assert reader.peers.standing(B) is Standing.DOUBTFUL

    reader.read(view([A]))

    assert reader.peers.standing(B) is Standing.DEAD


def test_an_absence_does_not_count_over_a_pause_of_the_reader() -> None:
    reader = Reader()
    reader.read(view([A]), 9)
    reader.clock.now += 60
    assert not reader.peers.settled
    reader.read(view([A]))

    assert reader.peers.standing(B) is Standing.DOUBTFUL


def test_an_emptied_store_makes_nobody_dead_before_everybody_could_renew() -> None:
    reader = Reader()
    reader.read(view([A, B]), 20)
    assert reader.peers.settled
    reader.read(view([A], known=[A], epoch=b"second"), 10)

    assert not reader.peers.settled
    assert reader.peers.standing(B) is Standing.DOUBTFUL
    assert reader.peers.address(B) == "bbb:9090"

    reader.read(view([A], known=[A], epoch=b"second"))

    assert reader.peers.settled
    assert reader.peers.standing(B) is Standing.DEAD
    assert not reader.peers.dead  # there is nothing to take over


def test_settled_takes_two_thirds_of_a_lease_without_a_failure() -> None:
    reader = Reader()
    reader.read(view([A]), 10)
    assert not reader.peers.settled
    reader.read(view([A]))
    assert reader.peers.settled
    reader.read(None)
    assert not reader.peers.settled
    reader.read(view([A]), 10)
    assert not reader.peers.settled
    reader.read(view([A]))
    assert reader.peers.settled


def test_addresses_of_nodes_that_left_are_kept_up_to_a_bound() -> None:
    reader = Reader()
    slots = [number.to_bytes(3) for number in range(MAX_GONE + 2)]
    for slot in slots:
        reader.peers.read(
            View(epoch=b"", secret=b"", nodes={slot: NodeEntry(slot=slot, address="x")}, leased=frozenset())
        )

    assert reader.peers.address(slots[0]) is None
    assert reader.peers.standing(slots[0]) is Standing.UNKNOWN
    assert reader.peers.address(slots[1]) == "x"


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 20), st.one_of(st.none(), st.tuples(st.booleans(), st.booleans(), st.sampled_from("ef")))
        )
    )
)
def test_dead_means_missing_in_every_reading_of_the_last_two_thirds_of_a_lease(
    history: list[tuple[float, tuple[bool, bool, str] | None]],
) -> None:
    """Whatever is read and whenever: nobody is dead who could have been heard of, and no short silence is enough."""
    clock = Clock()
    peers = Peers(TTL, clock)
    quiet_since: float | None = None
    epoch, before = "", clock.now
    for pause, reading in history:
        clock.now += pause
        if reading is None:
            peers.failed()
            quiet_since = None
            continue
        leased, known, new_epoch = reading
        if leased or new_epoch != epoch or clock.now - before > TTL / 3:
            quiet_since = None
        if not leased and quiet_since is None:
            quiet_since = clock.now
        epoch, before = new_epoch, clock.now
        peers.read(view([B] if leased else [], known=[B] if known or leased else [], epoch=new_epoch.encode()))
        standing = peers.standing(B)
        assert (standing is Standing.LIVE) == leased
        if standing is Standing.DEAD:
            assert quiet_since is not None
            assert clock.now - quiet_since >= TTL * 2 / 3


def test_an_emptied_store_leaves_the_count_of_nodes_as_it_was_until_it_is_settled() -> None:
    reader = Reader()
    reader.read(view([A, B]), seconds=11)
    reader.read(view([A], known=[A], epoch=b"second"))
    assert reader.peers.count == 2
    reader.read(view([A], known=[A], epoch=b"second"), seconds=10)
    assert reader.peers.count == 1
