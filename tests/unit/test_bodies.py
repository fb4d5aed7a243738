"""What all bodies of a node hold together: what counts, what is refused, and that nothing is ever lost of the room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.bodies import CALM_SECONDS, UNCOUNTED_BYTES, BodyMemory, Hold
from wsgateway.errors import NoRoom
from wsgateway.messages import collect

pytestmark = pytest.mark.anyio

LARGE = UNCOUNTED_BYTES + 1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def memory(limit: int) -> tuple[BodyMemory, Clock, list[dict[str, Any]]]:
    clock, told = Clock(), list[dict[str, Any]]()
    log = lambda event, **facts: told.append({"event": event} | facts)  # noqa: E731
    return BodyMemory(limit, clock=clock, log=log), clock, told


def test_small_bodies_take_nothing_and_large_ones_all_they_are() -> None:
    bodies, _, _ = memory(LARGE)
    small, large = bodies.hold("request"), bodies.hold("push")

    small.keep(UNCOUNTED_BYTES)
    large.keep(LARGE)

    assert (bodies.taken, bodies.held["request"], bodies.held["push"]) == (LARGE, 0, LARGE)
    with pytest.raises(NoRoom):
        small.keep(LARGE)
    small.keep(UNCOUNTED_BYTES)  # it goes on being small


def test_what_is_promised_takes_nothing_and_is_refused_where_it_would_not_fit() -> None:
    bodies, _, _ = memory(2 * LARGE)
    first, second = bodies.hold("request"), bodies.hold("request")

    first.expect(2 * LARGE)
    assert bodies.taken == 0

    second.keep(LARGE)
    with pytest.raises(NoRoom):
        first.expect(2 * LARGE)
    second.expect(2 * LARGE)  # its own bytes are among them
    first.expect(UNCOUNTED_BYTES)


def test_what_is_here_already_is_counted_though_there_is_no_room() -> None:
    bodies, _, told = memory(LARGE)
    with bodies.hold("unread") as hold:
        hold.count(3 * LARGE)
        assert bodies.held["unread"] == 3 * LARGE
        with pytest.raises(NoRoom):
            bodies.hold("answer").keep(LARGE)
        hold.count(LARGE + 5)
        assert bodies.taken == LARGE + 5

    assert bodies.taken == 0
    assert [each["event"] for each in told] == ["no room for bodies"]


def test_only_what_was_not_begun_may_be_asked_for_again() -> None:
    """A backend has done what it was asked for, though there is no room for its answer."""
    bodies, _, _ = memory(1)

    assert [bodies.refusal(kind).again for kind in ("request", "push", "answer")] == [True, True, False]
    assert bodies.refused == {"request": 1, "push": 1, "answer": 1}


def test_refusing_is_told_once_and_so_is_its_end() -> None:
    bodies, clock, told = memory(1)
    for _ in range(3):
        bodies.refusal("request")
        clock.now += 2.0
        bodies.sweep()
    clock.now += CALM_SECONDS
    bodies.sweep()
    bodies.sweep()

    first = {"event": "no room for bodies", "kind": "request", "limit": 1, **bodies.held}
    assert told == [first, {"event": "there is room for bodies again", "refused": 3, "after_seconds": 4.0}]
    bodies.refusal("push")
    assert told[2]["kind"] == "push"


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["keep", "count", "expect", "give back"]), st.integers(0, 9)),
        max_size=50,
    )
)
def test_what_holds_have_is_always_what_is_taken(steps: list[tuple[int, str, int]]) -> None:
    """Whatever happens in whatever order, `keep` never goes beyond the limit, and in the end all is given back."""
    bodies = BodyMemory(4 * LARGE)
    holds = [bodies.hold("request") for _ in range(5)]
    sizes = [0] * 5
    for index, step, parts in steps:
        size, before = parts * LARGE // 2, bodies.taken
        try:
            if step == "keep":
                holds[index].keep(size)
                assert bodies.taken <= max(bodies.limit, before)
            elif step == "count":
                holds[index].count(size)
            elif step == "expect":
                holds[index].expect(size)
                continue
            else:
                size = 0
                holds[index].give_back()
        except NoRoom:
            assert bodies.taken == before
        else:
            sizes[index] = size if size > UNCOUNTED_BYTES else 0
        assert bodies.taken == sum(sizes) == bodies.held["request"]
    for hold in holds:
        hold.give_back()
    assert bodies.taken == 0


class Parts:
    """A body that comes in parts."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part


async def test_a_body_is_counted_as_it_is_collected() -> None:
    bodies, _, _ = memory(4 * LARGE)
    part = b"x" * LARGE
    with bodies.hold("request") as hold:
        assert await collect(Parts(part, part), 4 * LARGE, hold) == part * 2
        assert bodies.taken == 2 * LARGE
        await collect(part * 2, 4 * LARGE, hold)  # the same again, whole
        assert bodies.taken == 2 * LARGE

        other: Hold = bodies.hold("request")
        with pytest.raises(NoRoom):
            await collect(Parts(part, part, part), 4 * LARGE, other)
        assert await collect(Parts(part, b"x" * 4 * LARGE), 4 * LARGE, other) is None
        other.give_back()
    assert bodies.taken == 0
