"""Writes lines from a thread of its own, so that a stuck sink never holds the loop."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Protocol

MAX_WAITING = 10_000
"""Lines that may wait for a slow sink; beyond, lines are dropped and counted."""
MAX_WAITING_CHARACTERS = 64 << 20
"""And so much in them."""


class Sink(Protocol):
    """Where lines go. What is raised here is counted as lost; the gateway goes on."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class LogWriter:
    """Writes lines in order from a thread of its own."""

    def __init__(self, sink: Sink | None = None, *, name: str = "log") -> None:
        self.dropped = 0
        self._taken = 0  # characters; only `write` changes it
        self._written = 0  # and this only the thread, so that neither needs a lock
        self._sink = sink or sys.stderr
        # C all through: a line costs the loop a third of what queue.Queue takes.
        self._lines: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, line: str, lines: int = 1) -> None:
        """Take a line, or several with their line breaks between."""
        waiting = self._taken - self._written
        if self._lines.qsize() < MAX_WAITING and waiting < MAX_WAITING_CHARACTERS:
            size = len(line)
            self._taken += size  # no call in between, hence no other thread: libraries log from theirs
            self._lines.put((line, lines))
        else:
            self.dropped += lines

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, for a while."""
        self._lines.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (taken := self._lines.get()) is not None:
            line, lines = taken
            try:
                self._sink.write(line + "\n")
                self._sink.flush()
            except (OSError, ValueError):
                self.dropped += lines  # the sink is gone; the gateway goes on
            self._written += len(line)
