"""Node handlers as AWS's documentation shows them (Lambda developer guide, "Working with Node.js")."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.functions import Local, local

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Local]:
    async with local(tmp_path, {"PATH": os.environ["PATH"], "SECRET": "the gateway's own"}) as functions:
        yield functions


@pytest.mark.parametrize(
    ("file", "code"),
    [
        pytest.param("index.js", "exports.handler = async (event) => ({hello: event.who});", id="CommonJS"),
        pytest.param("index.cjs", "exports.handler = async (event) => ({hello: event.who});", id="cjs"),
        pytest.param("index.mjs", "export const handler = async (event) => ({hello: event.who});", id="ES module"),
        pytest.param("index/index.js", "exports.handler = async (event) => ({hello: event.who});", id="a folder"),
        pytest.param(
            "index.js", "exports.handler = (event, _, done) => done(null, {hello: event.who});", id="callback"
        ),
        pytest.param("index.js", "exports.handler = (event, it) => it.succeed({hello: event.who});", id="succeed"),
        pytest.param("index.js", "exports.handler = (event, it) => it.done(null, {hello: event.who});", id="done"),
        pytest.param(
            "index.js",
            "exports.handler = (event) => new Promise((ok) => setTimeout(() => ok({hello: event.who}), 5));",
            id="promise",
        ),
    ],
)
async def test_a_handler_of_every_kind(here: Local, file: str, code: str) -> None:
    here.node(code, file=file)

    assert [await here.result({"who": who}) for who in ("Ada", "Grace")] == [{"hello": "Ada"}, {"hello": "Grace"}]
    assert len(here.facts.of("function cold start")) == 1


async def test_a_package_of_type_module(here: Local) -> None:
    here.write("package.json", '{"type": "module"}')
    here.node("import { basename } from 'node:path';\nconst n = await Promise.resolve(7);\n"
              "export async function handler() { return [n, basename(import.meta.url)]; }\n")  # fmt: skip

    assert await here.result() == [7, "index.js"]


async def test_nested_names_and_folders(here: Local) -> None:
    here.write("src/app.js", "exports.rooms = {join: async () => 'joined'};")
    here.define("fn", "nodejs20.x", "src/app.rooms.join")

    assert await here.result() == "joined"


async def test_the_context_object(here: Local) -> None:
    """Lambda developer guide, "Using the Lambda context object to retrieve Node.js function information"."""
    here.node(
        """
exports.handler = async (event, context) => {
  const left = context.getRemainingTimeInMillis();
  return [context.awsRequestId, context.functionName, context.functionVersion, context.invokedFunctionArn,
          context.memoryLimitInMB, context.logGroupName, context.callbackWaitsForEmptyEventLoop,
          left > 5000 && left <= 7000, process.env._X_AMZN_TRACE_ID, process.env.AWS_EXECUTION_ENV,
          process.env.SECRET === undefined, process.cwd() === process.env.LAMBDA_TASK_ROOT];
};
""",
        timeout=7,
        memorySize=256,
    )

    assert await here.result(request_id="request-1", trace_id="Root=1") == [
        "request-1",
        "fn",
        "$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:fn",
        "256",
        "/aws/lambda/fn",
        True,
        True,
        "Root=1",
        "AWS_Lambda_nodejs20.x",
        True,
        True,
    ]


async def test_the_environment_is_as_usual_though_the_trace_id_is_not_in_it(here: Local) -> None:
    """The C library's setenv would keep each of them for ever."""
    here.node(
        """
import { execFileSync } from "node:child_process";
import { env } from "node:process";
export const handler = async (event) => {
  process.env.SET = 7;
  delete process.env.DELETED;
  return [env._X_AMZN_TRACE_ID, { ...process.env }._X_AMZN_TRACE_ID, "_X_AMZN_TRACE_ID" in process.env, env.SET,
          Object.keys(env).includes("DELETED"), execFileSync("sh", ["-c", "echo $_X_AMZN_TRACE_ID $SET"]).toString()];
};
""",
        file="index.mjs",
        environment={"DELETED": "x"},
    )

    for trace in ("Root=1", "Root=2"):
        assert await here.result(trace_id=trace) == [trace, trace, True, "7", False, f"{trace} 7\n"]


async def test_a_callback_waits_for_the_event_loop_to_empty(here: Local) -> None:
    """Lambda developer guide, "Using callbacks": the response is sent when the event loop is empty, by default."""
    here.node(
        """
let log = [];
exports.handler = (event, context, callback) => {
  const before = log;
  log = ["called"];
  context.callbackWaitsForEmptyEventLoop = event.waits;
  setTimeout(() => log.push("later"), 50);
  callback(null, before);
};
""",
        concurrency=1,
    )

    assert await here.result({"waits": True}) == []
    assert await here.result({"waits": False}) == ["called", "later"]
    assert await here.result({"waits": True}) == ["called"]


async def test_a_handler_that_says_nothing_gives_null(here: Local) -> None:
    here.node("exports.handler = (event, context, callback) => { if (event) callback(null, undefined); };")

    assert await here.result(False) is None
    assert await here.result(True) is None


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("exports.handler = async () => { throw new RangeError('no room'); };", id="async"),
        pytest.param("exports.handler = () => { throw new RangeError('no room'); };", id="thrown"),
        pytest.param("exports.handler = (e, c, callback) => callback(new RangeError('no room'));", id="called back"),
        pytest.param("exports.handler = (e, c) => c.fail(new RangeError('no room'));", id="fail"),
    ],
)
async def test_what_it_throws_is_reported_as_aws_does(here: Local, code: str) -> None:
    """Lambda developer guide, "Lambda function errors in Node.js"."""
    here.node(code)

    error = await here.error(request_id="request-1")

    assert (error["errorType"], error["errorMessage"]) == ("RangeError", "no room")
    assert error["trace"][0] == "RangeError: no room"
    assert "index.js:1" in error["trace"][1]
    assert "request-1" in [fact["request_id"] for fact in here.facts.of("function output")]
    assert (await here.error())["errorType"] == "RangeError"
    assert len(here.facts.of("function cold start")) == 1


async def test_a_promise_nobody_settles_is_an_error(here: Local) -> None:
    here.node("exports.handler = () => new Promise(() => {});")

    assert (await here.error())["errorType"] == "Runtime.NodeJsExit"


async def test_a_string_called_back_is_an_error(here: Local) -> None:
    here.node("exports.handler = (e, c, callback) => callback('just text');")

    assert await here.error() == {"errorType": "string", "errorMessage": "just text", "trace": []}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param("setTimeout(() => { throw Error('late'); }); await new Promise(() => {});", "Error", id="thrown"),
        pytest.param(
            "Promise.reject(new Error('late')); await new Promise((ok) => setTimeout(ok, 999));",
            "Runtime.UnhandledPromiseRejection",
            id="rejection nobody handles",
        ),
    ],
)  # fmt: skip
async def test_what_nobody_catches_ends_the_process(here: Local, code: str, kind: str) -> None:
    here.node(f"exports.handler = async (event) => {{ if (event) {{ {code} }} return 'fine'; }};")

    error = await here.error(True)

    assert (error["errorType"], "late" in error["errorMessage"]) == (kind, True)
    assert await here.result(False) == "fine"
    assert len(here.facts.of("function cold start")) == 2


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        pytest.param("require('nowhere');", "Runtime.ImportModuleError", "Cannot find module 'nowhere'", id="import"),
        pytest.param("exports.handler = async ( => 1;", "Runtime.UserCodeSyntaxError", "SyntaxError", id="syntax"),
        pytest.param("exports.other = 1;", "Runtime.HandlerNotFound", "index.handler is undefined", id="no handler"),
        pytest.param("exports.handler = 1;", "Runtime.HandlerNotFound", "is not a function", id="no function"),
        pytest.param("null.x;", "TypeError", "Cannot read properties of null", id="raises"),
        pytest.param("process.exit(3);", "Runtime.ExitError", "exit status 3", id="exits"),
    ],
)
async def test_code_that_can_not_be_loaded(here: Local, code: str, kind: str, said: str) -> None:
    here.node(code)

    error = await here.error()

    assert error["errorType"] == kind
    assert said in error["errorMessage"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param("1n", "Runtime.MarshalError", id="a BigInt"),
        pytest.param("'x'.repeat(7_000_000)", "Function.ResponseSizeTooLarge", id="7 MB"),
    ],
)
async def test_a_result_that_can_not_be_sent(here: Local, value: str, kind: str) -> None:
    here.node(f"exports.handler = async (event) => event ? {value} : 'fine';")

    assert (await here.error(1))["errorType"] == kind
    assert await here.result(0) == "fine"


async def test_large_payloads_both_ways(here: Local) -> None:
    here.node("exports.handler = async (event) => event;")
    text = "ü" * 500_000 + "x" * 3_000_000

    assert await here.result(text) == text


async def test_no_callback_handlers_from_node_24_on(here: Local) -> None:
    """Lambda developer guide, "Define Lambda function handler in Node.js"."""
    here.write("index.js", "exports.handler = (event, context, callback) => callback(null, 1);")
    here.define("fn", "nodejs24.x", "index.handler")

    assert (await here.error())["errorType"] == "Runtime.CallbackHandlerDeprecated"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        pytest.param("index.js", "const rooms = require('rooms'); exports.handler = async () => rooms;", id="CommonJS"),
        pytest.param(
            "index.mjs", "import rooms from 'rooms'; export const handler = async () => rooms;", id="ES module"
        ),
    ],
)
async def test_node_modules_elsewhere(here: Local, tmp_path: Path, file: str, code: str) -> None:
    here.write("shared/node_modules/rooms/package.json", '{"name": "rooms", "main": "main.js"}')
    here.write("shared/node_modules/rooms/main.js", "module.exports = ['lobby'];")
    here.write(f"code/{file}", code)
    here.define("fn", "nodejs20.x", "index.handler", codeUri="code", nodeModules="shared/node_modules")

    assert await here.result() == ["lobby"]
    assert here.functions.folders() == {tmp_path / "code", tmp_path / "shared/node_modules"}
