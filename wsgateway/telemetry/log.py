"""The log: one JSON line an event on stderr, written by a thread so that a stuck sink never holds the loop."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from typing import IO

import structlog
from structlog.typing import EventDict, WrappedLogger

MAX_VALUE = 1024
"""Characters of one value; longer ones are cut."""
WHOLE = frozenset({"payload", "payload_base64"})
"""Values that are never cut: messages, which are bounded, where an operator asked for them."""
MAX_WAITING = 10_000
"""Lines that may wait for a slow sink; beyond, lines are dropped and counted."""
MAX_WAITING_CHARACTERS = 64 << 20
"""And so much in them."""


class LogWriter:
    """Writes lines in order from a thread of its own."""

    def __init__(self, sink: IO[str] | None = None) -> None:
        self.dropped = 0
        self._taken = 0  # characters; only `write` changes it
        self._written = 0  # and this only the thread, so that neither needs a lock
        self._sink = sink or sys.stderr
        # C all through: a line costs the loop a third of what queue.Queue takes.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        waiting = self._taken - self._written
        if self._lines.qsize() < MAX_WAITING and waiting < MAX_WAITING_CHARACTERS:
            self._taken += len(line)
            self._lines.put(line)
        else:
            self.dropped += 1

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, for a while."""
        self._lines.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._sink.write(line + "\n")
                self._sink.flush()
            except (OSError, ValueError):
                self.dropped += 1  # the sink is gone; the gateway goes on
            self._written += len(line)


class Log:
    """`log("event", key=value, …)`: one fact. An exception under `error` brings its place in the code along.

    `always` stands in every line.
    """

    def __init__(self, writer: LogWriter, **always: object) -> None:
        self.writer = writer
        self._logger = structlog.wrap_logger(
            _Sink(writer),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _clip,
                structlog.processors.JSONRenderer(ensure_ascii=True),
            ],
            wrapper_class=structlog.BoundLogger,
        ).bind(**always)

    def __call__(self, event: str, **facts: object) -> None:
        error = facts.get("error")
        if isinstance(error, BaseException):
            frames = traceback.extract_tb(error.__traceback__)
            facts["error"] = f"{type(error).__name__}: {error}"
            facts["at"] = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[::-1])
        self._logger.info(event, **facts)


class _Sink:
    """What structlog calls with the finished line."""

    def __init__(self, writer: LogWriter) -> None:
        self.info = writer.write


def _clip(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if not isinstance(value, (bool, int, float)) and value is not None and key not in WHOLE:
            text = str(value)
            event[key] = text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"
    return event
