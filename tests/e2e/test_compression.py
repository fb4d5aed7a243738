"""permessage-deflate with real clients: `websockets`', Node's, and bytes of our own."""

from __future__ import annotations

import asyncio
import json
import socket
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.harness import (
    PATIENCE,
    Backend,
    Gateway,
    backend,
    closed,
    gateway,
    handshake,
    heard,
    http,
    parse_answer,
    raw,
)
from tests.node import node

pytestmark = pytest.mark.anyio

TAKEOVER = {"serverNoContextTakeover": False, "clientNoContextTakeover": False}
OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
COMPRESSIBLE = "hello " * 1000


def definition(port: int, compression: dict[str, Any] | None = None, **more: Any) -> str:
    """An API that echoes, but for messages of the action `nothing`: the gateway answers these by itself."""
    echo = {"integrationType": "HTTP_PROXY", "integrationUri": f"http://127.0.0.1:{port}/echo"}
    connecting = {"integrationType": "HTTP_PROXY", "integrationUri": f"http://127.0.0.1:{port}/connect"}
    api: dict[str, Any] = {
        "protocolType": "WEBSOCKET",
        "routeSelectionExpression": "$request.body.action",
        "messageOrdering": "SEQUENTIAL",
        "stages": {"dev": {}},
        "routes": {
            "$connect": {"integration": connecting},
            "$disconnect": {"integration": connecting | {"integrationUri": f"http://127.0.0.1:{port}/disconnect"}},
            "$default": {"integration": echo, "routeResponse": True},
            "nothing": {},
        },
    }
    if compression is not None:
        api["compression"] = compression
    return json.dumps({"apis": {"chat": api | more}})


@asynccontextmanager
async def serving(
    folder: Path, compression: dict[str, Any] | None = None, flags: Iterable[str] = (), **more: Any
) -> AsyncIterator[tuple[Gateway, Backend]]:
    async with backend() as asked, gateway(definition(asked.port, compression, **more), folder, *flags) as running:
        yield running, asked


async def echoes(client: ClientConnection, *messages: str | bytes) -> None:
    for message in messages:
        await client.send(message)
        assert await heard(client) == message


async def connection_id(client: ClientConnection) -> str:
    """From an error frame, for which no backend is asked."""
    await client.send('{"action": "nothing"}')
    return str(json.loads(await heard(client))["connectionId"])


async def compressed_out(running: Gateway) -> int:
    return int((await running.metrics())['wsgateway_compressed_messages_total{direction="out"}'])


@pytest.mark.parametrize("compression", [{}, TAKEOVER], ids=["each by itself", "context taken over"])
async def test_messages_of_every_kind_and_size_come_back(tmp_path: Path, compression: dict[str, Any]) -> None:
    async with serving(tmp_path, compression) as (running, _), connect(running.ws(), max_size=None) as client:
        await echoes(client, "short", COMPRESSIBLE, b"\0" * 5000, "grüß 👋" * 500, "", "x" * 300_000, COMPRESSIBLE)
        async with asyncio.timeout(PATIENCE):
            await (await client.ping())
        await client.send([COMPRESSIBLE, "in ", "pieces"])
        assert await heard(client) == COMPRESSIBLE + "in pieces"

        counted = await running.metrics()
        assert counted["wsgateway_compressed_connections_total"] == 1
        assert counted['wsgateway_compressed_messages_total{direction="in"}'] == 8
        assert counted['wsgateway_compressed_messages_total{direction="out"}'] == 5
        payload = counted['wsgateway_compressed_payload_bytes_total{direction="out"}']
        assert payload == 3 * len(COMPRESSIBLE) + 9 + 5000 + 500 * len("grüß 👋".encode())
        assert counted['wsgateway_compressed_bytes_total{direction="out"}'] < payload / 20


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        pytest.param(
            ClientPerMessageDeflateFactory(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=12; client_max_window_bits=12",
            id="as browsers offer it",
        ),
        pytest.param(
            ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=None),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
            id="with a window of its own",
        ),
        pytest.param(ClientPerMessageDeflateFactory(server_max_window_bits=8), None, id="what can't be met"),
        pytest.param(None, None, id="nothing"),
    ],
)
async def test_what_the_101_says(
    tmp_path: Path, offer: ClientPerMessageDeflateFactory | None, answer: str | None
) -> None:
    async with serving(tmp_path, {}) as (running, asked):
        asked.answers("/connect", (200, {"Sec-WebSocket-Protocol": "v2"}, b""))
        extensions = None if offer is None else [offer]
        async with connect(
            running.ws(),
            compression=None,
            extensions=extensions,
            subprotocols=["v1", "v2"],  # type: ignore[list-item]  # it is a NewType
        ) as client:
            assert client.response is not None
            assert client.response.headers.get("Sec-WebSocket-Extensions") == answer
            assert client.subprotocol == "v2"
            await echoes(client, COMPRESSIBLE, "short")
            assert await compressed_out(running) == (answer is not None)


@pytest.mark.parametrize("profile", ["aws", "open"])
async def test_without_the_setting_nothing_is_negotiated(tmp_path: Path, profile: str) -> None:
    async with serving(tmp_path, None, profile=profile) as (running, _), connect(running.ws()) as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        await echoes(client, COMPRESSIBLE)


async def test_a_malformed_offer_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    """RFC 6455 §9.1: the handshake fails."""
    async with serving(tmp_path, {}) as (running, asked):
        answer = parse_answer(
            await raw(running.port, handshake(more="Sec-WebSocket-Extensions: permessage-deflate; =\r\n"))
        )

        assert (answer.status, answer.json()) == (400, {"message": "Sec-WebSocket-Extensions is malformed"})
        assert asked.count("/connect") == 0
        assert (await running.metrics())['wsgateway_refused_total{kind="handshake_malformed"}'] == 1


async def test_pushes_are_compressed_and_bounded_as_ever(tmp_path: Path) -> None:
    limits = {"maxMessageBytes": 10_000}
    async with serving(tmp_path, {}, limits=limits) as (running, _), connect(running.ws()) as client:
        callback = running.callback(await connection_id(client))
        assert (await http(running.internal_port, "POST", callback, COMPRESSIBLE.encode())).status == 200
        assert await heard(client) == COMPRESSIBLE
        assert (await http(running.internal_port, "POST", f"{callback}?type=binary", b"\0" * 9000)).status == 200
        assert await heard(client) == b"\0" * 9000
        assert (await http(running.internal_port, "POST", callback, b"\0" * 10_001)).status == 413
        assert await compressed_out(running) == 2


async def test_a_push_that_does_not_fit_leaves_the_context_as_it_is(tmp_path: Path) -> None:
    """What is refused with 429 was never compressed: the client could not read on otherwise."""
    limits = {"outboxBytes": 200_000, "maxMessageBytes": 100_000}
    narrow = socket.socket()
    async with serving(tmp_path, TAKEOVER, limits=limits) as (running, _):
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", running.port))
        async with connect(running.ws(), sock=narrow, max_queue=1, ping_interval=None) as client:
            callback = running.callback(await connection_id(client))
            bodies: list[bytes] = []
            status = 200
            while status == 200:
                bodies.append(Random(len(bodies)).randbytes(90_000))
                status = (await http(running.internal_port, "POST", f"{callback}?type=binary", bodies[-1])).status
                assert len(bodies) < 500, "the outbox has no bound"
            assert status == 429
            for body in bodies[:-1]:
                assert await heard(client) == body
            await echoes(client, COMPRESSIBLE)


@pytest.mark.parametrize("compression", [{}, TAKEOVER], ids=["each by itself", "context taken over"])
async def test_a_bomb_is_1009_and_costs_no_more_than_a_message(tmp_path: Path, compression: dict[str, Any]) -> None:
    bomb = zlib.compressobj(wbits=-15)
    packed = bomb.compress(b"\0" * (256 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)[:-4]
    async with serving(tmp_path, compression) as (running, asked):
        before = _peak_kib(running.pid)
        frame = b"\xc2\xff" + len(packed).to_bytes(8, "big") + b"\0\0\0\0" + packed
        answer = await raw(running.port, handshake(more=OFFER) + frame)

        close = answer.partition(b"\r\n\r\n")[2]
        assert close[:1] == b"\x88"
        assert int.from_bytes(close[2:4], "big") == 1009
        assert _peak_kib(running.pid) - before < 16 * 1024
        assert asked.count("/echo") == 0


async def test_windows_are_given_back_at_once(tmp_path: Path) -> None:
    """They would be 250 KiB a connection until the collector comes."""
    wide = TAKEOVER | {"serverMaxWindowBits": 15, "clientMaxWindowBits": 15}
    async with serving(tmp_path, wide) as (running, _):
        resident: list[int] = []
        for _ in range(150):
            async with connect(running.ws()) as client:
                await echoes(client, COMPRESSIBLE * 3)
            resident.append(_kib(running.pid, "VmRSS"))

        assert max(resident[20:]) - resident[20] < 4096


def _peak_kib(pid: int) -> int:
    return _kib(pid, "VmHWM")


def _kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


async def test_small_bombs_in_a_row_let_others_have_their_turn(tmp_path: Path) -> None:
    """1 KiB stands for 1 MiB: after each, the loop turns."""
    bomb = zlib.compressobj(wbits=-12)
    packed = bomb.compress(b"\0" * (1 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)[:-4]
    frame = b"\xc2\xfe" + len(packed).to_bytes(2, "big") + b"\0\0\0\0" + packed
    async with serving(tmp_path, {}) as (running, asked):
        asked.answers("/echo", (204, {}, b""))
        async with connect(running.ws()) as other:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(handshake(more=OFFER) + frame * 40)
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"\r\n\r\n")
            await asked.saw("/echo")
            await connection_id(other)
            await asked.saw("/echo", 40)
            writer.close()


async def test_a_change_holds_for_new_connections(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, asked), connect(running.ws()) as before:
        (tmp_path / "routes.yaml").write_text(definition(asked.port, {}))
        running.reload()
        await running.logged("definition deployed")
        async with connect(running.ws()) as after:
            assert before.response is not None
            assert after.response is not None
            assert "Sec-WebSocket-Extensions" not in before.response.headers
            assert "Sec-WebSocket-Extensions" in after.response.headers
            await echoes(before, COMPRESSIBLE)
            await echoes(after, COMPRESSIBLE)
            assert await compressed_out(running) == 1

            running.log.clear()
            (tmp_path / "routes.yaml").write_text(definition(asked.port))
            running.reload()
            await running.logged("definition deployed")
            await echoes(after, COMPRESSIBLE)
            assert await compressed_out(running) == 2


async def test_a_drain_closes_compressed_connections(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, TAKEOVER, flags=["--drain-window", "0"]) as (running, _),
        connect(running.ws()) as client,
    ):
        await echoes(client, COMPRESSIBLE)
        running.terminate()
        assert (await closed(client))[0] == 1001
        assert await running.wait() == 0


NODE = """
const socket = new WebSocket(process.argv[1]);
socket.binaryType = "arraybuffer";
const messages = ["short", "grüß 👋".repeat(2000), "x".repeat(100000), new Uint8Array(9000)];
const heard = [];
socket.onopen = () => socket.send(messages[0]);
socket.onmessage = (event) => {
  const sent = messages[heard.length];
  heard.push(typeof event.data === "string" ? event.data === sent : event.data.byteLength === sent.length);
  if (heard.length < messages.length) socket.send(messages[heard.length]);
  else socket.close(4000, "enough");
};
socket.onerror = () => process.exit(1);
socket.onclose = (event) => {
  console.log(JSON.stringify({heard, extensions: socket.extensions, code: event.code, clean: event.wasClean}));
  process.exit(0);
};
"""


@pytest.mark.parametrize("compression", [{}, TAKEOVER], ids=["each by itself", "context taken over"])
async def test_nodes_websocket_exchanges_compressed_messages(tmp_path: Path, compression: dict[str, Any]) -> None:
    async with serving(tmp_path, compression) as (running, _):
        told = json.loads(await node(NODE, running.ws()))

        assert told["heard"] == [True] * 4
        assert told["extensions"].startswith("permessage-deflate")
        assert (told["code"], told["clean"]) == (4000, True)
        assert await compressed_out(running) == 3
