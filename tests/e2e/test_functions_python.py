"""Python handlers as AWS's documentation shows them (Lambda developer guide, "Working with Python")."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.functions import PYTHON, Local, local

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Local]:
    async with local(tmp_path, {"PATH": os.environ["PATH"], "SECRET": "the gateway's own"}) as functions:
        yield functions


async def test_a_handler_returns_what_becomes_json(here: Local) -> None:
    here.python("def handler(event, context):\n    return {'statusCode': 200, 'body': event['who'] + ' grüßt'}\n")

    assert await here.result({"who": "Ada"}) == {"statusCode": 200, "body": "Ada grüßt"}
    assert (await here.call({"who": "Ada"})).payload == '{"statusCode": 200, "body": "Ada grüßt"}'.encode()


async def test_the_context_object(here: Local) -> None:
    """Lambda developer guide, "Using the Lambda context object to retrieve Python function information"."""
    here.python(
        """
def handler(event, context):
    left = context.get_remaining_time_in_millis()
    return [context.aws_request_id, context.function_name, context.function_version, context.invoked_function_arn,
            context.memory_limit_in_mb, context.log_group_name, "[$LATEST]" in context.log_stream_name,
            context.client_context, context.identity.cognito_identity_id, 5000 < left <= 7000]
""",
        timeout=7,
        memorySize=256,
    )

    assert await here.result(request_id="request-1", qualifier="live") == [
        "request-1",
        "fn",
        "$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:fn:live",
        "256",
        "/aws/lambda/fn",
        True,
        None,
        None,
        True,
    ]


async def test_the_environment_is_lambdas_and_the_functions_own(here: Local) -> None:
    """Lambda developer guide, "Defined runtime environment variables"."""
    here.python(
        "import os\ndef handler(event, context):\n    return [dict(os.environ), os.getcwd(), open(event).read()]\n",
        environment={"TABLE": "rooms", "AWS_REGION": "eu-central-1"},
    )
    here.write("data.txt", "beside the code")

    variables, folder, data = await here.result("data.txt", trace_id="Root=1-2-3")

    stream = variables.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert "[$LATEST]" in stream
    assert variables.pop("PATH").endswith(os.environ["PATH"])
    variables.pop("LC_CTYPE", None)
    runtime_dir = variables.pop("LAMBDA_RUNTIME_DIR")
    assert (Path(runtime_dir) / "bootstrap.py").is_file()
    assert variables == {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{PYTHON}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "fn",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_REGION": "eu-central-1",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "HOME": "/tmp",
        "LAMBDA_TASK_ROOT": str(here.folder),
        "LANG": "en_US.UTF-8",
        "TABLE": "rooms",
        "TZ": ":UTC",
        "_HANDLER": "app.handler",
        "_X_AMZN_TRACE_ID": "Root=1-2-3",
    }
    assert (folder, data) == (str(here.folder), "beside the code")


async def test_the_c_library_is_not_given_the_trace_id(here: Local) -> None:
    """Its setenv would keep each of them for ever."""
    here.python(
        """
import ctypes, os
def handler(event, context):
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return [os.environ["_X_AMZN_TRACE_ID"], os.getenv("_X_AMZN_TRACE_ID"), dict(os.environ)["_X_AMZN_TRACE_ID"],
            getenv(b"_X_AMZN_TRACE_ID") is None]
"""
    )

    assert await here.result(trace_id="Root=1") == ["Root=1", "Root=1", "Root=1", True]


async def test_a_process_stays_warm(here: Local) -> None:
    here.python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")

    assert [await here.result() for _ in range(3)] == [1, 2, 3]
    assert len(here.facts.of("function cold start")) == 1


async def test_invocations_at_a_time_have_a_process_each(here: Local) -> None:
    here.python(
        """
import os, time
def handler(event, context):
    while len([name for name in os.listdir(".") if name.startswith("here-")]) < 3:
        open(f"here-{os.getpid()}", "w").close()
        time.sleep(0.005)
    return os.getpid()
""",
        concurrency=3,
        timeout=15,
    )

    pids = await asyncio.gather(*(here.result(n) for n in range(3)))

    assert len(set(pids)) == 3


async def test_what_it_raises_is_reported_as_aws_does(here: Local) -> None:
    """Lambda developer guide, "Lambda function errors in Python"."""
    here.python(
        """
def inner():
    raise KeyError("room")

def handler(event, context):
    inner()
"""
    )

    error = await here.error(request_id="request-1")

    assert {**error, "stackTrace": len(error["stackTrace"])} == {
        "errorMessage": "'room'",
        "errorType": "KeyError",
        "requestId": "request-1",
        "stackTrace": 2,
    }
    assert error["stackTrace"][0].startswith(f'  File "{here.folder}/app.py", line 6, in handler\n    inner()\n')
    assert [fact["request_id"] for fact in here.facts.of("function output")] == ["request-1"] * 6
    assert here.facts.lines[0] == "[ERROR] KeyError: 'room'"
    assert await here.error() is not None  # the process goes on
    assert len(here.facts.of("function cold start")) == 1


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        pytest.param(
            "import nowhere\n", "Runtime.ImportModuleError", "Unable to import module 'app': No module", id="import"
        ),
        pytest.param("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'", id="syntax"),
        pytest.param(
            "x = 1\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'", id="no handler"
        ),
        pytest.param("1 / 0\n", "ZeroDivisionError", "division by zero", id="raises"),
        pytest.param("import sys\nsys.exit(3)\n", "Runtime.ExitError", "exit status 3", id="exits"),
    ],
)
async def test_code_that_can_not_be_loaded(here: Local, code: str, kind: str, said: str) -> None:
    here.python(code)

    error = await here.error()

    assert error["errorType"] == kind
    assert said in error["errorMessage"]
    assert kind in (await here.facts.until("function does not start"))["reason"]


async def test_broken_code_shows_before_the_first_message(here: Local) -> None:
    here.python("import nowhere\n")

    here.functions.warm()

    await here.facts.until("function does not start", "nowhere")
    assert any("Traceback" in line for line in here.facts.lines)


async def test_broken_code_is_mended(here: Local) -> None:
    here.python("import nowhere\n")
    await here.error()

    here.write("app.py", "def handler(event, context):\n    return 'mended'\n")

    assert here.functions.changed([here.folder / "app.py"]) == ["fn"]
    assert await here.result() == "mended"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param("{1, 2}", "Runtime.MarshalError", id="a set"),
        pytest.param("handler", "Runtime.MarshalError", id="a function"),
        pytest.param("'x' * 7_000_000", "Function.ResponseSizeTooLarge", id="7 MB"),
    ],
)
async def test_a_result_that_can_not_be_sent(here: Local, value: str, kind: str) -> None:
    here.python(f"def handler(event, context):\n    return {value} if event else 'fine'\n")

    assert (await here.error(1))["errorType"] == kind
    assert await here.result(0) == "fine"


async def test_large_payloads_both_ways(here: Local) -> None:
    here.python("def handler(event, context):\n    return event\n")
    text = "ü" * 500_000 + "x" * 3_000_000

    assert await here.result(text) == text


async def test_a_decimal_is_a_number_and_half_a_surrogate_an_escape(here: Local) -> None:
    here.python("from decimal import Decimal\ndef handler(event, context):\n    return [Decimal('1.5'), '\\ud800']\n")

    assert (await here.call()).payload == b'[1.5, "\\ud800"]'


async def test_logging_has_lambdas_format(here: Local) -> None:
    """Lambda developer guide, "Log and monitor Python Lambda functions"."""
    here.python(
        """
import logging
logger = logging.getLogger()
logger.setLevel(logging.INFO)
def handler(event, context):
    logger.info("hello %s", event)
    print("printed")
"""
    )

    await here.result("Ada", request_id="request-1")

    logged, printed = here.facts.of("function output")
    assert logged["line"].startswith("[INFO]\t2")
    assert logged["line"].endswith("Z\trequest-1\thello Ada")
    assert printed == {"function": "fn", "request_id": "request-1", "line": "printed"}


async def test_lines_belong_to_the_invocation_that_printed_them(here: Local) -> None:
    here.python("def handler(event, context):\n    print(context.aws_request_id)\n", concurrency=1)

    await asyncio.gather(*(here.result(request_id=f"request-{n}") for n in range(50)))

    lines = here.facts.of("function output")
    assert len(lines) == 50
    assert all(fact["line"] == fact["request_id"] for fact in lines)


async def test_handlers_in_packages(here: Local) -> None:
    here.write("src/rooms/__init__.py", "")
    here.write("src/rooms/join.py", "from . import names\ndef handler(event, context):\n    return names.NAME\n")
    here.write("src/rooms/names.py", "NAME = 'lobby'\n")
    here.define("slashes", PYTHON, "src/rooms/join.handler")
    here.define("dots", PYTHON, "src.rooms.join.handler")

    assert await here.result(name="slashes") == await here.result(name="dots") == "lobby"


async def test_another_interpreter(here: Local) -> None:
    here.write("venv/python", f'#!/bin/sh\nMARK=other exec {sys.executable} "$@"\n').chmod(0o755)
    here.python("import os\ndef handler(event, context):\n    return os.environ['MARK']\n", python="venv/python")

    assert await here.result() == "other"


async def test_the_bootstrap_is_written_for_the_oldest_runtime() -> None:
    source = (files("wsgateway.functions") / "bootstrap" / "python" / "bootstrap.py").read_text()

    ast.parse(source, feature_version=(3, 9))


async def test_a_client_context(here: Local) -> None:
    here.python(
        """
def handler(event, context):
    return [context.client_context.client.app_title, context.client_context.custom]
"""
    )
    said = json.dumps({"client": {"app_title": "chat"}, "custom": {"a": "b"}})

    assert await here.result(client_context=said) == ["chat", {"a": "b"}]
