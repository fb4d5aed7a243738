"""CORS and compression of REST APIs (API Gateway developer guide, "CORS for REST APIs", "Payload compression")."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest

from tests.harness import Answer, Gateway, backend, gateway, http
from tests.wire import wire

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  shop:
    protocolType: REST
    maxBodyBytes: 100000
    minimumCompressionSize: 100
    cors:
      allowOrigins: ["https://app.example", "https://other.example"]
      allowCredentials: true
      exposeHeaders: [X-Total]
      maxAge: 600
    stages: {v1: {variables: {backend: "127.0.0.1:@port@"}}}
    integrations:
      echo: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://${stageVariables.backend}/echo"}
      large: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://${stageVariables.backend}/large"}
      zipped: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://${stageVariables.backend}/zipped"}
    paths:
      /echo: {POST: {integration: echo}}
      /large: {ANY: {integration: large}}
      /zipped: {GET: {integration: zipped}}
  open:
    protocolType: REST
    cors: {allowOrigins: ["*"], allowHeaders: [X-Mine], allowMethods: [GET]}
    stages: {v1: {}}
    paths:
      /own:
        OPTIONS:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 204}'}
            integrationResponses:
              "204": {responseParameters: {method.response.header.Access-Control-Allow-Origin: "'https://mine'"}}
      /mock:
        GET:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 200}'}
            integrationResponses: {"200": {}}
defaultApi: shop
"""

LARGE = json.dumps([{"number": number} for number in range(20_000)]).encode()


async def ask(running: Gateway, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await http(running.port, method, path, body, fields)


async def test_pages_of_other_origins(tmp_path: Path) -> None:
    async with backend() as other, gateway(DEFINITION.replace("@port@", str(other.port)), tmp_path) as running:
        preflight = await ask(running, "OPTIONS", "/v1/echo", Origin="https://app.example")
        assert (preflight.status, preflight.body) == (200, b"")
        assert preflight.header("access-control-allow-origin") == "https://app.example"
        assert preflight.header("access-control-allow-methods") == "OPTIONS,POST"
        assert "X-Api-Key" in (preflight.header("access-control-allow-headers") or "")
        assert preflight.header("access-control-allow-credentials") == "true"
        assert preflight.header("access-control-max-age") == "600"
        every = await ask(running, "OPTIONS", "/v1/large", Origin="https://other.example")
        assert every.header("access-control-allow-methods") == "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"

        for path, status in (("/v1/echo", 200), ("/v1/none", 403)):
            answer = await ask(running, "POST", path, b"x", Origin="https://app.example")
            assert (answer.status, answer.header("access-control-allow-origin")) == (status, "https://app.example")
            assert (answer.header("vary"), answer.header("access-control-expose-headers")) == ("Origin", "X-Total")
            stranger = await ask(running, "POST", path, b"x", Origin="https://app.example.evil")
            assert (stranger.header("access-control-allow-origin"), stranger.header("vary")) == (None, "Origin")

        base = "/execute-api/open/v1"
        for method, path, status in (("OPTIONS", "/mock", 200), ("GET", "/mock", 200), ("GET", "/none", 403)):
            answer = await ask(running, method, base + path)
            assert (answer.status, answer.header("access-control-allow-origin")) == (status, "*")
        preflight = await ask(running, "OPTIONS", base + "/mock")
        assert preflight.header("access-control-allow-methods") == "GET"
        assert preflight.header("access-control-allow-headers") == "X-Mine"
        own = await ask(running, "OPTIONS", base + "/own")
        assert [value for name, value in own.headers if name == "access-control-allow-origin"] == ["https://mine"]


async def test_bodies_are_compressed_and_undone(tmp_path: Path) -> None:
    async with backend() as other, gateway(DEFINITION.replace("@port@", str(other.port)), tmp_path) as running:
        other.answers("/large", (200, {"Content-Type": "application/json"}, LARGE))
        other.answers("/zipped", (200, {"Content-Encoding": "br"}, b"z" * 200))
        plain = b"a" * 1000

        for coding, undo in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
            answer = await ask(running, "POST", "/v1/echo", plain, Accept_Encoding=f"br, {coding}")
            assert (answer.header("content-encoding"), undo(answer.body)) == (coding, plain)
            assert (answer.header("vary"), answer.header("content-length")) == ("Origin", str(len(answer.body)))
            packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
            answer = await ask(running, "POST", "/v1/echo", packed, Content_Encoding=coding)
            assert (answer.body, answer.header("content-encoding")) == (plain, None)
        seen = await other.saw("/echo", 2)
        assert (seen.body, seen.header("content-encoding")) == (plain, None)

        for path, accept, body in (
            ("/v1/echo", "*", plain),
            ("/v1/echo", "identity", plain),
            ("/v1/echo", "gzip", b"a" * 99),
            ("/v1/zipped", "gzip", b""),
        ):
            answer = await ask(running, "POST" if body else "GET", path, body, Accept_Encoding=accept)
            assert answer.header("content-encoding") == (None if body else "br")
            assert answer.body == (body or b"z" * 200)

        # A large one goes as it is compressed; the connection stays, and HEAD tells no length.
        async with wire(running.port) as client:
            head = b"%s /v1/large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
            await client.send(head % b"GET")
            begun = await client.head()
            assert begun.header("transfer-encoding") == "chunked"
            packed = b""
            while size := int(await client.reader.readline(), 16):
                packed += (await client.reader.readexactly(size + 2))[:-2]
            assert await client.reader.readline() == b"\r\n"
            assert gzip.decompress(packed) == LARGE
            other.answers("/large", b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
            await client.send(head % b"HEAD")
            assert (await client.answer("HEAD")).header("content-length") is None

        for body, status in ((b"no gzip", 415), (gzip.compress(plain)[:-1], 415), (gzip.compress(b"0" * 100_001), 413)):
            answer = await ask(running, "POST", "/v1/echo", body, Content_Encoding="gzip")
            assert answer.status == status
        other_coding = await ask(running, "POST", "/v1/echo", b"x", Content_Encoding="br")
        assert (other_coding.status, other_coding.json()) == (415, {"message": "Unsupported Media Type"})
        assert other.count("/echo") == 7
