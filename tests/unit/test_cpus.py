"""Usable CPUs: the least of the affinity and of every limit of the control groups."""

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
    own = tmp_path / "own"
    if groups:
        own.write_text(groups + "\n")
    for name, content in files.items():
        file = tmp_path / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    monkeypatch.setattr(cpus, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(cpus, "OWN_GROUPS", own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))

    assert cpus.usable_cpus() == found
