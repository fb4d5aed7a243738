"""Who goes when in a drain."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.drain import TELL_SECONDS, Leaving, moments
from wsgateway.dataplane.hub import Hub


class One:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def leave(self) -> None:
        self.told.append("leave")

    def close(self, code: int, reason: str, cause: str = "") -> None:
        self.told.append((code, reason))


def hub_of(connections: list[One]) -> Hub:
    return cast("Hub", cast("list[Connection]", connections))


@given(st.integers(0, 500), st.floats(0, 60))
def test_the_window_is_shared_out_evenly_and_in_order(count: int, window: float) -> None:
    times = list(moments(count, window))

    assert len(times) == count
    assert times == sorted(times)
    for index, moment in enumerate(times):
        assert window * index / count <= moment <= window * (index + 1) / count


def test_ten_thousand_leave_in_no_burst() -> None:
    connections = [One() for _ in range(10_000)]
    leaving = Leaving(hub_of(connections), 100.0, 5.0)
    slices: Counter[int] = Counter()
    before = 0
    for tick in range(500):
        leaving.step(100.0 + tick / 100)
        gone = sum(bool(one.told) for one in connections) if tick % 50 == 49 else 0
        if gone:
            slices[tick // 50] = gone - before
            before = gone

    assert all(960 <= number <= 1040 for number in slices.values()), slices
    leaving.step(105.0)
    assert all(one.told for one in connections)


def test_clients_that_came_together_do_not_go_together() -> None:
    connections = [One() for _ in range(1000)]
    Leaving(hub_of(connections), 0.0, 10.0).step(5.0)

    first = sum(bool(one.told) for one in connections[:100])
    assert 10 < first < 90, "who goes first has nothing to do with who came first"


@pytest.mark.parametrize("window", [0.0, 3.0])
def test_behind_the_window_nobody_waits_for_replies(window: float) -> None:
    here = [One(), One()]
    leaving = Leaving(hub_of(here), 100.0, window)
    late = One()
    here.append(late)

    leaving.step(100.0 + window)
    assert late.told == [(1001, "Going away")]
    assert all(one.told[-1] == (1001, "Going away") for one in here)


def test_a_drain_that_goes_on_says_so_now_and_then() -> None:
    leaving = Leaving(hub_of([]), 100.0, 60.0)

    told = [now for now in range(100, 120) if leaving.tells(now)]
    assert told == [100 + TELL_SECONDS, 100 + 2 * TELL_SECONDS, 100 + 3 * TELL_SECONDS]
