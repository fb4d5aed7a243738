"""Binary messages of MessagePack, routed like JSON: real processes, sockets and a local function."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from tests.harness import backend, gateway, heard

pytestmark = pytest.mark.anyio

pack = msgspec.msgpack.encode

RUNTIME = f"python3.{sys.version_info.minor}"

HANDLER = """
def handler(event, context):
    return {"statusCode": 200, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"]}
"""


def definition(port: int, **more: Any) -> str:
    def calls(path: str, **parameters: str) -> dict[str, Any]:
        mapped = {f"integration.request.header.{name}": text for name, text in parameters.items()}
        return {
            "integration": {
                "integrationType": "HTTP_PROXY",
                "integrationUri": f"http://127.0.0.1:{port}/{path}",
                "requestParameters": mapped,
            },
            "routeResponse": True,
        }

    api = {
        "protocolType": "WEBSOCKET",
        "routeSelectionExpression": "$request.body.action",
        "binaryMessageFormat": "MESSAGEPACK",
        "stages": {"dev": {}},
        "routes": {
            "say": calls("say", room="route.request.body.room", size="route.request.body.data.size"),
            "typed": calls("typed", **{"Content-Type": "'application/msgpack'"}),
            "function": {
                "integration": {"integrationType": "AWS_PROXY", "integrationUri": "function:echo"},
                "routeResponse": True,
            },
            "$default": calls("default"),
        },
    }
    functions = {"echo": {"runtime": RUNTIME, "codeUri": "code", "handler": "app.handler"}}
    return json.dumps({"apis": {"chat": api | more}, "functions": functions})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLER)
    return tmp_path


async def test_a_binary_message_is_routed_and_goes_on_as_it_came(folder: Path) -> None:
    message = pack({"action": "say", "room": "küche", "data": {"size": 7, "picture": b"\xff\x00"}})
    async with backend() as asked, gateway(definition(asked.port), folder) as running, connect(running.ws()) as client:
        await client.send(message)
        assert await heard(client) == message, "the reply to a binary message is binary"

        request = await asked.saw("/say")
        assert request.body == message
        assert request.header("content-type") == "application/octet-stream"
        assert (request.header("room"), request.header("size")) == ("küche".encode().decode("latin-1"), "7")

        await client.send('{"action": "say", "room": "text is JSON"}')
        await heard(client)
        assert (await asked.saw("/say", 2)).header("room") == "text is JSON"


async def test_a_mapping_may_name_the_type(folder: Path) -> None:
    async with backend() as asked, gateway(definition(asked.port), folder) as running, connect(running.ws()) as client:
        await client.send(pack({"action": "typed"}))
        await heard(client)

        assert (await asked.saw("/typed")).header("content-type") == "application/msgpack"


async def test_a_function_gets_base64(folder: Path) -> None:
    message = pack({"action": "function", "data": b"\xff"})
    async with backend() as asked, gateway(definition(asked.port), folder) as running, connect(running.ws()) as client:
        await client.send(message)

        assert await heard(client) == message


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b'{"action": "say"}', id="JSON"),
        pytest.param(pack({"action": "say"}) + b"\x00", id="bytes behind it"),
        pytest.param(pack({"action": "say", "at": datetime(2026, 1, 1, tzinfo=UTC)}), id="a timestamp"),
        pytest.param(pack({"action": "say", "x": {1: 2}}), id="a key that is no string"),
        pytest.param(b"\x82\xa6action\xa3say\xa1x" + b"\x91" * 900_000, id="nested endlessly"),
        pytest.param(b"\x82\xa6action\xa3say\xa1x\xdd\xff\xff\xff\xff", id="more announced than sent"),
        pytest.param(pack({"action": "$connect"}), id="a reserved route"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_what_is_no_document_goes_to_default(folder: Path, message: bytes) -> None:
    async with backend() as asked, gateway(definition(asked.port), folder) as running, connect(running.ws()) as client:
        await client.send(message)

        assert await heard(client) == message
        assert (await asked.saw("/default")).body == message
        assert not [line for line in running.log if "unexpected" in line]


async def test_without_the_key_binary_messages_are_read_as_json(folder: Path) -> None:
    more = {"binaryMessageFormat": "JSON"}
    async with (
        backend() as asked,
        gateway(definition(asked.port, **more), folder) as running,
        connect(running.ws()) as client,
    ):
        await client.send(b'{"action": "say", "room": "a"}')
        await heard(client)
        await client.send(pack({"action": "say"}))
        await heard(client)

        assert (await asked.saw("/say")).header("room") == "a"
        assert (await asked.saw("/default")).body == pack({"action": "say"})


async def test_a_reload_holds_for_open_connections(folder: Path) -> None:
    """As all of routing does."""
    async with backend() as asked, gateway(definition(asked.port), folder) as running, connect(running.ws()) as client:
        await client.send(b'{"action": "say"}')
        await heard(client)
        assert asked.count("/default") == 1

        (folder / "routes.yaml").write_text(definition(asked.port, binaryMessageFormat="JSON"))
        running.reload()
        await running.logged("definition deployed")
        await client.send(b'{"action": "say"}')
        await heard(client)

        assert asked.count("/say") == 1
