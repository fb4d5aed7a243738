"""What a sink that takes nothing costs."""

from __future__ import annotations

import io
import threading

import pytest

from wsgateway.telemetry import writer as writer_module
from wsgateway.telemetry.writer import LogWriter


class Stuck(io.StringIO):
    """A sink that takes its first line when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.let = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.let.wait()
        return super().write(text)


def test_what_waits_for_a_stuck_sink_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING_CHARACTERS", 1000)
    sink = Stuck()
    writer = LogWriter(sink)
    for _ in range(5):
        writer.write("y" * 400)
        sink.reached.wait()

    assert writer.dropped == 2, "the third is let in, for less than 1,000 waited before it"
    sink.let.set()
    writer.close()
    assert len(sink.getvalue().splitlines()) == 3


def test_there_is_room_again_once_a_sink_has_taken_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING_CHARACTERS", 300)
    sink = io.StringIO()
    for _ in range(10):
        writer = LogWriter(sink)
        writer.write("y" * 400)
        writer.close()

    assert len(sink.getvalue().splitlines()) == 10
