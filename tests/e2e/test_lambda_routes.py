"""Routes to Lambda functions that run here, as a developer of handlers sees them.

API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.functions import alive
from tests.harness import gateway

pytestmark = pytest.mark.anyio

RUNTIME = f"python3.{sys.version_info.minor}"

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    profile: %(profile)s
    stages: {dev: {stageVariables: {fn: app}}}
    integrations:
      app: {integrationType: AWS_PROXY, integrationUri: "%(uri)s", timeoutInMillis: 5000}
    routes:
      $connect: {integration: app}
      $disconnect: {integration: app}
      $default: {integration: app, routeResponse: true}
      quiet: {integration: app}
functions:
  app: {runtime: %(runtime)s, codeUri: code, handler: %(handler)s, timeout: 1}
"""

PYTHON = """
import json

def handler(event, context):
    context_of = event["requestContext"]
    if context_of["eventType"] == "CONNECT":
        wanted = (event.get("queryStringParameters") or {}).get("status", "200")
        offered = {name.lower(): value for name, value in event["headers"].items()}.get("sec-websocket-protocol")
        headers = {"Sec-WebSocket-Protocol": offered} if offered else {}
        return {"statusCode": int(wanted), "body": "says the function", "headers": headers}
    if context_of["eventType"] == "DISCONNECT":
        print("left with", context_of["disconnectStatusCode"])
        return None
    message = json.loads(event["body"])
    match message["do"]:
        case "echo":
            return {"statusCode": 200, "body": json.dumps({"got": message, "route": context_of["routeKey"]})}
        case "say nothing":
            return {"statusCode": 200}
        case "raise":
            raise ValueError("out of order")
        case "hang":
            import time
            time.sleep(60)
        case "exit":
            import os
            os._exit(3)
        case "nonsense":
            return 7
"""


def written(folder: Path, code: str = PYTHON, *, name: str = "app.py", **keys: str) -> str:
    """The definition, with the function's code beside it."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / name).write_text(code)
    return DEFINITION % {"profile": "open", "uri": "function:app", "runtime": RUNTIME, "handler": "app.handler", **keys}


@pytest.mark.parametrize(
    "uri",
    [
        "function:app",
        "function:${stageVariables.fn}",
        "arn:aws:lambda:us-east-1:000000000000:function:app",
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:app/invocations",
    ],
    ids=["short", "by a stage variable", "an ARN", "AWS's long form"],
)
async def test_a_two_way_route_replies_with_the_body_of_the_result(uri: str, tmp_path: Path) -> None:
    async with gateway(written(tmp_path, uri=uri), tmp_path) as running, connect(running.ws()) as client:
        await client.send('{"do": "echo"}')

        assert json.loads(await client.recv()) == {"got": {"do": "echo"}, "route": "$default"}


async def test_connect_decides_by_its_status_and_names_the_subprotocol(tmp_path: Path) -> None:
    async with gateway(written(tmp_path), tmp_path) as running:
        async with connect(running.ws(), subprotocols=[Subprotocol("chat.v1")]) as client:
            assert client.subprotocol == "chat.v1"
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws("/dev?status=401"))

        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"says the function"


async def test_disconnect_is_told_to_the_function(tmp_path: Path) -> None:
    async with gateway(written(tmp_path), tmp_path) as running:
        async with connect(running.ws()) as client:
            await client.close(4001, "bye")

        line = json.loads(await running.logged("left with"))
        assert (line["event"], line["function"], line["line"]) == ("function output", "app", "left with 4001")


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        pytest.param("raise", "out of order", id="the handler raises"),
        pytest.param("hang", "Task timed out after 1.00 seconds", id="it hangs"),
        pytest.param("exit", "Runtime.ExitError", id="its process ends"),
        pytest.param("nonsense", "not an object", id="its result is no result"),
    ],
)
async def test_a_failing_function_is_an_error_frame_and_the_next_message_is_served(
    do: str, reason: str, tmp_path: Path
) -> None:
    async with gateway(written(tmp_path), tmp_path, verb="dev") as running, connect(running.ws()) as client:
        await client.send(json.dumps({"do": do}))
        frame = json.loads(await client.recv())
        assert frame["message"] == "Internal server error"
        assert reason in frame["reason"]

        await client.send('{"do": "echo"}')
        assert json.loads(await client.recv())["got"] == {"do": "echo"}


async def test_one_way_results_are_dropped_and_one_way_failures_are_not(tmp_path: Path) -> None:
    async with gateway(written(tmp_path), tmp_path) as running, connect(running.ws()) as client:
        for do in ("echo", "nonsense", "raise"):
            await client.send(json.dumps({"action": "quiet", "do": do}))
        await client.send('{"do": "say nothing"}')
        await client.send('{"do": "echo"}')

        frames = [json.loads(await client.recv()) for _ in range(2)]
        assert sorted("got" in frame for frame in frames) == [False, True]


async def test_a_function_answers_in_the_aws_profile_without_our_key(tmp_path: Path) -> None:
    code = 'import json\ndef handler(event, context):\n    return {"statusCode": 200, "body": json.dumps(event)}\n'
    async with gateway(written(tmp_path, code, profile="aws"), tmp_path) as running, connect(running.ws()) as client:
        await client.send("plain text")

        event = json.loads(await client.recv())
        assert event["body"] == "plain text"
        assert "callbackUrl" not in event["requestContext"]


async def test_a_node_function_answers(tmp_path: Path) -> None:
    code = """
exports.handler = async (event) => event.requestContext.eventType === "MESSAGE"
  ? { statusCode: 200, body: event.body.toUpperCase() }
  : { statusCode: 200 };
"""
    definition = written(tmp_path, code, name="index.js", runtime="nodejs20.x", handler="index.handler")
    async with gateway(definition, tmp_path) as running, connect(running.ws()) as client:
        await client.send("hello")

        assert await client.recv() == "HELLO"


async def test_dev_runs_changed_code_for_the_next_message_of_an_open_socket(tmp_path: Path) -> None:
    before = 'def handler(event, context):\n    return {"statusCode": 200, "body": "before"}\n'
    async with gateway(written(tmp_path, before), tmp_path, verb="dev") as running, connect(running.ws()) as client:
        await client.send("x")
        assert await client.recv() == "before"

        (tmp_path / "code" / "app.py").write_text(before.replace("before", "after"))
        await running.logged("function code changed")
        await client.send("x")

        assert await client.recv() == "after"


async def test_dev_shows_at_start_why_a_handler_cannot_be_imported(tmp_path: Path) -> None:
    async with gateway(written(tmp_path, "import nowhere\n"), tmp_path, verb="dev") as running:
        line = await running.logged("nowhere")
        assert "function" in json.loads(line)["event"]
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws())

        assert refused.value.response.status_code == 502


async def test_functions_are_counted(tmp_path: Path) -> None:
    async with gateway(written(tmp_path), tmp_path) as running:
        async with connect(running.ws()) as client:
            await client.send('{"do": "echo"}')
            await client.recv()
        metrics = await running.metrics()

        assert metrics['wsgateway_function_invocations_total{function="app"}'] >= 2
        assert metrics['wsgateway_function_cold_starts_total{function="app"}'] >= 1


async def test_a_drain_ends_the_functions_processes(tmp_path: Path) -> None:
    async with gateway(written(tmp_path), tmp_path, "--drain-window", "0") as running:
        async with connect(running.ws()) as client:
            await client.send('{"do": "echo"}')
            await client.recv()
        cold = json.loads(await running.logged("cold start"))
        running.terminate()

        assert await running.wait() == 0
        assert not alive(cold["worker"])


async def test_functions_believe_to_be_where_the_flags_say(tmp_path: Path) -> None:
    code = """
import json, os

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps([os.environ["AWS_REGION"], context.invoked_function_arn])}
"""
    flags = ("--region", "eu-west-3", "--account-id", "123456789012")
    async with gateway(written(tmp_path, code), tmp_path, *flags) as running, connect(running.ws()) as client:
        await client.send("where am I?")

        region, arn = json.loads(await client.recv())
        assert (region, arn) == ("eu-west-3", "arn:aws:lambda:eu-west-3:123456789012:function:app")
