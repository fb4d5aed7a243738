"""Rows from runs, and the JSON."""

from pathlib import Path

import pytest

from loadtest.errors import LoadTestError
from loadtest.measure import Sample
from loadtest.quartiles import Quartiles
from loadtest.report import cells, duration, markdown, number, spread
from loadtest.results import Report, Row, row_of_samples


def sample(*, completed: int = 1000, cpu: float = 0.5, errors: int = 0, rss: int = 2**20) -> Sample:
    return Sample(
        completed=completed,
        seconds=2.0,
        server_cpu=cpu,
        driver_cpu=0.1,
        p50_us=100.0,
        p99_us=20_000.0,
        p999_us=30_000.0,
        max_us=40_000.0,
        errors=errors,
        first_error="POST answered: HTTP/1.1 410" if errors else "",
        abuses=0,
        rss={7: rss},
    )


def row(*samples: Sample, met: bool | None = None) -> Row:
    return row_of_samples(
        samples,
        scenario="push",
        server="gateway",
        measure="pushes per server CPU-second",
        values=[s.per_cpu_second for s in samples],
        ratio=Quartiles(0.5, 0.6, 0.7),
        target="≥ 0.6 times peer",
        met=met,
    )


def report(*rows: Row) -> Report:
    return Report(
        machine={"python": "CPython 3.11"},
        command="python -m loadtest push",
        notes=["one core only"],
        rows=[*rows],
        samples={},
    )


def test_a_rate_is_per_cpu_second_of_the_server() -> None:
    assert sample(completed=1000, cpu=0.5).per_cpu_second == 2000
    assert sample(completed=0, cpu=0.0).per_cpu_second == 0


def test_a_row_sums_errors_and_keeps_the_highest_rss() -> None:
    made = row(sample(rss=1), sample(errors=2, rss=3), sample(rss=2))

    assert made.errors == 2
    assert made.first_error == "POST answered: HTTP/1.1 410"
    assert made.rss == {"7": 3}
    assert made.value == Quartiles(2000, 2000, 2000)
    assert (made.rate, made.busy) == (500, 0.25)


def test_a_report_survives_its_json(tmp_path: Path) -> None:
    written = report(row(sample(), met=True), row(sample(errors=1), met=False))
    written.write(tmp_path / "r.json")

    assert Report.read(tmp_path / "r.json") == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [1]}', '{"rows": [{"ratio": null}]}'])
def test_anything_else_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)

    with pytest.raises(LoadTestError, match=r"r\.json: not a report"):
        Report.read(tmp_path / "r.json")


def test_cells() -> None:
    assert cells(row(sample(), met=False)) == (
        "push",
        "gateway",
        "2,000 pushes per server CPU-second",
        "0.60 [0.50 to 0.70]",
        "≥ 0.6 times peer",
        "MISSED",
        "500",
        "25%",
        "100 µs",
        "20.0 ms",
        "30.0 ms",
        "0",
        "7: 1.0 MiB",
    )


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (100.0, "100"), (12.34, "12.3"), (0.654, "0.65"), (0.0, "0.00")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_spread_of_one_run_is_its_value() -> None:
    assert spread(Quartiles(3, 3, 3)) == "3.00"


@pytest.mark.parametrize(("value", "text"), [(None, ""), (9999.0, "9999 µs"), (10_000.0, "10.0 ms")])
def test_duration(value: float | None, text: str) -> None:
    assert duration(value) == text


def test_markdown_has_machine_command_table_and_remarks() -> None:
    lines = markdown([report(row(sample(errors=1), met=False))]).splitlines()

    assert lines[0] == "- python: CPython 3.11"
    assert "python -m loadtest push" in lines
    [header] = [line for line in lines if line.startswith("| scenario")]
    [body] = [line for line in lines if line.startswith("| push")]
    assert header.count("|") == body.count("|")
    assert "- one core only" in lines
    assert "- push, gateway: 1 errors, the first: POST answered: HTTP/1.1 410" in lines
