"""A REST API as the clients see it that people use: curl, httpx, and whatever signs with AWS's SDK."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.harness import PATIENCE, Gateway, Request, backend, gateway

pytestmark = pytest.mark.anyio

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DEFINITION = f"""
apis:
  shop:
    protocolType: REST
    minimumCompressionSize: 100
    stages: {{v1: {{variables: {{backend: "127.0.0.1:PORT"}}}}}}
    integrations:
      all:
        type: HTTP_PROXY
        httpMethod: ANY
        uri: http://${{stageVariables.backend}}/{{proxy}}
        requestParameters: {{integration.request.path.proxy: method.request.path.proxy}}
    paths:
      /{{proxy+}}: {{ANY: {{integration: all}}}}
      /signed/{{proxy+}}: {{ANY: {{integration: all, authorizationType: AWS_IAM}}}}
credentials:
  - accessKeyId: {KEY}
    secretAccessKey: {SECRET}
    principalArn: arn:aws:iam::000000000000:user/ann
    policy:
      Version: "2012-10-17"
      Statement: [{{Effect: Allow, Action: execute-api:Invoke, Resource: "*"}}]
"""
LONG = "pet " * 100


def told(request: Request) -> tuple[int, dict[str, str], bytes]:
    """The backend's answer: what it was asked."""
    seen = {"method": request.method, "target": request.target, "body": request.body.decode(), "long": LONG}
    return 200, {"Content-Type": "application/json", "X-Seen": str(len(request.body))}, json.dumps(seen).encode()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Gateway]:
    async with backend() as other:
        for path in ("/pets", "/pets/a%20b"):
            other.answers(path, told)
        async with gateway(DEFINITION.replace("PORT", str(other.port)), folder) as running:
            yield running


async def curl(*words: str, sent: bytes = b"") -> tuple[list[str], bytes]:
    """Lines of the last head, and the body."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--include", "--max-time", str(PATIENCE), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate(sent)
    assert process.returncode == 0, errors.decode()
    head, _, body = output.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


async def test_curl_httpx_and_the_sdk_are_answered_alike(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        base = f"http://127.0.0.1:{running.port}/v1"
        await by_curl(base)
        await by_httpx(base)
        await by_sdk(base)


async def by_curl(base: str) -> None:
    head, body = await curl(f"{base}/pets?q=1")
    assert head[0] == "HTTP/1.1 200 OK"
    assert json.loads(body) == {"method": "GET", "target": "/pets?q=1", "body": "", "long": LONG}

    head, body = await curl("--head", f"{base}/pets")
    assert (head[0], body) == ("HTTP/1.1 200 OK", b"")

    head, body = await curl("--compressed", f"{base}/pets")
    assert "content-encoding: gzip" in [line.lower() for line in head]
    assert json.loads(body)["long"] == LONG

    large = b"x" * 2_000_000  # curl waits for a 100 Continue
    head, body = await curl(
        "-X", "POST", "-H", "Expect: 100-continue", "--data-binary", "@-", f"{base}/pets", sent=large
    )
    assert "x-seen: 2000000" in [line.lower() for line in head]

    head, body = await curl("--upload-file", "-", f"{base}/pets", sent=b"by chunks")
    assert json.loads(body)["body"] == "by chunks"


async def by_httpx(base: str) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        # Of one connection, one after the other.
        for method in ("GET", "DELETE", "PATCH"):
            answer = await client.request(method, f"{base}/pets/a b", params={"x": "ü"})
            assert (answer.status_code, answer.json()["method"]) == (200, method)
            assert answer.json()["target"] == "/pets/a%20b?x=%C3%BC"

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d," % number

        answer = await client.post(f"{base}/pets", content=pieces())
        assert answer.json()["body"] == "0,1,2,"
        zipped = {"Content-Encoding": "gzip"}
        answer = await client.post(f"{base}/pets", content=gzip.compress(b"zipped"), headers=zipped)
        assert answer.json()["body"] == "zipped"
        refused = await client.get(f"{base}/signed/pets")
        assert (refused.status_code, refused.json()) == (403, {"message": "Missing Authentication Token"})


async def by_sdk(base: str) -> None:
    body = json.dumps({"name": "Bello"}).encode()
    request = AWSRequest("POST", f"{base}/signed/pets?b=2&a=1", data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(KEY, SECRET), "execute-api", "us-east-1").add_auth(request)
    prepared = request.prepare()
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.post(prepared.url, content=body, headers=dict(prepared.headers.items()))
        assert (answer.status_code, answer.json()["body"]) == (200, body.decode())
        answer = await client.post(
            prepared.url, content=body.replace(b"Bello", b"Pluto"), headers=dict(prepared.headers.items())
        )
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"

        packed = gzip.compress(body, mtime=1)
        zipped = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        request = AWSRequest("POST", f"{base}/signed/pets", data=packed, headers=zipped)
        SigV4Auth(Credentials(KEY, SECRET), "execute-api", "us-east-1").add_auth(request)
        prepared = request.prepare()
        for sent, status in ((packed, 200), (gzip.compress(body, mtime=2), 403)):
            answer = await client.post(prepared.url, content=sent, headers=dict(prepared.headers.items()))
            assert answer.status_code == status
