"""A circuit breaker against a model of it: what it lets through, and when it changes its mind."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from wsgateway.integrations.breaker import Breaker, State


def opened(seconds: float = 10.0) -> Breaker:
    breaker = Breaker(1, seconds)
    breaker.failed(breaker.enter(0.0), 0.0)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3, 10.0)
    news = []
    for fails in (True, True, False, True, True, True):
        ticket = breaker.enter(0.0)
        news.append(breaker.failed(ticket, 5.0) if fails else breaker.succeeded(ticket))

    assert news == [False, False, False, False, False, True]
    assert (breaker.state(14.9), breaker.opened, breaker.since) == (State.OPEN, 1, 5.0)


def test_open_it_refuses_until_its_time_is_over_and_then_lets_one_through() -> None:
    breaker = opened()

    assert breaker.enter(9.9) == 0
    probe = breaker.enter(10.0)
    assert probe
    assert (breaker.enter(10.0), breaker.state(10.0), breaker.refused) == (0, State.HALF_OPEN, 2)


def test_what_the_one_finds_out_closes_it() -> None:
    breaker = opened()
    probe = breaker.enter(10.0)

    assert breaker.succeeded(probe)
    assert breaker.state(10.0) is State.CLOSED
    assert breaker.enter(10.0)


def test_or_opens_it_again_for_as_long() -> None:
    breaker = opened()
    probe = breaker.enter(12.0)

    assert not breaker.failed(probe, 13.0), "that it is open is no news"
    assert breaker.enter(22.9) == 0
    assert breaker.enter(23.0)
    assert breaker.opened == 1


def test_one_that_leaves_without_news_makes_way_for_another() -> None:
    breaker = opened()
    breaker.left(breaker.enter(10.0))

    assert breaker.enter(10.0)


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = Breaker(1, 10.0)
    early, late = breaker.enter(0.0), breaker.enter(0.0)
    assert breaker.failed(early, 1.0)

    assert not breaker.failed(late, 9.0)
    assert not breaker.succeeded(late)
    assert (breaker.state(10.9), breaker.state(11.0)) == (State.OPEN, State.HALF_OPEN)
    probe = breaker.enter(11.0)
    assert not breaker.succeeded(late), "only the one that may try says how it is"
    assert breaker.succeeded(probe)


class Model(RuleBasedStateMachine):
    """Calls that begin and end in any order while time goes by."""

    calls: Bundle[int] = Bundle("calls")

    @initialize(threshold=st.integers(1, 4), seconds=st.integers(1, 5))
    def make(self, threshold: int, seconds: int) -> None:
        self.breaker = Breaker(threshold, float(seconds))
        self.threshold, self.seconds = threshold, seconds
        self.now = 0
        self.failures = 0
        self.open_until: int | None = None
        self.probe: int | None = None
        self.current: set[int] = set()  # calls whose outcome counts
        self.tickets: dict[int, int] = {}
        self.number = 0
        self.refused = 0

    @rule(seconds=st.integers(1, 6))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(target=calls)
    def begin(self) -> int:
        expected = self.open_until is None or (self.now >= self.open_until and self.probe is None)
        assert self.breaker.shut(self.now) is not expected
        ticket = self.breaker.enter(self.now)
        assert bool(ticket) is expected
        self.number += 1
        self.tickets[self.number] = ticket
        if expected:
            self.current.add(self.number)
            if self.open_until is not None:
                self.probe = self.number
        else:
            self.refused += 1
        return self.number

    @rule(call=consumes(calls))
    def fails(self, call: int) -> None:
        if not self.tickets[call]:
            return
        news = self.breaker.failed(self.tickets[call], self.now)
        opens = False
        if call in self.current:
            self.failures += 1
            opens = self.open_until is None and self.failures >= self.threshold
            if opens or self.probe == call:
                self._becomes(self.now + self.seconds)
        assert news is opens

    @rule(call=consumes(calls))
    def succeeds(self, call: int) -> None:
        if not self.tickets[call]:
            return
        news = self.breaker.succeeded(self.tickets[call])
        closes = self.probe == call
        if closes:
            self._becomes(None)
        elif call in self.current:
            self.failures = 0
        assert news is closes

    @rule(call=consumes(calls))
    def leaves(self, call: int) -> None:
        if not self.tickets[call]:
            return
        self.breaker.left(self.tickets[call])
        if self.probe == call:
            self._becomes(self.open_until)

    def _becomes(self, open_until: int | None) -> None:
        self.open_until = open_until
        self.probe = None
        self.failures = 0
        self.current.clear()

    @invariant()
    def it_is_in_the_models_state(self) -> None:
        if not hasattr(self, "breaker"):
            return
        state = self.breaker.state(self.now)
        if self.open_until is None:
            assert state is State.CLOSED
        else:
            assert state is (State.OPEN if self.now < self.open_until else State.HALF_OPEN)
        assert self.breaker.refused == self.refused


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=200, stateful_step_count=40)
