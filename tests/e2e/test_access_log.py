"""Access logs, as an operator reads them (API Gateway developer guide, "Set up WebSocket API logging")."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.harness import PATIENCE, gateway, handshake, heard, http, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages:
      dev:
        allowedOrigins: ["https://chat.example.com"]
        accessLogSettings:
          format: >-
            {"id":"$context.requestId","event":"$context.eventType","route":"$context.routeKey",
            "status":"$context.status","connection":"$context.connectionId","error":"$context.error.message",
            "agent":"$context.identity.userAgent","code":"$context.disconnectStatusCode"}
      quiet: {}
    integrations:
      reply:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode": 200}'}
        integrationResponses: {$default: {responseTemplates: {$default: $context.connectionId}}}
    routes:
      say: {integration: reply, routeResponse: true}
  shop:
    protocolType: REST
    stages:
      v1:
        methodSettings: {"*/*": {loggingLevel: INFO}}
        accessLogSettings:
          format: >-
            {"id":"$context.requestId","call":"$context.httpMethod $context.resourcePath $context.path",
            "status":"$context.status","length":"$context.responseLength","error":"$context.error.responseType"}
    gatewayResponses: {MISSING_AUTHENTICATION_TOKEN: {statusCode: "404"}}
    paths:
      /pets/{id}:
        GET:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 200}'}
            integrationResponses: {"200": {responseTemplates: {application/json: "pet"}}}
"""


async def rows_of(path: Path, count: int) -> list[dict[str, str]]:
    """The first rows, once there are so many."""
    async with asyncio.timeout(PATIENCE):
        while len(lines := await asyncio.to_thread(_lines, path)) < count:
            await asyncio.sleep(0.01)
    return [json.loads(line) for line in lines]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_each_event_of_a_stage_that_asks_for_it_has_a_row(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with gateway(DEFINITION, tmp_path, "--access-log", str(log)) as running:
        async with connect(running.ws(), user_agent_header='odd "agent"\\') as client:
            await client.send('{"action": "say"}')
            connection_id = str(await heard(client))
            await client.send("no route")
            assert json.loads(await heard(client))["message"] == "Forbidden"
            pushed = await http(running.internal_port, "POST", f"/dev/@connections/{connection_id}", b"hi")
            assert (pushed.status, await heard(client)) == (200, "hi")
        async with connect(running.ws("/quiet")):
            pass
        refused = parse_answer(await raw(running.port, handshake(more="Origin: https://evil.example\r\n")))
        assert refused.status == 403
        assert (await http(running.port, "GET", "/v1/pets/3")).body == b"pet"
        assert (await http(running.port, "GET", "/v1/cats")).status == 404
        rows = await rows_of(log, 8)
        executed = json.loads(await running.logged("Method completed with status: 200"))

    assert [(row["event"], row["route"], row["status"], row["error"]) for row in rows[:6]] == [
        ("CONNECT", "$connect", "200", "-"),
        ("MESSAGE", "say", "200", "-"),
        ("MESSAGE", "$default", "403", "Forbidden"),
        ("CONNECTION_API", "POST /@connections/{connectionId}", "200", "-"),
        ("DISCONNECT", "$disconnect", "200", "-"),
        ("CONNECT", "$connect", "403", "Forbidden"),
    ]
    assert {row["connection"] for row in rows[:5]} == {connection_id}
    assert {row["agent"] for row in rows[:3]} == {'odd "agent"\\'}
    assert rows[4]["code"] == "1000"
    assert [(row["call"], row["status"], row["length"], row["error"]) for row in rows[6:]] == [
        ("GET /pets/{id} /v1/pets/3", "200", "3", "-"),
        ("GET - /v1/cats", "404", "42", "MISSING_AUTHENTICATION_TOKEN"),
    ]
    assert rows[6]["id"] == executed["request_id"], "the execution log goes on beside it"
    assert len({row["id"] for row in rows}) == len(rows)
