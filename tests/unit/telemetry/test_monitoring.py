"""The Grafana dashboard and the alerts name metrics and labels that there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import program
from wsgateway.telemetry.catalog import BY_NAME

FILES = Path("helm/wsgateway/files")
ALERTS = FILES / "alerts.yaml"
SCRAPED = frozenset({"instance", "job"})
"""Labels that Prometheus itself gives."""
NAME = r"\b((?:wsgateway|process)_[a-z0-9_]+)"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FILES / "dashboard.json").read_text())["panels"]
    return found


TARGETS = [(panel["title"], target) for panel in panels() for target in panel.get("targets", ())]
EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in rules()),
    *(pytest.param(target["expr"], id=f"{title} {target['refId']}") for title, target in TARGETS),
]


def labels_of(name: str) -> set[str]:
    """What samples of this name have; *raises* KeyError where there is no such metric."""
    if name.startswith("process_"):
        return set(SCRAPED)
    family = BY_NAME.get(name)
    if family is None:
        family = BY_NAME[re.sub(r"_(bucket|count|sum)$", "", name)]
        assert family.kind == "histogram", name
        return {*family.labels, *SCRAPED, "le"}
    assert family.kind != "histogram", f"{name} has buckets, a count and a sum"
    return {*family.labels, *SCRAPED}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_what_there_is(expression: str) -> None:
    names = re.findall(NAME, expression)
    assert names
    labels = set.union(*map(labels_of, names))
    for matchers in re.findall(NAME + r"\{([^}]*)\}", expression):
        asked = set(re.findall(r'(\w+)\s*[!=]~?=?\s*"', matchers[1]))
        assert asked <= labels_of(matchers[0]), matchers
    for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in by.split(",")} <= labels, by


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_counter_is_asked_for_its_growth(expression: str) -> None:
    """A counter's own value says how old a process is."""
    plain = re.sub(r"\b(?:rate|increase)\([^)]*\)", "", expression)
    grown = [name for name in re.findall(NAME, plain) if name.endswith("_total")]
    assert grown in ([], ["wsgateway_message_dead_letters_total"] * 2), "but where it tells that a series began"


@pytest.mark.parametrize(("title", "target"), [pytest.param(*one, id=one[0]) for one in TARGETS])
def test_a_legend_has_what_its_lines_are_told_apart_by(title: str, target: dict[str, Any]) -> None:
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    told_apart = re.search(r"\bby \(([^)]*)\)", target["expr"])
    there = SCRAPED if told_apart is None else {label.strip() for label in told_apart[1].split(",")}
    assert named <= there, title


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules()])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", Path(page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    kept = re.search(r"\bby \(([^)]*)\)", rule["expr"])
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    if kept is not None:
        assert named <= {label.strip() for label in kept[1].split(",")}
    assert named <= set.union(*map(labels_of, re.findall(NAME, rule["expr"])))


def test_the_dashboard_is_what_its_table_says() -> None:
    """Mend it with `python helm/dashboard.py`."""
    subprocess.run([sys.executable, "helm/dashboard.py", "--check"], check=True)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_rules_are_rules() -> None:
    subprocess.run([program("promtool"), "check", "rules", ALERTS], check=True, capture_output=True)
