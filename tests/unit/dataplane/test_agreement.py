"""When nodes that execute different definitions are told of, and when that is over."""

from __future__ import annotations

import pytest

from wsgateway.dataplane.agreement import PATIENCE, Agreement

A, B = "a" * 64, "b" * 64


class Watched:
    """An Agreement with a clock and a log of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.agreement = Agreement(lambda event, **facts: self.lines.append((event, facts)), lambda: self.now)

    def look(self, seconds: float = 0.0, **executed: str) -> None:
        """Look once, and each second for so long."""
        self.agreement.look(executed)
        for _ in range(int(seconds)):
            self.now += 1
            self.agreement.look(executed)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


def test_nodes_that_agree_are_nothing_to_tell_of() -> None:
    watched = Watched()
    watched.look(60, one=A, two=A)

    assert watched.events == []
    assert (watched.agreement.definitions, watched.agreement.broken) == (1, False)


def test_a_difference_is_told_once_after_five_seconds_and_so_is_its_end() -> None:
    watched = Watched()
    watched.look(PATIENCE, one=A, two=B)
    assert watched.agreement.definitions == 2
    assert watched.events == []

    watched.look(60, one=A, two=B)

    ((event, facts),) = watched.lines
    assert event == "nodes execute different definitions"
    assert facts == {"definitions": f"{A[:12]}: one; {B[:12]}: two", "reason": "the texts differ"}
    assert watched.agreement.broken

    watched.look(one=B, two=B)

    assert watched.lines[1:] == [("nodes execute the same definition again", {"definition": B[:12]})]
    assert (watched.agreement.definitions, watched.agreement.broken) == (1, False)


def test_a_reload_that_reaches_the_nodes_one_after_the_other_is_nothing_to_tell_of() -> None:
    watched = Watched()
    for _ in range(10):
        watched.look(PATIENCE - 1, one=A, two=B)
        watched.look(1, one=B, two=B)

    assert watched.events == []


def test_a_node_that_has_said_nothing_yet_agrees_with_everybody() -> None:
    watched = Watched()
    watched.look(60, one=A, two="")
    watched.look(60)

    assert watched.events == []


def test_other_values_of_the_environment_are_called_so() -> None:
    watched = Watched()
    watched.look(60, one=f"{A}+0123456789abcdef", two=f"{A}+fedcba9876543210", three=A)

    facts = watched.lines[0][1]
    assert facts["definitions"] == f"{A[:12]}: three; {A[:12]}+0123: one; {A[:12]}+fedc: two"
    assert "the text is the same" in str(facts["reason"])


@pytest.mark.parametrize("nodes", [10, 11, 500])
def test_of_many_nodes_ten_are_named(nodes: int) -> None:
    watched = Watched()
    watched.look(60, odd=A, **{f"node{number:03}": B for number in range(nodes)})

    told = str(watched.lines[0][1]["definitions"])
    assert told.count("node") == 10
    assert told.endswith("node009" if nodes == 10 else f"node009 and {nodes - 10} more")
