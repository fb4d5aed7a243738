"""HTTP/1.1 as an attacker, an old client and a proxy write it, in raw bytes against a real process."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import Backend, Gateway, backend, gateway, http, parse_answer, raw
from tests.wire import wire

pytestmark = pytest.mark.anyio

HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    limits: {maxMessageBytes: 100000}
    stages: {dev: {}}
    routes: {$default: {}}
"""


@dataclass
class Front:
    """A gateway whose public listener takes unsigned pushes, and one client to push to."""

    gateway: Gateway
    client: ClientConnection
    connection_id: str

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def path(self) -> bytes:
        return self.gateway.callback(self.connection_id).encode()

    async def hears_nothing_but(self, text: str) -> None:
        """Nothing was pushed to the client before this."""
        assert (await http(self.port, "POST", self.path.decode(), text.encode())).status == 200
        assert await self.client.recv() == text

    async def alive(self) -> None:
        assert (await http(self.gateway.internal_port, "GET", "/livez")).status == 200


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("http"), "--callback-auth", "none") as running:
        yield running


@pytest.fixture
async def front(running: Gateway) -> AsyncIterator[Front]:
    async with connect(running.ws()) as client:
        listed = (await http(running.internal_port, "GET", "/dev/@connections")).json()
        (item,) = listed["items"]
        yield Front(running, client, item["connectionId"])


def named(name: str) -> bytes:
    """The target of a request whose answer names `name`."""
    return b"/dev/@connections/" + name.encode()


def get(name: str, *more: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (named(name), HOST, b"".join(line + b"\r\n" for line in more))


def answers_in(said: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.1 \d{3} ", said))


def is_named(answer_body: bytes, name: str) -> bool:
    return answer_body == b'{"message":"Invalid connectionId: %s"}' % name.encode()


# Heads and framing that can be read two ways (RFC 9112 §11.2)

SMUGGLED = "SMUGGLED"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST %s HTTP/%s\r\n%s%s\r\n%s" % (named("first"), version, HOST, head, body)


AMBIGUOUS = [
    pytest.param(
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), id="a length and chunks"
    ),
    pytest.param(
        post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), id="chunks and a length"
    ),
    pytest.param(post(b"Content-Length: 1", b"Content-Length: 0", body=b"x"), id="two lengths"),
    pytest.param(post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"), id="one length twice"),
    pytest.param(post(b"Content-Length: 1, 1", body=b"x"), id="a list of lengths"),
    pytest.param(post(b"Content-Length: +1", body=b"x"), id="a signed length"),
    pytest.param(post(b"Content-Length: -1", body=b"x"), id="a negative length"),
    pytest.param(post(b"Content-Length: 0x1", body=b"x"), id="a length in hex"),
    pytest.param(post(b"Content-Length: 1 1", body=b"x"), id="a length with a blank"),
    pytest.param(post(b"Content-Length: ", body=b""), id="an empty length"),
    pytest.param(post(b"Content-Length: 18446744073709551616", body=b""), id="a length over 64 bits"),
    pytest.param(post(b"Content-Length : 1", body=b"x"), id="a blank before the colon"),
    pytest.param(post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), id="a blank before the coding's colon"),
    pytest.param(post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), id="another coding before chunked"),
    pytest.param(post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), id="another coding after chunked"),
    pytest.param(post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), id="chunked twice"),
    pytest.param(
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), id="two chunked fields"
    ),
    pytest.param(
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), id="chunked, identity"
    ),
    pytest.param(post(b"Transfer-Encoding: identity", body=b""), id="identity"),
    pytest.param(post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), id="almost chunked"),
    pytest.param(post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), id="a vertical tab before chunked"),
    pytest.param(post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), id="chunked in quotes"),
    pytest.param(post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), id="chunked with a parameter"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0"), id="chunks in HTTP/1.0"),
    pytest.param(post(b"Transfer-Encoding:", body=b""), id="an empty coding"),
    pytest.param(post(b"X: y\n" + b"Content-Length: 0"), id="a bare LF"),
    pytest.param(post(b"X: y\rContent-Length: 5"), id="a bare CR"),
    pytest.param(post(b"X: y\0z"), id="NUL in a value"),
    pytest.param(post(b"X: y", b" folded: 1"), id="a folded line"),
    pytest.param(post(b"X: y", b"\tfolded"), id="a line folded by a tab"),
    pytest.param(post(b"no colon"), id="a line without a colon"),
    pytest.param(post(b": no name"), id="a line without a name"),
    pytest.param(post(b"X y: z"), id="a blank in a name"),
    pytest.param(post(b"X\xe9: z"), id="a name that is not ASCII"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"5\r\nhelloXX0\r\n\r\n"), id="bytes behind a chunk"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"0x5\r\nhello\r\n0\r\n\r\n"), id="0x in a chunk size"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"+5\r\nhello\r\n0\r\n\r\n"), id="a signed chunk size"),
    pytest.param(
        post(b"Transfer-Encoding: chunked", body=b" 5\r\nhello\r\n0\r\n\r\n"), id="a blank before a chunk size"
    ),
    pytest.param(
        post(b"Transfer-Encoding: chunked", body=b"5 \r\nhello\r\n0\r\n\r\n"), id="a blank after a chunk size"
    ),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"5\nhello\r\n0\r\n\r\n"), id="a chunk size ended by LF"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"5;a\nb\r\nhello\r\n0\r\n\r\n"), id="LF in an extension"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\n0\r\n\r\n"), id="a chunk ended by LF"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"\r\nhello\r\n0\r\n\r\n"), id="no chunk size"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"5_0\r\nhello"), id="an underscore in a chunk size"),
    pytest.param(post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\n"), id="a chunk over 64 bits"),
    pytest.param(b"POST %s\r\n%s\r\n" % (named("first"), HOST), id="HTTP/0.9"),
    pytest.param(b"POST %s HTTP/1.1\r\n\r\n" % named("first"), id="no Host"),
    pytest.param(post(b"Host: 127.0.0.1"), id="two hosts"),
    pytest.param(b"GET %s HTTP/1.1\r\nHost: a b\r\n\r\n" % named("first"), id="a blank in Host"),
    pytest.param(b"GET %s HTTP/1.1\r\nHost: a/b\r\n\r\n" % named("first"), id="a slash in Host"),
    pytest.param(b"GET %s HTTP/1.1\r\nHost: u@a\r\n\r\n" % named("first"), id="user information in Host"),
    pytest.param(b"GET %s HTTP/1.1\r\nHost: a, b\r\n\r\n" % named("first"), id="a list in Host"),
    pytest.param(b"GET %s HTTP/1.1 \r\n%s\r\n" % (named("first"), HOST), id="a blank behind the version"),
    pytest.param(b"GET %s x HTTP/1.1\r\n%s\r\n" % (named("first"), HOST), id="a blank in the target"),
    pytest.param(b"GET %s\xff HTTP/1.1\r\n%s\r\n" % (named("first"), HOST), id="a target that is not ASCII"),
    pytest.param(b"GET %s#x HTTP/1.1\r\n%s\r\n" % (named("first"), HOST), id="a fragment in the target"),
    pytest.param(b"GET dev HTTP/1.1\r\n%s\r\n" % HOST, id="a target that is no path"),
    pytest.param(b"OPTIONS * HTTP/1.1\r\n%s\r\n" % HOST, id="the asterisk form"),
    pytest.param(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n%s\r\n" % HOST, id="CONNECT"),
    pytest.param(b"CONNECT /dev HTTP/1.1\r\n%s\r\n" % HOST, id="CONNECT with a path"),
    pytest.param(b"BREW %s HTTP/1.1\r\n%s\r\n" % (named("first"), HOST), id="a method nobody knows"),
    pytest.param(b"G\xe9T %s HTTP/1.1\r\n%s\r\n" % (named("first"), HOST), id="a method that is no token"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="the preface of HTTP/2"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="a TLS hello"),
]


@pytest.mark.parametrize("request_bytes", AMBIGUOUS)
async def test_a_request_that_can_be_read_two_ways_is_refused_and_nothing_behind_it_is_read(
    request_bytes: bytes, front: Front
) -> None:
    push = b"POST %s HTTP/1.1\r\n%sContent-Length: 8\r\n\r\nsmuggled" % (front.path, HOST)

    said = await raw(front.port, request_bytes + get(SMUGGLED) + push)

    answer = parse_answer(said)
    assert answer.status in (400, 505)
    assert answer.header("connection") == "close"
    assert answers_in(said) == 1
    assert SMUGGLED.encode() not in said
    await front.hears_nothing_but("still here")


@pytest.mark.parametrize("request_bytes", AMBIGUOUS)
async def test_a_doubtful_request_behind_a_good_one_is_refused_in_its_turn(request_bytes: bytes, front: Front) -> None:
    """Byte by byte where it matters: the doubtful part comes in a read of its own."""
    async with wire(front.port) as client:
        await client.send(get("good"))
        assert is_named((await client.answer()).body, "good")
        half = len(request_bytes) // 2
        await client.send(request_bytes[:half])
        await client.send(request_bytes[half:] + get(SMUGGLED))
        said = await client.closed()

    assert answers_in(said) == 1
    assert parse_answer(said).status in (400, 505)
    assert SMUGGLED.encode() not in said


async def test_a_push_with_a_broken_chunk_is_never_delivered(front: Front) -> None:
    async with wire(front.port) as client:
        await client.send(b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (front.path, HOST))
        await client.send(b"5\r\nhello\r\n")
        await client.send(b"zz\r\n" + get(SMUGGLED))
        said = await client.closed()

    assert parse_answer(said).status == 400
    assert answers_in(said) == 1
    await front.hears_nothing_but("not hello")


async def test_a_request_in_the_middle_of_another_is_none(front: Front) -> None:
    """The same head came whole before; here it is a header's value, and begins a read of its own."""
    push = b"POST %s HTTP/1.1\r\n%sContent-Length: 8\r\n\r\nsmuggled" % (front.path, HOST)
    assert (await http(front.port, "GET", "/dev/@connections/x")).status == 400
    async with wire(front.port) as client:
        for _ in range(2):
            await client.send(push)
            assert (await client.answer()).status == 200
            assert await front.client.recv() == "smuggled"
        await client.send(get("one") + b"GET /dev/@connections/two HTTP/1.1\r\nHost: a\r\nX: ")
        assert is_named((await client.answer()).body, "one")
        await client.send(push)
        said = await client.closed()

    assert answers_in(said) == 1
    assert parse_answer(said).status == 400
    await front.hears_nothing_but("one push is not two")


async def test_what_follows_connection_close_is_never_read(front: Front) -> None:
    push = b"POST %s HTTP/1.1\r\n%sContent-Length: 8\r\n\r\nsmuggled" % (front.path, HOST)

    said = await raw(front.port, get("last", b"Connection: close") + get(SMUGGLED) + push)

    assert answers_in(said) == 1
    assert is_named(parse_answer(said).body, "last")
    await front.hears_nothing_but("nothing before this")


async def test_what_follows_a_refused_handshake_is_never_read(front: Front) -> None:
    """Frames meant for a WebSocket that never was are no requests either."""
    refused = b"GET /dev HTTP/1.1\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" % HOST
    unknown = b"GET /nowhere HTTP/1.1\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\n" % HOST
    unknown += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    no_connection = b"GET /dev HTTP/1.1\r\n%sUpgrade: websocket\r\n\r\n" % HOST
    push = b"POST %s HTTP/1.1\r\n%sContent-Length: 8\r\n\r\nsmuggled" % (front.path, HOST)
    for first, status in ((refused, 400), (unknown, 403), (no_connection, 400)):
        said = await raw(front.port, first + get(SMUGGLED) + push)

        assert parse_answer(said).status == status
        assert answers_in(said) == 1
    await front.hears_nothing_but("nor before this")


# Limits of the head


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(get("ok", *[b"X-%d: y" % index for index in range(127)]), 400, id="128 fields are read"),
        pytest.param(get("ok", *[b"X-%d: y" % index for index in range(128)]), 431, id="129 fields"),
        pytest.param(get("ok", b"X: " + b"y" * 8185), 400, id="a line of 8 KiB is read"),
        pytest.param(get("ok", b"X: " + b"y" * 8192), 431, id="a line over 8 KiB"),
        pytest.param(
            get("ok", b"X: " + b"y" * 6000, b"Y: " + b"y" * 5000), 431, id="fields over 10,240 bytes together"
        ),
        pytest.param(get("a" * 10_221), 400, id="a URL of 10 KiB is read"),
        pytest.param(get("a" * 10_240), 414, id="a URL over 10 KiB"),
        pytest.param(b"GET /" + b"a" * 1_000_000, 414, id="a URL without an end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1_000_000, 431, id="a line without an end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"y" * 1_000_000, 431, id="a name without an end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X:y\r\n" * 200_000, 431, id="fields without an end"),
    ],
)
async def test_a_head_has_limits(head: bytes, status: int, front: Front) -> None:
    """API Gateway quotas: 10,240 bytes of headers. The refusal is readable though more was being sent."""
    async with wire(front.port) as client:
        client.writer.write(head)
        answer = await client.answer()

    assert answer.status == status
    assert (answer.header("connection") == "close") is (status != 400)


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 600, b"GET / HTTP/1.1\r\nX: " + b"y" * 600])
async def test_a_head_in_many_small_reads_has_the_same_limits(head: bytes, front: Front) -> None:
    async with wire(front.port) as client:
        await client.send(head)
        for _ in range(60):
            client.writer.write(b"z" * 600)
        answer = await client.answer()

    assert answer.status in (414, 431)


# Ordinary requests


async def test_pipelined_requests_are_answered_in_order(front: Front) -> None:
    """A push among them is made in its turn too."""
    push = b"POST %s HTTP/1.1\r\n%sContent-Length: 8\r\n\r\nin turn " % (front.path, HOST)
    async with wire(front.port) as client:
        client.writer.write(b"".join(get(f"n{index}") + push for index in range(100)))
        for index in range(100):
            assert is_named((await client.answer()).body, f"n{index}")
            assert (await client.answer()).status == 200
    for _ in range(100):
        assert await front.client.recv() == "in turn "


async def test_a_hundred_requests_use_one_connection(front: Front) -> None:
    async with wire(front.port) as client:
        for index in range(100):
            await client.send(get(f"n{index}"))
            answer = await client.answer()
            assert is_named(answer.body, f"n{index}")
            assert answer.header("connection") is None
            assert answer.header("date") is not None


async def test_http_1_0_gets_its_answer_and_the_end(front: Front) -> None:
    said = await raw(front.port, b"GET %s HTTP/1.0\r\n\r\n" % named("old"))

    assert is_named(parse_answer(said).body, "old")
    assert parse_answer(said).header("connection") == "close"


async def test_http_1_0_may_ask_to_keep_the_connection(front: Front) -> None:
    async with wire(front.port) as client:
        for name in ("one", "two"):
            await client.send(b"GET %s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % named(name))
            assert is_named((await client.answer()).body, name)


async def test_head_tells_the_length_and_sends_no_body(front: Front) -> None:
    async with wire(front.port) as client:
        await client.send(b"HEAD %s HTTP/1.1\r\n%s\r\n" % (named("x"), HOST) + get("next"))
        answer = await client.answer("HEAD")
        assert answer.status == 400
        assert answer.header("content-length") == str(len(b'{"message":"Invalid connectionId: x"}'))
        assert is_named((await client.answer()).body, "next")


async def test_a_body_is_awaited_with_100_continue(front: Front) -> None:
    async with wire(front.port) as client:
        head = b"POST %s HTTP/1.1\r\n%sExpect: 100-continue\r\nContent-Length: 7\r\n\r\n" % (front.path, HOST)
        await client.send(head)
        assert (await client.answer()).status == 100
        await client.send(b"awaited")
        assert (await client.answer()).status == 200
    assert await front.client.recv() == "awaited"


async def test_a_refused_body_is_not_asked_for(front: Front) -> None:
    """The final answer comes at once; the client need not send what nobody wants."""
    async with wire(front.port) as client:
        await client.send(post(b"Expect: 100-continue", b"Content-Length: 7"))
        answer = await client.answer()

    assert is_named(answer.body, "first")
    assert answer.header("connection") == "close"


async def test_a_chunked_push_arrives_whole_and_its_trailers_are_dropped(front: Front) -> None:
    body = b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nHost: evil\r\nX-Trailer: 1\r\n\r\n"
    async with wire(front.port) as client:
        await client.send(
            b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n%s" % (front.path, HOST, body)
        )
        assert (await client.answer()).status == 200
        await client.send(get("next"))
        assert is_named((await client.answer()).body, "next")
    assert await front.client.recv() == "hello world"


async def test_a_chunked_push_may_come_byte_by_byte(front: Front) -> None:
    body = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    async with wire(front.port) as client:
        await client.send(b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (front.path, HOST))
        for index in range(len(body)):
            await client.send(body[index : index + 1])
        assert (await client.answer()).status == 200
    assert await front.client.recv() == "hello"


async def test_trailers_without_an_end_are_not_kept(front: Front) -> None:
    async with wire(front.port) as client:
        await client.send(post(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 100_000))
        said = await client.closed()

    assert answers_in(said) == 1
    await front.alive()


@pytest.mark.parametrize("size", [100_001, 1_000_000])
async def test_a_body_over_the_limit_is_refused_readably(size: int, front: Front) -> None:
    """Up to 1 MiB of it is read and dropped first: a reset would take the answer from the caller."""
    async with wire(front.port) as client:
        client.writer.write(b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (front.path, HOST, size))
        client.writer.write(b"x" * size)
        answer = await client.answer()

        assert answer.status == 413
        if answer.header("connection") == "close":
            assert await client.closed() == b""
    await front.hears_nothing_but("small")


async def test_a_refused_body_that_stops_coming_ends_the_connection(front: Front) -> None:
    """5 seconds, and no more."""
    async with wire(front.port) as client:
        await client.send(b"POST %s HTTP/1.1\r\n%sContent-Length: 900000\r\n\r\n" % (front.path, HOST))
        client.writer.write(b"x" * 200_000)

        assert (await client.answer()).status == 413
        assert await client.closed() == b""


JAVA = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)


@pytest.mark.parametrize("parts", [1, 2, 3])
async def test_an_offer_of_h2c_is_ignored(parts: int, front: Front) -> None:
    """Java's HttpClient makes it with every cleartext request, and may send the body in a write of its own."""
    lines = b"".join(line + b"\r\n" for line in JAVA)
    head = b"POST %s HTTP/1.1\r\n%sContent-Length: 9\r\n%s\r\n" % (front.path, HOST, lines)
    async with wire(front.port) as client:
        for text in (b"from java", b"once more"):
            if parts == 1:
                await client.send(head + text)
            else:
                await client.send(head)
                await front.alive()
                for piece in (text,) if parts == 2 else (text[:4], text[4:]):
                    await client.send(piece)
                    await front.alive()
            assert (await client.answer()).status == 200
            assert await front.client.recv() == text.decode()
        await client.send(get("java", *JAVA) + get("next"))
        assert is_named((await client.answer()).body, "java")
        assert is_named((await client.answer()).body, "next")


async def test_an_offer_of_another_protocol_beside_a_chunked_body_is_ignored(front: Front) -> None:
    lines = b"".join(line + b"\r\n" for line in JAVA)
    head = b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n%s\r\n" % (front.path, HOST, lines)
    async with wire(front.port) as client:
        await client.send(head)
        await client.send(b"5\r\nhello\r\n")
        await client.send(b"0\r\n\r\n" + get("next"))
        assert (await client.answer()).status == 200
        assert is_named((await client.answer()).body, "next")
    assert await front.client.recv() == "hello"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param(b"http://127.0.0.1/dev/@connections/x", 400, id="a path"),
        pytest.param(b"http://any.example:80/dev/@connections/x", 400, id="another authority"),
        pytest.param(b"http://other.execute-api.example/dev/@connections/x", 403, id="the authority wins over Host"),
        pytest.param(b"http://127.0.0.1", 403, id="no path"),
        pytest.param(b"http://a b/dev", 400, id="a malformed authority"),
    ],
)
async def test_the_absolute_form_is_understood(target: bytes, status: int, front: Front) -> None:
    """RFC 9112 §3.2.2: a server must accept it, and ignores Host then."""
    said = await raw(front.port, b"GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (target, HOST))

    assert parse_answer(said).status == status


@pytest.mark.parametrize("more", [(), JAVA])
async def test_the_authority_of_the_absolute_form_wins_with_any_offer(more: tuple[bytes, ...], front: Front) -> None:
    lines = b"".join(line + b"\r\n" for line in more)
    async with wire(front.port) as client:
        await client.send(b"GET http://other.execute-api.example/dev HTTP/1.1\r\n%s%s\r\n" % (HOST, lines))

        assert (await client.answer()).status == 403


async def test_a_client_that_half_closes_still_gets_its_answers(front: Front) -> None:
    async with wire(front.port) as client:
        await client.send(get("one") + get("two"))
        client.end()
        assert is_named((await client.answer()).body, "one")
        assert is_named((await client.answer()).body, "two")
        assert await client.closed() == b""


async def test_a_client_that_leaves_in_the_middle_of_a_body_pushes_nothing(front: Front) -> None:
    for leave in ("end", "drop"):
        async with wire(front.port) as client:
            await client.send(b"POST %s HTTP/1.1\r\n%sContent-Length: 100\r\n\r\nhalf" % (front.path, HOST))
            getattr(client, leave)()
            await client.closed()
    await front.hears_nothing_but("whole")


async def test_a_client_that_reads_no_answers_is_read_no_further(front: Front) -> None:
    """Its requests stay in the socket: the gateway neither parses nor answers without end."""
    request = get("x" * 1000)
    async with wire(front.port, receive_buffer=4096) as client:
        client.writer.transport.set_write_buffer_limits(high=0)
        written = 0
        # Bounded by the sockets' buffers; on loopback a few MiB.
        while written < 64 << 20:
            client.writer.write(request * 100)
            written += len(request) * 100
            if client.writer.transport.get_write_buffer_size() > 1 << 20:
                break
            await front.alive()
        assert client.writer.transport.get_write_buffer_size() > 0
        await front.alive()

        # What was sent is answered once it is read.
        assert is_named((await client.answer()).body, "x" * 1000)


# Time


async def test_a_slow_head_is_cut(tmp_path_factory: pytest.TempPathFactory) -> None:
    """handshakeSeconds counts from the connection, and from the first byte of any later request."""
    definition = DEFINITION.replace("{maxMessageBytes: 100000}", "{handshakeSeconds: 0.2}")
    async with gateway(definition, tmp_path_factory.mktemp("slow"), "--callback-auth", "none") as running:
        async with wire(running.port) as silent:
            assert await silent.closed() == b""
        async with wire(running.port) as slow:
            await slow.send(b"GET / HT")
            assert await slow.closed() == b""
        async with wire(running.port) as second:
            await second.send(get("one") + b"GET /")
            assert is_named((await second.answer()).body, "one")
            await second.send(b"dev")
            assert await second.closed() == b""


# Who asks: X-Forwarded-* from trusted proxies alone

PROXY = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $connect: {{integration: seen}}
    integrations:
      seen:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:{port}/connect
        requestParameters:
          integration.request.header.source: context.identity.sourceIp
          integration.request.header.domain: context.domainName
"""

ORIGINS = [
    pytest.param("", "127.0.0.1", "http", "127.0.0.1", id="no proxy says anything"),
    pytest.param("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", "http", "127.0.0.1", id="one address"),
    pytest.param(
        "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3\r\n",
        "203.0.113.9",
        "http",
        "127.0.0.1",
        id="behind two proxies",
    ),
    pytest.param(
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n",
        "203.0.113.9",
        "http",
        "127.0.0.1",
        id="in two fields",
    ),
    pytest.param("X-Forwarded-For: 10.9.9.9, 10.1.2.3\r\n", "10.9.9.9", "http", "127.0.0.1", id="proxies alone"),
    pytest.param("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", "http", "127.0.0.1", id="IPv6"),
    pytest.param("X-Forwarded-For: 6.6.6.6, what\r\n", "127.0.0.1", "http", "127.0.0.1", id="no address"),
    pytest.param("X-Forwarded-Proto: https\r\n", "127.0.0.1", "https", "127.0.0.1", id="TLS ended before"),
    pytest.param("X-Forwarded-Proto: WSS\r\n", "127.0.0.1", "https", "127.0.0.1", id="wss"),
    pytest.param("X-Forwarded-Proto: gopher\r\n", "127.0.0.1", "http", "127.0.0.1", id="an unknown scheme"),
    pytest.param("X-Forwarded-Host: chat.example\r\n", "127.0.0.1", "http", "chat.example", id="the host"),
    pytest.param(
        "X-Forwarded-Host: chat.example:8443\r\n", "127.0.0.1", "http", "chat.example:8443", id="and its port"
    ),
    pytest.param('X-Forwarded-Host: a"b c\r\n', "127.0.0.1", "http", "127.0.0.1", id="a malformed host is ignored"),
]


@dataclass
class Proxied:
    trusting: Gateway
    distrusting: Gateway
    backend: Backend

    async def origin(self, front: Gateway, headers: str) -> tuple[str | None, str | None, str | None]:
        """What the backend hears of a client that says this: address, scheme and host."""
        count = self.backend.count("/connect")
        async with wire(front.port) as client:
            await client.upgrade(more=headers)
        seen = await self.backend.saw("/connect", count + 1)
        return seen.header("source"), seen.header("x-forwarded-proto"), seen.header("domain")


@pytest.fixture(scope="module")
async def proxied(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxied]:
    async with backend() as running:
        running.answers("/connect", (200, {}, b""))
        definition = PROXY.format(port=running.port)
        async with (
            gateway(
                definition, tmp_path_factory.mktemp("trusting"), "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"
            ) as trusting,
            gateway(definition, tmp_path_factory.mktemp("alone"), "--trusted-proxies", "192.0.2.0/24") as distrusting,
        ):
            yield Proxied(trusting, distrusting, running)


@pytest.mark.parametrize(("headers", "source", "scheme", "host"), ORIGINS)
async def test_a_trusted_proxy_says_where_a_request_came_from(
    headers: str, source: str, scheme: str, host: str, proxied: Proxied
) -> None:
    """The first address, seen from here, that is no trusted proxy's is the client's."""
    assert await proxied.origin(proxied.trusting, headers) == (source, scheme, host)


@pytest.mark.parametrize(("headers", "source", "scheme", "host"), ORIGINS)
async def test_nobody_else_says_where_a_request_came_from(
    headers: str, source: str, scheme: str, host: str, proxied: Proxied
) -> None:
    assert await proxied.origin(proxied.distrusting, headers) == ("127.0.0.1", "http", "127.0.0.1")


async def test_the_gateway_counts_what_it_refused(front: Front) -> None:
    before = await front.gateway.metrics()
    await raw(front.port, b"nonsense\r\n\r\n")
    after = await front.gateway.metrics()

    changed = {name: after[name] - before.get(name, 0) for name in after if "malformed" in name}
    assert json.dumps(changed).count("1.0") == 1


# Too many connections

SURPLUS = 300
"""Idle HTTP connections; `--max-connections 4` leaves 64 for them."""


async def test_idle_http_connections_make_room_for_others(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path, "--max-connections", "4") as running, AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(running.ws()))
        idle = []
        for _ in range(SURPLUS):
            one = await stack.enter_async_context(wire(running.port))
            await one.send(get("x"))
            assert (await one.answer()).status == 400
            idle.append(one)
        files = len(os.listdir(f"/proc/{running.pid}/fd"))
        metrics = await running.metrics()
        another = await stack.enter_async_context(connect(running.ws()))

        assert files < 100
        assert metrics['wsgateway_refused_total{kind="connection_surplus"}'] == SURPLUS + 1 - 68
        assert await idle[0].closed() == b""  # the longest idle went first
        await idle[-1].send(get("x"))
        assert (await idle[-1].answer()).status == 400
        for socket in (client, another):
            await (await socket.ping())
        assert sum("too many TCP connections" in line for line in running.log) == 1


async def test_a_new_connection_is_turned_away_where_nobody_is_idle(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path, "--max-connections", "4", "--callback-auth", "none") as running:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect(running.ws()))
            (item,) = (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]
            path = running.callback(item["connectionId"]).encode()
            busy = []
            for _ in range(67):
                one = await stack.enter_async_context(wire(running.port))
                await one.send(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" % path)
                busy.append(one)
            while (await running.metrics()).get('wsgateway_refused_total{kind="connection_surplus"}', 0) == 0:
                surplus = await stack.enter_async_context(wire(running.port))
                with suppress(ConnectionError):
                    await surplus.send(get("x"))
                    assert await surplus.closed() == b""
            assert (await http(running.internal_port, "GET", "/livez")).status == 200
            await busy[0].send(b"abc")
            assert (await busy[0].answer("POST")).status == 200
        async with connect(running.ws()) as client:
            await (await client.ping())
