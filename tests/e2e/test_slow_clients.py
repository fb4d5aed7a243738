"""Clients that do not read, and clients that send more than is taken: bounded, told, and nobody else's trouble.

All of it holds with TLS in between, where bytes wait in more places.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.harness import PATIENCE, Backend, Gateway, Request, backend, gateway, http
from tests.wire import Wire, frame, text, wire

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


def api(name: str, port: int, **limits: float) -> dict[str, Any]:
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
        "routeSelectionExpression": "$request.body.action",
        "limits": limits,
        "stages": {"dev": {}},
        "routes": {
            "$connect": {"integration": calls("connect", client="connectionId")},
            "$disconnect": {"integration": calls("disconnect", code="disconnectStatusCode", reason="disconnectReason")},
            "$default": {"integration": calls("message"), "routeResponse": True},
        },
    }


APIS: dict[str, dict[str, float]] = {
    "plain": {},
    "small": {"outboxBytes": 200_000},
    "few": {"outboxMessages": 10},
    "stalled": {"outboxBytes": 200_000, "stalledWriteSeconds": 0.3},
    "flood": {},
    "echo": {},
    "large": {"maxMessageBytes": 1_000_000},
    "mock": {},
    "mock-few": {"outboxMessages": 4},
}
MOCK = {
    "integrationType": "MOCK",
    "requestTemplates": {"$default": '{"statusCode":200}'},
    "integrationResponses": {"$default": {"responseTemplates": {"$default": '{"ok":true}'}}},
}


@dataclass
class Session:
    client: Wire
    callback: str
    gateway: Gateway
    backend: Backend
    disconnect: str
    disconnects: int

    async def push(self, data: bytes) -> int:
        return (await http(self.gateway.internal_port, "POST", self.callback, data)).status

    async def push_until_full(self, data: bytes) -> int:
        """How many pushes were taken before the first 429; the sockets' buffers come first, some MiB at most."""
        taken = 0
        while (status := await self.push(data)) == 200:
            taken += 1
            assert taken * len(data) < 64 << 20, "the outbox has no bound"
        assert status == 429
        return taken

    async def ended(self) -> tuple[str | None, str | None]:
        request = await self.backend.saw(self.disconnect, self.disconnects + 1)
        return request.header("code"), request.header("reason")


@dataclass
class Service:
    """`plain` has a backend of its own: one that hangs holds up all who call it."""

    gateway: Gateway
    backend: Backend
    plain: Backend
    tls: ssl.SSLContext | None

    @asynccontextmanager
    async def session(self, name: str, *, receive_buffer: int | None = None) -> AsyncIterator[Session]:
        backend = self.plain if name == "plain" else self.backend
        connects = backend.count(f"/{name}/connect")
        disconnects = backend.count(f"/{name}/disconnect")
        port = self.gateway.port if self.tls is None else self.gateway.tls_port
        async with wire(port, receive_buffer=receive_buffer, tls=self.tls) as client:
            await client.upgrade(f"/execute-api/{name}/dev")
            connected = await backend.saw(f"/{name}/connect", connects + 1)
            connection_id = connected.header("client")
            assert connection_id is not None
            callback = f"/execute-api/{name}{self.gateway.callback(connection_id)}"
            yield Session(client, callback, self.gateway, backend, f"/{name}/disconnect", disconnects)
        await backend.saw(f"/{name}/disconnect", disconnects + 1)

    def resident(self) -> int:
        """Bytes of memory the gateway has."""
        return int(Path(f"/proc/{self.gateway.pid}/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module", params=["plain", "tls"])
async def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("slow")
    authority = Authority(folder)
    certificate, key = authority.issue_to("127.0.0.1")
    secure = request.param == "tls"
    async with backend() as running, backend() as plain:
        ports = {"plain": plain.port}
        apis = {name: api(name, ports.get(name, running.port), **limits) for name, limits in APIS.items()}
        for name in ("mock", "mock-few"):
            apis[name]["routes"]["$default"]["integration"] = MOCK
        definition = json.dumps({"defaultApi": "plain", "apis": apis})
        flags = ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key]
        async with gateway(definition, folder, *flags) as front:
            yield Service(front, running, plain, authority.client() if secure else None)


@pytest.mark.parametrize("size", [1000, 50_000])
async def test_a_push_to_a_full_outbox_is_429_and_nothing_taken_is_lost(size: int, service: Service) -> None:
    """AWS's LimitExceededException; once the client reads, every push that got its 200 is there, in order."""
    data = b"x" * (size - 8)
    async with service.session("small", receive_buffer=4096) as slow, service.session("small") as quick:
        taken = await slow.push_until_full(data)
        refused = await http(service.gateway.internal_port, "POST", slow.callback, data)
        assert refused.header("x-amzn-errortype") == "LimitExceededException"
        assert await quick.push(b"others are not held up") == 200
        assert await quick.client.text() == "others are not held up"

        for _ in range(taken):
            first, payload = await slow.client.frame()
            assert (first, len(payload)) == (0x81, len(data))
        assert await slow.push(b"and again") == 200
        assert await slow.client.text() == "and again"


async def test_an_empty_outbox_takes_one_message_of_any_size(service: Service) -> None:
    async with service.session("small") as session:
        assert await session.push(b"x" * 900_000) == 200
        assert len((await session.client.frame())[1]) == 900_000


async def test_an_outbox_holds_a_number_of_messages(service: Service) -> None:
    """Ten small ones wait behind what the sockets could not take."""
    async with service.session("few", receive_buffer=4096) as slow:
        taken = await slow.push_until_full(b"x" * 20_000)
        read = 0
        while read < taken:
            await slow.client.frame()
            read += 1
        assert await slow.push(b"again") == 200
        assert await slow.client.text() == "again"


async def test_a_client_that_takes_no_byte_is_closed_with_1008(service: Service) -> None:
    """It can't read the code; $disconnect has it, and pushes are 410 from then on."""
    async with service.session("stalled", receive_buffer=4096) as slow, service.session("stalled") as quick:
        taken = await slow.push_until_full(b"x" * 50_000)

        assert await slow.ended() == ("1008", "Client does not read")
        assert await slow.push(b"late") == 410
        assert len(await slow.client.closed()) < taken * 50_010
        assert await quick.push(b"well") == 200
        assert await quick.client.text() == "well"
    assert (await service.gateway.metrics())['wsgateway_closed_by_gateway_total{cause="stalled_write"}'] == 1


async def test_a_client_that_reads_slowly_is_not_a_stalled_one(service: Service) -> None:
    """Each byte taken begins the time anew: three times the limit pass, and it is still served."""
    async with service.session("stalled", receive_buffer=4096) as slow, service.session("stalled") as clock:
        await slow.push_until_full(b"x" * 50_000)
        start = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < start + 0.9:
            assert await slow.client.frame() == (0x81, b"x" * 50_000)
            while await slow.push(b"x" * 50_000) == 200:
                pass
            assert await clock.push(b"tick") == 200
            assert await clock.client.text() == "tick"
        assert await slow.push(b"x" * 50_000) in (200, 429)  # not 410; there may be room again by now


async def test_a_reply_that_does_not_fit_closes_with_1008(service: Service) -> None:
    """Nobody else would hear of a reply that is dropped. The rest of them goes nowhere."""
    release, enough = asyncio.Event(), asyncio.Event()
    seen: list[Request] = []

    async def large(request: Request) -> tuple[int, dict[str, str], bytes]:
        seen.append(request)
        if len(seen) == 60:
            enough.set()
        await release.wait()
        return 200, {}, b"x" * 190_000

    service.backend.answers("/small/message", large)
    async with service.session("small", receive_buffer=4096) as slow, service.session("plain") as other:
        await slow.client.send(text("more") * 60)
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
        release.set()

        assert await slow.ended() == ("1008", "Client does not read its replies")
        assert await slow.push(b"late") == 410
        await other.client.send(text("unharmed"))
        assert await other.client.text() == "unharmed"


async def test_a_client_that_does_not_read_its_replies_is_not_read_either(service: Service) -> None:
    """So an echo of whatever it sends is bounded by the sockets' buffers, without any verdict."""
    service.backend.answers("/echo/message", lambda request: (200, {}, request.body))
    async with service.session("echo", receive_buffer=4096) as slow, service.session("plain") as other:
        before = service.resident()
        slow.client.writer.transport.set_write_buffer_limits(high=0)
        slow.client.writer.write(text(b"x" * 10_000) * 3000)
        for index in range(20):
            await other.client.send(text(f"meanwhile {index}"))
            assert await other.client.text() == f"meanwhile {index}"
        assert service.resident() - before < 24 << 20
        assert service.backend.count("/echo/message") < 2500, "all of it was read"
        for _ in range(3000):
            assert len((await slow.client.frame())[1]) == 10_000


async def test_a_flood_of_messages_waits_in_the_socket(service: Service) -> None:
    """64 are in flight; ten thousand are neither read nor kept, and none is lost once the backend answers."""
    total = 10_000
    release, enough, everything = asyncio.Event(), asyncio.Event(), asyncio.Event()
    seen: set[bytes] = set()

    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        seen.add(request.body[:8])
        if len(seen) == 64:
            enough.set()
        if len(seen) == total:
            everything.set()
        await release.wait()
        return 204, {}, b""

    service.backend.answers("/flood/message", hang)
    async with service.session("flood") as session, service.session("plain") as other:
        before = service.resident()
        writer = session.client.writer
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"".join(text(b"%08d" % index + b"x" * 2000) for index in range(total)))
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
        for index in range(20):
            await other.client.send(text(f"meanwhile {index}"))
            assert await other.client.text() == f"meanwhile {index}"

        assert len(seen) == 64
        assert service.backend.count("/flood/message") == 64
        if service.tls is None:  # else what the socket has not taken is behind the encryption, where nobody counts it
            assert writer.transport.get_write_buffer_size() > 1 << 20, "it was read although nothing takes it"
        assert service.resident() - before < 16 << 20

        release.set()
        async with asyncio.timeout(PATIENCE):
            await everything.wait()
        assert service.backend.count("/flood/message") == total
        assert service.resident() - before < 32 << 20
        await session.client.send(frame(0x88, b"\x03\xe8"))
        assert await session.client.close_frame() == (1000, "")


async def test_a_crowd_of_small_messages_is_answered_in_turns(service: Service) -> None:
    """More in one write than an outbox holds replies: all are answered, and nobody waits for the whole crowd."""
    async with service.session("mock") as session, service.session("plain") as other:
        session.client.writer.write(text("x") * 30_000)
        await other.client.send(text("between"))
        assert await other.client.text() == "between"
        for _ in range(30_000):
            assert await session.client.frame() == (0x81, b'{"ok":true}')


async def test_a_small_outbox_is_no_reason_to_close_a_client_that_reads(service: Service) -> None:
    async with service.session("mock-few") as session:
        session.client.writer.write(text("x") * 1000 + frame(0x88, b"\x03\xe8"))
        for _ in range(1000):
            assert await session.client.frame() == (0x81, b'{"ok":true}')
        assert await session.client.close_frame() == (1000, "")


async def test_two_messages_of_the_largest_size_are_in_flight_at_most(service: Service) -> None:
    release, enough = asyncio.Event(), asyncio.Event()
    seen: list[bytes] = []

    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        seen.append(request.body[:1])
        if len(seen) == 2:
            enough.set()
        await release.wait()
        return 200, {}, request.body[:1]

    service.backend.answers("/large/message", hang)
    async with service.session("large") as session, service.session("plain") as other:
        session.client.writer.write(b"".join(text(b"%d" % index + b"x" * 999_999) for index in range(9)))
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
        await other.client.send(text("meanwhile"))
        assert await other.client.text() == "meanwhile"
        assert len(seen) == 2
        release.set()

        assert sorted([await session.client.text() for _ in range(9)]) == [str(index) for index in range(9)]


async def test_pongs_nobody_reads_are_bounded(service: Service) -> None:
    """A client that pings and never reads is closed for its pings, and costs no memory."""
    async with service.session("plain", receive_buffer=4096) as session:
        before = service.resident()
        session.client.writer.write(frame(0x89, b"x" * 125) * 100_000)

        assert (await session.ended())[0] in ("1008", "1006")
        assert service.resident() - before < 8 << 20


async def test_an_unfinished_message_takes_no_more_than_its_bytes(service: Service) -> None:
    """A promised length is not reserved; what came of it goes with the connection."""
    async with service.session("large") as session:
        before = service.resident()
        await session.client.send(frame(0x81, declared=1_000_000) + b"x" * 1000)
        await session.client.send(b"x" * 1000)
        await http(service.gateway.internal_port, "GET", "/livez")
        assert service.resident() - before < 1 << 20
