"""A real Prometheus that scrapes two nodes: the dashboard has its numbers, and alerts fire."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect

from tests.harness import backend, gateway
from tests.prometheus import Prometheus, prometheus
from tests.redis import redis_server
from tests.unit.telemetry.test_monitoring import ALERTS, NAME, TARGETS, rules
from wsgateway.telemetry.catalog import OF_NODE

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      say:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: http://127.0.0.1:@port@/
        routeResponse: true
"""
PROVOKED = {
    "WsgatewayConnectionsNearLimit",
    "WsgatewayDefinitionRefused",
    "WsgatewayIntegrationsFail",
    "WsgatewayRegistryDown",
}


def hurried() -> Any:
    """The rules, which look at seconds in place of minutes and wait for nothing."""
    text = re.sub(r"^( +)for: \S+", r"\1for: 0s", ALERTS.read_text(), flags=re.MULTILINE)
    return yaml.safe_load(re.sub(r"\[\d+m\]", "[20s]", text))


async def test_two_nodes_are_watched(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    async with backend() as behind:
        definition = DEFINITION.replace("@port@", str(behind.port))
        behind.stop()
    async with (
        redis_server(tmp_path / "redis") as redis,
        gateway(definition, folders[0], "--redis-url", redis.url, "--max-connections", "2") as a,
        gateway(definition, folders[1], "--redis-url", redis.url) as b,
        prometheus(tmp_path / "prometheus", [a.internal_port, b.internal_port], hurried()) as server,
        connect(a.ws()) as client,
        connect(b.ws()),
    ):

        async def both_are_seen() -> bool:
            seen = await server.query("sum(wsgateway_connections)")
            return [sample["value"][1] for sample in seen] == ["2"]

        await server.until(both_are_seen)
        assert await server.query("count(wsgateway_build_info)")
        assert not PROVOKED & await server.firing()
        await every_metric_is_there(server)

        # Each node's page, Redis and definition are as an operator may find them one day.
        async with connect(a.ws()):
            folders[1].joinpath("routes.yaml").write_text("apis: {")
            b.reload()
            await redis.kill()

            async def all_fire() -> bool:
                await client.send('{"action":"say"}')
                await client.recv()
                return await server.firing() >= PROVOKED

            await server.until(all_fire)
        await every_expression_evaluates(server)


async def every_metric_is_there(server: Prometheus) -> None:
    families = set(await server.ask("metadata"))
    only_where_needed = {"wsgateway_aws_credentials_valid", "wsgateway_limits_alone"}
    assert {metric.full_name for metric in OF_NODE} - families - only_where_needed == set()
    expressions = [*(rule["expr"] for rule in rules()), *(target["expr"] for _, target in TARGETS)]
    for name in {name for expression in expressions for name in re.findall(NAME, expression)}:
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        of_workers = "worker" in name
        assert {name, family} & families or of_workers or name in only_where_needed, name


async def every_expression_evaluates(server: Prometheus) -> None:
    """Those of alerts as they are, those of the dashboard as Grafana fills them in."""
    for rule in rules():
        await server.query(rule["expr"])
    for title, target in TARGETS:
        expression = target["expr"].replace("$__rate_interval", "5s").replace("$job", ".*").replace("$instance", ".*")
        found = await server.query(expression)
        assert found or target["legendFormat"], f"{title} has no number"
    (fullest,) = await server.query("max(wsgateway_connections / wsgateway_connections_limit)")
    assert float(fullest["value"][1]) == 1
    state = await server.ask("rules?type=alert")
    assert [rule["lastError"] for group in state["groups"] for rule in group["rules"] if rule["health"] == "err"] == []
