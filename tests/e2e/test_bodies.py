"""Large bodies of many clients together: they have a bound, small ones go on, and in the end nothing is held."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import (
    PATIENCE,
    Answer,
    Backend,
    Gateway,
    Request,
    backend,
    forget_peak,
    gateway,
    heard,
    http,
    resident,
)
from tests.wire import MASK, Wire, frame, text, wire

pytestmark = pytest.mark.anyio

MIB = 1 << 20
ROOM = 12 * MIB
DEFINITION = """
defaultApi: chat
apis:
  files:
    protocolType: REST
    minimumCompressionSize: 0
    stages: {v1: {variables: {backend: "127.0.0.1:@port@"}}}
    integrations:
      stored:
        type: HTTP
        httpMethod: POST
        uri: "http://${stageVariables.backend}/stored"
        integrationResponses: {"200": {}}
      mapped:
        type: HTTP
        httpMethod: POST
        uri: "http://${stageVariables.backend}/stored"
        requestTemplates: {application/json: $context.requestId, text/plain: $context.requestId}
        integrationResponses: {"200": {}}
      given:
        type: HTTP_PROXY
        httpMethod: GET
        uri: "http://${stageVariables.backend}/given"
    paths:
      /stored: {POST: {integration: stored}}
      /mapped: {POST: {integration: mapped}}
      /given: {GET: {integration: given}}
      /valid: {POST: {integration: stored, requestValidator: body, requestModels: {application/json: Numbers}}}
    requestValidators:
      body: {validateRequestBody: true}
    models:
      Numbers: {contentType: application/json, schema: {type: array}}
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    limits: {maxMessageBytes: 8388608}
    stages: {dev: {}}
    routes:
      hello: {integration: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode": 200}'}}}
      $default:
        routeResponse: true
        integration:
          integrationType: HTTP_PROXY
          integrationMethod: POST
          integrationUri: http://127.0.0.1:@port@/said
          requestParameters: {integration.request.header.X-Id: context.connectionId}
"""


@dataclass
class Service:
    """A gateway whose bodies have 12 MiB, and what stands behind it."""

    gateway: Gateway
    backend: Backend
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def held(self, kind: str, size: float, most: float | None = None, of: str = "body") -> None:
        """Wait until bodies, or messages, of this kind hold so much."""
        async with asyncio.timeout(PATIENCE):
            while not size <= (await self.metric(f'{of}_bytes{{kind="{kind}"}}')) <= (size if most is None else most):
                pass

    async def metric(self, name: str) -> float:
        return (await self.gateway.metrics()).get(f"wsgateway_{name}", 0.0)

    async def refused(self, kind: str) -> float:
        return await self.metric(f'bodies_refused_total{{kind="{kind}"}}')

    async def post(self, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
        return await http(self.gateway.port, "POST", path, body, headers)

    async def given(self) -> Answer:
        return await http(self.gateway.port, "GET", "/execute-api/files/v1/given")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with backend() as behind:
        definition = DEFINITION.replace("@port@", str(behind.port))
        flags = ["--body-memory", str(ROOM), "--message-memory", str(ROOM), "--callback-auth", "none"]
        async with gateway(definition, tmp_path_factory.mktemp("bodies"), *flags) as front:
            yield Service(front, behind)


@pytest.fixture
async def service(running: Service) -> AsyncIterator[Service]:
    """With a backend that counts what it was sent; in the end nothing is held."""
    running.backend.answers("/stored", lambda request: (200, {}, b"%d" % len(request.body)))
    running.go.clear()
    yield running
    for kind in ("request", "push", "answer", "unread"):
        await running.held(kind, 0)
    for kind in ("arriving", "running", "unread"):
        await running.held(kind, 0, of="message")


def upload(size: int, *lines: str, path: str = "/execute-api/files/v1/stored") -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: text/plain", f"Content-Length: {size}", *lines, "", ""]
    return "\r\n".join(head).encode()


async def slow_uploads(service: Service, stack: AsyncExitStack, number: int = 3) -> list[Wire]:
    """Clients that have sent 3 of their 5 MiB, and send no more for now."""
    clients = [await stack.enter_async_context(wire(service.gateway.port)) for _ in range(number)]
    for count, client in enumerate(clients, 1):
        await client.send(upload(5 * MIB) + b"u" * 3 * MIB)
        await service.held("request", 3 * MIB * count)
    return clients


async def test_slow_uploads_take_what_there_is_and_small_bodies_go_on(service: Service) -> None:
    before = await service.refused("request")
    async with AsyncExitStack() as stack, wire(service.gateway.port) as idle:
        await idle.send(upload(10 * MIB))  # only promised: that takes nothing
        first, second, third = await slow_uploads(service, stack)

        refused = await service.post("/execute-api/files/v1/stored", b"x" * 5 * MIB)
        assert (refused.status, refused.json()) == (503, {"message": "Service Unavailable"})
        assert 1 <= int(refused.header("retry-after") or 0) <= 5
        assert await service.refused("request") == before + 1
        line = json.loads(await service.gateway.logged("no room for bodies"))
        assert (line["kind"], line["limit"], line["request"]) == ("request", ROOM, 9 * MIB)
        # One whose client sends no more hears of it, too; and one in chunks, as soon as it has grown too large.
        async with wire(service.gateway.port) as stalled:
            await stalled.send(upload(5 * MIB) + b"x")
            assert (await stalled.answer()).status == 503
        async with wire(service.gateway.port) as chunked:
            head = upload(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            await chunked.send(head + b"400000\r\n" + b"x" * 4 * MIB)
            assert (await chunked.answer()).status == 503

        small = await service.post("/execute-api/files/v1/stored", b"x" * 60_000)
        assert (small.status, small.body) == (200, b"60000")
        async with wire(service.gateway.port) as client:
            await client.send(upload(5))
            await client.send(b"small")
            assert (await client.answer()).body == b"5"

        # One ends, one breaks off, one leaves politely: each gives back what it had.
        await first.send(b"u" * 2 * MIB)
        assert (await first.answer()).body == b"%d" % (5 * MIB)
        await service.held("request", 6 * MIB)
        second.drop()
        await service.held("request", 3 * MIB)
        third.end()
        await service.held("request", 0)
        assert (await service.post("/execute-api/files/v1/stored", b"x" * 10 * MIB)).body == b"%d" % (10 * MIB)


async def test_a_body_is_held_while_its_method_runs_however_that_ends(service: Service) -> None:
    async def hang(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        await service.go.wait()
        return None if request.body.startswith(b"crash") else (200, {}, b"done")

    service.backend.answers("/stored", hang)
    async with wire(service.gateway.port) as answered, wire(service.gateway.port) as failed:
        await answered.send(upload(5 * MIB) + b"x" * 5 * MIB)
        await service.held("request", 5 * MIB)
        await failed.send(upload(3 * MIB) + b"crash" + b"x" * (3 * MIB - 5))
        await service.held("request", 8 * MIB)
        async with wire(service.gateway.port) as leaving:
            await leaving.send(upload(4 * MIB) + b"x" * 4 * MIB)
            await service.held("request", 12 * MIB)
            assert (await service.post("/execute-api/files/v1/stored", b"x" * MIB)).status == 503
            leaving.drop()
            await service.held("request", 8 * MIB)
        service.go.set()
        assert (await answered.answer()).status == 200
        assert (await failed.answer()).status == 502


async def test_a_body_goes_with_the_error_it_ends_in(service: Service) -> None:
    """At once, not when the collector comes: it may hold no room for so long that there is none left."""

    async def crash(request: Request) -> None:
        return None

    service.backend.answers("/stored", crash)
    body = b'"%b"' % (b"x" * 5 * MIB)
    for path, status in (("valid", 400), ("stored", 502), ("mapped", 502)):
        await service.post(f"/execute-api/files/v1/{path}", body)
        forget_peak(service.gateway.pid)
        before = resident(service.gateway.pid)
        for _ in range(16):
            assert (await service.post(f"/execute-api/files/v1/{path}", body)).status == status
        assert resident(service.gateway.pid) < before + 40 * MIB


async def test_a_body_goes_with_its_client(service: Service) -> None:
    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await service.go.wait()
        return 200, {}, b"done"

    service.backend.answers("/stored", hang)
    forget_peak(service.gateway.pid)
    before = resident(service.gateway.pid)
    for _ in range(16):
        async with wire(service.gateway.port) as leaving:
            await leaving.send(upload(5 * MIB, path="/execute-api/files/v1/mapped") + b"x" * 5 * MIB)
            await service.held("request", 5 * MIB)
            leaving.drop()
            await service.held("request", 0)
    service.go.set()
    assert resident(service.gateway.pid) < before + 40 * MIB


async def test_a_compressed_body_takes_what_it_becomes(service: Service) -> None:
    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await service.go.wait()
        return 200, {}, b"done"

    service.backend.answers("/stored", hang)
    body = gzip.compress(bytes(7 * MIB))
    assert len(body) < 10_000
    async with wire(service.gateway.port) as first:
        await first.send(upload(len(body), "Content-Encoding: gzip") + body)
        await service.held("request", 7 * MIB)
        assert (await service.post("/execute-api/files/v1/stored", body, ("Content-Encoding", "gzip"))).status == 503
        service.go.set()
        assert (await first.answer()).status == 200


async def test_answers_that_come_slowly_have_the_same_bound(service: Service) -> None:
    """Their backends were asked already, so nobody is told to come again."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB)
    service.backend.answers("/given", head + b"g" * 5 * MIB)
    before = await service.refused("answer")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(service.gateway.port)) for _ in range(2)]
        for count, client in enumerate(clients, 1):
            await client.send(b"GET /execute-api/files/v1/given HTTP/1.1\r\nHost: a\r\n\r\n")
            await service.held("answer", 5 * MIB * count)
        refused = await service.given()
        assert (refused.status, refused.header("retry-after")) == (503, None)
        assert await service.refused("answer") == before + 1
        assert not any("integration fails" in line and "/given" in line for line in service.gateway.log)
        for client in clients:
            client.drop()
        await service.held("answer", 0)

    service.backend.answers("/given", (200, {}, b"g" * 9 * MIB))
    assert len((await service.given()).body) == 9 * MIB


async def test_an_answer_that_its_client_does_not_take_is_counted(service: Service) -> None:
    service.backend.answers("/given", (200, {}, b"g" * 10 * MIB))
    async with wire(service.gateway.port, receive_buffer=4096) as slow:
        await slow.send(b"GET /execute-api/files/v1/given HTTP/1.1\r\nHost: a\r\n\r\n")
        await service.held("unread", 2 * MIB, 10 * MIB)  # the kernel has the rest
        assert (await service.given()).status == 503
        assert len((await slow.answer()).body) == 10 * MIB
    async with wire(service.gateway.port, receive_buffer=4096) as leaving:
        await leaving.send(b"GET /execute-api/files/v1/given HTTP/1.1\r\nHost: a\r\n\r\n")
        await service.held("unread", 2 * MIB, 10 * MIB)
    await service.held("unread", 0)

    service.backend.answers("/given", (200, {}, os.urandom(10 * MIB)))
    async with wire(service.gateway.port, receive_buffer=4096) as leaving:  # all of it is kept while it is compressed
        await leaving.send(b"GET /execute-api/files/v1/given HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        await service.held("unread", 10 * MIB, 11 * MIB)


async def test_pushes_have_the_same_bound_and_sdks_try_them_again(service: Service) -> None:
    async with connect(service.gateway.ws(), max_size=None) as client, AsyncExitStack() as stack:
        callback = await callback_of(service, client)
        first, *_ = await slow_uploads(service, stack)
        async with wire(service.gateway.port) as pushing:
            await pushing.send(upload(2 * MIB, path=callback) + b"p" * MIB)
            await service.held("push", MIB)
            async with wire(service.gateway.port) as large:
                await large.send(upload(3 * MIB, path=callback) + b"p" * (5 * MIB // 2))
                refused = await large.answer()
            assert (refused.status, refused.header("retry-after")) == (503, "1")
            assert refused.header("x-amzn-errortype") == "ServiceUnavailableException"
            assert (await service.post(callback, b"small")).status == 200
            await pushing.send(b"p" * MIB)
            assert (await pushing.answer()).status == 200
        assert [len(await client.recv()), len(await client.recv())] == [5, 2 * MIB]
        assert first is not None


async def callback_of(service: Service, client: ClientConnection) -> str:
    """The path at which the client is pushed to; the backend is told its connection's id."""
    service.backend.answers("/said", lambda request: (200, {}, (request.header("x-id") or "").encode()))
    async with asyncio.timeout(PATIENCE):
        await client.send("who am I?")
        return service.gateway.callback(str(await client.recv()))


@pytest.mark.parametrize("first", [pytest.param(0x81, id="of one frame"), pytest.param(0x01, id="of several")])
async def test_messages_that_arrive_slowly_have_a_bound(first: int, service: Service) -> None:
    """Whoever has no room for another is told to come again later; who is small goes on."""
    service.backend.answers("/said", lambda request: (200, {}, b"%d" % len(request.body)))
    part = b"m" * 5 * MIB
    async with AsyncExitStack() as stack:
        one, two, three = [await stack.enter_async_context(wire(service.gateway.port)) for _ in range(3)]
        for count, client in enumerate((one, two), 1):
            await client.upgrade()
            await client.send(frame(first, part, declared=7 * MIB if first == 0x81 else None))
            await service.held("arriving", 5 * MIB * count, (5 * MIB + 20) * count, of="message")
        await three.upgrade()
        await three.send(frame(first, part, declared=7 * MIB if first == 0x81 else None))
        assert await three.close_frame() == (1013, "No room for the message")
        assert await service.metric('messages_refused_total{kind="arriving"}') >= 1
        assert "arriving" in await service.gateway.logged("no room for messages")
        async with wire(service.gateway.port) as small:
            await small.upgrade()
            await small.send(text("x" * 50_000))
            assert await small.text() == "50000"

        rest = b"m" * 2 * MIB
        await one.send(frame(0x80, rest) if first == 0x01 else masked(rest))
        assert await one.text() == str(7 * MIB)
        await service.held("arriving", 5 * MIB, 5 * MIB + 20, of="message")
        two.drop()


async def test_messages_at_work_and_unread_ones_are_counted(service: Service) -> None:
    async def hang(request: Request) -> tuple[int, dict[str, str], bytes]:
        await service.go.wait()
        return 200, {}, b"done"

    async with connect(service.gateway.ws()) as slow, wire(service.gateway.port) as working:
        callback = await callback_of(service, slow)
        service.backend.answers("/said", hang)
        await working.upgrade()
        await working.send(text(b"m" * 5 * MIB))
        await service.held("running", 5 * MIB, of="message")
        await working.send(text(b"m" * 5 * MIB))
        await service.held("running", 10 * MIB, of="message")
        slow.transport.pause_reading()
        pushed = 0
        while (answer := await service.post(callback, b"p" * MIB)).status == 200:
            pushed += 1
            assert pushed < 32, "what waits for a client has no bound"
        assert (answer.status, answer.header("x-amzn-errortype")) == (429, "LimitExceededException")
        assert await service.metric('messages_refused_total{kind="unread"}') == 1
        service.go.set()
        assert [await working.text(), await working.text()] == ["done", "done"]
        slow.transport.resume_reading()
        for _ in range(pushed):
            assert len(await heard(slow)) == MIB


def masked(data: bytes) -> bytes:
    """What follows in a frame of which a multiple of four bytes is sent."""
    return bytes(a ^ b for a, b in zip(data, itertools.cycle(MASK)))
