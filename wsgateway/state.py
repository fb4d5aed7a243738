"""Where a user's programs keep what outlives them (XDG Base Directory Specification)."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path


def state_directory(environ: Mapping[str, str]) -> Path:
    """Ours, there or not. *Raises* OSError where neither the environment nor the machine knows of a home."""
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = _home(environ) / ".local" / "state"
    return state / "wsgateway"


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError as error:  # a user id without an entry in the machine's list, as containers have
        raise FileNotFoundError(errno.ENOENT, "no home directory is known; set HOME or XDG_STATE_HOME") from error
