"""Frames, sizes, timers and close codes of both profiles, as a client and the backend's $disconnect see them.

API Gateway developer guide, "WebSocket API quotas" and "Working with binary media types for WebSocket APIs"; RFC 6455.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.harness import Backend, Gateway, Request, backend, closed, gateway, heard, http
from tests.wire import Wire, frame, text, wire

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


def api(name: str, port: int, profile: str = "open", **limits: float) -> dict[str, Any]:
    """An API that echoes, and whose $disconnect tells the backend what it knows."""

    def calls(what: str, **parameters: str) -> dict[str, Any]:
        return {
            "integrationType": "HTTP_PROXY",
            "integrationMethod": "POST",
            "integrationUri": f"http://127.0.0.1:{port}/{name}/{what}",
            "requestParameters": {
                f"integration.request.header.{key}": f"context.{value}" for key, value in parameters.items()
            },
        }

    return {
        "protocolType": "WEBSOCKET",
        "profile": profile,
        "routeSelectionExpression": "$request.body.action",
        "limits": limits,
        "stages": {"dev": {}},
        "routes": {
            "$connect": {"integration": calls("connect", client="connectionId")},
            "$disconnect": {"integration": calls("disconnect", code="disconnectStatusCode", reason="disconnectReason")},
            "$default": {"integration": calls("echo"), "routeResponse": True},
        },
    }


APIS: dict[str, dict[str, Any]] = {
    "aws": {"profile": "aws"},
    "open": {},
    "idle": {"idleTimeoutSeconds": 0.3},
    "idle-aws": {"profile": "aws", "idleTimeoutSeconds": 0.4, "pingIntervalSeconds": 0.05},
    "idle-open": {"idleTimeoutSeconds": 0.4, "pingIntervalSeconds": 0.05},
    "short-life": {"maxConnectionSeconds": 0.4},
    "pinged": {"pingIntervalSeconds": 0.1, "pongTimeoutSeconds": 0.2},
    "one-at-a-time": {
        "maxInFlight": 1,
        "idleTimeoutSeconds": 0.3,
        "pingIntervalSeconds": 0.1,
        "pongTimeoutSeconds": 0.1,
    },
}


@dataclass
class Session:
    """A client of one API, and what the backend hears of its end."""

    api: str
    client: Wire
    connection_id: str
    disconnected: Callable[[], Awaitable[Request]]

    async def ended(self) -> tuple[str | None, str | None]:
        """`disconnectStatusCode` and `disconnectReason`."""
        request = await self.disconnected()
        return request.header("code"), request.header("reason")


@dataclass
class Service:
    gateway: Gateway
    backend: Backend

    def path(self, name: str) -> str:
        return f"/execute-api/{name}/dev"

    def callback(self, session: Session) -> str:
        return f"/execute-api/{session.api}{self.gateway.callback(session.connection_id)}"

    @asynccontextmanager
    async def session(self, name: str) -> AsyncIterator[Session]:
        """Open a connection; its $disconnect has run when this is left."""
        target = f"/{name}/disconnect"
        connects, disconnects = self.backend.count(f"/{name}/connect"), self.backend.count(target)
        async with wire(self.gateway.port) as client:
            await client.upgrade(self.path(name))
            connected = await self.backend.saw(f"/{name}/connect", connects + 1)
            connection_id = connected.header("client")
            assert connection_id is not None
            yield Session(name, client, connection_id, lambda: self.backend.saw(target, disconnects + 1))
        await self.backend.saw(target, disconnects + 1)


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with backend() as running:
        apis = {name: api(name, running.port, **options) for name, options in APIS.items()}
        definition = json.dumps({"defaultApi": "open", "apis": apis})
        async with gateway(definition, tmp_path_factory.mktemp("frames")) as front:
            yield Service(front, running)


# Sizes and frames


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        pytest.param([frame(0x82, b"\0")], 1003, "Binary is not supported", id="a binary frame"),
        pytest.param([frame(0x02, b"\0")], 1003, "Binary is not supported", id="the first fragment of one"),
        pytest.param([frame(0x82)], 1003, "Binary is not supported", id="an empty one"),
        pytest.param([frame(0x81, declared=32_769)], 1009, None, id="a frame over 32 KiB, by its header"),
        pytest.param([frame(0x82, declared=32_769)], 1009, None, id="a binary frame over 32 KiB"),
        pytest.param(
            [frame(0x01, b"x" * 32_768), *[frame(0x00, b"x" * 32_768)] * 3, frame(0x80, declared=1)],
            1009,
            None,
            id="a message over 128 KiB",
        ),
        pytest.param([frame(0x81, declared=2**63)], 1009, None, id="a length of 63 bits"),
    ],
)
async def test_the_aws_profile_closes_on_what_aws_does_not_take(
    frames: list[bytes], code: int, reason: str | None, service: Service
) -> None:
    async with service.session("aws") as session:
        await session.client.send(b"".join(frames))

        said = await session.client.close_frame()
        assert said[0] == code
        assert reason is None or said[1] == reason
        assert await session.ended() == (str(code), said[1])


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        pytest.param("aws", [32_768], id="aws: one frame of 32 KiB"),
        pytest.param("aws", [32_768] * 4, id="aws: 131072 bytes in frames of 32 KiB"),
        pytest.param("aws", [1] * 4095 + [1], id="aws: 4,096 fragments"),
        pytest.param("aws", [0], id="aws: nothing"),
        pytest.param("open", [1 << 20], id="open: 1 MiB in one frame"),
        pytest.param("open", [1 << 19, 1 << 18, 1 << 18], id="open: 1 MiB in three"),
        pytest.param("open", [256] * 4096, id="open: 1 MiB in 4,096"),
        pytest.param("open", [0, 0, 0], id="open: nothing, in three"),
    ],
)
async def test_a_message_up_to_the_limit_is_taken_in_any_framing(
    profile: str, sizes: list[int], service: Service
) -> None:
    async with service.session(profile) as session:
        for index, size in enumerate(sizes):
            first = (0x01 if index == 0 else 0x00) | (0x80 if index == len(sizes) - 1 else 0)
            await session.client.send(frame(first, b"x" * size))
        first, payload = await session.client.frame()

        assert (first, len(payload)) == (0x81, sum(sizes))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([frame(0x81, declared=(1 << 20) + 1)], 1009, id="a frame over 1 MiB"),
        pytest.param([frame(0x01, b"x" * (1 << 20)), frame(0x80, declared=1)], 1009, id="a message over 1 MiB"),
        pytest.param([frame(0x01), *[frame(0x00)] * 4094, frame(0x80)], None, id="4,096 fragments"),
        pytest.param([frame(0x01), *[frame(0x00)] * 4095, frame(0x80)], 1008, id="4,097 fragments"),
        pytest.param([frame(0x81, b"\xff")], 1007, id="no UTF-8"),
        pytest.param([frame(0x01, b"\xe2\x82"), frame(0x80)], 1007, id="half a character at the end"),
        pytest.param([frame(0x01, b"\xe2"), frame(0x80, b"\x82\xac")], None, id="a character in two fragments"),
        pytest.param([frame(0x81, b"x", masked=False)], 1002, id="not masked"),
        pytest.param([frame(0xC1, b"x")], 1002, id="a reserved bit"),
        pytest.param([frame(0x83, b"x")], 1002, id="an unknown opcode"),
        pytest.param([frame(0x80, b"x")], 1002, id="a continuation of nothing"),
        pytest.param([frame(0x01, b"x"), text("y")], 1002, id="a message inside another"),
        pytest.param([frame(0x09, b"x")], 1002, id="a ping in fragments"),
        pytest.param([frame(0x89, b"x" * 126)], 1002, id="a ping over 125 bytes"),
        pytest.param([frame(0x88, b"\x03")], 1002, id="a close with half a code"),
        pytest.param([frame(0x88, b"\x03\xee")], 1002, id="a close with 1006"),
        pytest.param([frame(0x88, b"\x03\xe7")], 1002, id="a close with 999"),
        pytest.param([frame(0x88, b"\x03\xe8\xff")], 1007, id="a close whose reason is no UTF-8"),
    ],
)
async def test_the_rules_of_frames_are_kept(frames: list[bytes], code: int | None, service: Service) -> None:
    """RFC 6455 §5 and §7.4; each verdict is the $disconnect's code too, and another connection never notices."""
    async with service.session("open") as other:
        async with service.session("open") as session:
            await session.client.send(b"".join(frames) + text("behind"))
            if code is None:
                assert (await session.client.frame())[0] == 0x81
                assert await session.client.text() == "behind"
            else:
                said = await session.client.close_frame()
                assert said[0] == code
                assert await session.client.closed() == b""
                assert await session.ended() == (str(code), said[1])
        await other.client.send(text("still here"))
        assert await other.client.text() == "still here"


async def test_binary_messages_are_echoed_as_binary_in_the_open_profile(service: Service) -> None:
    data = random.Random(1).randbytes(100_000)
    async with connect(service.gateway.ws(service.path("open")), max_size=None) as client:
        await client.send(data)
        assert await heard(client) == data
        await client.send([data[:10], data[10:]])
        assert await heard(client) == data


@pytest.mark.parametrize("name", ["aws", "open"])
async def test_compression_is_not_negotiated(name: str, service: Service) -> None:
    async with connect(service.gateway.ws(service.path(name)), compression="deflate") as client:
        assert client.protocol.extensions == []
        await client.send("plain")
        assert await heard(client) == "plain"


@pytest.mark.parametrize("name", ["aws", "open"])
async def test_a_ping_is_answered_with_its_payload(name: str, service: Service) -> None:
    """Also between the fragments of a message."""
    async with service.session(name) as session:
        for payload in (b"", b"payload", b"x" * 125):
            await session.client.send(frame(0x89, payload))
            assert await session.client.frame() == (0x8A, payload)
        await session.client.send(frame(0x01, b"fr") + frame(0x89, b"between") + frame(0x80, b"ee"))
        assert await session.client.frame() == (0x8A, b"between")
        assert await session.client.text() == "free"


async def test_a_flood_of_pings_is_closed_with_1008(service: Service) -> None:
    """100 at once, 10 a second: nobody who means well sends more."""
    async with service.session("open") as session:
        await session.client.send(frame(0x89, b"x") * 500)
        pongs = 0
        while (seen := await session.client.frame()) == (0x8A, b"x"):
            pongs += 1

        assert 100 <= pongs < 500
        assert seen == (0x88, b"\x03\xf0Too many pings")
        assert await session.ended() == ("1008", "Too many pings")


# Timers


async def test_an_idle_connection_is_closed_with_1001(service: Service) -> None:
    async with service.session("idle") as session:
        assert await session.client.close_frame() == (1001, "Going away")
        assert await session.ended() == ("1001", "Going away")


async def test_pongs_keep_a_connection_in_the_open_profile(service: Service) -> None:
    """Twenty pings at 0.05 s outlast the idle timeout of 0.4 s."""
    async with service.session("idle-open") as session:
        for _ in range(20):
            assert (await session.client.frame())[0] == 0x89
            await session.client.send(frame(0x8A))
        await session.client.send(text("alive"))
        while (seen := await session.client.frame())[0] == 0x89:
            await session.client.send(frame(0x8A))
        assert seen == (0x81, b"alive")


async def test_pongs_do_not_keep_a_connection_in_the_aws_profile(service: Service) -> None:
    """There only messages and pushes count."""
    async with service.session("idle-aws") as session:
        while (seen := await session.client.frame())[0] == 0x89:
            await session.client.send(frame(0x8A))
        assert seen == (0x88, b"\x03\xe9Going away")


async def test_the_maximum_life_ends_a_busy_connection_with_1001(service: Service) -> None:
    async with service.session("short-life") as session:
        first, payload = 0x81, b""
        while first == 0x81:
            await session.client.send(text("busy"))
            first, payload = await session.client.frame()
        assert (first, payload) == (0x88, b"\x03\xe9Going away")
        assert await session.ended() == ("1001", "Going away")


async def test_a_peer_that_answers_no_ping_is_cut(service: Service) -> None:
    """It can't be told; $disconnect says 1006."""
    async with service.session("pinged") as session:
        assert (await session.client.frame())[0] == 0x89
        assert await session.client.closed() == b""
        assert await session.ended() == ("1006", "Connection closed abnormally")


async def test_a_peer_that_answers_pings_stays(service: Service) -> None:
    async with service.session("pinged") as session:
        for _ in range(10):
            assert await session.client.frame() == (0x89, b"")
            await session.client.send(frame(0x8A))


async def test_a_websocket_library_needs_to_do_nothing_to_stay(service: Service) -> None:
    async with service.session("pinged") as dead, connect(service.gateway.ws(service.path("pinged"))) as client:
        await dead.client.closed()  # a silent one went away meanwhile
        await client.send("still here")
        assert await heard(client) == "still here"


async def test_no_clock_runs_while_the_gateway_itself_does_not_read(service: Service) -> None:
    """One message at a time: its pong and its next message can't be seen, so it can't be blamed for silence."""
    release = asyncio.Event()

    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await release.wait()
        return 200, {}, request.body

    service.backend.answers("/one-at-a-time/echo", hang)
    async with service.session("one-at-a-time") as busy:
        await busy.client.send(text("one") + text("two"))
        await service.backend.saw("/one-at-a-time/echo")
        for _ in range(2):
            async with service.session("idle") as clock:
                assert (await clock.client.close_frame())[0] == 1001
        release.set()

        assert await busy.client.text() == "one"
        assert await busy.client.text() == "two"


# Ends


@pytest.mark.parametrize(
    ("payload", "echoed", "ended"),
    [
        pytest.param(b"\x03\xe8", b"\x03\xe8", ("1000", None), id="1000 without a reason"),
        pytest.param(b"\x03\xe8bye", b"\x03\xe8bye", ("1000", "bye"), id="1000 with one"),
        pytest.param(b"\x0f\xa0mine", b"\x0f\xa0mine", ("4000", "mine"), id="a code of the application"),
        pytest.param(b"", b"", ("1005", "Client-side close frame status not set"), id="no code"),
    ],
)
async def test_a_close_is_echoed_and_told_to_disconnect(
    payload: bytes, echoed: bytes, ended: tuple[str, str | None], service: Service
) -> None:
    """AWS: the code and reason the client gave are the event's, and 1005 where it gave none."""
    async with service.session("aws") as session:
        await session.client.send(frame(0x88, payload) + text("after the close nothing counts"))

        assert await session.client.frame() == (0x88, echoed)
        assert await session.client.closed() == b""
        code, reason = await session.ended()
        assert (code, reason or None) == ended


@pytest.mark.parametrize("leave", ["end", "drop"])
async def test_a_client_that_goes_without_a_close_is_1006(leave: str, service: Service) -> None:
    for before in (b"", frame(0x8A), frame(0x01, b"half a message"), text("a whole one"), b"\x81"):
        async with service.session("aws") as session:
            await session.client.send(before)
            getattr(session.client, leave)()

            assert await session.ended() == ("1006", "Connection closed abnormally")


async def test_delete_closes_with_1000(service: Service) -> None:
    """AWS's words; afterwards the connection is gone for everybody."""
    internal = service.gateway.internal_port
    async with service.session("aws") as session:
        url = service.callback(session)
        assert (await http(internal, "DELETE", url)).status == 204

        assert await session.client.close_frame() == (1000, "Connection Closed Normally")
        assert await session.ended() == ("1000", "Connection Closed Normally")
        assert (await http(internal, "POST", url, b"late")).status == 410
        await session.client.send(frame(0x88, b"\x03\xe8"))
        assert await session.client.closed() == b""


async def test_a_close_waiting_behind_held_messages_ends_the_handshake(service: Service) -> None:
    """The gateway has stopped reading when it closes; the client's own close was already on the way."""
    release = asyncio.Event()

    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await release.wait()
        return 200, {}, b""

    seen = service.backend.count("/one-at-a-time/echo")
    service.backend.answers("/one-at-a-time/echo", hang)
    async with service.session("one-at-a-time") as session:
        await session.client.send(text("one") + text("two") + frame(0x88, b"\x0f\xa0"))
        await service.backend.saw("/one-at-a-time/echo", seen + 1)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await http(service.gateway.internal_port, "DELETE", service.callback(session))

        assert await session.client.close_frame() == (1000, "Connection Closed Normally")
        assert await session.client.closed() == b""
        assert loop.time() - start < 4, "without the 5 s that a client has to finish the close"
        release.set()
    assert service.backend.count("/one-at-a-time/echo") == seen + 1


async def test_a_client_that_never_finishes_the_close_is_cut(service: Service) -> None:
    """5 s after our close frame, whatever it sends meanwhile."""
    async with service.session("open") as session:
        await http(service.gateway.internal_port, "DELETE", service.callback(session))
        assert (await session.client.close_frame())[0] == 1000
        await session.client.send(text("I go on") + frame(0x89, b"and on"))

        assert await session.client.closed() == frame(0x8A, b"and on", masked=False)
        assert await session.ended() == ("1000", "Connection Closed Normally")


async def test_websockets_sees_the_codes_of_the_gateway(service: Service) -> None:
    async with connect(service.gateway.ws(service.path("aws"))) as client:
        await client.send(b"binary")
        assert await closed(client) == (1003, "Binary is not supported")
    async with connect(service.gateway.ws(service.path("aws"))) as client:
        await client.send("x" * 32_769)
        assert (await closed(client))[0] == 1009


async def test_disconnect_waits_for_the_last_message_in_flight(service: Service) -> None:
    release = asyncio.Event()

    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await release.wait()
        return 200, {}, b""

    seen = service.backend.count("/open/echo")
    service.backend.answers("/open/echo", hang)
    try:
        async with service.session("open") as session:
            await session.client.send(text("in flight") + frame(0x88, b"\x03\xe8"))
            assert (await session.client.close_frame())[0] == 1000
            await service.backend.saw("/open/echo", seen + 1)
            listed = await http(service.gateway.internal_port, "GET", f"{service.path('open')}/@connections")
            assert listed.json()["items"] == []
            before = service.backend.count("/open/disconnect")
            release.set()
            await session.ended()
            assert service.backend.count("/open/disconnect") == before + 1
    finally:
        service.backend.answers("/open/echo", lambda request: (200, {}, request.body))
