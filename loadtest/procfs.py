"""What /proc says about processes: children, resident memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat a load test needs."""

    pid: int
    parent: int
    cpu_ticks: int


def parse_stat(text: str) -> Stat:
    """proc(5): the name, in parentheses, may hold spaces and parentheses too; fields are counted behind the last."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(pid=int(head.split(" ", 1)[0]), parent=int(fields[1]), cpu_ticks=int(fields[11]) + int(fields[12]))


def parse_rss(status: str) -> int:
    """VmRSS of /proc/PID/status in bytes; 0 when there is none, as for a process that has ended."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(root: int, stats: Iterable[Stat]) -> list[int]:
    """`root` and everything below it."""
    children: dict[int, list[int]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat.pid)
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, ()))
    return found


def process_tree(root: int) -> list[int]:
    """The process and its descendants that live now."""
    stats = []
    for path in PROC.glob("[0-9]*/stat"):
        try:
            stats.append(parse_stat(path.read_text()))
        except OSError:  # it ended meanwhile
            continue
    return descendants(root, stats)


def rss(pids: Iterable[int]) -> dict[int, int]:
    """Resident bytes by pid."""
    sizes = {}
    for pid in pids:
        try:
            sizes[pid] = parse_rss((PROC / str(pid) / "status").read_text())
        except OSError:
            continue
    return sizes
