"""`$connect` and `$disconnect` with an HTTP backend (API Gateway developer guide, "Manage connected users and client
apps: $connect and $disconnect routes")."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.harness import PATIENCE, Backend, Gateway, Request, backend, closed, gateway, handshake, heard, http

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    limits: {{maxMessageBytes: 1024}}
    stages: {{dev: {{}}}}
    integrations:
      connect: &call
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/connect
        requestParameters: &facts
          integration.request.header.Connection-Id: context.connectionId
          integration.request.header.Event: context.eventType
          integration.request.header.Code: context.disconnectStatusCode
          integration.request.header.Reason: context.disconnectReason
          integration.request.header.Request-Id: context.requestId
      message:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/message
        requestParameters: *facts
      disconnect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/disconnect
        requestParameters: *facts
    routes:
      $connect: {{integration: connect}}
      $disconnect: {{integration: disconnect}}
      $default: {{integration: message, routeResponse: true}}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture
async def running(asked: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway(DEFINITION.format(port=asked.port), folder, "--drain-window", "0") as running:
        yield running


class Held:
    """A script that holds its answer until it is told to go on."""

    def __init__(self, answer: object = (200, {}, b"")) -> None:
        self.go = asyncio.Event()
        self._answer = answer

    async def __call__(self, request: Request) -> object:
        await self.go.wait()
        return self._answer


def connection_id(request: Request) -> str:
    found = request.header("connection-id")
    assert found is not None
    return found


async def test_a_connection_begins_and_ends_with_one_call_each(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws("/dev?token=a&token=b"), origin=None, user_agent_header="tests/1") as client:
        await client.send("hello")
        assert await heard(client) == "hello"
        await client.close(4001, "done here")
    ended = await asked.saw("/disconnect")

    begun = await asked.saw("/connect")
    assert (begun.method, begun.target, begun.body) == ("POST", "/connect?token=a&token=b", b"")
    assert begun.header("user-agent") == "tests/1"
    assert begun.header("content-length") == "0"
    said = await asked.saw("/message")
    assert len({connection_id(one) for one in (begun, said, ended)}) == 1
    assert len({one.header("request-id") for one in (begun, said, ended)}) == 3
    assert [one.header("event") for one in (begun, said, ended)] == ["CONNECT", "MESSAGE", "DISCONNECT"]
    assert (ended.header("code"), ended.header("reason")) == ("4001", "done here")
    assert (ended.body, ended.header("content-length")) == (b"", "0")
    assert (asked.count("/connect"), asked.count("/disconnect")) == (1, 1)


async def test_the_backend_chooses_the_subprotocol(running: Gateway, asked: Backend) -> None:
    asked.answers("/connect", (200, {"Sec-WebSocket-Protocol": "v2"}, b""))

    async with connect(running.ws(), subprotocols=[Subprotocol("v1"), Subprotocol("v2")]) as client:
        assert client.subprotocol == "v2"


async def test_the_backend_refuses_in_its_own_words(running: Gateway, asked: Backend) -> None:
    asked.answers("/connect", (402, {"Content-Type": "text/plain"}, b"pay first"))

    with pytest.raises(InvalidStatus) as refusal:
        await connect(running.ws())

    assert refusal.value.response.status_code == 402
    assert refusal.value.response.body == b"pay first"
    # The next one is let in and says good-bye; the refused one never did.
    asked.answers("/connect", (200, {}, b""))
    async with connect(running.ws()):
        pass
    assert connection_id(await asked.saw("/disconnect")) == connection_id(await asked.saw("/connect", 2))
    assert asked.count("/disconnect") == 1


async def test_a_connection_is_addressable_from_its_101_on_and_not_before(running: Gateway, asked: Backend) -> None:
    held = Held()
    asked.answers("/connect", held)
    opening = asyncio.ensure_future(_open(running))
    target = running.callback(connection_id(await asked.saw("/connect")))

    inside = await http(running.internal_port, "POST", target, b"too early")
    assert (inside.status, inside.header("x-amzn-errortype")) == (410, "GoneException")
    held.go.set()
    async with await opening as client:
        assert (await http(running.internal_port, "POST", target, b"welcome")).status == 200
        assert await heard(client) == "welcome"


async def _open(running: Gateway) -> ClientConnection:
    return await connect(running.ws())


async def test_a_message_during_connect_waits_for_it(running: Gateway, asked: Backend) -> None:
    """A client that doesn't wait for the 101 loses nothing, and $connect still comes first."""
    held = Held()
    asked.answers("/connect", held)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        mask = b"\0\0\0\0"
        writer.write(handshake() + b"\x81\x85" + mask + b"early")
        await asked.saw("/connect")
        assert asked.count("/message") == 0
        held.go.set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(7) == b"\x81\x05early"
        writer.close()
    assert (await asked.saw("/message")).body == b"early"


async def test_a_client_that_leaves_during_connect_gets_its_disconnect(running: Gateway, asked: Backend) -> None:
    """The backend said yes to a connection that will never be: it must hear of the end."""
    held = Held()
    asked.answers("/connect", held)
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(handshake())
    begun = await asked.saw("/connect")

    # A reset, which the gateway sees at once: TCP's answer to a close with linger 0.
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await _until(running, 'wsgateway_connects_total{result="499"}', held)

    ended = await asked.saw("/disconnect")
    assert connection_id(ended) == connection_id(begun)
    assert (ended.header("code"), ended.header("reason")) == ("1006", "Connection closed abnormally")
    target = running.callback(connection_id(begun))
    assert (await http(running.internal_port, "POST", target, b"hi")).status == 410


async def _until(running: Gateway, sample: str, held: Held) -> None:
    """Let the held answer go once the gateway has read what came before; wait for the sample to count one."""
    await running.metrics()
    held.go.set()
    async with asyncio.timeout(PATIENCE):
        while not (await running.metrics()).get(sample):
            pass


async def test_a_client_that_leaves_a_connect_that_says_no_is_nobody(running: Gateway, asked: Backend) -> None:
    held = Held((403, {}, b""))
    asked.answers("/connect", held)
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(handshake())
    await asked.saw("/connect")

    writer.transport.abort()
    await _until(running, 'wsgateway_connects_total{result="403"}', held)

    running.terminate()
    assert await running.wait() == 0
    assert asked.count("/disconnect") == 0


# The ends of a connection, as `$disconnect` hears of them


async def test_a_close_without_a_code(running: Gateway, asked: Backend) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(handshake() + b"\x88\x80\0\0\0\0")
    ended = await asked.saw("/disconnect")
    writer.close()

    assert (ended.header("code"), ended.header("reason")) == ("1005", "Client-side close frame status not set")


async def test_a_lost_connection(running: Gateway, asked: Backend) -> None:
    client = await connect(running.ws())
    client.transport.abort()

    ended = await asked.saw("/disconnect")
    assert (ended.header("code"), ended.header("reason")) == ("1006", "Connection closed abnormally")


async def test_a_delete(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws()) as client:
        target = running.callback(connection_id(await asked.saw("/connect")))
        await http(running.internal_port, "DELETE", target)
        assert await closed(client) == (1000, "Connection Closed Normally")

    ended = await asked.saw("/disconnect")
    assert (ended.header("code"), ended.header("reason")) == ("1000", "Connection Closed Normally")
    assert (await http(running.internal_port, "POST", target, b"hi")).status == 410


async def test_too_large_a_message(running: Gateway, asked: Backend) -> None:
    async with connect(running.ws()) as client:
        await client.send("x" * 1025)
        code, _ = await closed(client)

    assert code == 1009
    assert (await asked.saw("/disconnect")).header("code") == "1009"


async def test_disconnect_comes_after_the_last_message_in_flight(running: Gateway, asked: Backend) -> None:
    held = Held()
    asked.answers("/message", held)
    async with connect(running.ws()) as client:
        await client.send("last words")
        await asked.saw("/message")
    assert asked.count("/disconnect") == 0

    held.go.set()
    await asked.saw("/disconnect")
    assert [one.target for one in asked.requests] == ["/connect", "/message", "/disconnect"]


async def test_a_disconnect_that_fails_is_logged_and_harms_nobody(running: Gateway, asked: Backend) -> None:
    asked.answers("/disconnect", None)
    async with connect(running.ws()):
        pass
    assert '"route":"$disconnect"' in await running.logged("integration fails")

    async with connect(running.ws()) as client:
        await client.send("hello")
        assert await heard(client) == "hello"
