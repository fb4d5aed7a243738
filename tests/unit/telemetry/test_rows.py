"""Rows on their way to a sink."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from wsgateway.errors import StartError
from wsgateway.telemetry import rows as rows_module
from wsgateway.telemetry.rows import PIECE, Rows, RowsFile, rows_of

pytestmark = pytest.mark.anyio


def first(values: tuple[object, ...]) -> str:
    """The text of a row."""
    return str(values[0])


class Sink(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


async def test_rows_of_a_moment_are_written_together_and_in_order() -> None:
    sink = Sink()
    rows = Rows(asyncio.get_running_loop(), sink)
    for number in range(3):
        rows.write(first, (f"row {number}",))
    rows.close()
    assert sink.pieces == ["row 0\nrow 1\nrow 2\n"]
    assert rows.dropped == 0


async def test_many_are_written_in_pieces() -> None:
    sink = Sink()
    rows = Rows(asyncio.get_running_loop(), sink)
    for _ in range(100):
        rows.write(first, ("x" * 500,))
    rows.close()
    assert sink.getvalue() == ("x" * 500 + "\n") * 100
    assert max(len(piece) for piece in sink.pieces) < PIECE + 600


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "LOOKED_AT_SECONDS", 0.0)
    path = tmp_path / "access.log"
    file = RowsFile(path)
    file.write("one\n")
    path.rename(tmp_path / "access.log.1")
    file.write("two\n")
    path.unlink()
    file.write("three\n")
    assert (tmp_path / "access.log.1").read_text() == "one\n"
    assert path.read_text() == "three\n"


async def test_a_fifo_waits_for_whoever_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    rows = await asyncio.to_thread(rows_of, asyncio.get_running_loop(), str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    rows.write(first, ("one",))
    rows.close()
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)


async def test_a_fifo_outlives_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = RowsFile(path)
    assert file.is_pipe
    os.close(first)
    file.write("two\n")
    second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(second, 100) == b"two\n"
    os.close(second)


async def test_a_place_that_can_not_be_written_to_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"--access-log .*: Is a directory"):
        rows_of(asyncio.get_running_loop(), str(tmp_path))


async def test_a_full_disk_loses_rows_and_nothing_else(tmp_path: Path) -> None:
    rows = rows_of(asyncio.get_running_loop(), "/dev/full")
    rows.write(first, ("row",))
    rows.write(first, ("row",))
    rows.close()
    assert rows.dropped == 2
