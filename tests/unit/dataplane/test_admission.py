"""New connections: how many a second, how many of one client, and what the operator hears of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dataplane.values import quotas
from wsgateway.dataplane.admission import CALM_SECONDS, UNFINISHED_PER_SOURCE, Admission, Cause
from wsgateway.model.quotas import Limits

HERE = "203.0.113.9"


class World:
    """Admission with the clock and the number of nodes in the test's hands."""

    def __init__(self, nodes: int = 1, **limits: Any) -> None:
        self.now = 1000.0
        self.nodes = nodes
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.admission = Admission(lambda: self.now, self.log, lambda: self.nodes)
        self.limit(**limits)

    def log(self, event: str, **facts: object) -> None:
        self.logged.append((event, facts))

    def limit(self, **limits: Any) -> None:
        self.admission.configure({"chat": quotas("open", Limits.model_validate(limits))})

    def admit(self, source: str = HERE, api_id: str = "chat") -> Cause | None:
        return self.admission.admit(api_id, source, source)

    def admitted(self, tries: int) -> int:
        return sum(self.admit() is None for _ in range(tries))


def test_without_a_rate_everybody_comes_in() -> None:
    assert World().admitted(10_000) == 10_000


def test_one_seconds_worth_at_once_and_then_the_rate() -> None:
    world = World(newConnectionsPerSecond=20)

    assert world.admitted(100) == 20
    assert world.admit() is Cause.RATE
    world.now += 0.5
    assert world.admitted(100) == 10
    world.now += 3600
    assert world.admitted(100) == 20, "what was not used is not kept"


def test_less_than_one_a_second_is_one_at_a_time() -> None:
    world = World(newConnectionsPerSecond=0.5)

    assert world.admitted(5) == 1
    world.now += 1.9
    assert world.admitted(5) == 0
    world.now += 0.1
    assert world.admitted(5) == 1


def test_each_node_takes_its_share_and_follows_their_number() -> None:
    world = World(nodes=4, newConnectionsPerSecond=40)

    assert world.admitted(100) == 0, "a node that joins others begins empty: they have used the burst"
    world.now += 1
    assert world.admitted(100) == 10
    world.nodes = 2
    world.now += 1
    assert world.admitted(100) == 20
    world.nodes = 40
    world.now += 100
    assert world.admitted(100) == 1
    world.nodes = 0
    world.now += 100
    assert world.admitted(100) == 40, "this node lives, whatever is known of the others"


def test_a_new_rate_holds_at_once_in_either_direction() -> None:
    world = World(newConnectionsPerSecond=100)
    assert world.admitted(1000) == 100

    world.limit(newConnectionsPerSecond=1000)
    world.now += 0.1
    assert world.admitted(1000) == 100
    world.now += 1
    world.limit(newConnectionsPerSecond=5)
    assert world.admitted(1000) == 5
    world.limit()
    assert world.admitted(1000) == 1000


def test_apis_have_rates_of_their_own() -> None:
    world = World()
    limited = quotas("open", Limits.model_validate({"newConnectionsPerSecond": 1}))
    world.admission.configure({"chat": limited, "game": limited, "free": quotas()})

    assert world.admitted(3) == 1
    assert world.admit(api_id="game") is None
    assert world.admit(api_id="game") is Cause.RATE
    assert world.admit(api_id="free") is None


arrivals = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 60)), min_size=1, max_size=60)


@settings(max_examples=200)
@given(rate=st.floats(0.3, 50), nodes=st.integers(1, 5), times=arrivals)
def test_over_any_10_s_no_more_than_the_burst_and_the_rate(
    rate: float, nodes: int, times: list[tuple[float, int]]
) -> None:
    """Whatever arrives wherever: the burst is one second's worth, and at least one connection a node."""
    worlds = [World(nodes=nodes, newConnectionsPerSecond=rate) for _ in range(nodes)]
    admitted: list[float] = []
    for pause, tries in times:
        for world in worlds:
            world.now += pause
            admitted += [world.now] * world.admitted(tries)

    for index, begin in enumerate(admitted):
        within = sum(at - begin <= 10 for at in admitted[index:])
        assert within <= max(rate, nodes) + 1.1 * rate * 10 + 1e-6


def test_one_node_that_becomes_many_keeps_the_bound() -> None:
    """The first learns of the others a second later; they begin empty."""
    rate, many = 30.0, 20
    first = World(newConnectionsPerSecond=rate)
    total = first.admitted(1000)
    others = [World(nodes=many, newConnectionsPerSecond=rate) for _ in range(many - 1)]
    for tenth in range(100):
        if tenth == 10:
            first.nodes = many
        for world in (first, *others):
            world.now += 0.1
            total += world.admitted(100)

    assert total <= rate + 1.1 * rate * 10


def test_one_source_has_so_many_connections_and_others_are_not_held_up() -> None:
    world = World(connectionsPerSource=2, newConnectionsPerSecond=4)
    admission = world.admission

    for _ in range(2):
        assert world.admit() is None
        admission.entered("chat", HERE)
    assert [world.admit() for _ in range(50)] == [Cause.CONNECTIONS_PER_SOURCE] * 50
    assert world.admit("198.51.100.1") is None, "who is refused for itself uses nothing of the API's rate"
    admission.left("chat", HERE)
    assert world.admit() is None


def test_connections_of_before_count_where_a_reload_sets_the_limit() -> None:
    world = World()
    world.admission.entered("chat", HERE)

    world.limit(connectionsPerSource=1)
    assert world.admit() is Cause.CONNECTIONS_PER_SOURCE


def test_an_api_that_goes_is_forgotten_with_its_last_connection() -> None:
    world = World()
    world.admission.entered("chat", HERE)
    world.admission.configure({})
    world.admission.left("chat", HERE)
    world.admission.configure({})

    with pytest.raises(KeyError):
        world.admit()


def test_unfinished_handshakes_of_one_source_are_bounded_but_not_those_of_this_machine() -> None:
    world = World()
    admission = world.admission
    for _ in range(UNFINISHED_PER_SOURCE):
        assert not admission.crowded(HERE)
        admission.begin(HERE)
        admission.begin("127.0.0.1")

    assert admission.crowded(HERE)
    assert world.admit() is Cause.UNFINISHED_PER_SOURCE
    assert not admission.crowded("127.0.0.1")
    assert not admission.crowded("198.51.100.1")
    admission.end(HERE)
    admission.end("127.0.0.1")
    assert world.admit() is None


def test_addresses_of_one_ipv6_network_are_one_source() -> None:
    admission = World().admission
    for number in range(UNFINISHED_PER_SOURCE):
        admission.begin(f"2001:db8::{number:x}")

    assert admission.crowded("2001:db8::ffff")
    assert not admission.crowded("2001:db8:0:1::1")
    for number in range(UNFINISHED_PER_SOURCE):
        admission.end(f"2001:db8::{number:x}")
    assert not admission.crowded("2001:db8::1")


def test_the_operator_hears_when_it_begins_and_when_it_ends() -> None:
    world = World()
    admission = world.admission

    for _ in range(1000):
        admission.refuse("chat", Cause.RATE, HERE)
        world.now += 0.01
    admission.refuse("", Cause.UNFINISHED_PER_SOURCE, HERE)
    admission.sweep(world.now)
    assert world.logged == [
        ("new connections are refused", {"api": "chat", "cause": "rate", "source": HERE}),
        ("new connections are refused", {"cause": "unfinished_per_source", "source": HERE}),
    ]
    world.logged.clear()
    world.now += CALM_SECONDS
    admission.sweep(world.now)
    admission.sweep(world.now + 1)
    calm = "new connections are admitted again"
    assert world.logged == [
        (calm, {"api": "chat", "cause": "rate", "refused": 1000, "after_seconds": 10.0}),
        (calm, {"cause": "unfinished_per_source", "refused": 1, "after_seconds": 0.0}),
    ]
    assert admission.refused == {("chat", "rate"): 1000, ("", "unfinished_per_source"): 1}
