"""Every command of the README does what the README says."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat import visiting
from tests.e2e.test_chat import python_chat
from tests.harness import PATIENCE
from tests.redis import redis_server

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
BIN = Path(sys.executable).parent

SAMPLE = "python3 -m venv .venv && .venv/bin/pip install '.[functions]' && .venv/bin/wsgateway dev"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -c requirements.lock -e '.[test]' && .venv/bin/python -m pytest"
TOUR = [
    ".venv/bin/wsgateway validate",
    ".venv/bin/wsgateway routes",
    ".venv/bin/wsgateway validate broken.yaml",
    ".venv/bin/wsgateway dev",
    """echo '{"action": "ping"}' | .venv/bin/wsgateway connect ws://127.0.0.1:8080/dev""",
    ".venv/bin/wsgateway connections ls",
    '.venv/bin/wsgateway connections tail "$ID"',
    """.venv/bin/wsgateway connections send "$ID" '{"hello": "you"}'""",
    '.venv/bin/wsgateway connections close "$ID"',
    ".venv/bin/wsgateway deployments ls",
    '.venv/bin/wsgateway deployments use "$DIGEST"',
    ".venv/bin/wsgateway serve --redis-url redis://localhost:6379",
    ".venv/bin/wsgateway nodes",
    ".venv/bin/wsgateway doctor --redis-url redis://localhost:6379",
]
EXPLAIN = """.venv/bin/wsgateway explain --body '{"action": "ping"}'"""


def test_no_command_is_left_out() -> None:
    assert [SAMPLE, TESTS, *TOUR[:3], EXPLAIN, *TOUR[3:]] == COMMANDS


def test_the_gate_runs_the_test_command() -> None:
    """`.ci/run` takes it out of the README; what it takes is this."""
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"'(s/\^.*/p)'", script)
    assert pattern is not None
    found = subprocess.run(
        ["sed", "-n", pattern[1], str(ROOT / "README.md")], capture_output=True, text=True, check=True
    )
    assert found.stdout == TESTS + "\n"


@pytest.fixture
def fresh_tree(tmp_path: Path) -> Path:
    """The tree as a new clone would have it, with what is not committed yet."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    there = b"".join(name + b"\0" for name in files.stdout.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
    subprocess.run(["tar", "-cf", str(tmp_path / "tree.tar"), "--null", "-T", "-"], cwd=ROOT, input=there, check=True)
    subprocess.run(["tar", "-xf", "tree.tar"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.timeout(400)
async def test_the_first_command_sets_up_and_runs_the_sample(fresh_tree: Path) -> None:
    ours = {"XDG_STATE_HOME": str(fresh_tree / "state"), "CHAT_DATABASE": str(fresh_tree / "chat.sqlite3")}
    process = await asyncio.create_subprocess_shell(
        f"{SAMPLE} --port 0 --internal-port 0 --tls-port 0",
        cwd=fresh_tree,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | ours,
        start_new_session=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(360):
            async for line in process.stdout:
                said.append(line.decode())
                if said[-1].startswith("wsgateway ready"):
                    break
        ready = re.search(r"public=http(\S+)", (said or [""])[-1])
        assert ready is not None, "".join(said)
        async with visiting(f"ws{ready[1]}/dev") as ada, visiting(f"ws{ready[1]}/dev") as bob:
            await ada.joins("lobby", "Ada")
            assert await bob.joins("lobby", "Bob") == ["Ada", "Bob"]
            await bob.sends(action="say", text="hello")
            await ada.hears(type="said", name="Bob", text="hello")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            await process.communicate()


def shell(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the README, with the programs of the environment the tests run in."""
    return subprocess.run(
        command.replace(".venv/bin", str(BIN)),
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix} | env,
    )


def block_with(command: str) -> list[str]:
    """The lines the README shows behind a command."""
    block = next(block for block in BLOCKS if f"$ {command}\n" in block)
    shown = block.partition(f"$ {command}\n")[2]
    return [line for line in shown.partition("\n$ ")[0].splitlines() if not line.startswith("$ ")]


def test_validate_says_what_the_readme_shows() -> None:
    result = shell(TOUR[0], ROOT)

    assert result.stdout.splitlines() == block_with(TOUR[0])


def test_routes_shows_the_shipped_routes() -> None:
    result = shell(TOUR[1], ROOT)

    assert result.returncode == 0
    assert all(key in result.stdout for key in ("$connect", "$disconnect", "$default", "join", "say", "ping"))


def test_a_mistake_is_told_as_the_readme_shows(tmp_path: Path) -> None:
    text = (
        "apis:\n  chat:\n    protocolType: WEBSOCKET\n    routeSelectionExpresion: $request.body.action\n"
        "    routeSelectionExpression: $request.body.action\n    stages: {dev: {}}\n    routes: {$default: {}}\n"
    )
    (tmp_path / "broken.yaml").write_text(text)

    result = shell(TOUR[2], tmp_path)

    assert result.returncode == 2
    assert result.stderr.splitlines() == block_with(TOUR[2])


def test_a_message_is_explained_as_the_readme_shows() -> None:
    result = shell(EXPLAIN, ROOT)

    assert result.returncode == 0
    assert result.stdout.splitlines() == block_with(EXPLAIN)


async def test_the_rest_of_the_tour(tmp_path: Path) -> None:
    """`dev`, `connect`, `connections` and `deployments`, with the ports the gateway got instead of the default ones."""
    async with python_chat(tmp_path) as running:
        said = await asyncio.to_thread(shell, TOUR[4].replace("8080", str(running.port)), ROOT)
        assert said.stdout.splitlines() == block_with(TOUR[4])

        client = await asyncio.create_subprocess_exec(
            BIN / "wsgateway", "connect", running.ws(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert client.stdout is not None
        assert client.stderr is not None
        async with asyncio.timeout(PATIENCE):
            await client.stderr.readline()
        env = {"WSGATEWAY_INTERNAL_URL": running.internal}
        listed = await asyncio.to_thread(lambda: shell(TOUR[5] + " --output json", ROOT, **env))
        connection_id = re.search(r'"connectionId": "([^"]+)"', listed.stdout)
        assert connection_id is not None

        tail = asyncio.ensure_future(asyncio.to_thread(lambda: shell(TOUR[6], ROOT, ID=connection_id[1], **env)))
        async with asyncio.timeout(PATIENCE):
            while not (await running.metrics())["wsgateway_tails"]:
                pass
        sent = await asyncio.to_thread(lambda: shell(TOUR[7], ROOT, ID=connection_id[1], **env))
        assert sent.returncode == 0, sent.stderr
        async with asyncio.timeout(PATIENCE):
            assert await client.stdout.readline() == b'{"hello": "you"}\n'
        closed = await asyncio.to_thread(lambda: shell(TOUR[8], ROOT, ID=connection_id[1], **env))
        assert closed.returncode == 0, closed.stderr
        async with asyncio.timeout(PATIENCE):
            assert await client.wait() == 0
        seen = await tail
        assert seen.returncode == 0, seen.stderr
        deployed = await asyncio.to_thread(lambda: shell(TOUR[9], ROOT, **env))
        digest = deployed.stdout.splitlines()[1].split()[0]
        used = await asyncio.to_thread(lambda: shell(TOUR[10], ROOT, DIGEST=digest, **env))
        assert used.returncode == 0, used.stderr
        assert re.search(r'push +200  16 B  {"hello": "you"}\n.* close +1000', seen.stdout)


async def test_a_node_with_redis_is_listed(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as redis:
        serve = TOUR[11].replace("redis://localhost:6379", redis.url).replace(".venv/bin", str(BIN))
        process = await asyncio.create_subprocess_shell(
            f"exec {serve} --port 0 --internal-port 0",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"VIRTUAL_ENV": sys.prefix, "CHAT_DATABASE": str(tmp_path / "chat.sqlite3")},
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                ready = (await process.stdout.readline()).decode()
            internal = re.search(r"internal=(\S+)", ready)
            assert internal is not None
            listed = await asyncio.to_thread(lambda: shell(TOUR[12], ROOT, WSGATEWAY_INTERNAL_URL=internal[1]))
            doctor = TOUR[13].replace("redis://localhost:6379", redis.url) + " --port 0 --internal-port 0"
            database = str(tmp_path / "chat.sqlite3")
            mended = await asyncio.to_thread(lambda: shell(doctor, ROOT, CHAT_DATABASE=database))
        finally:
            process.terminate()
            await process.wait()

    _, row = listed.stdout.splitlines()
    assert f":{process.pid} " in row
    assert " live " in row
    assert mended.returncode == 0, mended.stdout
    assert "1 live, with this definition" in mended.stdout
