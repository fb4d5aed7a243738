"""The chat of the README, as a Lambda function in Python, and its twin in Node.js: `wsgateway dev`, real sockets."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.chat import visiting
from tests.harness import Gateway, gateway
from tests.node import NODE, node_modules

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # npm brings Node's SDK, once

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def python_chat(folder: Path, *flags: str) -> AbstractAsyncContextManager[Gateway]:
    """`wsgateway dev` in a copy of this tree."""
    shutil.copytree(EXAMPLES / "chat", folder / "examples" / "chat", dirs_exist_ok=True)
    return dev((ROOT / "routes.yaml").read_text(), folder, *flags)


def node_chat(folder: Path, modules: Path) -> AbstractAsyncContextManager[Gateway]:
    """`wsgateway dev` in a copy of examples/chat-node, after `npm install`."""
    shutil.copytree(EXAMPLES / "chat-node", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (folder / "node_modules").is_symlink():
        (folder / "node_modules").symlink_to(modules)
    return dev((EXAMPLES / "chat-node" / "routes.yaml").read_text(), folder)


def dev(definition: str, folder: Path, *flags: str) -> AbstractAsyncContextManager[Gateway]:
    env = {
        "CHAT_DATABASE": str(folder / "chat.sqlite3"),
        "PATH": f"{NODE.parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
    }
    return gateway(definition, folder, *flags, verb="dev", env=env)


class Chat:
    """One of the two, which can be started again."""

    def __init__(self, folder: Path, modules: Path | None) -> None:
        self.folder = folder
        self.modules = modules

    def start(self) -> AbstractAsyncContextManager[Gateway]:
        return python_chat(self.folder) if self.modules is None else node_chat(self.folder, self.modules)


@pytest.fixture(params=["Python", "Node"])
def chat(request: pytest.FixtureRequest, tmp_path: Path, pytestconfig: pytest.Config) -> Chat:
    if request.param == "Python":
        return Chat(tmp_path, None)
    return Chat(tmp_path, node_modules(pytestconfig.cache.mkdir("node")))


@pytest.fixture
async def running(chat: Chat) -> AsyncIterator[Gateway]:
    async with chat.start() as gateway:
        yield gateway


def refusal(message: str) -> dict[str, object]:
    """What the handler replies to a message it can't follow."""
    return {"type": "error", "message": message}


async def test_two_people_chat(running: Gateway) -> None:
    async with visiting(running.ws()) as ada:
        assert await ada.joins("lobby", "Ada") == ["Ada"]

        async with visiting(running.ws()) as bob:
            await bob.sends(action="join", room=" lobby", name="  Bob \n B. ")
            assert (await bob.hears(type="welcome", room="lobby", name="Bob B."))["here"] == ["Ada", "Bob B."]
            assert (await ada.hears(type="joined", name="Bob B."))["here"] == ["Ada", "Bob B."]

            await ada.sends(action="say", text="<b>Grüße</b>, 世界 \U0001f44b")
            await bob.hears(type="said", name="Ada", text="<b>Grüße</b>, 世界 \U0001f44b")
            await ada.hears(type="said", name="Ada", you=True)

            await bob.sends(action="who")
            assert (await bob.hears(type="here"))["here"] == ["Ada", "Bob B."]

        assert (await ada.hears(type="left", name="Bob B."))["here"] == ["Ada"]


async def test_rooms_are_apart(running: Gateway) -> None:
    async with visiting(running.ws()) as ada, visiting(running.ws()) as bob:
        await ada.joins("lobby", "Ada")
        assert await bob.joins("kitchen", "Bob") == ["Bob"]
        await bob.sends(action="say", text="only in the kitchen")
        await bob.hears(type="said", text="only in the kitchen")

        assert await bob.joins("lobby", "Bob") == ["Ada", "Bob"]
        first = json.loads(await ada.connection.recv())
        assert (first["type"], first["name"]) == ("joined", "Bob")


async def test_what_one_person_says_arrives_in_order(running: Gateway) -> None:
    async with visiting(running.ws()) as ada, visiting(running.ws()) as bob:
        await ada.joins("lobby", "Ada")
        await bob.joins("lobby", "Bob")
        for number in range(20):
            await ada.sends(action="say", text=str(number))

        assert [(await bob.hears(type="said"))["text"] for _ in range(20)] == [str(number) for number in range(20)]


async def test_a_message_gets_a_direct_reply(running: Gateway) -> None:
    replies: dict[str, dict[str, object]] = {
        '{"action": "ping"}': {"pong": True},
        "hello": refusal("Send a JSON object whose action is join, say, who or ping"),
        '{"action": "say", "text": "hi"}': refusal("Join a room first"),
        '{"action": "who"}': refusal("Join a room first"),
        '{"action": "join", "room": 7}': refusal("room must be a string of 1 to 40 characters"),
        '{"action": "join", "room": "x", "name": "' + "n" * 41 + '"}': refusal(
            "name must be a string of 1 to 40 characters"
        ),
    }
    async with visiting(running.ws()) as ada:
        for message, reply in replies.items():
            await ada.connection.send(message)

            assert json.loads(await ada.connection.recv()) == reply

        await ada.joins("lobby", "Ada")
        for text, problem in ((" ", "something in it"), ("x" * 4001, "4000 characters, this has 4001"), (7, "string")):
            await ada.sends(action="say", text=text)
            assert problem in (await ada.hears(type="error"))["message"]
        await ada.connection.send('{"action": "say", "text": "half \\ud83d of it"}')
        await ada.hears(type="said", text="half ? of it", you=True)


async def test_whoever_a_crash_left_behind_is_found_gone(chat: Chat) -> None:
    """Their $disconnect was never heard; the next push finds out."""
    async with chat.start() as first, visiting(first.ws()) as ada, visiting(first.ws()) as bob:
        await ada.joins("lobby", "Ada")
        await bob.joins("lobby", "Bob")
        first.process.kill()
        await first.wait()

    async with chat.start() as second, visiting(second.ws()) as eve:
        assert await eve.joins("lobby", "Eve") == ["Eve"]


async def test_changed_code_runs_for_the_next_message_of_the_same_connection(tmp_path: Path) -> None:
    async with python_chat(tmp_path) as running, visiting(running.ws()) as ada:
        await ada.joins("lobby", "Ada")
        code = tmp_path / "examples" / "chat" / "chat.py"
        code.write_text(code.read_text().replace('"type": "said"', '"type": "shouted"'))
        await running.logged("function code changed")

        await ada.sends(action="say", text="hello")

        await ada.hears(type="shouted", text="hello", you=True)
