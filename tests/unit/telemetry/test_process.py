"""What a process says of itself, compared with prometheus_client's collector."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from wsgateway.telemetry.process import SLICE, Process

pytestmark = pytest.mark.anyio


async def test_names_types_and_values_are_those_of_every_client() -> None:
    theirs = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=theirs)
    PlatformCollector(registry=theirs)
    process = Process()

    found = {one.name: one for one in text_string_to_metric_families("".join(process.text(await process.open_files())))}

    expected = {one.name: one for one in theirs.collect()}
    assert {name: (one.type, one.documentation) for name, one in found.items()} == {
        name: (one.type, one.documentation) for name, one in expected.items()
    }
    for name in ("process_start_time_seconds", "process_max_fds", "python_info"):
        assert found[name].samples == expected[name].samples
    for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_cpu_seconds"):
        assert found[name].samples[0].value == pytest.approx(expected[name].samples[0].value, rel=0.2, abs=0.5)


async def test_open_files_are_counted_without_a_list_of_them() -> None:
    process = Process()
    before = await process.open_files()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
    try:
        assert await process.open_files() == before + 10
    finally:
        for file in files:
            os.close(file)


@pytest.mark.parametrize("number", [0, 1, SLICE, SLICE + 1, 3 * SLICE])
async def test_where_linux_does_not_tell_their_number_they_are_counted(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "self" / "fd"
    folder.mkdir(parents=True)
    for name in range(number):
        (folder / str(name)).touch()
    process = Process(tmp_path)
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result((0,) * 10))

    assert await process.open_files() == number


async def test_elsewhere_only_the_interpreter_is_told_of(tmp_path: Path) -> None:
    process = Process(tmp_path)

    assert await process.open_files() == 0
    assert [one.name for one in text_string_to_metric_families("".join(process.text(0)))] == ["python_info"]
