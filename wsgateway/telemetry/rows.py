"""Rows of access logs: gathered for a moment, then written by a thread, so that none of them costs a system call."""

from __future__ import annotations

import os
import stat
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wsgateway.errors import StartError
from wsgateway.telemetry.writer import LogWriter, Sink

GATHERED_SECONDS: Final = 0.05
GATHERED: Final = 1000
"""Rows that wait for that at most."""
PIECE: Final = 4096
"""Characters that are written at once at most, but for a longer row: of a pipe that several processes share, such a
piece is not torn."""
PIECE_OF_FILE: Final = 262_144
"""The same of a file that is appended to."""
LOOKED_AT_SECONDS: Final = 1.0


class Rows:
    """Takes rows on the loop's thread; `close` writes what is left."""

    def __init__(self, loop: AbstractEventLoop, sink: Sink, piece: int = PIECE) -> None:
        self._loop = loop
        self._sink = sink
        self._piece = piece
        self._writer: LogWriter | None = None
        """Made for the first rows: most gateways have none."""
        self._rows: list[tuple[Callable[[tuple[object, ...]], str], tuple[object, ...]]] = []

    @property
    def dropped(self) -> int:
        """Rows that a slow sink did not take."""
        return 0 if self._writer is None else self._writer.dropped

    def write(self, text: Callable[[tuple[object, ...]], str], values: tuple[object, ...]) -> None:
        """Take one row: what makes its text, without a line break, of these values when it is written."""
        rows = self._rows
        rows.append((text, values))
        if len(rows) == 1:
            self._loop.call_later(GATHERED_SECONDS, self._flush)
        elif len(rows) == GATHERED:
            self._hand_over()

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, for a while."""
        self._flush()
        if self._writer is not None:
            self._writer.close(seconds)

    def _flush(self) -> None:
        if self._rows:
            self._hand_over()

    def _hand_over(self) -> None:
        rows = [text(values) for text, values in self._rows]
        self._rows = []
        if self._writer is None:
            self._writer = LogWriter(self._sink, name="access log")
        together = "\n".join(rows)
        if len(together) <= self._piece:
            self._writer.write(together, len(rows))
            return
        begin = size = 0
        for number, row in enumerate(rows):
            if size and size + len(row) >= self._piece:
                self._writer.write("\n".join(rows[begin:number]), number - begin)
                begin, size = number, 0
            size += len(row) + 1
        self._writer.write("\n".join(rows[begin:]), len(rows) - begin)


class RowsFile:
    """A file that rows are appended to; one that was moved away, as logrotate does, is begun anew.

    A FIFO need not be read by anybody yet: what it holds waits, and what does not fit is for the writer to drop.
    """

    def __init__(self, path: Path) -> None:
        """*Raises* StartError where it can't be written to."""
        self._path = path
        self._looked_at = time.monotonic()
        try:
            self._file = self._open()
        except OSError as error:
            raise StartError(f"--access-log {path}: {error.strerror}") from error

    def write(self, text: str) -> None:
        if time.monotonic() - self._looked_at >= LOOKED_AT_SECONDS:
            self._look()
        rest = text.encode("utf-8", "replace")
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def flush(self) -> None:
        """Nothing waits here."""

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            moved = not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            moved = True
        if moved:
            old, self._file = self._file, self._open()
            os.close(old)

    @property
    def is_pipe(self) -> bool:
        """Whether it is a FIFO, in which pieces of several writers may be torn."""
        return stat.S_ISFIFO(os.fstat(self._file).st_mode)

    def _open(self) -> int:
        # For writing alone a FIFO can't be opened until somebody reads it, and breaks when he leaves (fifo(7)).
        way = os.O_RDWR if self._path.is_fifo() else os.O_WRONLY
        return os.open(self._path, way | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def rows_of(loop: AbstractEventLoop, place: str) -> Rows:
    """Rows to `-`, which is stdout, or to a file of this name. *Raises* StartError."""
    if place == "-":
        return Rows(loop, sys.stdout)
    file = RowsFile(Path(place))
    return Rows(loop, file, PIECE if file.is_pipe else PIECE_OF_FILE)
