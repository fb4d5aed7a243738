"""The log: one JSON line an event on stderr, written by a thread so that a stuck sink never holds the loop."""

from __future__ import annotations

import json
import queue
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Protocol

MAX_VALUE = 1024
"""Characters of one value; longer ones are cut."""
WHOLE = frozenset({"payload", "payload_base64"})
"""Values that are never cut: messages, which are bounded, where an operator asked for them."""
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
            self._taken += len(line)
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


class Log:
    """`log("event", key=value, …)`: one fact. An exception under `error` brings its place in the code along.

    `always` stands in every line.
    """

    def __init__(self, writer: LogWriter, **always: object) -> None:
        self.writer = writer
        self._always = always

    def __call__(self, event: str, **facts: object) -> None:
        error = facts.get("error")
        if isinstance(error, BaseException):
            frames = traceback.extract_tb(error.__traceback__)
            facts["error"] = f"{type(error).__name__}: {error}"
            facts["at"] = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[::-1])
        line = {name: _clipped(name, value) for name, value in (self._always | facts | {"event": event}).items()}
        line["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self.writer.write(json.dumps(line))


def _clipped(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float) or name in WHOLE:
        return value
    text = str(value)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"
