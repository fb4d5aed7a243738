"""Leaving without breaking a promise: SIGTERM, SIGINT, and the impatient second signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.harness import (
    PATIENCE,
    Backend,
    Request,
    backend,
    closed,
    gateway,
    handshake,
    heard,
    http,
    parse_answer,
    raw,
)

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      message:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/message
      disconnect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/disconnect
        requestParameters:
          integration.request.header.Code: context.disconnectStatusCode
          integration.request.header.Reason: context.disconnectReason
      connect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/connect
    routes:
      $connect: {{integration: connect}}
      $disconnect: {{integration: disconnect}}
      $default: {{integration: message, routeResponse: true}}
"""


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


class Held:
    """Answers when it is told to go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, request: Request) -> Any:
        await self.go.wait()
        return 200, {}, request.body


@pytest.mark.parametrize("window", ["0", "0.3"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_everybody_is_told_to_go_and_everybodys_disconnect_runs(
    asked: Backend, tmp_path: Path, window: str, number: signal.Signals
) -> None:
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", window) as running:
        clients = [await connect(running.ws()) for _ in range(20)]

        running.process.send_signal(number)

        assert {await closed(client) for client in clients} == {(1001, "Going away")}
        assert await running.wait() == 0
    ended = [request for request in asked.requests if request.target == "/disconnect"]
    assert len(ended) == 20
    assert {(one.header("code"), one.header("reason")) for one in ended} == {("1001", "Going away")}


async def test_a_draining_gateway_is_not_ready_and_takes_no_handshake(asked: Backend, tmp_path: Path) -> None:
    held = Held()
    asked.answers("/disconnect", held)
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", "0") as running:
        client = await connect(running.ws())
        running.terminate()
        await running.logged("draining")

        probe = await http(running.internal_port, "GET", "/readyz")
        assert (probe.status, probe.body) == (503, b"draining\n")
        assert (await http(running.internal_port, "GET", "/livez")).status == 200
        refused = parse_answer(await raw(running.port, handshake()))
        assert (refused.status, refused.body) == (503, b'{"message":"Service Unavailable"}')
        assert refused.header("connection") == "close"
        assert 1 <= int(refused.header("retry-after") or 0) <= 5
        assert (await running.metrics())["wsgateway_draining"] == 1

        assert await closed(client) == (1001, "Going away")
        await asked.saw("/disconnect")
        assert running.process.returncode is None, "it waits for its last $disconnect"
        held.go.set()
        assert await running.wait() == 0
    assert asked.count("/connect") == 1, "a refused handshake calls nobody"


async def test_a_reply_in_flight_arrives_before_the_close(asked: Backend, tmp_path: Path) -> None:
    held = Held()
    asked.answers("/message", held)
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", "3") as running:
        async with connect(running.ws()) as client:
            await client.send("the last question")
            await asked.saw("/message")
            running.terminate()
            await running.logged("draining")
            held.go.set()

            assert await heard(client) == "the last question"
            assert await closed(client) == (1001, "Going away")
        assert await running.wait() == 0
    assert [request.target for request in asked.requests] == ["/connect", "/message", "/disconnect"]


@pytest.mark.parametrize("window", ["0", "1"])
async def test_an_integration_that_outlives_the_window_is_waited_for_before_disconnect(
    asked: Backend, tmp_path: Path, window: str
) -> None:
    held = Held()
    asked.answers("/message", held)
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", window) as running:
        async with connect(running.ws()) as client:
            await client.send("slow")
            await asked.saw("/message")
            running.terminate()
            assert await closed(client) == (1001, "Going away")
        assert asked.count("/disconnect") == 0
        held.go.set()
        await asked.saw("/disconnect")
        assert await running.wait() == 0


async def test_a_handshake_that_was_let_in_before_is_finished_and_then_closed(asked: Backend, tmp_path: Path) -> None:
    held = Held()
    asked.answers("/connect", held)
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", "0") as running:
        opening = asyncio.ensure_future(_open(running.ws()))
        await asked.saw("/connect")
        running.terminate()
        await running.logged("draining")
        held.go.set()

        client = await opening
        assert await closed(client) == (1001, "Going away")
        assert await running.wait() == 0
    assert asked.count("/disconnect") == 1


async def _open(url: str) -> Any:
    return await connect(url)


async def test_pushes_go_on_while_connections_are_left(asked: Backend, tmp_path: Path) -> None:
    definition = DEFINITION.format(port=asked.port)
    held = Held()
    asked.answers("/message", held)
    async with gateway(definition, tmp_path, "--drain-window", "3") as running:
        async with connect(running.ws()) as client:
            items = (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]
            target = running.callback(items[0]["connectionId"])
            await client.send("question")  # as long as it runs, the connection stays
            await asked.saw("/message")
            running.terminate()
            await running.logged("draining")

            assert (await http(running.internal_port, "POST", target, b"pushed")).status == 200
            assert await heard(client) == "pushed"
            held.go.set()
            assert await heard(client) == "question"
            assert await closed(client) == (1001, "Going away")
        assert await running.wait() == 0


async def test_idle_http_connections_are_closed_at_once(asked: Backend, tmp_path: Path) -> None:
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", "25") as running:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.internal_port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
            await reader.readuntil(b"ok\n")
            running.terminate()
            assert await reader.read() == b""
            writer.close()
        assert await running.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(asked: Backend, tmp_path: Path, second: signal.Signals) -> None:
    asked.answers("/disconnect", Held())
    definition = DEFINITION.format(port=asked.port)
    async with gateway(definition, tmp_path, "--drain-window", "25") as running:
        client = await connect(running.ws())
        running.terminate()
        await running.logged("draining")

        running.process.send_signal(second)

        assert await running.wait() == 1
        await running.logged("leaving at once")
        client.transport.abort()


async def test_nobody_connected_nobody_waited_for(asked: Backend, tmp_path: Path) -> None:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "25") as running:
        running.terminate()

        assert await running.wait() == 0
