"""A call is done once, and its second copy hears what the first one heard."""

from __future__ import annotations

from itertools import count

from wsgateway.dataplane.answers import DONE, FULL, GONE
from wsgateway.dataplane.once import KEPT_SECONDS, Once


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_done_is_answered_as_it_was() -> None:
    once = Once(Clock())
    for call, answer in {"a1": DONE, "a2": GONE, "b1": FULL}.items():
        assert once.answer(call) is None
        once.did(call, answer)

    assert [once.answer(call) for call in ("a1", "a2", "b1", "b2")] == [DONE, GONE, FULL, None]


def test_a_call_is_remembered_for_a_minute_at_least_and_two_at_most_while_calls_come() -> None:
    clock = Clock()
    once = Once(clock)
    clock.now = KEPT_SECONDS - 0.1
    once.did("old", DONE)
    clock.now += KEPT_SECONDS
    once.did("x", DONE)

    assert once.answer("old") is DONE
    clock.now += KEPT_SECONDS
    once.did("y", DONE)
    assert once.answer("old") is None


def test_of_many_calls_at_once_the_last_are_kept() -> None:
    once = Once(Clock(), kept=100)
    for number in range(1000):
        once.did(str(number), DONE)
        assert len(once) <= 200

    kept = next(back for back in count(1) if once.answer(str(1000 - back)) is None) - 1
    assert kept >= 100
