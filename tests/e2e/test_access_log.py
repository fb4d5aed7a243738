"""Access logs, as an operator reads them (API Gateway developer guide, "Set up WebSocket API logging")."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import connect

from tests.harness import PATIENCE, Backend, backend, gateway, handshake, heard, http, parse_answer, raw

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


LEAVING = """
apis:
  shop:
    protocolType: REST
    authorizers:
      users:
        type: TOKEN
        authorizerUri: http://127.0.0.1:@port@/decide
        identitySource: method.request.header.Authorization
    stages:
      v1: {accessLogSettings: {format: '{"id":"$context.requestId","path":"$context.path","status":"$context.status"}'}}
    integrations:
      slow: {type: HTTP_PROXY, httpMethod: POST, uri: "http://127.0.0.1:@port@/slow"}
    paths:
      /waits: {POST: {integration: slow}}
      /sends: {POST: {integration: slow}}
      /asks: {POST: {integration: slow, authorizer: users}}
      /signs: {POST: {integration: slow, authorizationType: AWS_IAM}}
sessionLookup: {url: "http://127.0.0.1:@port@/sessions"}
"""


async def test_a_client_that_leaves_has_its_row(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with backend() as server:
        server.answers("/slow", lambda request: asyncio.Event().wait())
        server.answers("/decide", lambda request: asyncio.Event().wait())
        definition = LEAVING.replace("@port@", str(server.port))
        async with gateway(definition, tmp_path, "--access-log", str(log), "--region", "eu-west-1") as running:
            await leave(running.port, "/v1/waits", "Content-Length: 0", server, "/slow")
            await leave(running.port, "/v1/asks", "Authorization: me\r\nContent-Length: 0", server, "/decide")
            expect = "Content-Length: 10\r\nExpect: 100-continue"  # once it is told to go on its body is waited for
            await leave(running.port, "/v1/sends", expect)
            await leave(running.port, "/v1/signs", f"{signature()}{expect}")
            rows = await rows_of(log, 4)
            counted = (await running.metrics())['wsgateway_rest_requests_total{api="shop",stage="v1",status="499"}']

    assert [(row["path"], row["status"]) for row in rows] == [
        ("/v1/waits", "499"), ("/v1/asks", "499"), ("/v1/sends", "499"), ("/v1/signs", "499"),
    ]  # fmt: skip
    assert counted == 4


def signature() -> str:
    """Header lines of a request with a session token, whose body is needed to know whether it is signed."""
    request = AWSRequest("POST", "http://x/v1/signs")
    SigV4Auth(Credentials("ASIASESSION", "secret", "token"), "execute-api", "eu-west-1").add_auth(request)
    return "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())


async def leave(port: int, path: str, more: str, server: Backend | None = None, asked: str = "") -> None:
    """Send a request, and reset the connection once it is waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n".encode())
    if server is None:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    else:
        await server.saw(asked)
    writer.close()
