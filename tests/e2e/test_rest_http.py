"""REST requests and answers as they stand on the wire, in raw bytes against a real process and a recording backend."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.test_http_strictness import AMBIGUOUS, answers_in, named
from tests.harness import PATIENCE, Backend, Gateway, backend, gateway, http, parse_answer, raw
from tests.wire import wire

pytestmark = pytest.mark.anyio

HOST = b"Host: 127.0.0.1\r\n"

DEFINITION = """
apis:
  shop:
    protocolType: REST
    maxBodyBytes: 1000
    stages: {v1: {variables: {backend: "127.0.0.1:@port@"}}}
    integrations:
      all:
        type: HTTP_PROXY
        httpMethod: ANY
        uri: "http://${stageVariables.backend}/{proxy}"
        requestParameters: {integration.request.path.proxy: method.request.path.proxy}
      mapped:
        type: HTTP
        httpMethod: ANY
        uri: "http://${stageVariables.backend}/mapped"
        integrationResponses: {"200": {}}
      mock:
        type: MOCK
        requestTemplates: {application/json: '{"statusCode": 200}'}
        integrationResponses: {"200": {responseTemplates: {application/json: '{"made":"here"}'}}}
    paths:
      /all/{proxy+}: {ANY: {integration: all}}
      /mapped: {ANY: {integration: mapped}}
      /mock: {ANY: {integration: mock}}
"""


@dataclass
class Recorder:
    """A backend that keeps every byte and answers each request it finds, framed by Content-Length alone."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
                self.received.append(head + await reader.readexactly(int(length)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    recording = Recorder()
    server = await asyncio.start_server(recording.serve, "127.0.0.1", 0)
    recording.port = server.sockets[0].getsockname()[1]
    try:
        yield recording
    finally:
        server.close()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Gateway, Backend]]:
    async with backend() as other, gateway(DEFINITION.replace("@port@", str(other.port)), folder) as running:
        yield running, other


def post(path: bytes, *lines: bytes, body: bytes = b"", method: bytes = b"POST") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (method, path, HOST, b"".join(line + b"\r\n" for line in lines), body)


async def test_nothing_that_can_be_read_two_ways_reaches_a_backend(tmp_path: Path) -> None:
    """RFC 9112 §11.2. What does is framed anew: one Content-Length, no trailers, no header of the client's hop."""
    async with recorder() as other, gateway(DEFINITION.replace("@port@", str(other.port)), tmp_path) as running:
        for case in AMBIGUOUS:
            (doubtful,) = case.values
            assert isinstance(doubtful, bytes)
            doubtful = doubtful.replace(named("first"), b"/v1/all/first")
            said = await raw(running.port, doubtful + post(b"/v1/all/smuggled", b"Content-Length: 0"))
            assert (case.id, answers_in(said), parse_answer(said).status in (400, 505)) == (case.id, 1, True)
        assert not other.received

        chunks = b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: 1\r\nX-Kept: 3\r\n\r\n"
        lines = (
            b"Transfer-Encoding: chunked",
            b"Connection: close, X-Hop",
            b"X-Hop: 1",
            b"Keep-Alive: 1",
            b"X-Kept: 2",
        )
        said = await raw(running.port, post(b"/v1/all/framed?a=b", *lines, body=chunks))
        assert parse_answer(said).body == b"ok"
        (seen,) = other.received
        head, _, body = seen.partition(b"\r\n\r\n")
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
        assert (head.split(b"\r\n")[0], body) == (b"POST /framed?a=b HTTP/1.1", b"abcdefg")
        assert (names.count(b"content-length"), names.count(b"x-kept")) == (1, 1)
        assert {b"transfer-encoding", b"x-trailer", b"trailer", b"x-hop", b"keep-alive"}.isdisjoint(names)


async def test_what_a_backend_answers_badly_is_502_and_spills_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, other):
        bad = {
            "both": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "two": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "garbage": b"SMUGGLED\r\n\r\n",
            "folded": b"HTTP/1.1 200 OK\r\nX: 1\r\n SMUGGLED: 2\r\nContent-Length: 0\r\n\r\n",
        }
        surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED"
        for name, answer in bad.items():
            other.answers(f"/{name}", answer)
        other.answers("/surplus", surplus)
        async with wire(running.port) as client:
            for name in bad:
                await client.send(post(b"/v1/all/" + name.encode(), method=b"GET"))
                answer = await client.answer()
                assert (name, answer.status, answer.json()) == (name, 502, {"message": "Internal server error"})
            await client.send(
                post(b"/v1/all/surplus", method=b"GET") + post(b"/v1/all/after", b"Content-Length: 2", body=b"me")
            )
            assert [(await client.answer()).body, (await client.answer()).body] == [b"ok", b"me"]


async def test_head_tells_what_get_would_get(tmp_path: Path) -> None:
    """RFC 9110 §9.3.2: the length of what GET gets, or none; and the connection goes on."""
    async with served(tmp_path) as (running, other):
        other.answers("/sized", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        other.answers("/chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        other.answers("/mapped", b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
        lengths = {"/all/sized": "1234", "/all/chunked": None, "/mapped": None, "/mock": "15", "/none": "42"}
        async with wire(running.port) as client:
            for path, length in lengths.items():
                await client.send(post(b"/v1" + path.encode(), method=b"HEAD"))
                answer = await client.answer("HEAD")
                assert (path, answer.header("content-length")) == (path, length)
            await client.send(post(b"/v1/mock", method=b"GET"))
            assert (await client.answer()).json() == {"made": "here"}


async def test_answers_come_in_order_and_say_their_trace(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, other):
        go = asyncio.Event()

        async def slow(request: object) -> tuple[int, dict[str, str], bytes]:
            async with asyncio.timeout(PATIENCE):
                await go.wait()
            return 200, {"x-amzn-RequestId": "theirs"}, b"slow"

        other.answers("/slow", slow)
        root = b"Root=1-5759e988-bd862e3fe1be46a994272793"
        async with wire(running.port) as client:
            await client.send(
                post(b"/v1/all/slow", b"X-Amzn-Trace-Id: " + root, method=b"GET")
                + post(b"/v1/mock", method=b"GET")
                + post(b"/v1/mapped", b"X-Amzn-Trace-Id: " + root, method=b"GET")
                + post(b"/v1/none", method=b"GET")
            )
            seen = await other.saw("/slow")
            go.set()
            answers = [await client.answer() for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 403]
        assert (answers[0].body, answers[1].body) == (b"slow", b'{"made":"here"}')
        assert answers[0].header("x-amzn-remapped-x-amzn-requestid") == "theirs"
        whole = re.compile(root.decode() + ";Parent=[0-9a-f]{16};Sampled=0").fullmatch
        assert whole(seen.header("x-amzn-trace-id") or "")
        told = [answer.header("x-amzn-trace-id") for answer in answers]
        assert told == [None, None, (await other.saw("/mapped")).header("x-amzn-trace-id"), None]
        assert whole(told[2] or "")


async def test_a_body_is_asked_for_only_where_it_is_wanted(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, other):
        expect = (b"Expect: 100-continue", b"Connection: close")
        for path, size, status in ((b"/v1/none", 5, 403), (b"/v1/all/x", 1001, 413)):
            async with wire(running.port) as client:
                await client.send(post(path, *expect, b"Content-Length: %d" % size))
                assert parse_answer(await client.closed()).status == status
        async with wire(running.port) as client:
            await client.send(post(b"/v1/all/x", *expect, b"Content-Length: 5"))
            assert (await client.head()).status == 100
            await client.send(b"hello")
            assert (await client.answer()).body == b"hello"
        assert (await other.saw("/x")).header("expect") is None

        over = post(
            b"/v1/all/x",
            b"Connection: close",
            b"Transfer-Encoding: chunked",
            body=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        )
        assert parse_answer(await raw(running.port, over)).status == 413
        assert other.count("/x") == 1

        for target in (b"/v1/all/x?a|b", b"/v1/all/%2e%2e/x", b"/v1/all/a%5cb", b"/v1/all/\xc3\xa9"):
            assert (
                parse_answer(await raw(running.port, post(target, b"Connection: close", method=b"GET"))).status == 400
            )
        long = await http(running.port, "GET", "/v1/all/" + "x" * 10_240)
        large = await http(running.port, "GET", "/v1/all/x", headers=[("X-Large", "x" * 10_240)])
        assert (long.status, large.status) == (414, 431)
        assert other.count("/x") == 1
