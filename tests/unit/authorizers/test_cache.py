"""Kept answers: for how long, how many, and one question for all who bring the same. The clock is the test's."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.authorizers.cache import OVERHEAD, Answers, key_of
from wsgateway.errors import AuthorizerFailure

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Backend:
    """Gives what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer: str | Exception = "yes"
        self.size = 100

    async def __call__(self) -> tuple[str, int]:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, self.size


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("after", "holds"),
    [
        pytest.param(0.0, True, id="at once"),
        pytest.param(59.999, True, id="just before its end"),
        pytest.param(60.0, False, id="at its end"),
        pytest.param(3600.0, False, id="long after"),
    ],
)
async def test_an_answer_holds_for_its_time(clock: Clock, after: float, holds: bool) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    await answers.ask(b"ann", Backend())

    clock.now += after

    assert answers.get(b"ann") == ("yes" if holds else None)
    assert answers.get(b"eve") is None


async def test_its_time_begins_when_it_is_there(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    backend = Backend()
    backend.may_answer.clear()
    asking = asyncio.ensure_future(answers.ask(b"ann", backend))
    await asyncio.sleep(0)

    clock.now += 9.0
    backend.may_answer.set()
    await asking
    clock.now += 59.0

    assert answers.get(b"ann") == "yes"


async def test_a_newer_answer_takes_the_place_of_the_older_one(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    backend = Backend()
    await answers.ask(b"ann", backend)
    clock.now += 60.0
    backend.answer = "no"
    await answers.ask(b"ann", backend)

    clock.now += 59.0

    assert answers.get(b"ann") == "no"
    assert (len(answers), backend.asked) == (1, 2)


async def test_the_oldest_go_where_there_is_no_room(clock: Clock) -> None:
    backend = Backend()
    answers: Answers[str] = Answers(60.0, clock, most=3 * (backend.size + OVERHEAD))
    for key in (b"a", b"b", b"c", b"d"):
        await answers.ask(key, backend)
    assert [answers.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [False, True, True, True]

    backend.size = 3 * OVERHEAD
    await answers.ask(b"e", backend)
    assert len(answers) == 1

    backend.size = 100 * OVERHEAD  # more than there is room for
    await answers.ask(b"f", backend)
    assert len(answers) == 0


async def test_what_holds_no_longer_takes_no_room(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    for number in range(100):
        await answers.ask(str(number).encode(), Backend())
    clock.now += 60.0
    await answers.ask(b"ann", Backend())

    assert len(answers) == 1


async def test_all_who_bring_the_same_wait_for_one_answer(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    backend = Backend()
    backend.may_answer.clear()
    asking = [asyncio.ensure_future(answers.ask(key, backend)) for key in (b"ann", b"ann", b"bob", b"ann")]
    await asyncio.sleep(0)
    asking[0].cancel()  # who began it goes; the others still wait
    await asyncio.sleep(0)
    backend.may_answer.set()

    assert await asyncio.gather(*asking[1:]) == ["yes"] * 3
    assert backend.asked == 2


async def test_a_failure_is_everybodys_who_waited_and_is_not_kept(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    backend = Backend()
    backend.answer = AuthorizerFailure("away")
    found = await asyncio.gather(*(answers.ask(b"ann", backend) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [AuthorizerFailure] * 3
    assert (len(answers), backend.asked) == (0, 1)

    backend.answer = "yes"
    assert await answers.ask(b"ann", backend) == "yes"


@given(st.lists(st.text(alphabet=st.characters(codec=None), max_size=5)), st.lists(st.text(max_size=5)))
def test_no_two_lists_of_values_have_one_key(one: list[str], other: list[str]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(["ab", "c"], ["a", "bc"], id="cut elsewhere"),
        pytest.param(["a", ""], ["a"], id="one more, of nothing"),
        pytest.param(["a", "b"], ["b", "a"], id="another order"),
        pytest.param(["a\0\0\0\0\0\0\0\1b"], ["a", "b"], id="a length among the values"),
    ],
)
def test_values_that_look_alike_have_keys_of_their_own(one: list[str], other: list[str]) -> None:
    assert key_of(one) != key_of(other)


async def test_what_is_forgotten_is_asked_anew_and_what_was_being_asked_is_not_kept(clock: Clock) -> None:
    answers: Answers[str] = Answers(60.0, clock)
    await answers.ask(b"ann", Backend())
    slow = Backend()
    slow.may_answer.clear()
    before = asyncio.ensure_future(answers.ask(b"bob", slow))
    await asyncio.sleep(0)

    assert answers.forget() == 1
    later = asyncio.ensure_future(answers.ask(b"bob", slow))
    await asyncio.sleep(0)
    slow.may_answer.set()
    assert await before == await later == "yes"
    assert (answers.get(b"ann"), answers.get(b"bob"), slow.asked) == (None, "yes", 2)
