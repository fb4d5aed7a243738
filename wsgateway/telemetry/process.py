"""What every process says of itself, under the names that Prometheus' clients have for it.

prometheus_client's own collector lists all open files: with 18,000 connections that holds the loop for 50 to 100 ms.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
SLICE = 500
"""So many open files are counted before others have their turn; it takes a millisecond or two."""


class Process:
    """This process, as Linux tells of it; elsewhere only its interpreter."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._started = _started(proc)

    async def open_files(self) -> int:
        """How many are open. Nobody is held up by that."""
        folder = self._proc / "self" / "fd"
        try:
            if (number := folder.stat().st_size) > 0:  # since Linux 6.2
                return number
            with os.scandir(folder) as files:
                for number, _ in enumerate(files, 1):
                    if number % SLICE == 0:
                        await asyncio.sleep(0)
                return number
        except OSError:
            return 0

    def text(self, open_files: int) -> Iterator[str]:
        """The samples, as they stand in a page."""
        version = platform.python_version_tuple()
        labels = {
            "implementation": platform.python_implementation(),
            "major": version[0],
            "minor": version[1],
            "patchlevel": version[2],
            "version": platform.python_version(),
        }
        text = ",".join([f'{name}="{value}"' for name, value in labels.items()])
        yield _sample("python_info", "gauge", "Python platform information", 1.0, f"{{{text}}}")
        if self._started is None:
            return
        size, resident, *_ = (self._proc / "self" / "statm").read_text().split()
        page = resource.getpagesize()
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield _sample("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", float(int(size) * page))
        yield _sample(
            "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", float(int(resident) * page)
        )
        yield _sample(
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            self._started,
        )
        yield _sample(
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            used.ru_utime + used.ru_stime,
        )
        yield _sample("process_open_fds", "gauge", "Number of open file descriptors.", float(open_files))
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield _sample("process_max_fds", "gauge", "Maximum number of open file descriptors.", float(most))


def _started(proc: Path) -> float | None:
    """When the process began, in seconds since the epoch; None where there is no such file system (proc(5))."""
    try:
        ticks = int((proc / "self" / "stat").read_text().rpartition(")")[2].split()[19])
        (booted,) = [line.split()[1] for line in (proc / "stat").read_text().splitlines() if line.startswith("btime ")]
    except (OSError, ValueError):
        return None
    return int(booted) + ticks / os.sysconf("SC_CLK_TCK")


def _sample(name: str, kind: str, text: str, value: float, labels: str = "") -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
