"""Custom runtimes: any executable that speaks the Runtime API (Lambda developer guide, "Building a custom runtime")."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.functions import Local, local

pytestmark = pytest.mark.anyio

# The tutorial's bootstrap ("Tutorial: Building a custom runtime"), with Python's urllib where it has curl.
TUTORIAL = f"""#!{sys.executable} -S
import os
import urllib.request

API = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime"

def post(path, data, **headers):
    request = urllib.request.Request(f"{{API}}/{{path}}", data, headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202, answer.status

"""

ECHO = (
    TUTORIAL
    + """
while True:
    with urllib.request.urlopen(f"{API}/invocation/next") as answer:
        event, headers = answer.read(), answer.headers
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    print("got", request_id, flush=True)
    if event == b'"fail"':
        post(f"invocation/{request_id}/error", b'{"errorMessage": "no", "errorType": "Rooms.Full"}',
             **{"Lambda-Runtime-Function-Error-Type": "Rooms.Full"})
    elif event == b'"exit"':
        os._exit(7)
    elif event == b'"large"':
        try:
            post(f"invocation/{request_id}/response", b"x" * 7_000_000)
        except OSError:
            pass
    elif event == b'"headers"':
        import json
        names = ["Lambda-Runtime-Invoked-Function-Arn", "Lambda-Runtime-Trace-Id", "Lambda-Runtime-Client-Context"]
        said = [headers[name] for name in names] + [int(headers["Lambda-Runtime-Deadline-Ms"]) > 1_600_000_000_000]
        post(f"invocation/{request_id}/response", json.dumps(said).encode())
    else:
        post(f"invocation/{request_id}/response", event)
"""
)

SHELL = """#!/bin/sh
# Speaks HTTP by hand: what counts is that it is no Python and no Node.
exec 2>&1
echo "handler is $_HANDLER in $LAMBDA_TASK_ROOT"
exec %s
"""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Local]:
    async with local(tmp_path, {"PATH": os.environ["PATH"]}) as functions:
        yield functions


async def test_an_executable_answers(here: Local) -> None:
    here.provided(ECHO)

    assert await here.result({"a": 1}) == {"a": 1}
    assert await here.result("again", request_id="request-2") == "again"
    assert here.facts.of("function output")[-1] == {
        "function": "fn",
        "request_id": "request-2",
        "line": "got request-2",
    }
    assert len(here.facts.of("function cold start")) == 1


async def test_what_comes_with_an_invocation(here: Local) -> None:
    here.provided(ECHO)

    said = await here.result("headers", trace_id="Root=1", client_context='{"custom": {}}', qualifier="live")

    assert said == ["arn:aws:lambda:us-east-1:000000000000:function:fn:live", "Root=1", '{"custom": {}}', True]


async def test_each_process_has_its_own_port(here: Local) -> None:
    here.provided(ECHO, name="one")
    here.provided(ECHO, name="two")

    assert [await here.result(name, name=name) for name in ("one", "two")] == ["one", "two"]


async def test_an_error_is_passed_on_as_it_was_reported(here: Local) -> None:
    here.provided(ECHO)

    assert await here.error("fail") == {"errorMessage": "no", "errorType": "Rooms.Full"}
    assert await here.result("fine") == "fine"


async def test_a_process_that_exits(here: Local) -> None:
    here.provided(ECHO)

    error = await here.error("exit", request_id="request-1")

    assert error == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: request-1 Error: Runtime exited with error: exit status 7",
    }
    assert await here.result("fine") == "fine"


async def test_a_result_over_6_mb(here: Local) -> None:
    here.provided(ECHO)

    assert (await here.error("large"))["errorType"] == "Function.ResponseSizeTooLarge"
    assert await here.result("fine") == "fine"


async def test_a_start_that_fails_by_its_own_account(here: Local) -> None:
    here.provided(TUTORIAL + """post("init/error", b'{"errorMessage": "no table", "errorType": "Rooms.NoTable"}')\n""")

    assert await here.error() == {"errorMessage": "no table", "errorType": "Rooms.NoTable"}


async def test_a_shell_script(here: Local) -> None:
    here.write("echo.py", ECHO).chmod(0o755)
    here.provided(SHELL % "./echo.py", handler="anything.at.all")

    assert await here.result("hello") == "hello"
    assert here.facts.lines[0] == f"handler is anything.at.all in {here.folder}"


async def test_a_file_that_is_no_program(here: Local) -> None:
    here.provided("\x7fELF but not really")

    error = await here.error()

    assert error["errorType"] == "Runtime.InvalidEntrypoint"
    assert "bootstrap can't be started" in error["errorMessage"]


@pytest.mark.parametrize(
    ("attempt", "answer"),
    [
        pytest.param("post('invocation/nope/response', b'1')", "400", id="an unknown request"),
        pytest.param("urllib.request.urlopen(API + '/invocation/next')", "403", id="next before an answer"),
        pytest.param("urllib.request.urlopen(API + '/extension')", "404", id="an unknown path"),
        pytest.param("urllib.request.urlopen(API[:-19])", "404", id="no path"),
    ],
)
async def test_calls_that_are_refused(here: Local, attempt: str, answer: str) -> None:
    here.provided(
        TUTORIAL
        + f"""
while True:
    with urllib.request.urlopen(f"{{API}}/invocation/next") as answer:
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        {attempt}
        said = "taken"
    except urllib.error.HTTPError as error:
        said = str(error.code)
    post(f"invocation/{{request_id}}/response", said.encode())
"""
    )

    assert (await here.call()).payload.decode() == answer
    assert (await here.call()).payload.decode() == answer
