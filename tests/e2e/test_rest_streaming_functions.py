"""Functions that stream their answers: handlers for Node as AWS's documentation shows them, and the Runtime API.

Lambda developer guide, "Response streaming for Lambda functions"; API Gateway developer guide, "Set up a Lambda proxy
integration with payload response streaming".
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE, Backend, Gateway, backend, forget_peak, gateway, http, parse_answer, resident
from tests.node import NODE
from tests.wire import Wire, wire

pytestmark = pytest.mark.anyio

MIB = 1 << 20
DEFINITION = """
apis:
  files:
    protocolType: REST
    minimumCompressionSize: 0
    stages: {v1: {}}
    integrations:
      node:
        {type: AWS_PROXY, httpMethod: POST, uri: "function:node", responseTransferMode: STREAM, maxConcurrency: 1}
      custom: {type: AWS_PROXY, httpMethod: POST, uri: "function:custom", responseTransferMode: STREAM}
      whole: {type: AWS_PROXY, httpMethod: POST, uri: "function:plain"}
      plain: {type: AWS_PROXY, httpMethod: POST, uri: "function:plain", responseTransferMode: STREAM}
    paths:
      /node/{what}: {ANY: {integration: node}}
      /custom/{what}: {ANY: {integration: custom}}
      /plain: {GET: {integration: plain}}
      /whole: {GET: {integration: whole}}
functions:
  node:
    {runtime: nodejs20.x, codeUri: ., handler: index.handler, concurrency: 1, timeout: 60, environment: {GATE: @gate@}}
  plain: {runtime: nodejs20.x, codeUri: ., handler: index.plain, concurrency: 1}
  custom: {runtime: provided.al2023, codeUri: ., concurrency: 1, timeout: 30}
"""

HANDLER = r"""
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");

exports.plain = async () => ({ statusCode: 200, body: "whole" });

exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const what = event.pathParameters.what;
  if (what === "early") throw new TypeError("not yet");
  if (what === "bare") { stream.write("no metadata"); stream.end(); return; }
  if (what === "endless") { stream.write(" ".repeat(20000)); await fetch(process.env.GATE); stream.end(); return; }
  const metadata = { statusCode: 201, headers: { "Content-Type": "text/event-stream", "X-Id": context.awsRequestId },
                     multiValueHeaders: { "X-Many": ["a", "b"] }, cookies: ["a=1", "b=2; Secure"] };
  if (what === "unknown") metadata.body = "none";
  stream = awslambda.HttpResponseStream.from(stream, metadata);
  if (what === "empty") { stream.end(); return; }
  if (what === "large") {
    let left = 32;
    const parts = new Readable({ read() { this.push(left-- ? Buffer.alloc(1048576, 100) : null); } });
    await pipeline(parts, stream);
    return;
  }
  stream.write("data: 1\n\n");
  if (what === "late") { await fetch(process.env.GATE); throw new TypeError("too late"); }
  if (what === "sse") await fetch(process.env.GATE);
  stream.write({ two: 2 });
  stream.end();
});
"""

BOOTSTRAP = f"""#!{sys.executable} -S
import base64, json, os, socket

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
API = "/2018-06-01/runtime/invocation"
HEAD = b'{{"statusCode": 200, "headers": {{"X-Kind": "custom"}}}}' + bytes(8)

def chunk(data):
    return b"%x\\r\\n%b\\r\\n" % (len(data), data)

while True:
    with socket.create_connection((HOST, int(PORT))) as polling:
        polling.sendall(f"GET {{API}}/next HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n".encode())
        said = b"".join(iter(lambda: polling.recv(65536), b""))
    head, _, event = said.partition(b"\\r\\n\\r\\n")
    lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\\r\\n")[1:])
    what = json.loads(event)["pathParameters"]["what"]
    path = f"{{API}}/{{lines['lambda-runtime-aws-request-id']}}/response"
    with socket.create_connection((HOST, int(PORT))) as answering:
        fields = ["Host: a", "Connection: close", "Lambda-Runtime-Function-Response-Mode: streaming",
                  "Content-Type: application/vnd.awslambda.http-integration-response", "Transfer-Encoding: chunked",
                  "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"]
        answer = "\\r\\n".join([f"POST {{path}} HTTP/1.1", *fields, "", ""]).encode()
        if what == "breaks":
            answering.sendall(answer + chunk(HEAD) + chunk(b"a" * 100))
        elif what == "fails":
            error = base64.b64encode(b'{{"errorType": "Rooms.Full", "errorMessage": "no room"}}').decode()
            behind = "Lambda-Runtime-Function-Error-Type: Rooms.Full\\r\\n"
            behind += f"Lambda-Runtime-Function-Error-Body: {{error}}\\r\\n\\r\\n"
            first = chunk(HEAD) + chunk(b"a" * 100) if event.count(b"late") else b""
            answering.sendall(answer + first + b"0\\r\\n" + behind.encode())
        else:
            for at in range(0, len(HEAD), 7):
                answering.sendall((answer if not at else b"") + chunk(HEAD[at:at + 7]))
            answering.sendall(chunk(b"custom ") + chunk(b"body") + b"0\\r\\n\\r\\n")
        while what != "breaks" and answering.recv(65536):
            pass
"""


async def next_chunk(client: Wire) -> bytes:
    async with asyncio.timeout(PATIENCE):
        size = int(await client.reader.readline(), 16)
        return (await client.reader.readexactly(size + 2))[:-2]


async def ask(client: Wire, path: str, more: str = "") -> None:
    await client.send(f"GET /v1/{path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())


def unchunked(body: bytes) -> bytes:
    size, _, rest = body.partition(b"\r\n")
    return rest[: int(size, 16)] + unchunked(rest[int(size, 16) + 2 :]) if int(size, 16) else b""


class Door:
    """A backend at which the function waits until the test lets it go on."""

    def __init__(self, running: Backend) -> None:
        self.open = asyncio.Event()
        running.answers("/gate", self._pass)

    async def _pass(self, request: object) -> tuple[int, dict[str, str], bytes]:
        await self.open.wait()
        return 200, {}, b""


async def test_functions_stream_their_answers(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text(HANDLER)
    (tmp_path / "bootstrap").write_text(BOOTSTRAP)
    (tmp_path / "bootstrap").chmod(0o755)
    env = {"PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    async with backend() as behind:
        definition = DEFINITION.replace("@gate@", f"http://127.0.0.1:{behind.port}/gate")
        async with gateway(definition, tmp_path, env=env) as running:
            door = Door(behind)
            await _pieces_reach_the_client_as_they_are_written(running, door)
            await _large_ones_wait_for_the_client(running)
            await _what_fails_is_told_while_it_can_be(running, door)
            await _custom_runtimes(running)
            whole = await http(running.port, "GET", "/v1/whole")
            assert (whole.status, whole.body) == (200, b"whole")


async def _pieces_reach_the_client_as_they_are_written(running: Gateway, door: Door) -> None:
    async with wire(running.port) as client:
        await ask(client, "node/sse", "Accept-Encoding: gzip\r\n")
        head = await client.head()
        assert (head.status, head.header("content-type")) == (201, "text/event-stream")
        assert [value for name, value in head.headers if name.lower() == "set-cookie"] == ["a=1", "b=2; Secure"]
        assert [value for name, value in head.headers if name.lower() == "x-many"] == ["a", "b"]
        assert head.header("content-encoding") is None
        assert await next_chunk(client) == b"data: 1\n\n"
        busy = await http(running.port, "GET", "/v1/node/sse")
        assert busy.status == 503  # the one call at a time is under way
        door.open.set()
        assert await next_chunk(client) == b'{"two":2}'
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        await ask(client, "node/empty")
        assert (await client.head()).status == 201
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        await client.send(b"HEAD /v1/node/quick HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.head()).status == 201


async def _large_ones_wait_for_the_client(running: Gateway) -> None:
    forget_peak(running.pid)
    before = resident(running.pid)
    async with wire(running.port, receive_buffer=65_536) as client:
        await ask(client, "node/large")
        assert (await client.head()).status == 201
        size = 0
        async with asyncio.timeout(PATIENCE):
            while more := int(await client.reader.readline(), 16):
                await client.reader.readexactly(more + 2)
                size += more
            await client.reader.readline()
        assert size == 32 * MIB
    async with wire(running.port) as client:  # one that goes away leaves the function to its end
        await ask(client, "node/large")
        await client.head()
        client.drop()
    async with asyncio.timeout(PATIENCE):
        while (await http(running.port, "GET", "/v1/node/quick")).status == 503:
            pass  # its call is over as soon as the gateway sees that
    assert resident(running.pid) - before < 8 * MIB


async def _what_fails_is_told_while_it_can_be(running: Gateway, door: Door) -> None:
    for what in ("early", "bare", "unknown"):
        answer = await http(running.port, "GET", f"/v1/node/{what}")
        assert (answer.status, answer.body) == (502, b'{"message": "Internal server error"}'), what
    assert (await http(running.port, "GET", "/v1/plain")).status == 502
    door.open.clear()
    assert (await http(running.port, "GET", "/v1/node/endless")).status == 502  # before the function is through
    door.open.set()
    async with wire(running.port) as client:
        await ask(client, "node/late")
        said = await client.closed()
    assert parse_answer(said).status == 201
    assert b"data: 1" in said
    assert not said.endswith(b"0\r\n\r\n")
    await running.logged("too late")
    assert (await http(running.port, "GET", "/v1/node/quick")).status == 201


async def _custom_runtimes(running: Gateway) -> None:
    answer = await http(running.port, "GET", "/v1/custom/fine")
    assert (answer.status, answer.header("x-kind"), unchunked(answer.body)) == (200, "custom", b"custom body")
    assert (await http(running.port, "GET", "/v1/custom/fails")).status == 502
    for path, why in (("custom/fails?late", "no room"), ("custom/breaks", "Runtime.TruncatedResponse")):
        async with wire(running.port) as client:
            await ask(client, path)
            said = await client.closed()
        assert parse_answer(said).status == 200
        assert b"a" * 100 in said
        assert not said.endswith(b"0\r\n\r\n")
        await running.logged(why)
    assert (await http(running.port, "GET", "/v1/custom/fine")).status == 200
