"""Messages that don't fit their model (API Gateway developer guide, "Request validation for WebSocket APIs")."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import Backend, Gateway, backend, gateway, handshake, heard, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """\
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    binaryMessageFormat: MESSAGEPACK
    stages: {{dev: {{}}}}
    models:
      Room: {{schema: {{type: string, pattern: '^[a-z]+$'}}}}
      Join:
        description: Somebody enters a room.
        schema:
          type: object
          required: [room]
          properties: {{room: {{$ref: 'https://apigateway.amazonaws.com/restapis/chat/models/Room'}}}}
      Say:
        schema: |
          {{"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "required": ["text"],
            "properties": {{"text": {{"type": "string", "maxLength": 5}}}}}}
    integrations:
      echo: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/echo"}}
      fixed:
        integrationType: MOCK
        requestTemplates: {{$default: '{{"statusCode": 200}}'}}
        integrationResponses: {{$default: {{responseTemplates: {{$default: fits}}}}}}
    routes:
      $connect: {{integration: fixed}}
      join: {{integration: echo, routeResponse: true, modelSelectionExpression: '\\$default', requestModels: {{$default: Join}}}}
      say:
        integration: fixed
        routeResponse: true
        modelSelectionExpression: $request.body.kind
        requestModels: {{text: Say, room: Join}}
      any:
        integration: fixed
        routeResponse: true
        modelSelectionExpression: $request.body.kind
        requestModels: {{text: Say, $default: Empty}}
      $default:
        integration: fixed
        routeResponses: {{$default: {{responseModels: {{application/json: Error}}, modelSelectionExpression: application/json}}}}
        modelSelectionExpression: '\\$default'
        requestModels: {{$default: Empty}}
  closed:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    models: {{Room: {{schema: {{required: [room]}}}}}}
    routes:
      $connect: {{modelSelectionExpression: room, requestModels: {{room: Room}}}}
      $default: {{}}
defaultApi: chat
"""  # noqa: E501

PACKED = b"\x82\xa6action\xa4join\xa4room\xa5lobby"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, echo: Backend) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=echo.port), tmp_path_factory.mktemp("models"), verb="dev") as running:
        yield running


async def asked(client: ClientConnection, message: str | bytes) -> str:
    await client.send(message)
    answer = await heard(client)
    return answer if isinstance(answer, str) else answer.decode()


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param('{"action": "join", "room": "lobby"}', '{"action": "join", "room": "lobby"}', id="fits"),
        pytest.param('{"action": "join"}', None, id="something is missing"),
        pytest.param('{"action": "join", "room": "Lobby"}', None, id="the model it refers to isn't met"),
        pytest.param('{"action": "say", "kind": "text", "text": "hello"}', "fits", id="the model the message names"),
        pytest.param('{"action": "say", "kind": "room", "text": "hello"}', None, id="another one"),
        pytest.param('{"action": "say", "kind": "other", "text": "hello"}', None, id="no model, and no $default"),
        pytest.param('{"action": "any", "kind": "other"}', "fits", id="no model of its own: $default's"),
        pytest.param('{"action": "any", "kind": "text"}', None, id="its own, not $default's"),
        pytest.param("{}", "fits", id="$default route"),
        pytest.param("[]", None, id="not an object"),
        pytest.param("hello", None, id="no JSON"),
        pytest.param("", None, id="an empty message"),
        pytest.param(PACKED, PACKED.decode("latin-1"), id="MessagePack that fits"),
        pytest.param(b"\x82\xa6action\xa4join\xa4room\x01", None, id="MessagePack that doesn't"),
        pytest.param(b"\xc1", None, id="no MessagePack"),
    ],
)  # fmt: skip
async def test_a_message_fits_its_model_or_goes_nowhere(
    running: Gateway, echo: Backend, message: str | bytes, answer: str | None
) -> None:
    async with connect(running.ws()) as client:
        before = echo.count("/echo")
        await client.send(message)
        said = await heard(client)
        text = said if isinstance(said, str) else said.decode("latin-1")
        if answer is not None:
            assert text == answer
            return
        assert json.loads(text)["message"] == "Bad request body"
        assert echo.count("/echo") == before
        assert await asked(client, '{"action": "any"}') == "fits", "the connection stays open"


async def test_the_frame_is_awss_and_dev_says_why(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        frame = await asked(client, '{"action": "join"}')

    fields = json.loads(frame)
    assert frame == (
        f'{{"message": "Bad request body", "connectionId":"{fields["connectionId"]}", '
        f'"requestId":"{fields["requestId"]}", "reason":{json.dumps(fields["reason"])}}}'
    )
    assert fields["reason"] == (
        "Request body does not match model schema for content type application/json: "
        '[object has missing required properties (["room"])]'
    )


async def test_in_serve_the_frame_is_awss_alone(tmp_path: Path) -> None:
    async with (
        gateway(DEFINITION.format(port=1024), tmp_path) as running,
        connect(running.ws()) as client,
    ):
        frame = await asked(client, '{"action": "join"}')
        fields = json.loads(frame)
        assert frame == (
            f'{{"message": "Bad request body", "connectionId":"{fields["connectionId"]}", '
            f'"requestId":"{fields["requestId"]}"}}'
        )
        metrics = await running.metrics()
    assert [name for name, value in metrics.items() if "BAD_REQUEST_BODY" in name and value == 1]


async def test_a_handshake_has_an_empty_body(running: Gateway) -> None:
    answer = parse_answer(await raw(running.port, handshake("/execute-api/closed/dev")))

    assert answer.status == 400
    assert answer.json()["message"] == "Bad request body"
