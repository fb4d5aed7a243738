"""Ends the processes of functions when the gateway is gone, however it went.

A process that outlives the gateway by design: it reads the process groups to look after from its standard input
(`+PID` and `-PID`, one a line); when that ends, so does every group still listed. The kernel's own means
(PR_SET_PDEATHSIG) reaches neither Node nor what a handler started itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress


class Warden:
    """The gateway's side: starts the process with the first group, and again should it have been ended."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Look after `group`. *Raises* OSError if there can't be a warden."""
        self._groups.add(group)
        if self._process is None or self._process.poll() is not None:
            self._start()
        else:
            self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """`group` is ended."""
        self._groups.discard(group)
        if self._process is not None:
            self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let it end what is left, and itself."""
        process = self._process
        if process is None:
            return
        self._process = None
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        self._process = subprocess.Popen(
            (sys.executable, "-I", "-S", "-B", __file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        self._tell("".join(f"+{group}\n" for group in self._groups))

    def _tell(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it was ended: the next group starts another
            self._process.stdin.write(text.encode())


def _watch() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _watch()
