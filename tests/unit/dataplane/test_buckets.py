"""Token buckets by name, with the clock in the test's hands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane import buckets as module
from wsgateway.dataplane.buckets import Buckets, Limit

SAY = ("route", "chat", "dev", "say")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets(clock)


def taken(buckets: Buckets, limit: Limit, tries: int, name: tuple[str, ...] = SAY) -> int:
    return sum(buckets.bucket(name, limit).take() is True for _ in range(tries))


def test_a_burst_and_then_the_rate(buckets: Buckets, clock: Clock) -> None:
    limit = Limit(2.0, 5.0)
    assert taken(buckets, limit, 10) == 5
    clock.now += 1.0
    assert taken(buckets, limit, 10) == 2
    clock.now += 60.0
    assert taken(buckets, limit, 10) == 5, "no more than the burst is saved up"


@pytest.mark.parametrize("limit", [Limit(0.0, 5.0), Limit(5.0, 0.0), Limit(0.0, 0.0)], ids=str)
def test_nothing_passes_a_zero(buckets: Buckets, clock: Clock, limit: Limit) -> None:
    assert taken(buckets, limit, 3) == 0
    clock.now += 60.0
    assert taken(buckets, limit, 3) == 0


def test_names_are_apart(buckets: Buckets) -> None:
    assert taken(buckets, Limit(1.0, 1.0), 2) == 1
    assert taken(buckets, Limit(1.0, 1.0), 2, ("route", "chat", "prod", "say")) == 1


def test_a_new_limit_keeps_what_is_left(buckets: Buckets, clock: Clock) -> None:
    assert taken(buckets, Limit(1.0, 10.0), 8) == 8
    assert taken(buckets, Limit(1.0, 100.0), 8) == 2
    clock.now += 50.0
    assert taken(buckets, Limit(1.0, 3.0), 8) == 3


def test_idle_ones_are_forgotten_and_others_are_not(buckets: Buckets, clock: Clock) -> None:
    limit = Limit(1.0, 10.0)
    taken(buckets, limit, 1, ("user", "ada"))
    taken(buckets, limit, 10, ("user", "bob"))
    clock.now += 5.0
    buckets.sweep()
    assert len(buckets) == 1
    assert taken(buckets, limit, 10, ("user", "bob")) == 5
    clock.now += 60.0
    buckets.sweep()
    assert len(buckets) == 0


@pytest.mark.parametrize("kind", ["user", "source"])
def test_no_number_of_clients_makes_a_limit_of_the_definitions_begin_anew(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    limit, held = Limit(1.0, 3.0), [("account",), SAY, ("stage", "chat", "dev"), ("plan", "gold", "mobile")]
    for name in held:
        assert taken(buckets, limit, 3, name) == 3
    for number in range(50):
        taken(buckets, limit, 3, (kind, "chat", "dev", str(number)))
        if number % 7 == 0:
            buckets.sweep()
    assert [taken(buckets, limit, 1, name) for name in held] == [0, 0, 0, 0]
    assert len(buckets) == len(held) + 10
    assert taken(buckets, limit, 1, (kind, "chat", "dev", "49")) == 0, "those seen last are remembered"


def test_a_sweep_comes_to_every_one(buckets: Buckets, clock: Clock) -> None:
    for number in range(2 * module.SWEPT):
        taken(buckets, Limit(1.0, 1.0), 1, ("user", str(number)))
    clock.now += 10.0
    for _ in range(2):
        taken(buckets, Limit(1.0, 1000.0), 500)
        buckets.sweep()
    assert len(buckets) <= 1


def test_their_number_is_bounded(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    first = buckets.bucket(("user", "0"), Limit(1.0, 1.0))
    assert first.kept
    for number in range(1000):
        taken(buckets, Limit(1.0, 1.0), 1, ("user", str(number)))
    assert len(buckets) == 100
    assert not first.kept, "whoever has it at hand has to ask again"


@given(
    st.floats(0.1, 1000.0),
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 2000)), max_size=30),
)
def test_any_ten_seconds_admit_the_burst_and_the_rate_at_most(
    rate: float, burst: int, schedule: list[tuple[float, int]]
) -> None:
    clock = Clock()
    buckets = Buckets(clock)
    admitted: list[tuple[float, int]] = []
    for pause, tries in schedule:
        clock.now += pause
        buckets.sweep()
        admitted.append((clock.now, taken(buckets, Limit(rate, float(burst)), tries)))
    for begin, _ in admitted:
        assert sum(number for at, number in admitted if begin <= at <= begin + 10.0) <= burst + 10.0 * rate + 1e-6
