"""Lines typed before, kept between runs in a file of the user's alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from wsgateway.state import state_directory

KEPT_ENTRIES = 1000
KEPT_BYTES = 1 << 20
LONGEST_ENTRY = 65_536


def history_path() -> Path:
    """In the user's state directory. *Raises* OSError where there is none."""
    return state_directory(os.environ) / "connect_history"


class FileHistory(History):
    """Lines typed, in a file of the user's alone (0600), a JSON string a line; the oldest go first.

    Without a `path` it is at `history_path`. `trouble` says why it can't be kept, where it can't: a conversation does
    without.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._entries: list[str] = []
        self.trouble = ""
        try:
            self._path = path = path or history_path()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "a+b", opener=_private) as file:
                size = file.tell()
                file.seek(max(0, size - KEPT_BYTES))
                self._entries = list(_entries(file.read()))[-KEPT_ENTRIES:]
            if size > KEPT_BYTES or len(self._entries) == KEPT_ENTRIES:
                self._rewrite()
        except OSError as error:
            where = error.filename or path
            self.trouble = f"{where}: {error.strerror}" if where else str(error.strerror)

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        return reversed(self._entries)

    def store_string(self, string: str) -> None:
        if self.trouble or string.startswith(" ") or len(string) > LONGEST_ENTRY:
            return
        try:
            with open(self._path, "ab", opener=_private) as file:
                file.write(_written(string))
        except OSError as error:
            self.trouble = f"{self._path}: {error.strerror}"

    def _rewrite(self) -> None:
        """Keep the newer half, so that this is done seldom."""
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with open(aside, "wb", opener=_private) as file:
            file.writelines(map(_written, self._entries[-KEPT_ENTRIES // 2 :]))
        aside.replace(self._path)


def _private(path: str, flags: int) -> int:
    """Open for the user alone, whoever made the file."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _written(entry: str) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _entries(data: bytes) -> Iterable[str]:
    for line in data.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut, or another's
        if isinstance(entry, str):
            yield entry
