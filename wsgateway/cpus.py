"""How many CPUs and how much memory this process may use: the machine's, and what a container's limits leave of it."""

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


def usable_memory() -> int:
    """In bytes."""
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([here, *_memory_limits(CGROUPS, OWN_GROUPS)])


def _limits(root: Path, own: Path) -> Iterator[float]:
    """Every limit on CPU time of this process's control groups, in CPUs (Linux kernel, cgroup-v2 and sched-bwc)."""
    for version, folder in _folders(root, own, "cpu"):
        if version == 2:
            yield from _limit(_read(folder / "cpu.max"))
        else:
            yield from _limit(f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}")


def _memory_limits(root: Path, own: Path) -> Iterator[int]:
    """Every limit on memory, in bytes (Linux kernel, cgroup-v2 and cgroup-v1 memory)."""
    for version, folder in _folders(root, own, "memory"):
        text = _read(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if text.isdigit():  # not `max`
            yield int(text)


def _folders(root: Path, own: Path, controller: str) -> Iterator[tuple[int, Path]]:
    """The folders of the process's control groups that a controller has, each with the version of their kind."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from ((2, folder) for folder in _upwards(root, path))
        elif controller in controllers.split(","):
            yield from ((1, folder) for folder in _upwards(root / controller, path))


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
