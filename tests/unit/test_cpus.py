"""Usable CPUs and memory: the least of what there is and of every limit of the control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsgateway import cpus


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        pytest.param("", {}, 8, id="no control groups"),
        pytest.param("0::/", {"cpu.max": "max 100000"}, 8, id="no limit"),
        pytest.param("0::/", {"cpu.max": "200000 100000"}, 2, id="a container's limit"),
        pytest.param("0::/", {"cpu.max": "250000 100000"}, 3, id="a part of a CPU is one more process"),
        pytest.param("0::/", {"cpu.max": "10000 100000"}, 1, id="at least one"),
        pytest.param("0::/", {"cpu.max": "6400000 100000"}, 8, id="a limit above what there is"),
        pytest.param("0::/", {"cpu.max": "garbage"}, 8, id="nothing that can be read"),
        pytest.param("0::/", {"cpu.max": "100000 0"}, 8, id="a period of nothing"),
        pytest.param("0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3, id="the group above"),
        pytest.param("0::/host/path", {"cpu.max": "200000 100000"}, 2, id="a path that is the host's"),
        pytest.param(
            "3:cpuset:/\n1:cpu,cpuacct:/\n0::/",
            {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"},
            4,
            id="version 1",
        ),
        pytest.param(
            "1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, id="version 1, no limit"
        ),
    ],
)
def test_usable_cpus(
    groups: str, files: dict[str, str], found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_groups(groups, files, tmp_path, monkeypatch)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))

    assert cpus.usable_cpus() == found


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        pytest.param("", {}, 8 << 30, id="no control groups"),
        pytest.param("0::/", {"memory.max": "max"}, 8 << 30, id="no limit"),
        pytest.param("0::/", {"memory.max": "536870912"}, 512 << 20, id="a container's limit"),
        pytest.param("0::/a/b", {"a/memory.max": "1048576", "a/b/memory.max": "max"}, 1 << 20, id="the group above"),
        pytest.param("4:memory:/\n0::/", {"memory/memory.limit_in_bytes": "268435456"}, 256 << 20, id="version 1"),
        pytest.param("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 8 << 30, id="1, no limit"),
    ],
)
def test_usable_memory(
    groups: str, files: dict[str, str], found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_groups(groups, files, tmp_path, monkeypatch)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1 << 21, "SC_PAGE_SIZE": 4096}.__getitem__)

    assert cpus.usable_memory() == found


def control_groups(groups: str, files: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder / "own"
    if groups:
        own.write_text(groups + "\n")
    for name, content in files.items():
        file = folder / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    monkeypatch.setattr(cpus, "CGROUPS", folder / "fs")
    monkeypatch.setattr(cpus, "OWN_GROUPS", own)
