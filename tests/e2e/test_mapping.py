"""Non-proxy integrations from outside: what templates make of messages for a backend, and of its answers."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests import prefork
from tests.harness import (
    PATIENCE,
    Answer,
    Backend,
    Gateway,
    backend,
    connection_of,
    gateway,
    handshake,
    heard,
    parse_answer,
    raw,
)

pytestmark = pytest.mark.anyio

API = """
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{stageVariables: {{tier: gold}}}}}}
"""
DEFINITION = (
    """
defaultApi: chat
apis:
  chat:"""
    + API
    + """
    routes:
      say:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/rooms/{{room}}?fixed=1
          integrationMethod: PUT
          timeoutInMillis: 500
          requestParameters:
            integration.request.path.room: route.request.body.room
            integration.request.header.X-Connection: context.connectionId
            integration.request.querystring.tier: stageVariables.tier
          requestTemplates:
            $default: |
              #set($context.requestOverride.header["X-Words"] = "$input.path('$.words').size()")
              #set($words = $input.path('$.words'))
              {{"words": [#foreach($word in $words)"$word.toUpperCase()"#if($foreach.hasNext), #end#end]}}
          integrationResponses:
            /5\\d\\d/:
              responseTemplates: {{$default: '{{"error": $input.json("$.why")}}'}}
            $default:
              templateSelectionExpression: ${{integration.response.statuscode}}
              responseTemplates:
                "201": '{{"created": "$input.path("$.id")", "by": "$context.routeKey"}}'
                $default: '{{"said": $input.json("$")}}'
      as-it-came: {{integration: echo, routeResponse: true}}
      strict:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/echo
          passthroughBehavior: WHEN_NO_TEMPLATES
          templateSelectionExpression: $request.body.kind
          requestTemplates: {{note: a note}}
          integrationResponses: {{$default: {{}}}}
      never:
        integration: {{integrationType: MOCK, passthroughBehavior: NEVER}}
      endless:
        routeResponse: true
        integration:
          integrationType: MOCK
          requestTemplates: {{$default: '{{"statusCode": 200}}'}}
          integrationResponses:
            $default: {{responseTemplates: {{$default: '#foreach($i in [1..5000])x#end'}}}}
      again:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/again
          retry: {{on: [503], backoffMillis: 0}}
          requestTemplates: {{$default: '$context.messageId'}}
          integrationResponses:
            /503/: {{responseTemplates: {{$default: never seen}}}}
            $default: {{responseTemplates: {{$default: 'in the end: $input.body'}}}}
      unmatched:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/echo
          integrationResponses: {{/404/: {{}}}}
      dead:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:1024/
          integrationResponses: {{$default: {{responseTemplates: {{$default: never seen}}}}}}
    integrations:
      echo:
        integrationType: HTTP
        integrationUri: http://127.0.0.1:{port}/echo
        integrationResponses: {{$default: {{}}}}
  binary:"""
    + API
    + """
    routes:
      $default:
        routeResponse: true
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/bytes
          contentHandlingStrategy: CONVERT_TO_BINARY
          integrationResponses: {{$default: {{contentHandlingStrategy: CONVERT_TO_TEXT}}}}
  door:"""
    + API
    + """
    routes:
      $connect:
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/door
          requestTemplates: {{$default: '{{"token": "$input.params("token")", "body": $input.json("$")}}'}}
          integrationResponses:
            /2\\d\\d/: {{}}
            $default:
              responseParameters: {{method.response.header.X-Why: integration.response.header.Reason}}
              responseTemplates: {{$default: '{{"refused": $input.json("$.why")}}'}}
      $disconnect:
        integration:
          integrationType: HTTP
          integrationUri: http://127.0.0.1:{port}/left
          requestTemplates: {{$default: '{{"code": $context.disconnectStatusCode}}'}}
  mock:"""
    + API
    + """
    routes:
      $connect:
        integration:
          integrationType: MOCK
          templateSelectionExpression: "200"
          requestTemplates: {{"200": '{{statusCode: #if($input.params("token") == "good")200#{{else}}403#end}}'}}
          integrationResponses:
            /200/: {{}}
            /4../: {{responseTemplates: {{$default: '{{"no": "$context.identity.sourceIp"}}'}}}}
"""
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture(scope="module")
async def running(asked: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path_factory.mktemp("mapping")) as running:
        yield running


async def told(client: ClientConnection, **message: object) -> Any:
    """What comes back for a message: JSON, or the text itself."""
    await client.send(json.dumps(message))
    text = await heard(client)
    try:
        return json.loads(text)
    except ValueError:
        return text


async def shaken(running: Gateway, path: str) -> Answer:
    return parse_answer(await raw(running.port, handshake(path)))


# Messages


async def test_a_template_makes_the_request_and_the_reply(running: Gateway, asked: Backend) -> None:
    asked.answers("/rooms/a%2Fb", (201, {}, b'{"id": 7}'))
    async with connect(running.ws()) as client:
        reply = await told(client, action="say", room="a/b", words=["good", "day"])

    request = await asked.saw("/rooms/a%2Fb")
    assert (request.method, request.target) == ("PUT", "/rooms/a%2Fb?fixed=1&tier=gold")
    assert json.loads(request.body) == {"words": ["GOOD", "DAY"]}
    assert len(request.header("x-connection") or "") == 28
    assert request.header("x-words") == "2"
    assert request.header("content-type") == "application/json"
    assert request.header("x-forwarded-for") is None
    assert reply == {"created": "7", "by": "say"}


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        pytest.param((200, {}, b'{"n": 1.50}'), '{"said": {"n":1.50}}', id="the default template, numbers as written"),
        pytest.param((503, {}, b'{"why": "full"}'), '{"error": "full"}', id="a pattern of the status"),
        pytest.param((500, {}, b"no JSON"), '{"error": ""}', id="an answer that is not JSON"),
    ],
)
async def test_the_answers_status_picks_the_reply(running: Gateway, asked: Backend, answer: Any, reply: str) -> None:
    asked.answers("/rooms/pick", answer)
    async with connect(running.ws()) as client:
        await client.send('{"action": "say", "room": "pick", "words": []}')

        assert await heard(client) == reply


async def test_without_templates_messages_and_answers_pass_as_they_came(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        for message in ('{"action":  "as-it-came", "n": 1.0}', b'{"action": "as-it-came"}'):
            await client.send(message)

            assert await heard(client) == message


async def test_what_no_template_is_for_may_be_refused(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        assert await told(client, action="strict", kind="note") == "a note"
        assert (await told(client, action="strict", kind="other"))["message"] == "Unsupported Media Type"
        assert (await told(client, action="never"))["message"] == "Unsupported Media Type"


async def test_bytes_pass_as_base64(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws("/execute-api/binary/dev")) as client:
        await client.send("AP8=")
        assert await heard(client) == "AP8="
        await client.send("no base64!")
        assert json.loads(await heard(client))["message"] == "Internal server error"

    request = await asked.saw("/bytes")
    assert (request.body, request.header("content-type")) == (b"\x00\xff", "application/octet-stream")
    assert "base64" in await running.logged("the message is not base64")


# What goes wrong


async def test_a_template_that_goes_on_too_long_is_an_error_frame_and_a_line_in_the_log(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        frame = await told(client, action="endless")

    assert frame["message"] == "Internal server error"
    line = json.loads(await running.logged("responseTemplates"))
    assert line["request_id"] == frame["requestId"]
    assert line["error"].startswith("integrationResponses.$default.responseTemplates.$default: ")


@pytest.mark.parametrize(
    ("action", "message"),
    [("unmatched", "Internal server error"), ("dead", "Internal server error")],
)
async def test_a_fault_is_told(running: Gateway, action: str, message: str) -> None:
    async with connect(running.ws()) as client:
        assert (await told(client, action=action))["message"] == message


async def test_a_backend_that_is_slow_or_says_too_much_is_told(running: Gateway, asked: Backend) -> None:
    never = asyncio.Event()
    asked.answers("/rooms/slow", lambda request: never.wait())
    asked.answers("/rooms/huge", (200, {}, b"x" * (1 << 20) + b"x"))
    async with connect(running.ws()) as client:
        slow = await told(client, action="say", room="slow", words=[])
        huge = await told(client, action="say", room="huge", words=[])

        assert (slow["message"], huge["message"]) == ("Endpoint request timed out", "Internal server error")
        assert await connection_of(client) == slow["connectionId"]


async def test_a_request_is_rendered_once_and_the_last_answer_is_mapped(running: Gateway, asked: Backend) -> None:
    answers = iter([(503, {}, b"busy"), (200, {}, b"fine")])
    asked.answers("/again", lambda request: next(answers))
    async with connect(running.ws()) as client:
        assert await told(client, action="again") == "in the end: fine"

    assert (await asked.saw("/again")).body == (await asked.saw("/again", 2)).body


# $connect and $disconnect


async def test_a_backend_opens_the_door_and_hears_of_the_end(running: Gateway, asked: Backend) -> None:
    asked.answers("/door", (204, {}, b""))
    async with connect(running.ws("/execute-api/door/dev?token=t%2F1")):
        pass

    assert json.loads((await asked.saw("/door")).body) == {"token": "t/1", "body": {}}
    assert json.loads((await asked.saw("/left")).body) == {"code": 1000}


async def test_a_backend_keeps_the_door_shut(running: Gateway, asked: Backend) -> None:
    asked.answers("/door", (403, {"Reason": "full", "X-Secret": "1"}, b'{"why": "full"}'))

    answer = await shaken(running, "/execute-api/door/dev")

    assert (answer.status, answer.json()) == (403, {"refused": "full"})
    assert (answer.header("x-why"), answer.header("x-secret")) == ("full", None)
    assert answer.header("content-type") == "application/json"


async def test_a_backend_that_fails_at_the_door_is_the_gateways_own_refusal(running: Gateway, asked: Backend) -> None:
    asked.answers("/door", None)

    answer = await shaken(running, "/execute-api/door/dev")

    assert (answer.status, answer.json()["message"]) == (502, "Internal server error")


async def test_a_mock_decides_a_handshake(running: Gateway) -> None:
    async with connect(running.ws("/execute-api/mock/dev?token=good")):
        pass

    answer = await shaken(running, "/execute-api/mock/dev?token=bad")

    assert (answer.status, answer.json()) == (403, {"no": "127.0.0.1"})


# Definitions

BROKEN = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      say:
        integration:
          integrationType: MOCK
          requestTemplates:
            $default: |
              {"statusCode":
              #if($input.path('$.ok')) 200
              }
          integrationResponses:
            /(?=2)00/: {}
"""


async def test_validate_shows_the_place_in_a_template(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(BROKEN)
    process = await prefork.wsgateway("validate", file, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(PATIENCE):
        _, stderr = await process.communicate()

    assert process.returncode == 2
    first, line, caret, pattern, *_ = stderr.decode().splitlines()
    where = "apis.chat.routes.say.integration"
    assert first.startswith(f"{file}:12: {where}.requestTemplates.$default: ")
    assert first.endswith("(line 2, column 1)")
    assert (line, caret) == ("    #if($input.path('$.ok')) 200", "    ^")
    assert pattern.startswith(f"{file}:17: {where}.integrationResponses./(?=2)00/: ")


async def test_open_sockets_use_a_new_template_from_their_next_message_on(tmp_path: Path) -> None:
    def text(template: str) -> str:
        integration = {
            "integrationType": "MOCK",
            "requestTemplates": {"$default": '{"statusCode": 200}'},
            "integrationResponses": {"$default": {"responseTemplates": {"$default": template}}},
        }
        api = {
            "protocolType": "WEBSOCKET",
            "routeSelectionExpression": "$request.body.action",
            "stages": {"dev": {}},
            "routes": {"$default": {"integration": integration, "routeResponse": True}},
        }
        return json.dumps({"apis": {"chat": api}})

    async with (
        gateway(text("one $context.eventType"), tmp_path, verb="dev") as running,
        connect(running.ws()) as client,
    ):
        await client.send("x")
        assert await heard(client) == "one MESSAGE"

        (tmp_path / "routes.yaml").write_text(text("two $context.routeKey"))
        await running.logged("definition deployed")

        await client.send("x")
        assert await heard(client) == "two $default"
