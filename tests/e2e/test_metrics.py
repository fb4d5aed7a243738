"""What a page of metrics says of routes and methods."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness import PATIENCE, backend, gateway, http

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}, quiet: {defaultRouteSettings: {detailedMetricsEnabled: false}}}
    routes:
      $connect: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:@port@/connect"}}
      $disconnect: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:@port@/bye"}}
      say: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:@port@/say"}, routeResponse: true}
      ping: {integration: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode":200}'}}}
  shop:
    protocolType: REST
    stages: {v1: {}, quiet: {methodSettings: {'*/*': {metricsEnabled: false}, pets/POST: {metricsEnabled: true}}}}
    paths:
      /pets:
        ANY: {integration: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://127.0.0.1:@port@/pets"}}
        POST:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 200}'}
            integrationResponses: {"200": {}}
"""  # noqa: E501 - one line of YAML


async def test_each_route_and_method_has_its_latencies_and_errors(tmp_path: Path) -> None:
    async with backend() as behind, gateway(DEFINITION.replace("@port@", str(behind.port)), tmp_path) as running:
        answers = iter([200, 404, 200, 403])
        behind.answers("/say", lambda request: (next(answers), {}, b"x"))
        behind.answers("/pets", lambda request: (500, {}, b"") if request.method == "GET" else None)
        async with connect(running.ws()) as client:
            for body in ('{"action":"say"}', '{"action":"say"}', '{"action":"ping"}', '{"action":"nowhere"}'):
                await client.send(body)
                if "ping" not in body:
                    await client.recv()
            async with connect(running.ws("/quiet")) as other:
                await other.send('{"action":"nowhere"}')
                await other.recv()
            behind.answers("/connect", (401, {}, b""))
            with pytest.raises(InvalidStatus):
                await connect(running.ws())
        for method in ("GET", "GET", "POST", "PUT"):
            await http(running.port, method, "/v1/pets")
            await http(running.port, method, "/execute-api/shop/quiet/pets")
        assert (await http(running.port, "GET", "/v1/nowhere")).status == 403
        page: dict[str, float] = {}
        async with asyncio.timeout(PATIENCE):
            lag = "wsgateway_event_loop_lag_seconds_count"
            disconnects = 'wsgateway_route_latency_seconds_count{api="chat",route="$disconnect",stage="dev"}'
            of_all = 'wsgateway_route_latency_seconds_count{api="chat",route="",stage="quiet"}'
            while (page.get(disconnects), page.get(of_all)) != (1, 3) or not page[lag]:
                page = await running.metrics()

    def count(name: str, api: str, route: str) -> float | None:
        stage = {"chat": "dev", "shop": "v1"}[api]
        return page.get(f'wsgateway_{name}_count{{api="{api}",route="{route}",stage="{stage}"}}')

    def errors(api: str, route: str) -> dict[str, float]:
        stage = {"chat": "dev", "shop": "v1"}[api]
        names = {
            kind: f'wsgateway_errors_total{{api="{api}",class="{kind}",route="{route}",stage="{stage}"}}'
            for kind in ("client", "integration", "execution")
        }
        return {kind: page[name] for kind, name in names.items() if name in page}

    routes = ("$connect", "say", "ping", "$default", "$disconnect")
    assert {route: count("route_latency_seconds", "chat", route) for route in routes} == {
        "$connect": 2, "say": 2, "ping": 1, "$default": 1, "$disconnect": 1,
    }  # fmt: skip
    assert {route: count("integration_latency_seconds", "chat", route) for route in routes} == {
        "$connect": 2, "say": 2, "ping": 0, "$default": 0, "$disconnect": 1,
    }  # fmt: skip
    assert {route: errors("chat", route) for route in routes if errors("chat", route)} == {
        "$connect": {"integration": 1}, "say": {"integration": 1}, "$default": {"client": 1},
    }  # fmt: skip
    methods = ("GET /pets", "POST /pets", "PUT /pets")
    assert [count("route_latency_seconds", "shop", method) for method in methods] == [2, 1, 1]
    assert [count("integration_latency_seconds", "shop", method) for method in methods] == [2, 0, 1]
    assert [errors("shop", method) for method in methods] == [{"integration": 2}, {}, {"execution": 1}]
    quiet = {name: value for name, value in page.items() if "_count{" in name and 'stage="quiet"' in name}
    assert quiet == {
        of_all: 3,
        of_all.replace("route_", "integration_"): 2,  # a message went nowhere
        'wsgateway_route_latency_seconds_count{api="shop",route="",stage="quiet"}': 3,
        'wsgateway_integration_latency_seconds_count{api="shop",route="",stage="quiet"}': 3,
        'wsgateway_route_latency_seconds_count{api="shop",route="POST /pets",stage="quiet"}': 1,
        'wsgateway_integration_latency_seconds_count{api="shop",route="POST /pets",stage="quiet"}': 0,
    }
    assert page['wsgateway_errors_total{api="shop",class="integration",route="",stage="quiet"}'] == 2
    assert page['wsgateway_message_errors_total{api="chat",route="",type="ACCESS_DENIED"}'] == 1
    assert not [name for name in page if "nowhere" in name], "labels are of definitions, not of clients"
