"""AWS on loopback: moto's server in a process of its own, and what records the requests that reach it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.harness import PATIENCE, Backend, Request, parse_answer, raw

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"


class Aws(Backend):
    """A way to moto that keeps every request; what `answers` says for a path stands in for moto there."""

    moto: int

    async def reply(self, request: Request) -> Any:
        if request.target.partition("?")[0] in self._scripts:
            return await super().reply(request)
        self.requests.append(request)
        self._arrived.set()
        lines = [f"{request.method} {request.target} HTTP/1.1", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        answer = parse_answer(await raw(self.moto, "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body))
        kept = {name: value for name, value in answer.headers if name not in ("connection", "content-length")}
        return answer.status, kept, answer.body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        """What a gateway needs to call it."""
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return files | keys | {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true"} | more

    async def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """What boto3 gets from moto itself."""
        url = f"http://127.0.0.1:{self.moto}"

        def run() -> dict[str, Any]:
            client = boto3.client(
                service,
                endpoint_url=url,
                region_name=REGION,
                aws_access_key_id=KEY,
                aws_secret_access_key=SECRET,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
            return dict(getattr(client, operation)(**parameters))

        return await anyio.to_thread.run_sync(run)


@asynccontextmanager
async def aws() -> AsyncIterator[Aws]:
    """moto's server on any free port, behind what records; ended by its pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    running = Aws()
    drained: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(2 * PATIENCE):
            async for line in process.stderr:
                if found := re.search(rb"Running on http://127\.0\.0\.1:(\d+)", line):
                    running.moto = int(found[1])
                    break
            else:
                raise AssertionError("moto did not start")
        drained = asyncio.ensure_future(process.stderr.read())
        await running.start()
        yield running
    finally:
        running.stop()
        if process.returncode is None:
            process.kill()
        await process.wait()
        if drained is not None:
            await drained


def service_of(request: Request) -> str:
    """The service a request is signed for."""
    return (request.header("authorization") or "").split("/")[3]


def signed_by(request: Request, *, key: str = KEY, secret: str = SECRET, region: str = REGION) -> bool:
    """Whether botocore gives the same signature to the same request, and all is signed that must be."""
    said = request.header("authorization") or ""
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    present = {name.lower() for name, _ in request.headers}
    must = {name for name in present if name.startswith("x-amz-") or name in ("host", "content-type")}
    headers = {name: request.header(name) for name in names}
    again = AWSRequest(request.method, f"http://{headers['host']}{request.target}", headers=headers, data=request.body)
    again.context["timestamp"] = headers["x-amz-date"]
    service = service_of(request)
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(key, secret), service, region)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return must == set(names) and f"Credential={key}/" in said and said.endswith(f"Signature={signature}")
