"""Results: rows of the table, the report they make, and its JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.measure import Sample
from loadtest.quartiles import Quartiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server in one scenario."""

    scenario: str
    server: str
    measure: str
    value: Quartiles
    runs: int
    rate: float | None = None
    busy: float | None = None
    """Share of a core the server used."""
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    errors: int = 0
    first_error: str = ""
    rss: dict[str, int]
    """The most resident bytes seen, by pid."""
    ratio: Quartiles | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of one call."""

    machine: dict[str, str]
    command: str
    notes: list[str]
    rows: list[Row]
    samples: dict[str, list[dict[str, Any]]]
    """Every run, by "scenario: server"."""

    def write(self, path: Path) -> None:
        """Write the JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Raises: LoadTestError, if the file is not such a report."""
        try:
            data = json.loads(path.read_text())
            rows = [_row(row) for row in data.pop("rows")]
            return cls(**data, rows=rows)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LoadTestError(f"{path}: not a report of this load test: {error}") from error


def _row(data: dict[str, Any]) -> Row:
    ratio = data.pop("ratio")
    value = data.pop("value")
    return Row(**data, value=Quartiles(**value), ratio=Quartiles(**ratio) if ratio else None)


def row_of_samples(
    samples: Sequence[Sample],
    *,
    scenario: str,
    server: str,
    measure: str,
    values: Sequence[float],
    ratio: Quartiles | None = None,
    target: str = "",
    met: bool | None = None,
    note: str = "",
) -> Row:
    """One row from the runs behind it: medians, and the sum of errors."""
    return Row(
        scenario=scenario,
        server=server,
        measure=measure,
        value=Quartiles.of(values),
        runs=len(samples),
        rate=median(s.completed / s.seconds for s in samples),
        busy=median(s.server_cpu / s.seconds for s in samples),
        p50_us=median(s.p50_us for s in samples),
        p99_us=median(s.p99_us for s in samples),
        p999_us=median(s.p999_us for s in samples),
        errors=sum(s.errors for s in samples),
        first_error=next((s.first_error for s in samples if s.first_error), ""),
        rss=highest(s.rss for s in samples),
        ratio=ratio,
        target=target,
        met=met,
        note=note,
    )


def highest(sizes: Iterable[dict[int, int]]) -> dict[str, int]:
    """The most seen for each pid."""
    most: dict[str, int] = {}
    for one in sizes:
        for pid, size in one.items():
            most[str(pid)] = max(size, most.get(str(pid), 0))
    return most
