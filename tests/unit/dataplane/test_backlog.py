"""When a $disconnect is tried again: each test moves the clock itself."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import disconnecting
from wsgateway.dataplane.backlog import HURRIED_PAUSE, LONGEST_PAUSE, MOST_IN_FLIGHT, Backlog, DisconnectEvent


def event(attempts: int = 1) -> DisconnectEvent:
    made = DisconnectEvent(disconnecting(), b"abc", 0.0)
    made.attempts = attempts
    return made


def whole() -> float:
    """No jitter: pauses have their whole length."""
    return 0.0


def shut(backlog: Backlog, events: int, now: float = 0.0) -> None:
    """The first attempts of so many events have failed at once."""
    for _ in range(events):
        backlog.failed(now)
        backlog.add(event(), now)


def test_pauses_double_from_a_second_up_to_a_minute() -> None:
    backlog = Backlog(whole)
    shut(backlog, 1)
    now, pauses = 0.0, []
    for _ in range(8):
        pauses.append(backlog.wake_at() - now)
        now = backlog.wake_at()
        tried = backlog.next(now)
        assert tried is not None
        tried.attempts += 1
        backlog.in_flight -= 1
        backlog.failed(now)
        backlog.add(tried, now)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 10_000), st.floats(0, 1), st.booleans())
def test_a_pause_is_never_more_than_a_minute_nor_less_than_half_a_second(
    attempts: int, jitter: float, hurried: bool
) -> None:
    backlog = Backlog(lambda: jitter, hurried=hurried)
    backlog.add(event(attempts), 0.0)

    assert 0.5 <= backlog.wake_at() <= (HURRIED_PAUSE if hurried else LONGEST_PAUSE)


def test_while_the_backend_is_down_one_event_at_a_time_finds_out() -> None:
    backlog = Backlog(whole)
    shut(backlog, 100)

    assert backlog.next(0.9) is None
    assert backlog.next(1.0) is not None
    assert backlog.next(1.0) is None
    assert backlog.wake_at() == math.inf, "only the end of that attempt matters"


def test_failures_of_one_outage_count_once() -> None:
    backlog = Backlog(whole)

    shut(backlog, 1000)

    assert backlog.wake_at() == 1.0, "and not at the end of a thousand doublings"


def test_once_one_was_answered_the_others_follow_by_twos() -> None:
    backlog = Backlog(whole)
    shut(backlog, 1000)
    assert backlog.next(1.0) is not None
    rounds = []
    begun = 1
    while begun:
        rounds.append(begun)
        for _ in range(begun):
            backlog.in_flight -= 1
            backlog.answered()
        begun = 0
        while backlog.next(1.0) is not None:
            begun += 1

    assert sum(rounds) == 1000
    assert rounds[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert max(rounds) == MOST_IN_FLIGHT
    assert backlog.idle


def test_an_event_that_fails_alone_waits_for_itself_alone() -> None:
    """Others are answered all the while: it is no reason to ask for this one each time."""
    backlog = Backlog(whole)
    backlog.failed(0.0)
    backlog.add(event(attempts=6), 0.0)
    backlog.answered()

    assert backlog.wake_at() == 32.0
    backlog.answered()
    assert backlog.next(31.9) is None
    assert backlog.next(32.0) is not None


def test_first_attempts_that_fail_while_it_waits_do_not_make_it_wait_longer() -> None:
    backlog = Backlog(whole)
    shut(backlog, 1)

    for tenth in range(1, 10):
        shut(backlog, 1, now=tenth / 10)

    assert backlog.next(1.0) is not None


def test_a_change_of_the_definitions_is_a_reason_to_look_again() -> None:
    backlog = Backlog(whole)
    shut(backlog, 3)
    for now in (1.0, 3.0):
        tried = backlog.next(now)
        assert tried is not None
        backlog.in_flight -= 1
        backlog.failed(now)

    assert backlog.wake_at() == 7.0
    backlog.look_again(3.5)
    assert backlog.next(3.5) is not None


def test_a_node_that_drains_asks_more_often() -> None:
    backlog = Backlog(whole)
    backlog.failed(0.0)
    backlog.add(event(attempts=7), 0.0)

    backlog.hurry(2.0)
    assert backlog.wake_at() == 2.0 + HURRIED_PAUSE
    tried = backlog.next(3.0)
    assert tried is not None
    backlog.in_flight -= 1
    backlog.failed(3.0)
    backlog.add(tried, 3.0)
    assert backlog.wake_at() == 3.0 + HURRIED_PAUSE


def test_events_that_are_over_are_passed_by() -> None:
    backlog = Backlog(whole)
    gone, there = event(), event()
    backlog.add(gone, 0.0)
    backlog.add(there, 0.0)
    gone.over = True

    assert backlog.next(1.0) is there
    assert backlog.in_flight == 1


@given(st.lists(st.tuples(st.sampled_from(["fail", "answer", "pass"]), st.floats(0, 100)), max_size=60))
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_every_event_gets_its_turn(seed: int, steps: list[tuple[str, float]]) -> None:
    """Nothing is lost, nothing is in flight twice, and never more than may be."""
    backlog = Backlog(random.Random(seed).random)
    now, flying, added = 0.0, list[DisconnectEvent](), set[DisconnectEvent]()
    for step, seconds in steps:
        now += seconds
        match step:
            case "fail" if flying:
                failed = flying.pop()
                failed.attempts += 1
                backlog.in_flight -= 1
                backlog.failed(now)
                backlog.add(failed, now)
            case "fail":
                backlog.failed(now)
                backlog.add(first := event(), now)
                added.add(first)
            case "answer":
                if flying:
                    added.remove(flying.pop())
                    backlog.in_flight -= 1
                backlog.answered()
        while (tried := backlog.next(now)) is not None:
            assert tried not in flying
            flying.append(tried)
        assert len(flying) == backlog.in_flight <= MOST_IN_FLIGHT
    while added:
        while flying:
            added.remove(flying.pop())
            backlog.in_flight -= 1
            backlog.answered()
        now += LONGEST_PAUSE
        while (tried := backlog.next(now)) is not None:
            flying.append(tried)
    assert backlog.idle
