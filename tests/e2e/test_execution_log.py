"""The execution log (API Gateway developer guide, "Set up WebSocket API logging")."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.harness import Backend, Gateway, backend, closed, gateway, heard

pytestmark = pytest.mark.anyio

DEFINITION = r"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages:
      dev:
        defaultRouteSettings: {loggingLevel: INFO, dataTraceEnabled: true}
        routeSettings:
          quiet: {loggingLevel: "OFF"}
          brief: {dataTraceEnabled: false}
          failing: {loggingLevel: ERROR}
    models: {Join: {schema: {required: [room]}}}
    integrations:
      say:
        integrationType: HTTP
        integrationUri: http://127.0.0.1:PORT/say
        requestParameters: {integration.request.header.Authorization: "'Bearer secret'"}
        requestTemplates: {$default: '{"text": $input.json("$.text")}'}
        integrationResponses: {$default: {responseTemplates: {$default: 'said'}}}
    routes:
      $connect: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:PORT/connect"}}
      $disconnect: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:PORT/gone"}}
      say: {integration: say, routeResponse: true}
      quiet: {integration: say, routeResponse: true}
      brief: {integration: say, routeResponse: true}
      failing:
        integration: say
        routeResponse: true
        modelSelectionExpression: '\$default'
        requestModels: {$default: Join}
"""


async def lines(running: Gateway, until: str) -> list[dict[str, str]]:
    """The execution log up to the first line that holds `until`."""
    await running.logged(until)
    return [fact for line in running.log if (fact := json.loads(line))["event"] == "execution"]


def of(facts: list[dict[str, str]], route: str) -> list[str]:
    return [fact["text"] for fact in facts if fact["route"] == route]


async def test_steps_are_told_with_what_was_said_and_without_secrets(tmp_path: Path) -> None:
    async with backend() as running_backend:
        facts = await _talk(tmp_path, running_backend)

    say = of(facts, "say")
    (request_id,) = {fact["request_id"] for fact in facts if fact["route"] == "say"}
    (connection,) = {fact["connection_id"] for fact in facts}
    expected = [
        f"Starting execution for request: {request_id}",
        "WebSocket Request Route: [say]",
        f"WebSocket API [chat] received message from client [Connection Id: {connection}].",
        'Method request body before transformations: {"action": "say", "text": "hello"}',
        'Endpoint request body after transformations: {"text": "hello"}',
        "Endpoint request URI: 127.0.0.1:",
        "Endpoint request headers: {Host=127.0.0.1:",
        'Endpoint request body: {"text": "hello"}',
        "Sending request to 127.0.0.1:",
        "Received response. Status: 200, Integration latency: ",
        "Endpoint response headers: {",
        "Endpoint response body before transformations: heard",
        "Integration response selected: $default",
        "Method response body after transformations: said",
        f"Message from client [Connection Id: {connection}] sent to API [chat] with response status code [200].",
    ]
    assert len(say) == len(expected)
    assert all(text.startswith(start) for text, start in zip(say, expected, strict=True)), say
    assert "Authorization=***" in say[6]
    assert not [fact for fact in facts if "secret" in fact["text"]]
    assert all(len(fact["text"]) <= 1024 for fact in facts)

    assert not of(facts, "quiet")
    brief = of(facts, "brief")
    assert not [text for text in brief if "body" in text or "headers" in text]
    assert any(text.startswith("Received response. Status: 200") for text in brief)
    (failed,) = of(facts, "failing")
    assert failed == (
        "Execution failed: Request body does not match model schema for content type application/json: "
        '[object has missing required properties (["room"])]'
    )
    assert [fact["level"] for fact in facts if fact["route"] == "failing"] == ["ERROR"]
    connecting = of(facts, "$connect")
    assert "is connecting to WebSocket API [chat]." in connecting[2]
    assert "Cookie=***" in next(text for text in connecting if text.startswith("Endpoint request headers"))
    assert connecting[-1] == f"Client [Connection Id: {connection}] connected to API [chat] successfully."
    assert of(facts, "$disconnect")[-1].endswith("disconnected from API [chat]. Close reason: [1000: ]")


async def _talk(folder: Path, behind: Backend) -> list[dict[str, str]]:
    behind.answers("/say", (200, {}, b"heard"))
    async with gateway(DEFINITION.replace("PORT", str(behind.port)), folder) as running:
        async with connect(running.ws(), additional_headers={"Cookie": "id=secret"}) as client:
            for message in ("say", "quiet", "brief"):
                await client.send(json.dumps({"action": message, "text": "hello"}))
                assert await heard(client) == "said"
            await client.send(json.dumps({"action": "brief", "text": "x" * 50_000}))
            assert await heard(client) == "said"
            await client.send(json.dumps({"action": "failing"}))
            assert "Bad request body" in str(await heard(client))
            await client.close()
            await closed(client)
        return await lines(running, "disconnected from API")


async def test_settings_are_live(tmp_path: Path) -> None:
    async with backend() as behind:
        definition = DEFINITION.replace("PORT", str(behind.port))
        silent = definition.replace("loggingLevel: INFO", 'loggingLevel: "OFF"')
        async with gateway(silent, tmp_path) as running, connect(running.ws()) as client:
            await client.send('{"action": "say", "text": "before"}')
            assert await heard(client) == "said"
            (tmp_path / "routes.yaml").write_text(definition)
            running.reload()
            await running.logged("definition deployed")
            await client.send('{"action": "say", "text": "after"}')
            assert await heard(client) == "said"
            facts = await lines(running, "sent to API")

    assert not [fact for fact in facts if "before" in fact["text"].replace("before transformations", "")]
    assert [fact for fact in facts if "after" in fact["text"]]
