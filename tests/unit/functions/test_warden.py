"""What a gateway leaves behind is ended, however the gateway went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgateway.functions.warden import Warden


@pytest.fixture
def group() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def warden_of(me: int) -> int:
    """The warden's process id."""
    while True:  # a process has no command line for a moment
        children = Path(f"/proc/self/task/{me}/children").read_text().split()
        for pid in children:
            if "warden.py" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)


def test_what_is_still_listed_is_ended(group: subprocess.Popen[bytes]) -> None:
    warden = Warden()
    warden.add(group.pid)

    warden.close()

    assert group.wait(20) == -signal.SIGKILL


def test_what_was_ended_is_let_be(group: subprocess.Popen[bytes]) -> None:
    warden = Warden()
    warden.add(group.pid)
    warden.remove(group.pid)

    warden.close()

    assert group.poll() is None


def test_a_warden_that_was_killed_is_replaced(group: subprocess.Popen[bytes]) -> None:
    warden = Warden()
    warden.add(group.pid)
    killed = warden_of(os.getpid())
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    warden.remove(group.pid)

    warden.add(group.pid)
    assert warden_of(os.getpid()) != killed
    warden.close()

    assert group.wait(20) == -signal.SIGKILL
