"""What a line of the log holds, of events of the gateway and of what libraries log."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wsgateway
from wsgateway.telemetry.console import renderer, renderer_for
from wsgateway.telemetry.levels import LEVELS
from wsgateway.telemetry.log import MAX_VALUE, Log, libraries_too, log_to
from wsgateway.telemetry.writer import LogWriter

LONG = "x" * (MAX_VALUE + 1)
Line = dict[str, object]


class Kept(LogWriter):
    """A writer that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str, lines: int = 1) -> None:
        self.lines.append(line)

    @property
    def read(self) -> list[Line]:
        return [json.loads(line) for line in self.lines]


def written(event: str = "event", **facts: object) -> Line:
    writer = Kept()
    log_to(writer)(event, **facts)
    (line,) = writer.read
    return line


def test_a_line_has_what_is_bound_the_facts_the_level_and_the_time() -> None:
    writer = Kept()
    log_to(writer, worker=1).bind(api="chat")("registry away", meanwhile=None, held=True, seconds=1.5)
    (line,) = writer.read
    told_at = datetime.fromisoformat(str(line.pop("timestamp")))

    assert list(line.items()) == [
        ("worker", 1),
        ("api", "chat"),
        ("meanwhile", None),
        ("held", True),
        ("seconds", 1.5),
        ("event", "registry away"),
        ("level", "ERROR"),
    ]
    assert told_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("event", "facts", "level"),
    [
        pytest.param("draining", {}, "INFO", id="what happens"),
        pytest.param("broker lost", {}, "WARNING", id="what needs a look"),
        pytest.param("unexpected error", {}, "ERROR", id="what went wrong"),
        pytest.param("execution", {"level": "ERROR"}, "ERROR", id="what says so itself"),
    ],
)
def test_level(event: str, facts: dict[str, object], level: str) -> None:
    assert written(event, **facts)["level"] == level


def test_events_with_a_level_are_events_of_the_gateway() -> None:
    texts = {
        node.value
        for path in Path(wsgateway.__file__).parent.rglob("*.py")
        if path.name != "levels.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert LEVELS.keys() <= texts


def test_a_value_is_cut_but_for_a_message_that_was_asked_for() -> None:
    line = written(reason=LONG, payload=LONG, payload_base64=LONG)

    assert line["reason"] == "x" * MAX_VALUE + "…"
    assert (line["payload"], line["payload_base64"]) == (LONG, LONG)


def test_a_message_ends_no_line() -> None:
    assert written(payload='a\n{"event": "forged"}\x1b[2J')["payload"] == 'a\n{"event": "forged"}\x1b[2J'


def test_an_error_is_told_with_its_place_and_without_a_stack_trace() -> None:
    def fails() -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing") as caught:
        fails()
    line = written(error=caught.value)

    assert line["error"] == "ValueError: no such thing"
    assert [place.partition(":")[0] for place in str(line["at"]).split(" < ")] == ["test_log.py", "test_log.py"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("redis://:pass@host:1/0 is away", "redis://***@host:1/0 is away", id="a password"),
        pytest.param("http://a:b@c@d/x, then nats://token@e", "http://***@d/x, then nats://***@e", id="several"),
        pytest.param("https://host/path?mail=a@b.c", "https://host/path?mail=a@b.c", id="no user"),
        pytest.param(f"redis://{'p' * MAX_VALUE}@host", "redis://***@host", id="longer than a value"),
    ],
)
def test_whoever_logs_in_by_a_url_is_not_told(text: str, told: str) -> None:
    assert written(reason=text)["reason"] == told


Facts = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1).filter(lambda name: name != "event"),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
)


@given(st.text(), Facts)
def test_any_event_is_one_line_of_ascii(event: str, facts: dict[str, object]) -> None:
    """Whatever clients send: half characters, other line ends, what terminals obey."""
    writer = Kept()
    log_to(writer)(event, **facts)
    (line,) = writer.lines

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)


# Libraries


@pytest.fixture
def writer() -> Iterator[Kept]:
    writer = Kept()
    with libraries_too(log_to(writer, worker=2)):
        yield writer


def test_what_a_library_logs_is_a_line_like_all_others(writer: Kept) -> None:
    try:
        raise ConnectionError("http://me:secret@host is gone")
    except ConnectionError:
        logging.getLogger("another.package").exception("can't say\n%s", LONG)
    (line,) = writer.read

    assert str(line["event"]).startswith("can't say\nxxx")
    assert len(str(line["event"])) == MAX_VALUE + 1
    assert (line["level"], line["logger"], line["worker"]) == ("ERROR", "another.package", 2)
    assert line["error"] == "ConnectionError: http://***@host is gone"
    assert str(line["at"]).startswith("test_log.py:")
    assert line.keys() == {"worker", "event", "logger", "level", "error", "at", "timestamp"}


def test_chatter_of_a_library_is_not_told(writer: Kept) -> None:
    logging.getLogger("another.package").info("hello")

    assert writer.lines == []


def test_a_record_that_can_not_be_made_a_line_is_told_and_hurts_nobody() -> None:
    record = logging.LogRecord("another.package", logging.ERROR, "", 1, "%d of them", ("none",), None)
    writer = Kept()
    with libraries_too(log_to(writer)):
        logging.getLogger().handlers[-1].handle(record)
    (line,) = writer.read

    assert (line["event"], line["logger"]) == ("a library's record can't be logged", "another.package")
    assert str(line["error"]).startswith("TypeError: ")


def test_warnings_of_python_are_lines(writer: Kept) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # What `libraries_too` put in place, catch_warnings keeps.
        warnings.warn("this will end", DeprecationWarning, stacklevel=1)
    (line,) = writer.read

    assert (line["logger"], line["level"]) == ("py.warnings", "WARNING")
    assert "this will end" in str(line["event"])


def test_libraries_are_as_they_were_afterwards() -> None:
    before = logging.getLogger().handlers[:]
    with libraries_too(log_to(Kept())):
        assert len(logging.getLogger().handlers) == len(before) + 1

    assert logging.getLogger().handlers == before


# On a terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(log: Callable[[Log], None], *, colors: bool = False) -> str:
    writer = Kept()
    log(log_to(writer, renderer(colors=colors)))
    (line,) = writer.lines
    return line


def test_a_person_reads_columns() -> None:
    line = shown(lambda log: log("draining", connections=2, cause="SIGTERM received"))

    assert line[8:] == " [INFO   ] draining                 connections=2 cause=SIGTERM received"
    assert time.fromisoformat(line[:8]).microsecond == 0


def test_nothing_that_is_told_does_anything_to_a_terminal() -> None:
    line = shown(lambda log: log("a\x1b[2J", reason="b\x9b2J\r\nc"))

    assert line.isprintable()


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        pytest.param({}, True, id="colours"),
        pytest.param({"NO_COLOR": "1"}, False, id="not wanted"),
        pytest.param({"TERM": "dumb"}, False, id="not known"),
    ],
)
def test_colours(variables: dict[str, str], colours: bool) -> None:
    render = renderer_for(Terminal(), variables)
    writer = Kept()
    assert render is not None
    log_to(writer, render)("draining")

    assert ("\x1b[" in writer.lines[0]) is colours


def test_what_is_no_terminal_gets_json() -> None:
    assert renderer_for(io.StringIO(), {}) is None


def test_the_gateway_starts_without_rich() -> None:
    code = "import sys, wsgateway.telemetry.console; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
