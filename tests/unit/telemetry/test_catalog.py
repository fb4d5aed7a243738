"""The table of metrics: named as Prometheus' conventions say, and its page says what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsgateway.telemetry.catalog import BY_NAME, SECTIONS, Metric
from wsgateway.telemetry.reference import reference

PAGE = Path("docs/metrics.md")
METRICS = [pytest.param(metric, id=metric.name) for section in SECTIONS for metric in section.metrics]


def test_the_page_is_that_of_this_version() -> None:
    """Mend it with `python -m wsgateway.telemetry.reference > docs/metrics.md`."""
    assert PAGE.read_text() == reference()


def test_no_name_is_there_twice() -> None:
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_named_and_told_of(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total"), "counters alone end in _total"
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) and label not in ("le", "quantile") for label in metric.labels)
    assert all((metric.help.endswith("."), metric.worry, metric.act))
    assert "|" not in metric.help + metric.worry + metric.act, "it would end the cell of the table"


@pytest.mark.parametrize("metric", METRICS)
def test_what_a_runbook_line_names_is_there(metric: Metric) -> None:
    """Other metrics stand in backquotes there, and so do a few words of definitions, flags and log lines."""
    for name in re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", metric.worry + metric.act):
        words = name in metric.help  # a value of its own label
        assert words or f"wsgateway_{name}" in BY_NAME, name


def test_links_of_the_page_lead_somewhere() -> None:
    for file, anchor in re.findall(r"\]\((\w+\.md)#([\w-]+)\)", PAGE.read_text()):
        headings = re.findall(r"^#+ (.+)$", (PAGE.parent / file).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{file}#{anchor}"
