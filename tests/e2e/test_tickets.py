"""Tickets: a backend says who a client is, and the client comes in by that, once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.harness import Answer, Gateway, Reply, Request, backend, closed, gateway, http
from tests.node import node
from tests.redis import redis_server

pytestmark = pytest.mark.anyio

DEFINITION = """
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}, prod: {}}
    authorizers:
      tickets:
        authorizerType: TICKET
        identitySource: [route.request.querystring.ticket]
        closeOnExpiry: true
    integrations:
      whoami:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode": 200}'}
        integrationResponses:
          $default:
            responseTemplates:
              $default: '#set($who = $context.authorizer)"$who.principalId has $who.plan, is $who.claims.role"'
    routes:
      $connect: {authorizer: tickets}
      whoami: {integration: whoami, routeResponse: true}
      renew: {refresh: $request.body.token}
      enter: {integration: whoami, routeResponse: true, allow: "contains(authorizer.rooms, body.room)"}
  other:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {}}
"""
ANN_SAYS = '"ann has pro, is admin"'
ANN = {"principalId": "ann", "context": {"plan": "pro"}, "claims": {"role": "admin", "rooms": ["a"]}}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path) as running:
        yield running


async def ask(
    running: Gateway,
    body: object = ANN,
    *headers: tuple[str, str],
    path: str = "/dev/@tickets",
    method: str = "POST",
    port: int = 0,
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    written = headers or (("Content-Type", "application/json"),)
    return await http(port or running.internal_port, method, path, data, written)


async def ticket(running: Gateway, body: object = ANN, path: str = "/dev/@tickets") -> str:
    answer = await ask(running, body, path=path)
    assert answer.status == 201, answer.body
    return str(answer.json()["ticket"])


async def say(client: ClientConnection, **message: Any) -> str:
    await client.send(json.dumps(message))
    return str(await client.recv())


async def refused(running: Gateway, query: str, path: str = "/dev") -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(running.ws(path) + query):
            pass
    return caught.value.response.status_code, json.loads(caught.value.response.body or b"")["message"]


async def test_a_client_comes_in_by_a_ticket_once(running: Gateway) -> None:
    before = int(time.time())
    answer = await ask(running)
    made = answer.json()
    assert (answer.status, answer.header("cache-control")) == (201, "no-store")
    assert set(made) == {"ticket", "expires"}
    assert before + 30 <= made["expires"] <= time.time() + 30

    async with connect(f"{running.ws()}?ticket={made['ticket']}") as client:
        assert await say(client, action="whoami") == ANN_SAYS
        assert await say(client, action="enter", room="a") == ANN_SAYS
        assert json.loads(await say(client, action="enter", room="b"))["message"] == "Forbidden"

        # Used, for another stage, and never made.
        elsewhere = await ticket(running, path="/execute-api/chat/prod/%40tickets")
        for query in (f"?ticket={made['ticket']}", f"?ticket={elsewhere}", f"?ticket={'A' * 32}", "?ticket=x", ""):
            assert await refused(running, query) == (401, "Unauthorized")
        async with connect(f"{running.ws('/prod')}?ticket={elsewhere}"):
            pass

    said = "".join(running.log)
    assert made["ticket"] not in said
    assert elsewhere not in said
    samples = await running.metrics()
    counted = {result: samples[f'wsgateway_tickets_total{{result="{result}"}}'] for result in ("issued", "used")}
    assert counted == {"issued": 2, "used": 2}
    assert samples['wsgateway_tickets_total{result="refused"}'] == 4


async def test_who_may_have_a_ticket_made_and_what_may_be_said(running: Gateway) -> None:
    json_type = ("Content-Type", "application/json")
    for headers, status, said in (
        ((json_type, ("Origin", "http://evil.example")), 403, "web pages may not ask for this"),
        ((("Content-Type", "text/plain"),), 415, "send Content-Type: application/json"),
    ):
        answer = await ask(running, ANN, *headers)
        assert (answer.status, answer.json()["message"]) == (status, said)
    answer = await ask(running, method="PUT")
    assert (answer.status, answer.header("allow")) == (405, "POST")
    answer = await ask(running, path="/execute-api/other/dev/@tickets")
    assert (answer.status, answer.json()["message"]) == (404, "$connect of API other asks for no ticket")
    for path in ("/nostage/@tickets", "/dev/@tickets/more", "/execute-api/none/dev/@tickets"):
        assert (await ask(running, path=path)).status == 403

    # Nobody outside.
    answer = await ask(running, port=running.port)
    assert (answer.status, answer.json()["message"]) == (403, "Forbidden")

    # What is asked for wrongly.
    for body, said in (
        ({"ttlSeconds": 301}, "the body is not as it should be: Expected `int` <= 300 - at `$.ttlSeconds`"),
        ({"user": "ann"}, "the body is not as it should be: Object contains unknown field `user`"),
        (b"\xff", "the body is not as it should be"),
    ):
        answer = await ask(running, body)
        assert (answer.status, answer.header("x-amzn-errortype")) == (400, "BadRequestException")
        assert answer.json()["message"].startswith(said)
    answer = await ask(running, {"claims": {"a": "x" * 16_384}})
    assert (answer.status, answer.json()["message"]) == (413, "The body is over 16384 bytes")


async def test_elsewhere_than_on_loopback_the_installation_secret_is_asked_for(tmp_path: Path) -> None:
    secret = "0123456789abcdef" * 2
    env = {"WSGATEWAY_INSTALLATION_SECRET": secret}
    async with gateway(DEFINITION, tmp_path, "--internal-host", "0.0.0.0", env=env) as running:
        json_type = ("Content-Type", "application/json")
        assert (await ask(running)).status == 401
        assert (await ask(running, ANN, json_type, ("Authorization", "Bearer wrong"))).status == 401
        answer = await ask(running, ANN, json_type, ("Authorization", f"Bearer {secret}"))
        assert answer.status == 201
        async with connect(f"{running.ws()}?ticket={answer.json()['ticket']}") as client:
            assert await say(client, action="whoami") == ANN_SAYS


async def test_without_a_secret_elsewhere_nobody_may_have_one_which_is_told_at_the_start(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path, "--internal-host", "0.0.0.0") as running:
        line = json.loads(await running.logged("no ticket can be made"))
        assert line["stages"] == "chat/dev, chat/prod"
        assert "--installation-secret-file" in line["error"]
        answer = await ask(running)
        assert (answer.status, answer.json()["message"]) == (403, line["error"])


async def test_a_ticket_of_one_node_is_good_once_at_all_of_them(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path))
        flags = ("--redis-url", redis.url, "--redis-away", "accept")
        nodes = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            nodes.append(await stack.enter_async_context(gateway(DEFINITION, tmp_path / name, *flags)))
        made = await ticket(nodes[0])

        async def come(node: Gateway) -> int:
            try:
                async with connect(f"{node.ws()}?ticket={made}") as client:
                    assert await say(client, action="whoami") == ANN_SAYS
                    return 101
            except InvalidStatus as error:
                return error.response.status_code

        assert sorted(await asyncio.gather(*(come(node) for node in nodes * 4))) == [101] + [401] * 7

        kept = await ticket(nodes[1])
        await redis.kill()
        answer = await ask(nodes[0])
        assert (answer.status, answer.header("x-amzn-errortype")) == (503, "ServiceUnavailableException")
        assert answer.header("retry-after") is not None
        assert (await refused(nodes[0], f"?ticket={kept}"))[0] == 503
        assert await refused(nodes[0], "?ticket=x") == (401, "Unauthorized")


async def test_another_ticket_renews_a_connection(running: Gateway) -> None:
    first = await ticket(running, ANN | {"expiresAt": time.time() + 600})
    async with connect(f"{running.ws()}?ticket={first}") as client:
        for body, message in (({"principalId": "bob"}, "Forbidden"), ({}, "Forbidden")):
            other = await ticket(running, body)
            assert json.loads(await say(client, action="renew", token=other))["message"] == message
            assert json.loads(await say(client, action="renew", token=other))["message"] == "Unauthorized"

        second = await ticket(running, ANN | {"context": {"plan": "free"}, "expiresAt": time.time() + 1.5})
        assert json.loads(await say(client, action="renew", token=second))["message"] == "Refreshed"
        assert await say(client, action="whoami") == ANN_SAYS.replace("pro", "free")
        assert json.loads(await say(client, action="renew", token=second))["message"] == "Unauthorized"
        assert await closed(client) == (4401, "Token expired")


PAGE = Path(__file__).parents[2] / "docs" / "security.md"
DRIVER = """
connect(process.argv[1], process.argv[2], (message, socket) => {
  if (message.message !== "Refreshed") return
  socket.addEventListener("message", ({ data }) => { console.log(data); process.exit(0) })
  socket.send(JSON.stringify({ action: "whoami" }))
})
"""


async def test_a_page_stays_connected_as_the_documentation_says(running: Gateway) -> None:
    """The first time it gets no other ticket before its time is over, and connects anew; then it renews."""
    _, _, rest = PAGE.read_text().partition("// connection.js")
    script = rest.partition("```")[0].partition("\n")[2].replace("export async", "async")
    calls = 0

    async def login(request: Request) -> Reply:
        nonlocal calls
        calls += 1
        now = time.time()
        if calls == 2:
            return 503, {}, b"the backend restarts"
        until = now + (1 if calls == 1 else 600)
        made = await ticket(running, ANN | {"expiresAt": until})
        told = now if calls == 3 else until  # to renew at once
        return 200, {"Content-Type": "application/json"}, json.dumps({"ticket": made, "expiresAt": told}).encode()

    async with backend() as own:
        own.answers("/ticket", login)
        out = await node(script + DRIVER, running.ws(), f"http://127.0.0.1:{own.port}/ticket")

    assert out.strip() == ANN_SAYS
    assert calls == 4
