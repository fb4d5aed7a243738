"""Leaving without breaking a promise: SIGTERM, SIGINT, and the impatient second signal."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.certificates import Authority
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
from tests.wire import Wire, frame, text, wire

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
        assert b"[-] drain: draining\n" in (await http(running.internal_port, "GET", "/readyz?verbose")).body
        assert (await http(running.internal_port, "GET", "/startupz")).status == 200
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


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_the_closes_are_spread_over_the_window(asked: Backend, tmp_path: Path, secure: bool) -> None:
    """As clients see it, on a machine that may be busy for a while: no tenth of the window has most of them."""
    window, number = 5.0, 300
    authority = Authority(tmp_path)
    certificate, key = authority.issue_to("127.0.0.1")
    flags = ("--tls-port", "0", "--tls-cert", certificate, "--tls-key", key) if secure else ()
    definition = DEFINITION.format(port=asked.port)
    async with (
        gateway(definition, tmp_path, "--drain-window", str(window), *flags) as running,
        AsyncExitStack() as open_,
    ):
        port, tls = (running.tls_port, authority.client()) if secure else (running.port, None)
        clients = [await open_.enter_async_context(wire(port, tls=tls)) for _ in range(number)]
        for client in clients:
            await client.upgrade()
        running.terminate()
        begun = time.monotonic()

        async def leave(client: Wire) -> float:
            async with asyncio.timeout(PATIENCE):
                said = await client.reader.readexactly(4)
                at = time.monotonic() - begun
                assert said == b"\x88\x0c" + (1001).to_bytes(2, "big")
                assert await client.reader.readexactly(10) == b"Going away"
                await client.send(frame(0x88, (1001).to_bytes(2, "big")))
                assert await client.reader.read() == b""
            return at

        times = await asyncio.gather(*map(leave, clients))
        assert await running.wait() == 0
    tenths = Counter(int(at / window * 10) for at in times)
    assert max(tenths.values()) <= number * 3 / 4, tenths
    assert min(times) < window / 4
    assert asked.count("/disconnect") == number
    told = json.loads(await running.logged('"drained"'))
    assert told["connections"] == number


async def test_the_end_of_the_stream_comes_behind_the_clients_close(asked: Backend, tmp_path: Path) -> None:
    """Or a client that still sends would see a reset, and 1006."""
    async with (
        gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "0") as running,
        wire(running.port) as client,
    ):
        await client.upgrade()
        running.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await client.reader.readexactly(14) == b"\x88\x0c" + (1001).to_bytes(2, "big") + b"Going away"
            await asked.saw("/disconnect")
            for _ in range(20):
                await client.send(text("you have not heard my close yet"))
            assert not client.reader.at_eof()
            assert running.process.returncode is None
            await client.send(frame(0x88, (1001).to_bytes(2, "big")))
            assert await client.reader.read() == b""
        assert await running.wait() == 0
    assert asked.count("/message") == 0


async def test_a_client_that_never_stops_asking_gets_every_reply_that_is_under_way(
    asked: Backend, tmp_path: Path
) -> None:
    """Each of its messages that reached the backend is answered before the close, though there is always one."""
    async with (
        gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "2") as running,
        connect(running.ws()) as client,
    ):

        async def ask() -> None:
            number = 0
            while True:
                await client.send(str(number := number + 1))
                await asyncio.sleep(0)  # sending alone would leave this loop no time to read

        asking = asyncio.ensure_future(ask())
        replies = [await heard(client) for _ in range(100)]
        running.terminate()
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    replies.append(await client.recv())
        with suppress(ConnectionClosed):
            await asking
        assert await closed(client) == (1001, "Going away")
        assert await running.wait() == 0
    assert sorted(map(int, replies)) == list(range(1, asked.count("/message") + 1))


async def test_a_client_that_connects_meanwhile_is_answered(asked: Backend, tmp_path: Path) -> None:
    """Up to the moment when the port is closed."""
    held = Held()
    asked.answers("/disconnect", held)
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "0") as running:
        statuses: Counter[int] = Counter()

        async def knock() -> None:
            while True:
                try:
                    async with wire(running.port) as client:
                        await client.send(handshake())
                        statuses[(await client.answer()).status] += 1
                except ConnectionError:
                    # The port is closed now, and this is all that a client can tell of that moment.
                    with pytest.raises(ConnectionRefusedError):
                        async with wire(running.port):
                            pass
                    return
                if statuses[503] > 50:
                    held.go.set()

        async with wire(running.port) as early, connect(running.ws()) as client:
            # It connected when the node was ready, and asks when it is not.
            running.terminate()
            await running.logged("draining")
            knocking = [asyncio.ensure_future(knock()) for _ in range(5)]
            assert await closed(client) == (1001, "Going away")
            await early.send(handshake())
            assert (await early.answer()).status == 503
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*knocking)
        assert await running.wait() == 0
    assert statuses.keys() == {503}


async def test_how_far_it_is_can_be_read(asked: Backend, tmp_path: Path) -> None:
    held = Held()
    asked.answers("/message", held)
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "8") as running:
        async with connect(running.ws()) as client:
            await client.send("slow")
            await asked.saw("/message")
            running.terminate()
            told = json.loads(await running.logged("drain goes on"))
            assert (told["connections"], told["messages_running"]) == (1, 1)
            assert 0 < told["seconds_left"] < 8
            metrics = await running.metrics()
            assert (metrics["wsgateway_draining"], metrics["wsgateway_connections"]) == (1, 1)
            held.go.set()
            assert await heard(client) == "slow"
            assert await closed(client) == (1001, "Going away")
        assert await running.wait() == 0


async def test_a_push_is_answered_truthfully_to_the_end(asked: Backend, tmp_path: Path) -> None:
    """200 while the connection is open, and then 410 for as long as the node is there."""
    held, last = Held(), Held()
    asked.answers("/message", held)
    asked.answers("/disconnect", last)
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "3") as running:
        async with connect(running.ws()) as client:
            items = (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]
            target = running.callback(items[0]["connectionId"])
            await client.send("question")
            await asked.saw("/message")
            running.terminate()
            await running.logged("draining")
            for number in range(20):
                assert (await http(running.internal_port, "POST", target, b"%d" % number)).status == 200
            held.go.set()
            assert [await heard(client) for _ in range(20)] == [str(number) for number in range(20)]
            assert await heard(client) == "question"
            assert await closed(client) == (1001, "Going away")
        await asked.saw("/disconnect")
        assert (await http(running.internal_port, "POST", target, b"late")).status == 410
        last.go.set()
        assert await running.wait() == 0
