"""Starts the sample chat, gateway and backend together: `python examples/chat-http`. Ctrl-C ends both."""

import argparse
import asyncio
import importlib.util
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
ROUTES = HERE / "routes.yaml"
START_SECONDS = 30
STOP_SECONDS = 20


class LaunchError(Exception):
    """What keeps the chat from running, in words for the person at the terminal."""


class Part:
    """One of the two processes."""

    def __init__(self, name: str, process: Process, hint: str) -> None:
        self.name = name
        self.process = process
        self.hint = hint
        self.ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, name: str, *command: str, hint: str, environment: Mapping[str, str] | None = None) -> "Part":
        """Start a part in its own process group, so that Ctrl-C reaches it only through us, and once."""
        arguments = [sys.executable, *command]
        variables = {**os.environ, **(environment or {})}
        return cls(name, await asyncio.create_subprocess_exec(*arguments, env=variables, process_group=0), hint)

    async def ready(self, file: Path) -> dict[str, str]:
        """What the part writes to its ready file. Raises LaunchError if it ends instead, or takes too long."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not self.ended.done():
                    if (said := read(file)) is not None:
                        return said
                    await asyncio.wait([self.ended], timeout=0.05)
        except TimeoutError:
            raise LaunchError(f"the {self.name} wasn't ready within {START_SECONDS} seconds") from None
        raise LaunchError(f"the {self.name} could not start, see above. {self.hint}")

    async def stop(self) -> None:
        """End the process: ask, and after some time insist."""
        if not self.ended.done():
            self.process.terminate()
            await asyncio.wait([self.ended], timeout=STOP_SECONDS)
        if not self.ended.done():
            self.process.kill()
        await self.ended


def read(file: Path) -> dict[str, str] | None:
    """A JSON object from a file; None as long as it isn't there, or not all of it."""
    try:
        said: dict[str, str] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return said


async def run(options: argparse.Namespace) -> None:
    """Run both parts until a signal. Raises LaunchError if one of them ends before that."""
    stop = asyncio.Event()
    parts: list[Part] = []

    def on_signal() -> None:
        if stop.is_set():  # The second time it is meant: the gateway ends at once on its second signal.
            for part in parts:
                if not part.ended.done():
                    part.process.terminate()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)

    stopping = asyncio.create_task(stop.wait())
    with tempfile.TemporaryDirectory(prefix="wsgateway-chat-") as directory:
        running = asyncio.create_task(start_and_watch(options, Path(directory), parts))
        try:
            await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            running.cancel()
            outcome = await asyncio.gather(running, return_exceptions=True)
            # The gateway first: as it ends it tells the backend of every connection it closes.
            for part in reversed(parts):
                await part.stop()
            stopping.cancel()
    if isinstance(outcome[0], Exception):
        raise outcome[0]


async def start_and_watch(options: argparse.Namespace, directory: Path, parts: list[Part]) -> None:
    """Start the backend, then the gateway in front of it; a backend that ends is started again.

    Raises LaunchError when the gateway ends, or the backend again and again.
    """
    # Whoever was in a room was there by a connection of a gateway that runs no more.
    backend = await start_backend(options, directory, str(options.backend_port), "--forget")
    parts.append(backend)
    page = (await backend.ready(directory / "backend.json"))["url"]

    gateway = await Part.start(
        "gateway",
        *("-m", "wsgateway", "dev", str(ROUTES)),
        *("--port", str(options.port)),
        *("--internal-port", str(options.internal_port)),
        *("--ready-file", str(directory / "gateway.json")),
        hint="Other ports: --port N and --internal-port N, or 0 for any",
        environment={"CHAT_BACKEND": page.removeprefix("http://")},
    )
    parts.append(gateway)
    public = (await gateway.ready(directory / "gateway.json"))["public"]

    url = public.replace("http", "ws", 1) + "/dev"
    print(f"\nThe chat is at {page}/?gateway={quote(url, safe=':/')}", flush=True)
    print("Open it in two windows. Ctrl-C ends it.\n", flush=True)

    clock = asyncio.get_running_loop().time
    short_lives = 0
    while True:
        started = clock()
        await asyncio.wait([backend.ended, gateway.ended], return_when=asyncio.FIRST_COMPLETED)
        if gateway.ended.done():
            raise LaunchError(f"the gateway ended with exit code {gateway.ended.result()}")
        short_lives = short_lives + 1 if clock() - started < 1 else 0
        if short_lives == 3:
            raise LaunchError(f"the backend ends at once, now with exit code {backend.ended.result()}, see above")
        print(f"\nThe backend ended with exit code {backend.ended.result()}; starting it again.", flush=True)
        parts.remove(backend)
        (directory / "backend.json").unlink()
        backend = await start_backend(options, directory, page.rpartition(":")[2])
        parts.insert(0, backend)
        await backend.ready(directory / "backend.json")
        print("The backend is back; everybody is still connected.\n", flush=True)


async def start_backend(options: argparse.Namespace, directory: Path, port: str, *flags: str) -> Part:
    return await Part.start(
        "backend",
        str(HERE / "backend.py"),
        *("--port", port),
        *("--database", options.database),
        *("--ready-file", str(directory / "backend.json")),
        *flags,
        hint="Another port: --backend-port N, or 0 for any",
    )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python examples/chat-http", description="The sample chat: gateway and backend."
    )
    parser.add_argument("--port", type=int, default=8080, help="the gateway's port, 0 for any (%(default)s)")
    parser.add_argument("--internal-port", type=int, default=9090, help="its internal port, 0 for any (%(default)s)")
    parser.add_argument("--backend-port", type=int, default=8000, help="the backend's port, 0 for any (%(default)s)")
    parser.add_argument("--database", default="chat.sqlite3", help="the SQLite file of the rooms (%(default)s)")
    options = parser.parse_args()
    try:
        if importlib.util.find_spec("boto3") is None:
            raise LaunchError("the backend pushes with boto3, which is missing here: pip install boto3")
        asyncio.run(run(options))
    except LaunchError as error:
        sys.exit(f"chat: {error}")


if __name__ == "__main__":
    main()
