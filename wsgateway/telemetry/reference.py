"""`docs/metrics.md`, made of the catalog: `python -m wsgateway.telemetry.reference`."""

from __future__ import annotations

from wsgateway.telemetry.catalog import SECTIONS, Metric, Section
from wsgateway.telemetry.catalog.base import Join

HEAD = """\
# Metrics

On `/metrics` of the internal listener, in Prometheus' text format. Every name begins with `wsgateway_`. Labels take
their values from definitions and from the gateway's own words, never from what clients send. Of several
[workers](operations.md#workers) the shared port gives one page for all: counters and histograms are sums, and so are
gauges where this page says nothing else. `process_*` and `python_*` are those of every Python program: processor time,
memory, open files.

This page is made of the code: `python -m wsgateway.telemetry.reference`.
"""


def reference() -> str:
    """The page, in Markdown."""
    return HEAD + "".join(map(_section, SECTIONS))


def _section(section: Section) -> str:
    rows = "".join(map(_row, section.metrics))
    return f"\n## {section.title}\n\n| metric | what it is | worry when | then |\n| --- | --- | --- | --- |\n{rows}"


_OF_WORKERS: dict[Join, str] = {min: ", of workers the lowest", max: ", of workers the highest"}


def _row(metric: Metric) -> str:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    kind = metric.kind + _OF_WORKERS.get(metric.join, "")
    cells = (f"`{metric.name}{labels}`", f"{metric.help} *{kind}*", metric.worry, metric.act)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    print(reference(), end="")
