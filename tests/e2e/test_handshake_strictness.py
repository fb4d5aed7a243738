"""The opening handshake in raw bytes: what is refused, and what happens to frames that come too early."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness import Backend, Gateway, Request, backend, gateway, http, parse_answer
from tests.wire import frame, text, wire

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    messageOrdering: SEQUENTIAL
    limits: {{maxMessageBytes: 65536, integrationTimeoutMillis: 20000}}
    stages: {{dev: {{}}}}
    routes:
      $connect: {{integration: connect}}
      $disconnect: {{integration: disconnect}}
      $default: {{integration: echo, routeResponse: true}}
    integrations:
      connect: {{integrationType: HTTP_PROXY, integrationMethod: POST, integrationUri: "http://127.0.0.1:{port}/connect"}}
      disconnect:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:{port}/disconnect
        requestParameters: {{integration.request.header.code: context.disconnectStatusCode}}
      echo: {{integrationType: HTTP_PROXY, integrationMethod: POST, integrationUri: "http://127.0.0.1:{port}/echo"}}
"""


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture(scope="module")
async def running(service: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=service.port), tmp_path_factory.mktemp("handshake")) as running:
        yield running


@pytest.fixture(autouse=True)
def says_yes(service: Backend) -> None:
    service.answers("/connect", (200, {}, b""))


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
GOOD = ("Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", KEY, VERSION)


def request(*lines: str, line: str = "GET /dev HTTP/1.1") -> bytes:
    return "\r\n".join((line, *lines, "", "")).encode("latin-1")


def but(*changed: str, without: str = "", more: tuple[str, ...] = ()) -> bytes:
    """A good handshake but for lines of the same name."""
    names = {name.partition(":")[0] for name in changed} | ({without} if without else set())
    return request(*(line for line in GOOD if line.partition(":")[0] not in names), *changed, *more)


@pytest.mark.parametrize(
    "handshake",
    [
        pytest.param(request(*GOOD), id="plain"),
        pytest.param(but("Connection: keep-alive, Upgrade"), id="as Firefox sends it"),
        pytest.param(but("Connection: keep-alive", more=("Connection: upgrade",)), id="Connection in two fields"),
        pytest.param(but("Upgrade: WebSocket", "Connection: UPGRADE"), id="other cases"),
        pytest.param(but(more=("Content-Length: 0",)), id="a body of no bytes"),
        pytest.param(but(more=("Sec-WebSocket-Extensions: permessage-deflate",)), id="an offer of compression"),
        pytest.param(but(more=("Origin: https://any.example",)), id="any origin"),
        pytest.param(request(*GOOD, line="GET /dev?a=b HTTP/1.1"), id="with a query"),
        pytest.param(request(*GOOD, line="GET http://127.0.0.1/dev HTTP/1.1"), id="in absolute form"),
    ],
)
async def test_a_good_handshake_is_answered_with_101(handshake: bytes, running: Gateway) -> None:
    """The accept value is the example of RFC 6455 §1.3; no extension is ever taken up, as on AWS."""
    async with wire(running.port) as client:
        await client.send(handshake)
        answer = await client.head()

        assert answer.status == 101
        assert answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert answer.header("upgrade") == "websocket"
        assert answer.header("connection") == "Upgrade"
        assert answer.header("sec-websocket-extensions") is None
        assert answer.header("sec-websocket-protocol") is None
        await client.send(text("hello"))
        assert await client.text() == "hello"


MALFORMED = [
    pytest.param(but("Sec-WebSocket-Version: 8"), 426, id="version 8"),
    pytest.param(but("Sec-WebSocket-Version: 14"), 426, id="version 14"),
    pytest.param(but("Sec-WebSocket-Version: 13, 8"), 426, id="a list of versions"),
    pytest.param(but("Sec-WebSocket-Version: "), 426, id="an empty version"),
    pytest.param(but(without="Sec-WebSocket-Version"), 400, id="no version"),
    pytest.param(but(more=(VERSION,)), 400, id="two versions"),
    pytest.param(but(without="Sec-WebSocket-Key"), 400, id="no key"),
    pytest.param(but(more=(KEY,)), 400, id="two keys"),
    pytest.param(but("Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="), 400, id="a short key"),
    pytest.param(but("Sec-WebSocket-Key: " + base64.b64encode(b"x" * 17).decode()), 400, id="a long key"),
    pytest.param(but("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), 400, id="a key without padding"),
    pytest.param(but("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x"), 400, id="a key with more behind it"),
    pytest.param(but("Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ=="), 400, id="a key that is not base64"),
    pytest.param(but("Sec-WebSocket-Key:"), 400, id="an empty key"),
    pytest.param(but(without="Host"), 400, id="no host"),
    pytest.param(but(more=("Host: 127.0.0.1",)), 400, id="two hosts"),
    pytest.param(but(without="Connection"), 400, id="no Connection"),
    pytest.param(but("Connection: keep-alive"), 400, id="Connection without upgrade"),
    pytest.param(but("Connection: upgraded"), 400, id="almost upgrade"),
    pytest.param(but("Upgrade: h2c, websocket"), 400, id="two protocols"),
    pytest.param(but(more=("Upgrade: websocket",)), 400, id="Upgrade twice"),
    pytest.param(but(more=("Content-Length: 5",)) + b"hello", 400, id="a body"),
    pytest.param(but(more=("Content-Length: 500",)), 400, id="a body that does not come"),
    pytest.param(but(more=("Transfer-Encoding: chunked",)) + b"0\r\n\r\n", 400, id="a chunked body"),
    pytest.param(but(more=("Content-Length: 0", "Transfer-Encoding: chunked")), 400, id="two framings"),
    pytest.param(request(*GOOD, line="GET /dev HTTP/1.0"), 400, id="HTTP/1.0"),
    pytest.param(request(*GOOD, line="POST /dev HTTP/1.1"), 400, id="POST"),
    pytest.param(request(*GOOD, line="HEAD /dev HTTP/1.1"), 400, id="HEAD"),
    pytest.param(request(*GOOD, line="OPTIONS /dev HTTP/1.1"), 400, id="OPTIONS"),
    pytest.param(request(*GOOD, line=f"GET /dev?{'a' * 4092} HTTP/1.1"), 414, id="a URL over 4,096 bytes"),
    pytest.param(but(more=tuple(f"X-{index}: y" for index in range(124))), 431, id="129 header fields"),
    pytest.param(but("Upgrade: h2c"), 403, id="another protocol is ignored: an ordinary request"),
]


@pytest.mark.parametrize(("handshake", "status"), MALFORMED)
async def test_a_malformed_handshake_gets_no_101_and_no_connect(
    handshake: bytes, status: int, running: Gateway, service: Backend
) -> None:
    """What is behind it is read neither as a request nor as frames."""
    before = service.count("/connect")
    async with wire(running.port) as client:
        await client.send(handshake + text("hello") + request(*GOOD))
        answer = await client.answer("HEAD" if handshake.startswith(b"HEAD") else "GET")

        assert answer.status == status
        if status == 426:
            # RFC 6455 §4.4: the answer names the version understood.
            assert answer.header("sec-websocket-version") == "13"
            assert answer.header("upgrade") == "websocket"
        if status != 403:
            assert answer.header("connection") == "close"
        rest = await client.closed()
        assert b" 101 " not in rest
        assert (b"HTTP/1.1 " in rest) is (status == 403)  # only there were the frames read: as a malformed request
    assert service.count("/connect") == before


async def test_the_longest_url_is_4096_bytes(running: Gateway) -> None:
    async with wire(running.port) as client:
        await client.send(request(*GOOD, line=f"GET /dev?{'a' * 4091} HTTP/1.1"))

        assert (await client.head()).status == 101


async def test_a_handshake_may_follow_other_requests(running: Gateway) -> None:
    """RFC 9112 §9.3: a connection is used again; here even in one write, frames and all."""
    ordinary = b"GET /dev/@connections/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with wire(running.port) as client:
        await client.send(ordinary + ordinary + request(*GOOD) + text("early"))
        for _ in range(2):
            assert (await client.answer()).status == 400
        assert (await client.head()).status == 101
        assert await client.text() == "early"


async def test_a_handshake_may_come_byte_by_byte(running: Gateway) -> None:
    data = request(*GOOD) + text("early")
    async with wire(running.port) as client:
        for index in range(len(data)):
            await client.send(data[index : index + 1])
        assert (await client.head()).status == 101
        assert await client.text() == "early"


class Gate:
    """A $connect backend that answers when it is told to."""

    def __init__(self, service: Backend, answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")) -> None:
        self.opened = asyncio.Event()
        self.answer = answer
        self.before = service.count("/connect")
        self.service = service
        service.answers("/connect", self)

    async def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        await self.opened.wait()
        return self.answer

    async def asked(self) -> Request:
        return await self.service.saw("/connect", self.before + 1)


async def test_frames_before_the_101_are_delivered_behind_it_in_order(running: Gateway, service: Backend) -> None:
    """Plain ones, fragments with a ping between, cut anywhere; the client's close comes last."""
    gate = Gate(service)
    before = service.count("/echo")
    frames = b"".join(
        (
            text("one"),
            frame(0x01, b"t"),
            frame(0x89, b"ping"),
            frame(0x80, b"wo"),
            text("three"),
            frame(0x88, b"\x0f\xa0bye"),
        )
    )
    async with wire(running.port) as client:
        await client.send(request(*GOOD) + frames[:7])
        await gate.asked()
        for index in range(7, len(frames), 5):
            await client.send(frames[index : index + 5])
        gate.opened.set()

        assert (await client.head()).status == 101
        seen = [await client.frame()]
        while seen[-1][0] != 0x88:
            seen.append(await client.frame())
        assert (0x8A, b"ping") in seen
        assert seen[-1] == (0x88, b"\x0f\xa0bye")
    assert [(await service.saw("/echo", before + index)).body for index in (1, 2, 3)] == [b"one", b"two", b"three"]


async def test_a_flood_while_connect_is_slow_waits_in_the_socket_and_loses_nothing(
    running: Gateway, service: Backend
) -> None:
    """The gateway keeps about one message; TCP holds back the rest, and the order stays."""
    gate = Gate(service)
    count = 3000
    padding = "x" * 8000
    async with wire(running.port) as client:
        client.writer.transport.set_write_buffer_limits(high=0)
        await client.send(request(*GOOD))
        await gate.asked()
        client.writer.write(b"".join(text(f"{index} {padding}") for index in range(count)))
        # 24 MB: more than both sockets' buffers; so the gateway reads no further, and stays as small as it is.
        await http(running.internal_port, "GET", "/livez")
        assert client.writer.transport.get_write_buffer_size() > 1 << 20
        gate.opened.set()

        assert (await client.head()).status == 101
        for index in range(count):
            assert (await client.text()).partition(" ")[0] == str(index)


async def test_a_refused_handshake_stays_readable_behind_a_flood(running: Gateway, service: Backend) -> None:
    gate = Gate(service, (403, {"Content-Type": "text/plain"}, b"not you"))
    echoed = service.count("/echo")
    async with wire(running.port) as client:
        await client.send(request(*GOOD))
        await gate.asked()
        await client.send(text("x" * 4000) * 20)
        gate.opened.set()

        answer = await client.answer()
        assert (answer.status, answer.body) == (403, b"not you")
        assert await client.closed() == b""
    assert service.count("/echo") == echoed


@pytest.mark.parametrize("leave", ["end", "drop"])
async def test_a_client_that_left_before_the_101_is_told_of_to_disconnect(
    leave: str, running: Gateway, service: Backend
) -> None:
    """$connect said yes, so $disconnect runs; nothing stays behind."""
    gate = Gate(service)
    disconnects = service.count("/disconnect")
    async with wire(running.port) as client:
        await client.send(request(*GOOD))
        await gate.asked()
        getattr(client, leave)()
        while (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]:
            pass
        gate.opened.set()

        assert (await service.saw("/disconnect", disconnects + 1)).header("code") == "1006"
        assert b" 101 " not in await client.closed()


async def test_the_subprotocol_is_the_one_connect_chose(running: Gateway, service: Backend) -> None:
    service.answers("/connect", (200, {"Sec-WebSocket-Protocol": "v2"}, b""))
    async with wire(running.port) as client:
        answer = await client.upgrade(more="Sec-WebSocket-Protocol: v1, v2\r\n")

    assert answer.header("sec-websocket-protocol") == "v2"


async def test_a_refusal_is_the_gateways_own_words(running: Gateway) -> None:
    """One sentence in JSON, so that whoever debugs a client sees what is wrong."""
    async with wire(running.port) as client:
        await client.send(but(more=(KEY,)))
        answer = parse_answer(await client.closed())

    assert json.loads(answer.body) == {"message": "there must be one Sec-WebSocket-Key of 16 bytes in base64"}
