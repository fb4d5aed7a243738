"""Pushes as backends make them: the URL an event brings leads back to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from tests.harness import Backend, Request, backend, gateway, heard, http, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
defaultApi: chat
apis:
  chat: &chat
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        routeResponse: true
        integration:
          integrationType: HTTP_PROXY
          integrationUri: http://127.0.0.1:{port}/message
          requestParameters:
            integration.request.header.Url: context.callbackUrl
            integration.request.header.Domain: context.domainName
            integration.request.header.Stage: context.stage
            integration.request.header.Connection-Id: context.connectionId
            integration.request.header.Source: context.identity.sourceIp
  second: *chat
"""


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


def said(request: Request, name: str) -> str:
    value = request.header(name)
    assert value is not None
    return value


async def pushed(request: Request, body: bytes) -> int:
    """POST to the event's callback URL as it stands; the answer's status."""
    url = urlsplit(said(request, "url"))
    assert (url.scheme, url.hostname) == ("http", "127.0.0.1")
    assert url.port is not None
    return (await http(url.port, "POST", url.path, body)).status


@pytest.mark.parametrize("stage", ["/dev", "/execute-api/second/dev"])
@pytest.mark.parametrize("flags", [[], ["--callback-auth", "none"]], ids=["internal", "public"])
async def test_the_callback_url_of_an_event_is_directly_usable(
    asked: Backend, tmp_path: Path, stage: str, flags: list[str]
) -> None:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, *flags) as running:
        async with connect(running.ws(stage)) as client:
            await client.send("hello")
            assert await heard(client) == "hello"
            request = await asked.saw("/message")

            assert await pushed(request, b"pushed") == 200
            assert await heard(client) == "pushed"
        port = urlsplit(said(request, "url")).port
        assert port == (running.port if flags else running.internal_port)


@pytest.mark.parametrize("stage", ["/dev", "/execute-api/second/dev"])
async def test_an_endpoint_composed_of_domain_name_and_stage_works(asked: Backend, tmp_path: Path, stage: str) -> None:
    """What unmodified handlers do: `{domainName}/{stage}` is the SDK's endpoint."""
    async with (
        gateway(DEFINITION.format(port=asked.port), tmp_path, "--callback-auth", "none") as running,
        connect(running.ws(stage)) as client,
    ):
        await client.send("hello")
        await heard(client)
        request = await asked.saw("/message")
        endpoint = urlsplit(f"http://{said(request, 'domain')}/{said(request, 'stage')}")
        assert endpoint.port == running.port

        target = f"{endpoint.path}/@connections/{said(request, 'connection-id')}"
        assert (await http(running.port, "POST", target, b"pushed")).status == 200
        assert await heard(client) == "pushed"


async def test_a_backend_pushes_before_it_answers(asked: Backend, tmp_path: Path) -> None:
    """A connection is addressable before its first message reaches any backend, so pushes come before the reply."""

    async def push_first(request: Request) -> Any:
        for number in range(3):
            assert await pushed(request, b"%d" % number) == 200
        return 200, {}, b"reply"

    asked.answers("/message", push_first)
    async with gateway(DEFINITION.format(port=asked.port), tmp_path) as running, connect(running.ws()) as client:
        await client.send("hello")

        assert [await heard(client) for _ in range(4)] == ["0", "1", "2", "reply"]


async def test_a_broadcast_reaches_each_connection_once_and_in_order(asked: Backend, tmp_path: Path) -> None:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path) as running:
        clients = [await connect(running.ws()) for _ in range(10)]
        for number, client in enumerate(clients):
            await client.send(str(number))
            await heard(client)
        targets = {request.body: request for request in asked.requests}

        async def speak(name: bytes) -> None:
            for number in range(20):
                assert await pushed(targets[name], name + b":%d" % number) == 200

        await asyncio.gather(*(speak(name) for name in targets))
        for number, client in enumerate(clients):
            assert [await heard(client) for _ in range(20)] == [f"{number}:{one}" for one in range(20)]
        samples = await running.metrics()
        assert samples['wsgateway_pushes_total{status="200"}'] == 200
        for client in clients:
            await client.close()


@pytest.mark.parametrize(
    ("flags", "domain", "url"),
    [
        pytest.param(
            ["--callback-domain", "push.example:8443"], "push.example:8443", "http://127.0.0.1:", id="--callback-domain"
        ),
        pytest.param(["--advertise", "gw.internal"], "", "http://gw.internal:{port}/", id="--advertise HOST"),
        pytest.param(["--advertise", "gw.internal:99"], "", "http://gw.internal:99/", id="--advertise HOST:PORT"),
    ],
)
async def test_an_operator_says_where_callbacks_go(
    asked: Backend, tmp_path: Path, flags: list[str], domain: str, url: str
) -> None:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, *flags) as running:
        async with connect(running.ws()) as client:
            await client.send("hello")
            await heard(client)
        request = await asked.saw("/message")

        assert said(request, "domain") == (domain or f"127.0.0.1:{running.port}")
        assert said(request, "url").startswith(url.format(port=running.internal_port))
        assert said(request, "url").endswith(
            f"/execute-api/chat/dev/@connections/{said(request, 'connection-id').replace('=', '%3D')}"
        )


async def test_only_a_trusted_proxy_says_where_a_client_came_from(asked: Backend, tmp_path: Path) -> None:
    definition = DEFINITION.format(port=asked.port)
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "chat.example", "X-Forwarded-Proto": "https"}
    for number, flags in enumerate(([], ["--trusted-proxies", "127.0.0.0/8"]), start=1):
        async with gateway(definition, tmp_path, *flags) as running:
            async with connect(running.ws(), additional_headers=headers) as client:
                await client.send("hello")
                await heard(client)
            request = await asked.saw("/message", number)

            assert said(request, "source") == ("203.0.113.7" if flags else "127.0.0.1")
            assert said(request, "domain") == ("chat.example" if flags else f"127.0.0.1:{running.port}")
            assert said(request, "x-forwarded-proto") == ("https" if flags else "http")
            # What the client said stays, what the gateway saw comes last.
            assert said(request, "x-forwarded-for").split(", ")[0] == "203.0.113.7"


async def test_the_internal_listener_opens_no_websocket(asked: Backend, tmp_path: Path) -> None:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path) as running:
        head = (
            "GET /dev HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert parse_answer(await raw(running.internal_port, head.encode())).status == 403
