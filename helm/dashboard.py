"""Writes the Grafana dashboard from the table below: `python helm/dashboard.py`, or with `--check` only looks."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "wsgateway" / "files" / "dashboard.json"
NODES = 'job=~"$job", instance=~"$instance"'


def rate(metric: str, by: str, matchers: str = "") -> str:
    """A counter's growth a second, by a label."""
    return f"sum by ({by}) (rate({metric}{{{NODES}{matchers}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram, by labels."""
    labels = ", ".join(filter(None, (by, "le")))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{NODES}}}[$__rate_interval])))"


def now(metric: str, by: str = "instance", how: str = "sum") -> str:
    """A gauge, by a label."""
    return f"{how} by ({by}) ({metric}{{{NODES}}})"


ERRORS = f'sum(rate(wsgateway_errors_total{{{NODES}, class!="client"}}[$__rate_interval]))'
EVENTS = f"sum(rate(wsgateway_route_latency_seconds_count{{{NODES}}}[$__rate_interval]))"

# Of each row its panels: title, unit, width of 24, and the queries with their legends. A panel without legends is one
# number.
ROWS: list[tuple[str, list[tuple[str, str, int, list[tuple[str, str]]]]]] = [
    (
        "At a glance",
        [
            ("Nodes", "short", 4, [(f"count(wsgateway_build_info{{{NODES}}})", "")]),
            ("Open connections", "short", 4, [(f"sum(wsgateway_connections{{{NODES}}})", "")]),
            (
                "Fullest node",
                "percentunit",
                4,
                [(f"max(wsgateway_connections{{{NODES}}} / wsgateway_connections_limit{{{NODES}}})", "")],
            ),
            (
                "Messages a second",
                "ops",
                4,
                [(f"sum(rate(wsgateway_messages_total{{{NODES}}}[$__rate_interval]))", "")],
            ),
            ("Events that fail", "percentunit", 4, [(f"({ERRORS} or vector(0)) / {EVENTS}", "")]),
            ("Latency, 99 %", "s", 4, [(quantile(0.99, "wsgateway_route_latency_seconds"), "")]),
        ],
    ),
    (
        "Connections",
        [
            (
                "Open connections",
                "short",
                12,
                [
                    (now("wsgateway_connections"), "{{instance}}"),
                    (f"sum(wsgateway_connections_limit{{{NODES}}})", "limit of all"),
                ],
            ),
            ("Handshakes by status", "ops", 12, [(rate("wsgateway_connects_total", "result"), "{{result}}")]),
            ("Closes by code", "ops", 8, [(rate("wsgateway_disconnects_total", "code_class"), "{{code_class}}")]),
            (
                "New connections refused",
                "ops",
                8,
                [(rate("wsgateway_admission_refused_total", "api, cause"), "{{api}} {{cause}}")],
            ),
            (
                "Given up, and malformed",
                "ops",
                8,
                [
                    (rate("wsgateway_closed_by_gateway_total", "cause"), "{{cause}}"),
                    (rate("wsgateway_refused_total", "kind"), "{{kind}}"),
                ],
            ),
        ],
    ),
    (
        "Messages, pushes and requests",
        [
            ("Messages", "ops", 8, [(rate("wsgateway_messages_total", "direction"), "{{direction}}")]),
            ("Pushes by status", "ops", 8, [(rate("wsgateway_pushes_total", "status"), "{{status}}")]),
            (
                "REST requests by status",
                "ops",
                8,
                [(rate("wsgateway_rest_requests_total", "api, status"), "{{api}} {{status}}")],
            ),
            (
                "Latency, 99 %, by route",
                "s",
                8,
                [(quantile(0.99, "wsgateway_route_latency_seconds", "api, stage, route"), "{{api}} {{route}}")],
            ),
            (
                "Of it the integration's",
                "s",
                8,
                [(quantile(0.99, "wsgateway_integration_latency_seconds", "api, stage, route"), "{{api}} {{route}}")],
            ),
            (
                "Errors by class",
                "ops",
                8,
                [(rate("wsgateway_errors_total", "api, route, class"), "{{api}} {{route}} {{class}}")],
            ),
            (
                "Error frames by type",
                "ops",
                8,
                [(rate("wsgateway_message_errors_total", "api, type"), "{{api}} {{type}}")],
            ),
            (
                "Beyond a limit",
                "ops",
                8,
                [(rate("wsgateway_throttled_total", "api, stage, level"), "{{api}}/{{stage}} {{level}}")],
            ),
            (
                "Kept answers of REST APIs",
                "ops",
                8,
                [(rate("wsgateway_rest_cache_requests_total", "api, stage, result"), "{{api}}/{{stage}} {{result}}")],
            ),
        ],
    ),
    (
        "Integrations",
        [
            ("Calls that failed", "ops", 8, [(rate("wsgateway_integration_failures_total", "kind"), "{{kind}}")]),
            (
                "Retries",
                "ops",
                8,
                [(rate("wsgateway_integration_retries_total", "api, integration"), "{{api}} {{integration}}")],
            ),
            (
                "Circuit breakers (0 closed, 1 half-open, 2 open)",
                "short",
                8,
                [(now("wsgateway_circuit_breaker_state", "api, integration, backend", "max"), "{{api}} {{backend}}")],
            ),
            (
                "$disconnect",
                "short",
                8,
                [
                    (f"sum(wsgateway_disconnects_running{{{NODES}}})", "running"),
                    (f"sum(wsgateway_disconnects_waiting{{{NODES}}})", "wait for another attempt"),
                    (f"sum(increase(wsgateway_dead_letters_total{{{NODES}}}[$__rate_interval]))", "given up"),
                ],
            ),
            (
                "Functions",
                "ops",
                8,
                [
                    (rate("wsgateway_function_invocations_total", "function"), "{{function}}"),
                    (rate("wsgateway_function_throttles_total", "function"), "{{function}} refused"),
                    (rate("wsgateway_lambda_calls_total", "function, result"), "{{function}} {{result}}"),
                ],
            ),
            (
                "Services and brokers",
                "ops",
                8,
                [
                    (rate("wsgateway_aws_calls_total", "service, action, result"), "{{service}} {{action}} {{result}}"),
                    (rate("wsgateway_publishes_total", "api, integration, result"), "{{integration}} {{result}}"),
                ],
            ),
            (
                "Authorizers",
                "ops",
                12,
                [(rate("wsgateway_authorizations_total", "api, authorizer, result"), "{{authorizer}} {{result}}")],
            ),
            ("Tickets", "ops", 12, [(rate("wsgateway_tickets_total", "result"), "{{result}}")]),
        ],
    ),
    (
        "Many nodes",
        [
            ("Calls between nodes", "ops", 8, [(rate("wsgateway_relays_total", "status"), "{{status}}")]),
            ("Answered 503, by cause", "ops", 8, [(rate("wsgateway_relay_503_total", "cause"), "{{cause}}")]),
            ("Redis", "short", 8, [(now("wsgateway_registry_up"), "{{instance}}")]),
            (
                "Leases",
                "short",
                8,
                [
                    (f"increase(wsgateway_lease_misses_total{{{NODES}}}[$__rate_interval])", "{{instance}} missed"),
                    (
                        f"increase(wsgateway_fenced_connections_total{{{NODES}}}[$__rate_interval])",
                        "{{instance}} fenced",
                    ),
                    (f"increase(wsgateway_taken_over_total{{{NODES}}}[$__rate_interval])", "{{instance}} took over"),
                ],
            ),
            ("Nodes, as each sees them", "short", 8, [(now("wsgateway_nodes"), "{{instance}}")]),
            (
                "Definitions",
                "short",
                8,
                [
                    (f"max(wsgateway_definitions{{{NODES}}})", "different ones"),
                    (f"min(wsgateway_definition_valid{{{NODES}}})", "all valid"),
                    (f"max(wsgateway_definition_rolled_back{{{NODES}}})", "rolled back"),
                ],
            ),
        ],
    ),
    (
        "Processes",
        [
            (
                "Lag of the loop, 99 %",
                "s",
                8,
                [(quantile(0.99, "wsgateway_event_loop_lag_seconds", "instance"), "{{instance}}")],
            ),
            ("Processors used", "short", 8, [(rate("process_cpu_seconds_total", "instance"), "{{instance}}")]),
            ("Memory", "bytes", 8, [(now("process_resident_memory_bytes"), "{{instance}}")]),
            (
                "Open files of those allowed",
                "percentunit",
                8,
                [(f"process_open_fds{{{NODES}}} / process_max_fds{{{NODES}}}", "{{instance}}")],
            ),
            (
                "Held by large bodies and messages",
                "bytes",
                8,
                [
                    (now("wsgateway_body_bytes", "kind"), "bodies: {{kind}}"),
                    (now("wsgateway_message_bytes", "kind"), "messages: {{kind}}"),
                ],
            ),
            (
                "Certificates end in",
                "s",
                8,
                [
                    (
                        f"min by (domain) (wsgateway_certificate_expires_timestamp_seconds{{{NODES}}}) - time()",
                        "{{domain}}",
                    )
                ],
            ),
            (
                "What should be 0",
                "short",
                8,
                [
                    (f"sum(increase(wsgateway_unexpected_errors_total{{{NODES}}}[$__rate_interval]))", "own faults"),
                    (
                        f"sum(increase(wsgateway_log_lines_dropped_total{{{NODES}}}[$__rate_interval]))",
                        "log lines lost",
                    ),
                    (
                        f"sum(increase(wsgateway_access_log_rows_dropped_total{{{NODES}}}[$__rate_interval]))",
                        "access log rows lost",
                    ),
                    (
                        f"sum(increase(wsgateway_worker_restarts_total{{{NODES}}}[$__rate_interval]))",
                        "workers restarted",
                    ),
                    (f"sum(increase(wsgateway_reload_failures_total{{{NODES}}}[$__rate_interval]))", "reloads refused"),
                ],
            ),
        ],
    ),
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panels() -> Iterator[dict[str, Any]]:
    """All of them, each at its place."""
    number = y = 0
    for row, content in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(0, y, 24, 1),
        }
        x, y = 0, y + 1
        height = 4 if not any(legend for *_, queries in content for _, legend in queries) else 8
        for title, unit, width, queries in content:
            if x + width > 24:
                x, y = 0, y + height
            number += 1
            yield panel(number, title, unit, queries, _place(x, y, width, height))
            x += width
        y += height


def panel(number: int, title: str, unit: str, queries: list[tuple[str, str]], place: dict[str, int]) -> dict[str, Any]:
    """One number, or lines over time."""
    single = not queries[0][1]
    return {
        "id": number,
        "type": "stat" if single else "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if single else {"tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": single,
            }
            for at, (query, legend) in enumerate(queries)
        ],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def variable(name: str, query: str) -> dict[str, Any]:
    """A choice of a label's values."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> str:
    """The file."""
    content = {
        "uid": "wsgateway",
        "title": "wsgateway",
        "tags": ["wsgateway", "websocket"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                variable("job", "label_values(wsgateway_build_info, job)"),
                variable("instance", 'label_values(wsgateway_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": list(panels()),
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        FILE.write_text(dashboard())
    elif FILE.read_text() != dashboard():
        sys.exit("dashboard.json is not what helm/dashboard.py says: run it")
