"""Local functions by the AWS SDK (Lambda API reference, Invoke)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.functions import Local, invoke_api, local
from tests.harness import http

pytestmark = pytest.mark.anyio

CODE = """
import time
def handler(event, context):
    if event == "fail":
        raise ValueError("no room")
    if isinstance(event, list):
        print("printed by", context.aws_request_id)
    if event == "who":
        return [context.invoked_function_arn, context.aws_request_id]
    return event
"""

Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Local]:
    async with local(tmp_path, {"PATH": os.environ["PATH"]}) as functions:
        functions.python(CODE, "chat")
        yield functions


@pytest.fixture
async def port(here: Local) -> AsyncIterator[int]:
    async with invoke_api(here) as number:
        yield number


@pytest.fixture
def call(port: int) -> Call:
    """boto3's `invoke`, in a thread; `Payload` comes read."""
    client = boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )

    async def invoke(event: object = None, name: str = "chat", **options: Any) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = client.invoke(FunctionName=name, Payload=json.dumps(event), **options)
            answer["Payload"] = answer["Payload"].read()
            return answer

        return await asyncio.to_thread(ask)

    return invoke


async def test_a_result(call: Call) -> None:
    answer = await call({"room": "lobby"})

    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads(answer["Payload"]) == {"room": "lobby"}
    assert "FunctionError" not in answer


async def test_a_functions_error(call: Call) -> None:
    answer = await call("fail")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = json.loads(answer["Payload"])
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no room")


@pytest.mark.parametrize(
    ("name", "options", "arn"),
    [
        pytest.param("chat", {}, "chat", id="name"),
        pytest.param("chat:live", {}, "chat:live", id="name and alias"),
        pytest.param("chat", {"Qualifier": "7"}, "chat:7", id="qualifier"),
        pytest.param("function:chat", {}, "chat", id="short"),
        pytest.param("000000000000:function:chat", {}, "chat", id="partial ARN"),
        pytest.param("arn:aws:lambda:us-east-1:000000000000:function:chat", {}, "chat", id="ARN"),
        pytest.param("arn:aws:lambda:eu-west-1:123456789012:function:chat:live", {}, "chat:live", id="ARN and alias"),
    ],
)
async def test_every_way_to_name_a_function(call: Call, name: str, options: dict[str, str], arn: str) -> None:
    answer = await call("who", name, **options)

    said, request_id = json.loads(answer["Payload"])
    assert said == f"arn:aws:lambda:us-east-1:000000000000:function:{arn}"
    assert request_id == answer["ResponseMetadata"]["RequestId"]


async def test_the_end_of_the_log(call: Call) -> None:
    answer = await call([1], LogType="Tail")

    request_id = answer["ResponseMetadata"]["RequestId"]
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[:3] == [
        f"START RequestId: {request_id} Version: $LATEST",
        f"printed by {request_id}",
        f"END RequestId: {request_id}",
    ]
    assert lines[3].startswith(f"REPORT RequestId: {request_id}\tDuration: ")


async def test_an_event_runs_and_nobody_waits(call: Call, here: Local) -> None:
    answer = await call([1], InvocationType="Event")

    assert answer["StatusCode"] == 202
    line = await here.facts.until("function output")
    assert line["line"] == f"printed by {answer['ResponseMetadata']['RequestId']}"


async def test_an_event_that_fails_is_logged(call: Call, here: Local) -> None:
    await call("fail", InvocationType="Event")

    assert "no room" in (await here.facts.until("asynchronous invocation failed"))["reason"]


async def test_a_dry_run(call: Call, here: Local) -> None:
    assert (await call("fail", InvocationType="DryRun"))["StatusCode"] == 204
    assert here.functions.pools["chat"].invocations == 0


async def test_an_unknown_function(call: Call) -> None:
    with pytest.raises(ClientError) as error:
        await call(name="nope")

    assert error.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope",
    }


async def test_throttling(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgateway.functions.pool.WAITING_PER_WORKER", 0)

    with pytest.raises(ClientError) as error:
        await call()

    assert error.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert error.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_a_payload_over_6_mb(call: Call) -> None:
    with pytest.raises(ClientError) as error:
        await call("x" * 6_291_456)

    assert error.value.response["Error"]["Code"] == "RequestTooLargeException"


PATH = "/2015-03-31/functions/chat/invocations"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "kind"),
    [
        pytest.param("POST", PATH, {}, b"{", 400, "InvalidRequestContentException", id="not JSON"),
        pytest.param("POST", PATH, {}, b'"\xff"', 400, "InvalidRequestContentException", id="not UTF-8"),
        pytest.param("POST", PATH, {}, b"[" * 100_000, 400, "InvalidRequestContentException", id="too deep"),
        pytest.param(
            "POST", PATH, {"X-Amz-Client-Context": "?"}, b"1", 400, "InvalidRequestContentException", id="context"
        ),
        pytest.param("POST", PATH, {"X-Amz-Invocation-Type": "Later"}, b"1", 400, "ValidationException", id="type"),
        pytest.param("POST", PATH.replace("chat", "a%2Fb"), {}, b"1", 400, "ValidationException", id="name"),
        pytest.param("GET", PATH, {}, b"", 404, "UnknownOperationException", id="method"),
        pytest.param("POST", "/", {}, b"", 404, "UnknownOperationException", id="path"),
    ],
)  # fmt: skip
async def test_calls_that_are_refused(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes, status: int, kind: str
) -> None:
    answer = await http(port, method, path, body=body, headers=headers.items())

    assert (answer.status, answer.header("x-amzn-errortype")) == (status, kind)


async def test_no_payload_is_an_empty_event(port: int) -> None:
    answer = await http(port, "POST", PATH)

    assert (answer.status, answer.body) == (200, b"{}")


async def test_our_own_runtimes_are_not_polled(port: int) -> None:
    answer = await http(port, "GET", "/2018-06-01/runtime/invocation/next")

    assert answer.status == 403
