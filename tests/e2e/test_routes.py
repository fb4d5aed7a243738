"""Messages find their routes (API Gateway developer guide, "Route selection expressions")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.harness import Gateway, gateway, heard

pytestmark = pytest.mark.anyio

EXPRESSIONS = {
    "member": "$request.body.action",
    "braces": "${request.body.action}",
    "joined": "${request.body.service}/${request.body.action}",
    "nested": "$request.body.a.b[1]",
    "escaped": "\\$${request.body.action}",
    "constant": "always",
    "jmes": "jmespath:body.type || body.action",
}
KEYS = ["join", "7", "true", "chat/join", "chat/", "always", "[u, v]", "Join"]


def _definition() -> str:
    """One API for each expression. Every route, `$connect` too, answers with its own key, less the $."""
    lines = ["apis:"]
    for api_id, expression in EXPRESSIONS.items():
        lines += [
            f"  {api_id}:",
            "    protocolType: WEBSOCKET",
            f"    routeSelectionExpression: '{expression}'",
            "    stages: {dev: {}}",
            "    routes:",
        ]
        for key in ["$connect", "$disconnect", "$default", *KEYS]:
            text = key.lstrip("$")
            lines += [
                f"      '{key}':",
                "        routeResponse: true",
                "        integration:",
                "          integrationType: MOCK",
                "          requestTemplates: {$default: '{\"statusCode\": 200}'}",
                f"          integrationResponses: {{$default: {{responseTemplates: {{$default: '{text}'}}}}}}",
            ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(_definition(), tmp_path_factory.mktemp("routes")) as running:
        yield running


@pytest.mark.parametrize(
    ("api", "message", "key"),
    [
        pytest.param("member", '{"action": "join"}', "join", id="a field"),
        pytest.param("member", '{"action": "Join"}', "Join", id="case matters"),
        pytest.param("member", '{"action": " join"}', "default", id="blanks matter"),
        pytest.param("member", '{"action": "leave"}', "default", id="an undeclared key"),
        pytest.param("member", '{"action": 7}', "7", id="a number"),
        pytest.param("member", '{"action": true}', "true", id="a truth value"),
        pytest.param("member", '{"action": ["u", "v"]}', "[u, v]", id="a list"),
        pytest.param("member", '{"action": null}', "default", id="null"),
        pytest.param("member", "{}", "default", id="no such field"),
        pytest.param("member", '{"action": "\\u006aoin"}', "join", id="an escape in the value"),
        pytest.param("member", '{"\\u0061ction": "join"}', "join", id="an escape in the name"),
        pytest.param("member", '{"action": "x", "action": "join"}', "join", id="the last of two"),
        pytest.param("member", '{"o": {"action": "join"}}', "default", id="a deeper field"),
        pytest.param("member", "hello", "default", id="no JSON"),
        pytest.param("member", "", "default", id="an empty message"),
        pytest.param("member", '["join"]', "default", id="an array"),
        pytest.param("member", '"join"', "default", id="a string"),
        pytest.param("member", '{"action": "join"', "default", id="broken JSON"),
        pytest.param("member", "[" * 20_000, "default", id="JSON without end"),
        pytest.param("member", '{"action": "$connect"}', "default", id="$connect in data"),
        pytest.param("member", '{"action": "$disconnect"}', "default", id="$disconnect in data"),
        pytest.param("member", '{"action": "$default"}', "default", id="$default in data"),
        pytest.param("member", b'{"action": "join"}', "join", id="a binary message"),
        pytest.param("member", b"\xff\xfe", "default", id="bytes"),
        pytest.param("braces", '{"action": "join"}', "join", id="braces"),
        pytest.param("joined", '{"service": "chat", "action": "join"}', "chat/join", id="two fields joined"),
        pytest.param("joined", '{"service": "chat"}', "chat/", id="one of them missing"),
        pytest.param("joined", '{"service": "chat", "action": "${x}"}', "default", id="a value is no expression"),
        pytest.param("nested", '{"a": {"b": ["x", "join"]}}', "join", id="a path with an index"),
        pytest.param("escaped", '{"action": "connect"}', "default", id="a reserved key put together"),
        pytest.param("constant", "{}", "always", id="a constant"),
        pytest.param("constant", "hello", "default", id="a constant needs JSON all the same"),
        pytest.param("jmes", '{"type": "join"}', "join", id="JMESPath"),
        pytest.param("jmes", '{"action": "join"}', "join", id="JMESPath's other branch"),
    ],
)
async def test_a_message_selects(running: Gateway, api: str, message: str | bytes, key: str) -> None:
    async with connect(running.ws(f"/execute-api/{api}/dev")) as client:
        await client.send(message)

        assert await heard(client) == key


async def test_a_message_in_fragments_is_routed_as_a_whole(running: Gateway) -> None:
    async with connect(running.ws("/execute-api/member/dev")) as client:
        await client.send(['{"act', 'ion": "jo', 'in"}'])

        assert await heard(client) == "join"


async def test_one_connection_selects_anew_with_every_message(running: Gateway) -> None:
    async with connect(running.ws("/execute-api/member/dev")) as client:
        for key in ("join", "7", "leave", "Join"):
            await client.send(f'{{"action": "{key}"}}')

        assert [await heard(client) for _ in range(4)] == ["join", "7", "default", "Join"]
