"""The judge: from a history to the promises it breaks. Pure; the same history always has the same violations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from loadtest.faults import calls, operation, pushes
from loadtest.faults.excuses import Excuses, Terms
from loadtest.faults.history import AnyEvent
from loadtest.faults.story import Story
from loadtest.faults.verdict import Violation

Check = Callable[[Story, Excuses], Iterator[Violation]]

CHECKS: tuple[Check, ...] = (
    pushes.lost,
    pushes.false_gone,
    pushes.too_early,
    pushes.doubts,
    pushes.disorder,
    pushes.duplicates,
    pushes.misdelivered,
    calls.silence,
    calls.repeated,
    calls.unbidden,
    calls.unfinished,
    calls.late,
    operation.cut,
    operation.kept_out,
    operation.bad_leaves,
    operation.left_behind,
)


def violations(history: Iterable[AnyEvent], terms: Terms) -> list[Violation]:
    """Every broken promise, by time."""
    story = Story(history)
    excuses = Excuses(story, terms)
    return sorted((found for check in CHECKS for found in check(story, excuses)), key=lambda violation: violation.at)
