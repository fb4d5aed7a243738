"""The sample chat behind an HTTP backend, as a newcomer runs it: real processes, real sockets."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.request
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chat import visiting

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CHAT = ROOT / "examples" / "chat-http"
DEADLINE = 20.0
START = 40.0
"""For processes that start one after another."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Running:
    """A process we started; what it prints, line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.output: list[str] = []

    async def prints(self, pattern: str, seconds: float = DEADLINE) -> re.Match[str]:
        """Wait for a line that matches. Fails, with all that was printed, if none comes."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while line := (await self.process.stdout.readline()).decode():
                self.output.append(line)
                if match := re.search(pattern, line):
                    return match
        raise AssertionError(f"ended without printing {pattern!r}:\n{''.join(self.output)}")

    async def ends(self) -> int:
        """Wait for the end of the process: its exit code."""
        async with asyncio.timeout(DEADLINE):
            rest, _ = await self.process.communicate()
        self.output.append(rest.decode())
        return self.process.returncode or 0


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[Running]:
    """Run this Python with a command line; end the process afterwards, if it hasn't."""
    variables = {**os.environ, **environment}
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=variables, stdout=PIPE, stderr=STDOUT)
    run = Running(process)
    try:
        yield run
    finally:
        if process.returncode is None:
            process.terminate()
            await run.ends()


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample, running: where its page and its gateway are."""

    launcher: Running
    page: str
    gateway: str


@asynccontextmanager
async def sample(directory: Path) -> AsyncIterator[Sample]:
    """The one command that starts it all."""
    ports = ("--port", "0", "--internal-port", "0", "--backend-port", "0")
    async with running(str(CHAT), *ports, "--database", str(directory / "chat.sqlite3")) as launcher:
        match = await launcher.prints(r"The chat is at (http://\S+)\?gateway=(ws://\S+)$", START)
        yield Sample(launcher, match[1], match[2])


@pytest.fixture(scope="module")
async def chat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sample]:
    """One for all that do it no harm; each has rooms of its own there."""
    async with sample(tmp_path_factory.mktemp("chat")) as running:
        yield running


def refusal(message: str) -> dict[str, object]:
    """What the backend replies to a message it can't follow."""
    return {"type": "error", "message": message}


def backend(port: int, directory: Path) -> AbstractAsyncContextManager[Running]:
    """The backend alone."""
    database = str(directory / "chat.sqlite3")
    return running(str(CHAT / "backend.py"), "--port", str(port), "--database", database)


@asynccontextmanager
async def gateway(backend_port: int) -> AsyncIterator[str]:
    """The gateway alone, with the shipped definition: its URL. It ends at once, though nobody hears who left then."""
    command = ("-m", "wsgateway", "dev", str(CHAT / "routes.yaml"), "--port", "0", "--internal-port", "0")
    once = ("--disconnect-retry-seconds", "0")
    async with running(*command, *once, CHAT_BACKEND=f"127.0.0.1:{backend_port}") as process:
        match = await process.prints(r"ready public=http(\S+)", START)
        yield f"ws{match[1]}/dev"


def fetch(url: str) -> tuple[str, str]:
    """GET a page: its content type and text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=DEADLINE) as response:
        return response.headers["Content-Type"], response.read().decode()


async def test_two_people_chat(chat: Sample) -> None:
    async with visiting(chat.gateway) as ada:
        assert await ada.joins("lobby", "Ada") == ["Ada"]

        async with visiting(chat.gateway) as bob:
            assert await bob.joins("lobby", "Bob") == ["Ada", "Bob"]
            assert (await ada.hears(type="joined", name="Bob"))["here"] == ["Ada", "Bob"]

            await ada.sends(action="say", text="<b>Grüße</b>, 世界 \U0001f44b")
            await bob.hears(type="said", name="Ada", text="<b>Grüße</b>, 世界 \U0001f44b")
            await ada.hears(type="said", name="Ada", you=True)

            await bob.sends(action="who")
            assert (await bob.hears(type="here"))["here"] == ["Ada", "Bob"]

        assert (await ada.hears(type="left", name="Bob"))["here"] == ["Ada"]


async def test_rooms_are_apart(chat: Sample) -> None:
    async with visiting(chat.gateway) as ada, visiting(chat.gateway) as bob:
        await ada.joins("hall", "Ada")
        assert await bob.joins("kitchen", "Bob") == ["Bob"]
        await bob.sends(action="say", text="only in the kitchen")
        await bob.hears(type="said", text="only in the kitchen")

        assert await bob.joins("hall", "Bob") == ["Ada", "Bob"]
        first = json.loads(await ada.connection.recv())
        assert (first["type"], first["name"]) == ("joined", "Bob")


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        pytest.param('{"action": "ping"}', {"pong": True}, id="a ping is answered by the gateway"),
        pytest.param("hello", refusal("Send a JSON object whose action is join, say, who or ping"), id="not JSON"),
        pytest.param('{"action": "say", "text": "hi"}', refusal("Join a room first"), id="talking outside a room"),
        pytest.param(
            '{"action": "join", "room": 7}', refusal("room must be a string of 1 to 40 characters"), id="a bad room"
        ),
    ],
)
async def test_a_message_gets_a_direct_reply(chat: Sample, message: str, reply: dict[str, object]) -> None:
    async with visiting(chat.gateway) as ada:
        await ada.connection.send(message)

        assert json.loads(await ada.connection.recv()) == reply


async def test_the_chat_goes_on_across_a_restart_of_its_backend(tmp_path: Path) -> None:
    async with backend(0, tmp_path) as first:
        port = int((await first.prints(r"ready http://127\.0\.0\.1:(\d+)"))[1])
        async with gateway(port) as url, visiting(url) as ada, visiting(url) as bob:
            await ada.joins("lobby", "Ada")
            async with visiting(url) as eve:
                await eve.joins("lobby", "Eve")
                await bob.joins("lobby", "Bob")

                first.process.kill()
                await first.ends()
                await ada.sends(action="say", text="is anybody there?")
                await ada.hears(message="Internal server error")

            # Eve left while nobody could be told; the others find out.
            async with backend(port, tmp_path) as second:
                await second.prints("ready")
                await ada.sends(action="say", text="and now?")
                await ada.hears(type="said", text="and now?", you=True)
                await bob.hears(type="said", text="and now?", name="Ada")
                await bob.sends(action="say", text="yes")
                await ada.hears(type="said", text="yes", name="Bob")
                await bob.sends(action="who")
                assert (await bob.hears(type="here"))["here"] == ["Ada", "Bob"]


async def test_the_page_is_served(chat: Sample) -> None:
    content_type, page = await asyncio.to_thread(fetch, chat.page)

    assert content_type == "text/html; charset=utf-8"
    assert "<!doctype html>" in page
    assert "innerHTML" not in page, "what people write is text, never HTML"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_a_signal_ends_both_parts(tmp_path: Path, number: signal.Signals) -> None:
    async with sample(tmp_path) as chat, visiting(chat.gateway) as ada:
        await ada.joins("lobby", "Ada")

        chat.launcher.process.send_signal(number)

        async with asyncio.timeout(DEADLINE):
            await ada.connection.wait_closed()
        assert await chat.launcher.ends() == 0
        for url in (chat.page, chat.gateway):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address(url), timeout=DEADLINE)


async def test_a_dead_backend_is_started_again_and_the_chat_goes_on(tmp_path: Path) -> None:
    async with sample(tmp_path) as chat, visiting(chat.gateway) as ada, visiting(chat.gateway) as bob:
        await ada.joins("lobby", "Ada")
        await bob.joins("lobby", "Bob")
        found = re.search(r"chat backend ready \S+ pid=(\d+)", "".join(chat.launcher.output))
        assert found is not None

        os.kill(int(found[1]), signal.SIGKILL)
        await chat.launcher.prints("The backend is back")
        await ada.sends(action="say", text="still there?")

        await bob.hears(type="said", text="still there?", name="Ada")


async def test_a_new_start_finds_the_rooms_empty(tmp_path: Path) -> None:
    """Whoever is in the database was there by a connection that is no more."""
    async with backend(0, tmp_path) as first:
        port = int((await first.prints(r"ready http://127\.0\.0\.1:(\d+)"))[1])
        async with gateway(port) as url, visiting(url) as ada:
            await ada.joins("lobby", "Ada")
            first.process.kill()
            await first.ends()

    async with sample(tmp_path) as chat, visiting(chat.gateway) as bob:
        assert await bob.joins("lobby", "Bob") == ["Bob"]


async def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        database = str(tmp_path / "chat.sqlite3")
        async with running(str(CHAT), "--backend-port", str(port), "--port", "0", "--database", database) as launcher:
            assert await launcher.ends() == 1

    output = "".join(launcher.output)
    assert f"chat backend: can't listen on 127.0.0.1 port {port}: " in output
    assert "--backend-port N, or 0 for any" in output
    assert "Traceback" not in output


def address(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    match = re.match(r"\w+://([^:/]+):(\d+)", url)
    assert match is not None
    return match[1], int(match[2])
