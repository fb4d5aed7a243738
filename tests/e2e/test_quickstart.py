"""Every file and command of docs/quickstart.md does what the page says."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from websockets.asyncio.client import connect

from tests.harness import PATIENCE, gateway, heard

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
DEFINITION, HANDLER = (next(text for kind, text in BLOCKS if kind == language) for language in ("yaml", "python"))
SHOWN = [
    (command, said.splitlines())
    for kind, text in BLOCKS
    if kind == "console"
    for command, _, said in (each.partition("\n") for each in text.removeprefix("$ ").split("\n$ "))
]
COMMANDS = dict(SHOWN)


def test_no_command_is_left_out() -> None:
    """The two that install are those of the README, which are run there."""
    assert [command.split(" ", 2)[:2] for command, _ in SHOWN] == [
        ["python3", "-m"],
        ["mkdir", "-p"],
        ["wsgateway", "validate"],
        ["wsgateway", "explain"],
        ["wsgateway", "dev"],
        ["echo", """'{"action":"""],
        ["echo", "'hello'"],
        ["wsgateway", "connections"],
        ["wsgateway", "connections"],
        ["curl", "--data"],
    ]


def shell(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of the page, with the wsgateway of the environment that the tests run in."""
    return subprocess.run(
        re.sub(r"(^|\| )wsgateway ", rf"\1{sys.executable} -m wsgateway ", command),
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix} | env,
    )


def written(folder: Path) -> None:
    """The files of the page, where it has them."""
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(HANDLER)
    (folder / "routes.yaml").write_text(DEFINITION)


def the(beginning: str) -> str:
    """The one command that begins so."""
    (command,) = (each for each in COMMANDS if each.startswith(beginning))
    return command


def test_the_files_are_checked_and_a_message_is_explained(tmp_path: Path) -> None:
    written(tmp_path)

    checked = shell(the("wsgateway validate"), tmp_path)
    explained = shell(the("wsgateway explain"), tmp_path)

    assert checked.stdout.splitlines() == COMMANDS[the("wsgateway validate")]
    assert explained.returncode == 0, explained.stderr
    assert explained.stdout.splitlines()[-1].split() == ["frame", "HELLO"]


@pytest.mark.timeout(180)
async def test_it_is_served_talked_to_and_pushed_to(tmp_path: Path) -> None:
    written(tmp_path)
    async with gateway(DEFINITION, tmp_path, verb="dev", env={"VIRTUAL_ENV": sys.prefix}) as running:
        for command in (the("""echo '{"action":"""), the("echo 'hello'")):
            said = await asyncio.to_thread(shell, command.replace(":8080", f":{running.port}"), tmp_path)
            assert said.stdout.splitlines() == COMMANDS[command], said.stderr

        async with connect(running.ws()) as client:
            env = {"WSGATEWAY_INTERNAL_URL": running.internal}
            listed = await asyncio.to_thread(lambda: shell(the("wsgateway connections ls"), tmp_path, **env))
            env["ID"] = listed.stdout.splitlines()[1].split()[0]
            sent = await asyncio.to_thread(lambda: shell(the("wsgateway connections send"), tmp_path, **env))
            assert sent.returncode == 0, sent.stderr
            assert await heard(client) == "news"
            if which("curl") is None:
                return
            push = the("curl").replace("http://127.0.0.1:9090", running.internal)
            pushed = await asyncio.to_thread(lambda: shell(push, tmp_path, **env))
            assert pushed.returncode == 0, pushed.stderr
            assert await heard(client) == "more news"
