"""Error frames to the byte (API Gateway developer guide, "Working with WebSocket APIs"; spacing as seen on AWS)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.harness import Gateway, gateway, heard

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      nothing: {}
      refused: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:1024/"}}
      mock:
        integration: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode": 500}'}}
        routeResponse: true
"""

FRAME = re.compile(
    r'\{"message": "(?P<message>[^"]*)", "connectionId":"(?P<connection>[A-Za-z0-9_-]{26}==)", '
    r'"requestId":"(?P<request>[A-Za-z0-9_-]{15}=)"(?P<reason>, "reason":"[^"]+")?\}'
)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.mark.parametrize(
    ("message", "text"),
    [
        pytest.param('{"action": "nosuch"}', "Forbidden", id="no route and no $default"),
        pytest.param("hello", "Forbidden", id="no JSON"),
        pytest.param("", "Forbidden", id="an empty frame"),
        pytest.param('{"action": "$connect"}', "Forbidden", id="a reserved key"),
        pytest.param(b"\x00\xff", "Forbidden", id="binary"),
        pytest.param('{"action": "nothing"}', "Internal server error", id="a route without integration"),
        pytest.param('{"action": "refused"}', "Internal server error", id="a backend that isn't there, one-way"),
        pytest.param('{"action": "mock"}', "Internal server error", id="no integration response fits"),
    ],
)
async def test_a_message_is_answered(running: Gateway, message: str | bytes, text: str) -> None:
    async with connect(running.ws()) as client:
        await client.send(message)
        frame = await heard(client)

        assert isinstance(frame, str), "error frames are text"
        match = FRAME.fullmatch(frame)
        assert match is not None, frame
        assert match["message"] == text
        assert match["reason"] is None, "only developers are told why"

        # The connection stays open, its id stays and the request's id is another one.
        await client.send(message)
        again = json.loads(await heard(client))
        assert again["connectionId"] == match["connection"]
        assert again["requestId"] != match["request"]


async def test_dev_says_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with (
        gateway(DEFINITION, tmp_path_factory.mktemp("dev"), verb="dev") as running,
        connect(running.ws()) as client,
    ):
        for message, why in (
            ('{"action": "nosuch"}', "no $default route"),
            ('{"action": "nothing"}', "no integration"),
            ('{"action": "refused"}', "127.0.0.1:1024"),
            ('{"action": "mock"}', "no integration response"),
        ):
            await client.send(message)
            frame = await heard(client)
            assert isinstance(frame, str)
            assert FRAME.fullmatch(frame)
            assert why in json.loads(frame)["reason"]
