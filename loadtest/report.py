"""The table, on the terminal and as Markdown: one row for each server of each scenario."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from loadtest.quartiles import Quartiles
from loadtest.results import Report, Row

COLUMNS = (
    *("scenario", "server", "result", "ratio", "target", "verdict"),
    *("rate/s", "CPU", "p50", "p99", "p99.9", "errors", "RSS by pid"),
)
RIGHT = frozenset({"result", "rate/s", "CPU", "p50", "p99", "p99.9", "errors"})
METHOD = (
    "Median [quartiles] over the runs of a row; gateway and peer are measured turn by turn, and a ratio is taken "
    "within each pair. Rates are per CPU second of the server (all its processes, from /proc/PID/stat); rate/s is per "
    "second of wall time, CPU the share of a core the server used, p50 to p99.9 the latency."
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS."""
    return (
        row.scenario,
        row.server,
        f"{spread(row.value)} {row.measure}",
        spread(row.ratio) if row.ratio else "",
        row.target,
        {True: "met", False: "MISSED", None: ""}[row.met],
        number(row.rate) if row.rate is not None else "",
        f"{row.busy:.0%}" if row.busy is not None else "",
        *(duration(value) for value in (row.p50_us, row.p99_us, row.p999_us)),
        str(row.errors),
        ", ".join(f"{pid}: {size / 2**20:.1f} MiB" for pid, size in row.rss.items()),
    )


def number(value: float) -> str:
    """Three figures or so."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(value: Quartiles) -> str:
    """`median [low to high]`; the median alone of a single run."""
    if value.low == value.high:
        return number(value.median)
    return f"{number(value.median)} [{number(value.low)} to {number(value.high)}]"


def duration(microseconds: float | None) -> str:
    """Microseconds, or milliseconds from ten thousand on."""
    if microseconds is None:
        return ""
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 10_000 else f"{microseconds:.0f} µs"


def remarks(rows: Sequence[Row]) -> list[str]:
    """What belongs to a row and fits in no column."""
    said = []
    for row in rows:
        about = f"{row.scenario}, {row.server}"
        if row.note:
            said.append(f"{about}: {row.note}")
        if row.first_error:
            said.append(f"{about}: {row.errors} errors, the first: {row.first_error}")
    return said


def table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    drawn = Table(show_lines=False)
    for column in COLUMNS:
        drawn.add_column(column, justify="right" if column in RIGHT else "left", overflow="fold")
    last = rows[0].scenario if rows else ""
    for row in rows:
        if row.scenario != last:
            drawn.add_section()
            last = row.scenario
        style = "" if row.met is None else "green" if row.met else "red"
        drawn.add_row(*map(escape, cells(row)), style=style)
    return drawn


def markdown(reports: Sequence[Report]) -> str:
    """RESULTS.md's table: machine, command, rows, remarks; one part for each report."""
    return "\n".join(line for report in reports for line in _part(report))


def _part(report: Report) -> list[str]:
    lines = [f"- {name}: {value}" for name, value in report.machine.items()]
    lines += ["", "Repeat it with", "", "```sh", report.command, "```", "", METHOD, ""]
    lines += [f"| {' | '.join(COLUMNS)} |", f"|{'|'.join(' ---: ' if c in RIGHT else ' --- ' for c in COLUMNS)}|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells(row))} |" for row in report.rows]
    said = [*report.notes, *remarks(report.rows)]
    return [*lines, "", *(f"- {remark}" for remark in said), ""]
