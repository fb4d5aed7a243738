"""What was done already: a relayed call that comes a second time is answered as the first was, and not done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgateway.messages import HttpResponse

KEPT_SECONDS = 60.0
KEPT = 131_072
"""Calls of one generation, of which there are two (about 30 MB when both are full). A call is remembered for 60 s at
least, and at more than 2,184 a second for as long as so many last; it is repeated within 3 s or never, so that nothing
is done twice below 43,000 relayed pushes a second at one node."""


class Once:
    """The answers to calls by their ids, in two generations. `clock` gives seconds.

    Whoever does a call asks `answer` and tells `did` in one turn of the loop, around what it does: then it does not
    matter which of two copies is read to its end first.
    """

    __slots__ = ("_clock", "_kept", "_new", "_old", "_turned")

    def __init__(self, clock: Callable[[], float], kept: int = KEPT) -> None:
        self._clock = clock
        self._kept = kept
        self._turned = clock()
        self._new: dict[str, HttpResponse] = {}
        self._old: dict[str, HttpResponse] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def answer(self, call: str) -> HttpResponse | None:
        """What the call was answered with, if it has been done."""
        found = self._new.get(call)
        return self._old.get(call) if found is None else found

    def did(self, call: str, answer: HttpResponse) -> None:
        """Remember what a call was answered with."""
        new = self._new
        if len(new) >= self._kept or self._clock() - self._turned >= KEPT_SECONDS:
            self._old = new
            new = self._new = {}
            self._turned = self._clock()
        new[call] = answer
