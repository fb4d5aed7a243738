"""The log: one line an event on stderr, made by structlog, and written by a thread that nobody waits for.

structlog's processors make lines, of events of the gateway and of what libraries log by `logging`. Its loggers would
write them where they are called, and hold the loop while a sink is stuck: a `LogWriter` is in their place. Errors are
told by type, text and the places in the code; its own ways read the source from the disk, and make many lines.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from structlog import BoundLoggerBase, get_context
from structlog.processors import TimeStamper
from structlog.stdlib import ProcessorFormatter, add_logger_name
from structlog.typing import EventDict, Processor, WrappedLogger

from wsgateway.telemetry.levels import LEVELS, USUAL
from wsgateway.telemetry.writer import LogWriter

MAX_VALUE: Final = 1024
"""Characters of one value; longer ones are cut."""
WHOLE: Final = frozenset({"payload", "payload_base64"})
"""Values that are never cut: messages, which are bounded, where an operator asked for them."""

_NUMBERS: Final = (bool, int, float)
_encode = msgspec.json.Encoder().encode
_user_of_url = re.compile(r"(?<=://)[^\s/?#\"']*@")


class Log(BoundLoggerBase):
    """`log("event", key=value, …)`: one fact. An exception under `error` brings its place in the code along.

    `log.bind(key=value)` gives one in whose lines that stands, too.
    """

    def __call__(self, event: str, **facts: object) -> None:
        self._proxy_to_logger("write", event, **facts)

    @property
    def writer(self) -> LogWriter:
        """What takes the lines."""
        writer: LogWriter = self._logger
        return writer

    @property
    def steps(self) -> tuple[Processor, ...]:
        """What makes a line of an event, in order."""
        return tuple(self._processors)


def log_to(writer: LogWriter, render: Processor | None = None, **always: object) -> Log:
    """A log whose lines `writer` takes, as JSON unless `render` makes something else of them; `always` is in each."""
    return Log(writer, (_explained, _bounded, _with_level, TimeStamper("iso"), render or as_json), always)


@contextmanager
def libraries_too(log: Log) -> Iterator[None]:
    """What libraries log from WARNING on, and Python's own warnings, are lines of `log` meanwhile."""
    handler, root = _Records(log), logging.getLogger()
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)


class _Records(logging.Handler):
    """Makes lines of a log of records."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        steps = _of_record, add_logger_name, ProcessorFormatter.remove_processors_meta, self._with_bound
        self.setFormatter(ProcessorFormatter(processors=(*steps, *log.steps)))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a record holds anything, and whoever logs must not fail for that
            self._log("a library's record can't be logged", logger=record.name, error=error)
        else:
            self._log.writer.write(line)

    def _with_bound(self, _logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
        return {**get_context(self._log), **line}


# What makes a line


def _of_record(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    """Of a record of `logging`: its level, and the exception as ours are told."""
    record: logging.LogRecord = line["_record"]
    line["level"] = record.levelname
    line.pop("stack_info", None)
    _, error, _ = line.pop("exc_info", None) or (None, None, None)
    if error is not None:
        line["error"] = error
    return line


def _explained(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """An exception as its type, its text, and where it came from, the innermost first."""
    error = line.get("error")
    if isinstance(error, BaseException):
        frames = [*traceback.walk_tb(error.__traceback__)][::-1]
        line["error"] = f"{type(error).__name__}: {error}"
        line["at"] = " < ".join(f"{frame.f_code.co_filename.rpartition('/')[2]}:{at}" for frame, at in frames)
    return line


def _bounded(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Values are numbers, or texts of a bounded size without what a URL gives a server to log in with."""
    for name, value in line.items():
        if isinstance(value, str):
            if len(value) > MAX_VALUE or "://" in value:
                line[name] = _safe(name, value)
        elif not (value is None or isinstance(value, _NUMBERS)):
            line[name] = _safe(name, str(value))
    return line


def _safe(name: str, text: str) -> str:
    if name in WHOLE:
        return text
    text = _user_of_url.sub("***@", text)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _with_level(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    line.setdefault("level", LEVELS.get(line["event"], USUAL))
    return line


def as_json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    """One JSON object, of ASCII: terminals obey some of the other characters, wherever they stand."""
    try:
        text = _encode(line).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(line)
    return text if text.isascii() else json.dumps(line)
