"""The Grafana dashboard and the alerts name metrics and labels that there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
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


MINUTES = 30
"""At the end of a case, in which alerts are looked for."""


@dataclass(frozen=True)
class Case:
    """Samples, two a minute, as promtool writes them, and the alerts that fire at some time."""

    series: dict[str, str]
    fires: frozenset[str] = frozenset()


BUILD = {'wsgateway_build_info{job="w", instance="a"}': "1x300"}
OPENED = 'wsgateway_connects_total{job="w", instance="a", result="101"}'
CASES = {
    "nothing happens": Case(
        {
            'wsgateway_build_info{job="w", instance="a"}': "1x60",
            'wsgateway_connections{job="w", instance="a"}': "0x60",
            'wsgateway_connections_limit{job="w", instance="a"}': "100x60",
            OPENED: "7x60",
            'wsgateway_connects_total{job="w", instance="a", result="500"}': "3x60",
            'wsgateway_pushes_total{job="w", instance="a", status="503"}': "3x60",
            'wsgateway_authorizations_total{job="w", instance="a", api="c", authorizer="a", result="error"}': "3x60",
            'wsgateway_message_dead_letters_total{job="w", instance="a", api="c", route="r"}': "0x60",
        },
    ),
    "a drain refuses handshakes for a minute": Case(
        {
            OPENED: "0+60x20 1200x2 1200+60x38",
            'wsgateway_connects_total{job="w", instance="a", result="503"}': "0x20 0+60x2 120x38",
        }
    ),
    "handshakes fail and go on failing": Case(
        {
            OPENED: "0+60x60",
            'wsgateway_connects_total{job="w", instance="a", result="502"}': "0x20 0+60x40",
        },
        frozenset({"WsgatewayHandshakesFail"}),
    ),
    "a backend is started anew": Case(
        {
            'wsgateway_route_latency_seconds_count{job="w", api="c", stage="s"}': "0+60x60",
            'wsgateway_errors_total{job="w", api="c", stage="s", class="execution"}': "0x20 0+60x2 120x38",
        }
    ),
    "a node dies and is taken over": Case(
        {
            'wsgateway_pushes_total{job="w", status="200"}': "0+600x60",
            'wsgateway_pushes_total{job="w", status="503"}': "0x20 0+60x2 120x38",
        }
    ),
    "an authorizer fails now and then": Case(
        {
            'wsgateway_authorizations_total{job="w", api="c", authorizer="a", result="allow"}': "0+600x60",
            'wsgateway_authorizations_total{job="w", api="c", authorizer="a", result="error"}': "0+1x60",
        }
    ),
    "an authorizer fails": Case(
        {'wsgateway_authorizations_total{job="w", api="c", authorizer="a", result="error"}': "0+60x60"},
        frozenset({"WsgatewayAuthorizerFails"}),
    ),
    "the limit of a method is reached": Case(
        {'wsgateway_throttled_total{job="w", api="c", stage="s", level="method"}': "0+60x60"},
        frozenset({"WsgatewayThrottled"}),
    ),
    "another node loses its first message": Case(
        {
            'wsgateway_message_dead_letters_total{job="w", instance="a", api="c", route="r"}': "5x300",
            'wsgateway_message_dead_letters_total{job="w", instance="b", api="c", route="r"}': "_x200 1x100",
        },
        frozenset({"WsgatewayMessagesLost"}),
    ),
    "a long drain that was asked for": Case({'wsgateway_draining{job="w", instance="a"}': "0x10 1x22 0x30"}),
    "slow clients take all room for large bodies": Case(
        {
            'wsgateway_bodies_refused_total{job="w", instance="a", kind="request"}': "0+6x60",
            'wsgateway_messages_refused_total{job="w", instance="b", kind="arriving"}': "0x20 0+6x2 12x38",
        },
        frozenset({"WsgatewayNoRoom"}),
    ),
    "a worker stands still": Case(
        {'wsgateway_workers{job="w", instance="a", state="silent"}': "0x20 1x40"},
        frozenset({"WsgatewayWorkersMissing"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_is_called_when(name: str, tmp_path: Path) -> None:
    """As Prometheus itself sees it: these alerts fire, and no other."""
    case = CASES[name]
    there = case.series if any("build_info" in series for series in case.series) else case.series | BUILD
    length = 150 if any("x300" in values for values in case.series.values()) else MINUTES
    tests = {
        "rule_files": [str(ALERTS.resolve())],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": series, "values": values} for series, values in there.items()],
                "promql_expr_test": [
                    {
                        "expr": f'group by (alertname) (last_over_time(ALERTS{{alertstate="firing"}}[{MINUTES}m]))',
                        "eval_time": f"{length}m",
                        "exp_samples": [
                            {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(case.fires)
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(tests))
    done = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
