"""HTTP backends: what they are asked, what their answers become, and what happens when they misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.harness import Backend, Gateway, Request, backend, gateway, heard

pytestmark = pytest.mark.anyio

PATHS = ["echo", "other", "slow", "capped", "hostile", "held"]
DEFINITION = """
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: &stages {{dev: {{stageVariables: {{backend: "127.0.0.1:{port}", tier: gold}}}}}}
    integrations: &integrations
      echo:
        integrationType: HTTP_PROXY
        integrationUri: http://${{stageVariables.backend}}/echo
        requestParameters: &facts
          integration.request.header.Connection-Id: context.connectionId
          integration.request.header.Tier: stageVariables.tier
          integration.request.header.Room: route.request.body.room
          integration.request.querystring.room: route.request.body.room
      room:
        integrationType: HTTP_PROXY
        integrationUri: http://${{stageVariables.backend}}/rooms/{{room}}
        requestParameters: {{integration.request.path.room: route.request.body.room}}
      slow:
        integrationType: HTTP_PROXY
        integrationUri: http://${{stageVariables.backend}}/slow
        timeoutInMillis: 100
      capped:
        integrationType: HTTP_PROXY
        integrationUri: http://${{stageVariables.backend}}/capped
        maxConcurrency: 1
      held: {{integrationType: HTTP_PROXY, integrationUri: "http://${{stageVariables.backend}}/held"}}
      hostile:
        integrationType: HTTP_PROXY
        integrationUri: http://${{stageVariables.backend}}/hostile
        timeoutInMillis: 500
      refused: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:1024/"}}
      metadata: {{integrationType: HTTP_PROXY, integrationUri: "http://169.254.169.254/latest/meta-data/"}}
    routes: &routes
      $default: {{integration: echo, routeResponse: true}}
      one-way: {{integration: echo}}
      room: {{integration: room, routeResponse: true}}
      slow: {{integration: slow, routeResponse: true}}
      slow-one-way: {{integration: slow}}
      capped: {{integration: capped, routeResponse: true}}
      capped-too: {{integration: capped}}
      held: {{integration: held, routeResponse: true}}
      hostile: {{integration: hostile, routeResponse: true}}
      refused: {{integration: refused}}
      metadata: {{integration: metadata}}
  narrow:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    limits: {{maxInFlight: 4}}
    stages: *stages
    integrations: *integrations
    routes: *routes
  ordered:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    messageOrdering: SEQUENTIAL
    stages: *stages
    integrations: *integrations
    routes: *routes
  strict:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    profile: aws
    stages: *stages
    integrations: *integrations
    routes: *routes
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def asked(shared: Backend) -> AsyncIterator[Backend]:
    """The backend, with nothing seen and nothing scripted."""
    shared.requests.clear()
    yield shared
    for path in PATHS:
        shared.answers(f"/{path}", lambda request: (200, {}, request.body))


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture(scope="module")
async def running(shared: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=shared.port), tmp_path_factory.mktemp("gateway")) as running:
        yield running


async def told(client: Any) -> str:
    """The message of the error frame that comes next."""
    return str(json.loads(await heard(client))["message"])


# What a backend is asked


async def test_a_message_reaches_the_backend_as_it_came(running: Gateway, asked: Backend) -> None:
    body = '{ "action":"say" , "room" : "lobby", "text":"grüß 👋" }'
    async with connect(running.ws("/dev?token=secret"), additional_headers={"Cookie": "a=1"}) as client:
        await client.send(body)
        assert await heard(client) == body

    said = await asked.saw("/echo")
    assert (said.method, said.target, said.body) == ("POST", "/echo?room=lobby", body.encode())
    assert said.header("host") == f"127.0.0.1:{asked.port}"
    assert said.header("user-agent") == "AmazonAPIGateway_chat"
    assert said.header("x-amzn-apigateway-api-id") == "chat"
    assert said.header("content-type") == "application/json"
    assert said.header("content-length") == str(len(body.encode()))
    assert said.header("x-forwarded-for") == "127.0.0.1"
    assert said.header("x-forwarded-proto") == "http"
    assert said.header("x-forwarded-port") == str(running.port)
    assert (said.header("x-amzn-trace-id") or "").startswith("Root=1-")
    assert (said.header("room"), said.header("tier")) == ("lobby", "gold")
    assert len(said.header("connection-id") or "") == 28
    assert said.header("cookie") is None, "a message has no headers of its own"


async def test_a_path_parameter_fills_its_segment(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws()) as client:
        await client.send('{"action": "room", "room": "a/b c"}')
        await heard(client)

    assert asked.requests[-1].target == "/rooms/a%2Fb%20c"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"action": "room", "room": ".."}, id="a dot segment"),
        pytest.param({"action": "room", "room": "../../admin"}, id="a way out"),
        pytest.param({"room": "a\r\nX-Evil: 1"}, id="a second header"),
        pytest.param({"room": "a\0"}, id="a NUL"),
    ],
)
async def test_a_value_that_can_not_be_sent_is_an_error_and_no_call(
    running: Gateway, asked: Backend, message: dict[str, str]
) -> None:
    async with connect(running.ws()) as client:
        await client.send(json.dumps(message))

        assert await told(client) == "Internal server error"
    assert asked.requests == []


# What comes back


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        pytest.param((200, {}, b"hi"), "hi", id="200"),
        pytest.param((500, {}, b"broken"), "broken", id="any status is delivered"),
        pytest.param((200, {}, b""), "", id="an empty body is an empty frame"),
        pytest.param((200, {}, b"a\xffb"), "a\ufffdb", id="what is not UTF-8 is replaced"),
        pytest.param((200, {"Content-Type": "application/octet-stream"}, b"hi"), "hi", id="text is answered by text"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hi", id="in chunks"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", "hi", id="and good-bye"),
    ],
)
async def test_a_two_way_route_replies(running: Gateway, asked: Backend, answer: Any, reply: str) -> None:
    asked.answers("/echo", answer)
    async with connect(running.ws()) as client:
        await client.send("question")

        assert await heard(client) == reply


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_content_is_no_reply(running: Gateway, asked: Backend, status: int) -> None:
    asked.answers("/other", (status, {}, b""))
    asked.answers("/echo", lambda request: (status, {}, b"") if request.body == b"first" else (200, {}, request.body))
    async with connect(running.ws("/execute-api/ordered/dev")) as client:
        await client.send("first")
        await client.send("second")

        assert await heard(client) == "second"


async def test_a_one_way_route_never_replies(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws("/execute-api/ordered/dev")) as client:
        await client.send('{"action": "one-way"}')
        await client.send("two-way")

        assert await heard(client) == "two-way"
    assert asked.count("/echo") == 2


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [("", bytes), ("application/octet-stream", bytes), ("application/json", str), ("text/plain; charset=utf-8", str)],
)
async def test_a_binary_message_is_answered_in_kind(
    running: Gateway, asked: Backend, content_type: str, kind: type
) -> None:
    asked.answers("/echo", (200, {"Content-Type": content_type} if content_type else {}, b"hi"))
    async with connect(running.ws()) as client:
        await client.send(b"\x00\xff")

        assert type(await heard(client)) is kind
    said = await asked.saw("/echo")
    assert (said.body, said.header("content-type")) == (b"\x00\xff", "application/octet-stream")


# Backends that fail


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="nothing, and closes"),
        pytest.param(b"garbage\r\n\r\n", id="garbage"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", id="two lengths"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="two framings"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="a chunk of no size"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", id="a 101"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", id="an endless header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_100_000, id="too large a body"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="TLS"),
    ],
)
async def test_a_hostile_answer_is_an_error_and_harms_nobody(running: Gateway, asked: Backend, answer: Any) -> None:
    asked.answers("/hostile", answer)
    async with connect(running.ws()) as client:
        await client.send('{"action": "hostile"}')
        assert await told(client) == "Internal server error"

        await client.send("still there?")
        assert await heard(client) == "still there?"
    assert asked.count("/hostile") == 1, "a call that was sent is never sent again"


async def test_bytes_behind_an_answer_are_no_answer_to_somebody_else(running: Gateway, asked: Backend) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    asked.answers("/hostile", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" + poison)
    async with connect(running.ws("/execute-api/ordered/dev")) as client:
        await client.send('{"action": "hostile"}')
        await client.send("question")

        assert "poison" not in [await heard(client), await heard(client)]


@pytest.mark.parametrize("action", ["refused", "metadata"])
async def test_what_can_not_be_reached_is_an_error_at_once(running: Gateway, action: str) -> None:
    async with connect(running.ws()) as client:
        await client.send(f'{{"action": "{action}"}}')

        assert await told(client) == "Internal server error"


@pytest.mark.parametrize("action", ["slow", "slow-one-way"])
async def test_a_slow_backend_is_a_time_out(running: Gateway, asked: Backend, action: str) -> None:
    asked.answers("/slow", _never)
    async with connect(running.ws()) as client:
        await client.send(f'{{"action": "{action}"}}')

        assert await told(client) == "Endpoint request timed out"
        await client.send("still there?")
        assert await heard(client) == "still there?"


async def _never(request: Request) -> None:
    await asyncio.get_running_loop().create_future()


async def test_over_its_cap_an_integration_is_unavailable(running: Gateway, asked: Backend) -> None:
    go = asyncio.Event()

    async def wait(request: Request) -> Any:
        await go.wait()
        return 200, {}, b"at last"

    asked.answers("/capped", wait)
    async with connect(running.ws()) as client:
        await client.send('{"action": "capped"}')
        await asked.saw("/capped")
        await client.send('{"action": "capped"}')
        assert await told(client) == "Service Unavailable"
        await client.send('{"action": "capped-too"}')
        assert await told(client) == "Service Unavailable", "one cap for all routes of the integration"
        go.set()
        assert await heard(client) == "at last"
        await client.send('{"action": "capped"}')
        assert await heard(client) == "at last"
    assert asked.count("/capped") == 2


async def test_the_gateways_own_ports_are_never_called(running: Gateway, tmp_path: Path) -> None:
    """A gateway that called itself could push to any of its clients."""
    lines = """
apis:
  loop:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      public: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://localhost:{public}/"}}}}
      internal: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{internal}/livez"}}}}
"""
    async with gateway(lines.format(public=1024, internal=1024), tmp_path, verb="dev") as own:
        (tmp_path / "routes.yaml").write_text(lines.format(public=own.port, internal=own.internal_port))
        own.reload()
        await own.logged("definition deployed")
        async with connect(own.ws()) as client:
            for action in ("public", "internal"):
                await client.send(f'{{"action": "{action}"}}')
                frame = json.loads(await heard(client))

                assert frame["message"] == "Internal server error"
                assert "the gateway's own ports are never called" in frame["reason"]


async def test_the_address_the_gateway_saw_ends_x_forwarded_for(asked: Backend, tmp_path: Path) -> None:
    """Also behind a trusted proxy: each hop appends whom it heard, so the backend can count them."""
    definition = DEFINITION.format(port=asked.port)
    claims = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    async with (
        gateway(definition, tmp_path, "--trusted-proxies", "127.0.0.0/8") as own,
        connect(own.ws(), additional_headers=claims) as client,
    ):
        await client.send("hello")
        assert await heard(client) == "hello"
    request = await asked.saw("/echo")
    assert request.header("x-forwarded-for") == "6.6.6.6, 203.0.113.7, 127.0.0.1"


async def test_a_backend_that_comes_back_is_called_again(tmp_path: Path) -> None:
    asked = Backend()
    await asked.start()
    port = asked.port
    async with gateway(DEFINITION.format(port=port), tmp_path) as running, connect(running.ws()) as client:
        await client.send("one")
        assert await heard(client) == "one"
        asked.stop()
        await client.send("two")
        assert await told(client) == "Internal server error"
        again = Backend()
        await again.start(port)
        await client.send("three")
        assert await heard(client) == "three"
        again.stop()
    assert [request.body for request in again.requests] == [b"three"]


async def test_a_call_to_a_backend_that_a_reload_no_longer_names_is_answered(asked: Backend, tmp_path: Path) -> None:
    """But only when the calls that run there are answered."""
    lines = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/{path}"}}
        routeResponse: true
"""
    go = asyncio.Event()

    async def wait(request: Request) -> Any:
        await go.wait()
        return 200, {}, b"at last"

    asked.answers("/slow", wait)
    async with gateway(lines.format(port=asked.port, path="slow"), tmp_path) as own, connect(own.ws()) as client:
        await client.send("running")
        await asked.saw("/slow")
        (tmp_path / "routes.yaml").write_text(lines.format(port=1024, path="").replace("$default", "say"))
        own.reload()
        await own.logged("definition deployed")
        go.set()
        assert await heard(client) == "at last"
        await client.send('{"action": "say"}')
        assert await told(client) == "Internal server error"


async def test_failures_are_counted_by_kind(running: Gateway, asked: Backend) -> None:
    asked.answers("/hostile", None)
    before = await running.metrics()
    async with connect(running.ws()) as client:
        for action in ("refused", "hostile"):
            await client.send(f'{{"action": "{action}"}}')
            await heard(client)
    after = await running.metrics()

    for kind in ("unreachable", "bad_answer"):
        sample = f'wsgateway_integration_failures_total{{kind="{kind}"}}'
        assert after[sample] == before[sample] + 1
    assert after["wsgateway_unexpected_errors_total"] == 0


# Concurrency and order


class Held:
    """Answers with the message, one at a time as the test says."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(0)

    async def __call__(self, request: Request) -> Any:
        await self.turns.acquire()
        return 200, {}, request.body


@pytest.mark.parametrize(("api", "most"), [("chat", 64), ("narrow", 4)])
async def test_so_many_messages_of_a_connection_are_in_flight(
    running: Gateway, asked: Backend, api: str, most: int
) -> None:
    held = Held()
    asked.answers("/held", held)
    async with connect(running.ws(f"/execute-api/{api}/dev")) as client:
        for number in range(most + 1):
            await client.send(f'{{"action": "held", "n": {number}}}')
        await asked.saw("/held", most)
        # Somebody else is served meanwhile, and after that the last one is still not begun.
        async with connect(running.ws()) as other:
            await other.send('{"action": "refused"}')
            await heard(other)
        assert asked.count("/held") == most
        held.turns.release()
        await asked.saw("/held", most + 1)
        for _ in range(most):
            held.turns.release()
        replies = {json.loads(await heard(client))["n"] for _ in range(most + 1)}
    assert replies == set(range(most + 1)), "each message is answered once"
    assert asked.count("/held") == most + 1, "and called once"


async def test_a_fast_answer_overtakes_a_slow_one(running: Gateway, asked: Backend) -> None:
    held = Held()
    asked.answers("/held", held)
    async with connect(running.ws()) as client:
        await client.send('{"action": "held"}')
        await client.send("fast")

        assert await heard(client) == "fast"
        held.turns.release()
        assert await heard(client) == '{"action": "held"}'


async def test_sequential_messages_reach_the_backend_one_by_one_in_order(running: Gateway, asked: Backend) -> None:
    at_work = 0
    most = 0

    async def work(request: Request) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return 200, {}, request.body

    asked.answers("/echo", work)
    sent = [str(number) for number in range(200)]
    async with connect(running.ws("/execute-api/ordered/dev")) as client:
        for message in sent:
            await client.send(message)
        replies = [await heard(client) for _ in sent]

    assert replies == sent
    assert [request.body.decode() for request in asked.requests] == sent
    assert most == 1


async def test_in_the_aws_profile_binary_messages_end_the_connection(running: Gateway) -> None:
    async with connect(running.ws("/execute-api/strict/dev")) as client:
        await client.send(b"\x00")
        await client.wait_closed()

        assert (client.close_code, client.close_reason) == (1003, "Binary is not supported")
