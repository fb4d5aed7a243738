"""What a process prints, line by line into the log, at a bounded length and rate."""

from __future__ import annotations

import asyncio
import os

from wsgateway.functions.base import Log

CHUNK = 65_536
"""Bytes read at a time; a process that prints more within a pause waits, as for any slow reader."""
PAUSE = 0.01
MAX_LINE = 8192
"""Bytes kept of one line; the rest is dropped."""
LINES_PER_SECOND = 500
BURST = 2000
"""Lines logged per second, and at once; what is over is counted and dropped."""
TAIL = 4096
"""Bytes of X-Amz-Log-Result (Lambda API reference, Invoke: the last 4 KB)."""


class Output:
    """The reading end of a process's stdout and stderr. Lines belong to the invocation they were printed in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log, function: str) -> None:
        self._loop = loop
        self._log = log
        self._function = function
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._partial = b""
        self._cut = False
        """The line being read is over its length; what is left of it is dropped."""
        self._allowed = float(BURST)
        self._allowed_at = loop.time()
        self._resume: asyncio.TimerHandle | None = None
        self._closed = False
        self.dropped = 0
        self.request_id = ""
        """The invocation under way, or the last one."""
        self.tail: bytearray | None = None
        """Set where the end of what this invocation prints is asked for."""
        loop.add_reader(self._read_end, self._readable)

    def started(self) -> None:
        """The process has its own copy of the writing end."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def drain(self) -> None:
        """Read what was printed by now, so that it counts for the invocation that is about to end."""
        if not self._closed:
            self._read()

    def close(self) -> None:
        """Read what is left, within bounds, and be done."""
        if self._closed:
            return
        self._closed = True
        for _ in range(8):
            if not self._read():
                break
        if self._partial:
            self._line(self._partial)
        if self.dropped:
            self._log("function output dropped", function=self._function, lines=self.dropped)
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)

    def _readable(self) -> None:
        if self._read() == CHUNK:
            self._loop.remove_reader(self._read_end)
            self._resume = self._loop.call_later(PAUSE, self._again)

    def _again(self) -> None:
        self._resume = None
        self._loop.add_reader(self._read_end, self._readable)

    def _read(self) -> int:
        """Take up to one chunk; gives its size."""
        try:
            data = os.read(self._read_end, CHUNK)
        except BlockingIOError:
            return 0
        if not data:
            if not self._closed:
                self._loop.remove_reader(self._read_end)
            return 0
        if self.tail is not None:
            self.tail += data
            del self.tail[:-TAIL]
        self._refill()
        *lines, rest = data.split(b"\n") if self._allowed >= 1 else self._only_counted(data)
        for line in lines:
            if self._cut:
                self._cut = False
            else:
                self._line(self._partial + line)
            self._partial = b""
        if not self._cut:
            self._partial += rest
            if len(self._partial) > MAX_LINE:
                self._line(self._partial)
                self._partial = b""
                self._cut = True
        return len(data)

    def _only_counted(self, data: bytes) -> list[bytes]:
        """Nothing of `data` may be logged: what is left is the line that is not finished."""
        first, newline, _ = data.partition(b"\n")
        if not newline:
            return [data]
        self.dropped += data.count(b"\n") - 1
        return [first, data[data.rindex(b"\n") + 1 :]]

    def _line(self, line: bytes) -> None:
        if not line:
            return
        if self._allowed < 1:
            self.dropped += 1
            return
        self._allowed -= 1
        text = line[:MAX_LINE].decode("utf-8", "replace").rstrip("\r")
        self._log("function output", function=self._function, request_id=self.request_id, line=text)

    def _refill(self) -> None:
        now = self._loop.time()
        self._allowed = min(BURST, self._allowed + (now - self._allowed_at) * LINES_PER_SECOND)
        self._allowed_at = now
        if self.dropped and self._allowed >= LINES_PER_SECOND:
            self._log("function output dropped", function=self._function, lines=self.dropped)
            self.dropped = 0
