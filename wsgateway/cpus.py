"""How many CPUs this process may use: its affinity, and what a container's CPU limit leaves of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cpus() -> int:
    """At least 1. A limit of 2.5 CPUs counts as 3."""
    here = len(os.sched_getaffinity(0))
    return max(1, min([here, *(math.ceil(limit) for limit in _limits(CGROUPS, OWN_GROUPS))]))


def _limits(root: Path, own: Path) -> Iterator[float]:
    """Every limit on CPU time of this process's control groups, in CPUs (Linux kernel, cgroup-v2 and sched-bwc)."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            for folder in _upwards(root, path):
                yield from _limit(_read(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for folder in _upwards(root / "cpu", path):
                yield from _limit(f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}")


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """The folder of a group and of all it is in. In a container the path may be the host's: then the root is ours."""
    group = PurePosixPath(path.lstrip("/"))
    for name in (group, *group.parents):
        yield root / name


def _limit(text: str) -> Iterator[float]:
    match text.split():
        case [quota, period] if quota.isdigit() and period.isdigit() and int(period):  # not `max`, not -1
            yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
