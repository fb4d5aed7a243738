"""Functions that misbehave: each costs its own invocation, and nobody else's."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.functions import PATIENCE, Local, alive, ended, local
from wsgateway.errors import DefinitionError, IntegrationTimeout, ServiceUnavailable
from wsgateway.functions import FunctionNotFound, PayloadTooLarge, TooManyInvocations

pytestmark = pytest.mark.anyio

# A handler that can be told what to do.
DOES = """
import os, signal, subprocess, sys, time

def handler(event, context):
    match event:
        case "pid":
            return os.getpid()
        case "hang":
            time.sleep(60)
        case "spin":
            while True:
                pass
        case "crash":
            os._exit(3)
        case "abort":
            os.abort()
        case "memory":
            data = []
            while True:
                data.append(bytearray(b"x" * 1_000_000))
                time.sleep(0.0005)
        case "flood":
            for n in range(200_000):
                print("line", n)
        case "one long line":
            print("x" * 3_000_000)
        case "child":
            return subprocess.Popen(["sleep", "60"]).pid
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            return os.getpid()
        case "write":
            for fd in range(3, 256):
                try:
                    os.write(fd, b"\\xff" * 64)
                except OSError:
                    pass
            time.sleep(60)
        case {"use all but": millis}:
            while context.get_remaining_time_in_millis() > millis:
                time.sleep(0.005)
        case {"wait for": name}:
            open(name + ".here", "w").close()
            while not os.path.exists(name):
                time.sleep(0.005)
    return "fine"
"""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Local]:
    async with local(tmp_path, {"PATH": os.environ["PATH"]}) as functions:
        yield functions


def children() -> list[int]:
    """The processes this one has started and not reaped."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


async def exists(file: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while not os.access(file, os.F_OK):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", ["hang", "spin"])
async def test_one_that_takes_too_long_is_ended(here: Local, how: str) -> None:
    here.python(DOES, timeout=1)
    pid = await here.result("pid")

    error = await here.error(how, request_id="request-1")

    assert error["errorType"] == "Sandbox.Timedout"
    text = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z request-1 Task timed out after 1\.00 seconds"
    assert re.fullmatch(text, error["errorMessage"])
    await ended(pid)
    assert await here.result("pid") != pid


async def test_each_invocation_has_the_whole_timeout(here: Local) -> None:
    here.python(DOES, timeout=2)
    pid = await here.result("pid")

    for _ in range(3):
        assert await here.result({"use all but": 1200}) == "fine"

    assert await here.result("pid") == pid
    assert (await here.error("hang"))["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("how", "text"), [("crash", "exit status 3"), ("abort", "signal: aborted")], ids=["exit", "abort"]
)
async def test_one_that_crashes(here: Local, how: str, text: str) -> None:
    here.python(DOES)

    assert await here.error(how, request_id="request-1") == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: request-1 Error: Runtime exited with error: {text}",
    }
    assert await here.result() == "fine"


async def test_a_process_killed_in_the_middle_of_a_call(here: Local) -> None:
    here.python(DOES, timeout=60)
    pid = await here.result("pid")
    running = asyncio.ensure_future(here.error("hang"))
    await asyncio.sleep(0)

    os.kill(pid, signal.SIGKILL)

    assert (await running)["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert await here.result() == "fine"


async def test_a_process_killed_between_calls_is_replaced(here: Local) -> None:
    here.python(DOES)
    pid = await here.result("pid")

    os.kill(pid, signal.SIGKILL)
    await here.facts.until("function process ended")

    assert await here.result() == "fine"


@pytest.mark.parametrize("language", ["python", "node"])
async def test_one_over_its_memory(here: Local, language: str) -> None:
    if language == "python":
        here.python(DOES, timeout=30)
    else:
        here.node(
            "exports.handler = async () => { const all = []; for (;;) { all.push(Buffer.alloc(1e6, 1));"
            " await new Promise((ok) => setTimeout(ok, 1)); } };",
            timeout=30,
        )

    assert (await here.error("memory", request_id="request-1")) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: request-1 Error: Runtime exited with error: signal: killed",
    }
    assert here.facts.of("function over its memory")[0]["limit_mb"] == 128


async def test_a_flood_of_output_is_bounded(here: Local) -> None:
    here.python(DOES, timeout=30)

    assert await here.result("flood") == "fine"

    assert 2000 <= len(here.facts.lines) < 10_000
    await here.functions.aclose()
    dropped = sum(fact["lines"] for fact in here.facts.of("function output dropped"))
    assert len(here.facts.lines) + dropped == 200_000


async def test_a_line_without_end_is_cut(here: Local) -> None:
    here.python(DOES, timeout=30)

    assert await here.result("one long line") == "fine"
    assert [len(line) for line in here.facts.lines] == [8192]


async def test_a_neighbour_is_not_disturbed(here: Local) -> None:
    here.python(DOES, name="loud", timeout=20)
    here.define("quiet", here.defined["loud"].runtime, "app.handler")
    await here.result(name="quiet")
    loud = asyncio.ensure_future(here.call("flood", name="loud"))

    assert [await here.result(name="quiet") for _ in range(200)] == ["fine"] * 200
    await loud


async def test_what_a_handler_starts_ends_with_it(here: Local) -> None:
    here.python(DOES)
    child = await here.result("child")
    assert alive(child)

    await here.error("crash")

    await ended(child)


async def test_one_that_ignores_sigterm_is_ended_all_the_same(here: Local) -> None:
    here.python(DOES)
    pid = await here.result("deaf")

    here.functions.touch("fn")

    await ended(pid)


async def test_one_that_writes_where_it_should_not(here: Local) -> None:
    here.python(DOES, timeout=10)

    assert (await here.error("write"))["errorType"] == "Runtime.ExitError"
    assert here.facts.of("function broke the protocol")
    assert await here.result() == "fine"


async def test_a_crash_loop_slows_down(here: Local) -> None:
    here.python("import os\nos._exit(1)\n")

    errors = [await here.error() for _ in range(50)]

    assert {error["errorType"] for error in errors} == {"Runtime.ExitError"}
    assert here.functions.pools["fn"].cold_starts < 10


async def test_a_caller_that_waits_no_longer(here: Local) -> None:
    here.python(DOES, timeout=30)
    await here.result()
    loop = asyncio.get_running_loop()

    with pytest.raises(IntegrationTimeout):
        await here.call({"wait for": "go"}, deadline=loop.time() + 0.1)

    here.write("go", "")
    # What ran was let finish, and its process goes on.
    assert await here.result() == "fine"
    assert not here.facts.of("function process ended")


async def test_a_caller_that_gives_up_while_its_invocation_waits(here: Local) -> None:
    here.python(DOES, timeout=30, concurrency=1)
    first = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")

    with pytest.raises(IntegrationTimeout):
        await here.call("crash", deadline=asyncio.get_running_loop().time() + 0.1)

    here.write("go", "")
    assert await first == "fine"
    # What nobody waited for any more was never started.
    assert await here.result() == "fine"
    assert not here.facts.of("function process ended")


async def test_over_its_concurrency_invocations_wait_and_then_are_throttled(
    here: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda API reference, Invoke: TooManyRequestsException."""
    monkeypatch.setattr("wsgateway.functions.pool.WAITING_PER_WORKER", 2)
    here.python(DOES, timeout=30, concurrency=1)
    first = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")
    waiting = [asyncio.ensure_future(here.result("pid")) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyInvocations) as refused:
        await here.call()

    assert (refused.value.status_code, refused.value.kind) == (429, "TooManyRequestsException")
    assert refused.value.fields["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    here.write("go", "")
    assert await first == "fine"
    assert len({await each for each in waiting}) == 1


async def test_large_payloads_wait_only_as_long_as_there_is_room(here: Local) -> None:
    """Counted until they have ended, and dropped where nobody waits any more though they are in the queue."""
    bodies = here.functions.bodies
    bodies.limit = 250_000
    here.python(DOES, timeout=30, concurrency=1)
    first = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")
    large = {"large": "x" * 100_000}
    waiting, given_up = (asyncio.ensure_future(here.call(large)) for _ in range(2))
    small = asyncio.ensure_future(here.result("pid"))
    await asyncio.sleep(0)
    assert 200_000 < bodies.held["invocation"] < 201_000

    with pytest.raises(TooManyInvocations, match="no room left"):
        await here.call(large)

    given_up.cancel()
    await asyncio.wait([given_up])
    await asyncio.sleep(0)
    assert bodies.held["invocation"] < 101_000
    here.write("go", "")
    assert await first == "fine"
    await waiting
    await small
    assert bodies.taken == 0


async def test_one_that_waits_too_long_is_throttled(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgateway.functions.pool.WAITING_SECONDS", 0.05)
    here.python(DOES, timeout=30, concurrency=1)
    here.functions.warm()
    await here.facts.until("function cold start")
    first = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")

    with pytest.raises(TooManyInvocations):
        await here.call()

    here.write("go", "")
    assert await first == "fine"


async def test_calls_that_can_not_be_made(here: Local) -> None:
    here.python(DOES)

    with pytest.raises(FunctionNotFound, match="function:nope"):
        await here.call(name="nope")
    with pytest.raises(PayloadTooLarge):
        await here.call("x" * 6_291_456)


async def test_every_invocation_ends_though_processes_are_killed(here: Local) -> None:
    here.python(DOES, timeout=10, concurrency=3)
    results: list[bool] = []

    async def ask(many: int) -> None:
        for _ in range(many):
            results.append((await here.call()).failed)

    asking = [asyncio.ensure_future(ask(100)) for _ in range(8)]
    killed = 0
    while not all(task.done() for task in asking):
        await asyncio.wait(asking, timeout=0.01)
        if len(results) >= killed + 20:  # on a busy machine new processes take long until they answer
            killed = len(results)
            for pid in here.pids():
                os.kill(pid, signal.SIGKILL)

    assert len(results) == 800
    assert results.count(True) < 200


async def test_a_process_nobody_needs_is_ended(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgateway.functions.functions.IDLE_SECONDS", 0.0)
    here.python(DOES)

    await ended(await here.result("pid"))

    assert await here.result() == "fine"
    assert not here.facts.of("function process ended")


# Reload


async def test_unchanged_functions_keep_their_processes(here: Local) -> None:
    here.python(DOES)
    pid = await here.result("pid")

    here.python(DOES, name="other")

    assert await here.result("pid") == pid


async def test_a_changed_function_drains_and_starts_anew(here: Local) -> None:
    here.python(DOES, timeout=30)
    old = await here.result("pid")
    running = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")

    here.python("def handler(event, context):\n    return 'new'\n", timeout=20)

    assert await here.result() == "new"
    assert alive(old)
    here.write("go", "")
    assert await running == "fine"
    await ended(old)


async def test_changed_files_touch_their_functions(here: Local) -> None:
    here.write("a/app.py", "def handler(event, context):\n    return 1\n")
    here.write("b/app.py", "def handler(event, context):\n    return 1\n")
    for name in ("a", "b"):
        here.define(name, f"python3.{sys.version_info.minor}", "app.handler", codeUri=name)
        assert await here.result(name=name) == 1
    file = here.write("a/app.py", "def handler(event, context):\n    return 2\n")

    assert here.functions.changed([file, here.folder / "b/__pycache__/app.pyc"]) == ["a"]

    assert [await here.result(name=name) for name in ("a", "b")] == [2, 1]


async def test_a_function_that_is_removed_finishes_what_it_runs(here: Local) -> None:
    here.python(DOES, timeout=30)
    pid = await here.result("pid")
    running = asyncio.ensure_future(here.result({"wait for": "go"}))
    await exists(here.folder / "go.here")

    here.functions.reload({}, here.folder)

    with pytest.raises(FunctionNotFound):
        await here.call()
    here.write("go", "")
    assert await running == "fine"
    await ended(pid)


async def test_a_reload_with_problems_changes_nothing(here: Local) -> None:
    here.python(DOES)

    with pytest.raises(DefinitionError, match=r"functions\.broken\.codeUri: .* does not exist"):
        here.define("broken", "python3.11", "app.handler", codeUri="nowhere")

    assert await here.result() == "fine"


# Ends


async def test_closing_ends_everything(here: Local) -> None:
    here.python(DOES, timeout=60)
    child, deaf = await here.result("child"), await here.result("deaf")
    running = asyncio.ensure_future(here.call("hang"))
    await asyncio.sleep(0)
    await here.functions.aclose()

    assert not any(alive(pid) for pid in (child, deaf))
    assert (await running).failed


async def test_closing_tells_those_that_wait(here: Local) -> None:
    here.python(DOES, timeout=60, concurrency=1)
    first = asyncio.ensure_future(here.call({"wait for": "go"}))
    await exists(here.folder / "go.here")
    waiting = here.functions.invoke("fn", b"1")

    await here.functions.aclose()

    with pytest.raises(ServiceUnavailable):
        await waiting
    assert (await first).failed


async def test_no_descriptor_and_no_zombie_is_left(tmp_path: Path) -> None:
    async with local(tmp_path, {"PATH": os.environ["PATH"]}) as here:
        here.python(DOES)
        await here.result()
    before = len(os.listdir("/proc/self/fd"))

    async with local(tmp_path, {"PATH": os.environ["PATH"]}) as here:
        here.python(DOES, timeout=1)
        for how in ("crash", "hang", "pid", "child"):
            await here.call(how)
        here.provided("#!/bin/sh\nexit 1\n", name="provided")
        await here.error(name="provided")

    assert len(os.listdir("/proc/self/fd")) == before
    assert [child for child in children() if not alive(child)] == []


GATEWAY = """
import asyncio, sys
from pathlib import Path
from tests.functions import local

async def main():
    async with local(Path(sys.argv[1])) as here:
        here.python((Path(sys.argv[1]) / "does.py").read_text(), timeout=600)
        here.node("exports.handler = async () => process.pid;", name="node")
        hanging = here.functions.invoke("fn", b'"spin"')
        print(await here.result("pid"), await here.result("child"), await here.result(name="node"), flush=True)
        await hanging

asyncio.run(main())
"""


async def test_no_orphan_is_left_by_a_gateway_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "does.py").write_text(DOES)
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, str(tmp_path),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert gateway.stdout is not None
    async with asyncio.timeout(PATIENCE):
        pids = [int(word) for word in (await gateway.stdout.readline()).split()]
    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)

    gateway.kill()
    await gateway.wait()

    for pid in pids:
        await ended(pid)
