"""Writes a history as things happen, and knows how late its own clock was."""

from __future__ import annotations

import asyncio
from itertools import count
from time import perf_counter

from loadtest.faults.history import AnyEvent, Breakage, Broke, History, Mended

TICK = 0.05
STANDSTILL = 0.1
"""Lateness that nodes may have seen: their links to Redis and to one another run through this process."""


class Recorder:
    """One per run; `now` is the clock of every event."""

    def __init__(self) -> None:
        self._begun = perf_counter()  # a loop's own time stands still within a turn
        self._numbers = count(1)
        self.history = History()
        self.lag = 0.0
        """Seconds that this process was late at most: what it wrote down may have happened so much earlier."""
        self.over = False
        """The run is: what comes now, the judge's work, is not of it."""

    def now(self) -> float:
        """Seconds since the run began."""
        return perf_counter() - self._begun

    def number(self) -> int:
        """A number that nothing else in this history has."""
        return next(self._numbers)

    def add(self, event: AnyEvent) -> None:
        self.history.add(event)

    def broke(self, kind: Breakage, *, node: str = "", other: str = "") -> int:
        """A fault that is about to be made; its number."""
        fault = self.number()
        self.add(Broke(at=self.now(), fault=fault, kind=kind, node=node, other=other))
        return fault

    def mended(self, fault: int) -> None:
        self.add(Mended(at=self.now(), fault=fault))

    async def watch(self) -> None:
        """Measure the lag until the run is over."""
        while not self.over:
            due = perf_counter() + TICK
            await asyncio.sleep(TICK)
            if not self.over:
                self.late(perf_counter() - due)

    def late(self, seconds: float) -> None:
        """This process stood still for so long until now."""
        self.lag = max(self.lag, seconds)
        if seconds >= STANDSTILL:
            now, fault = self.now(), self.number()
            self.add(Broke(at=now - seconds, fault=fault, kind="standstill"))
            self.add(Mended(at=now, fault=fault))
