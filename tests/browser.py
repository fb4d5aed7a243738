"""Headless Chromium, driven over the Chrome DevTools Protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import PATIENCE

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-sandbox",  # tests may run as root, where it can't have one; it sees our own pages only
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)


def program() -> str:
    """The browser's path. In CI it must be there; elsewhere the test is skipped without it."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        assert not os.environ.get("CI"), f"CI needs a browser: one of {', '.join(PROGRAMS)}"
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is on PATH")
    return found


WAITING = """new Promise((done) => {
  const look = () => {
    let yes = false;
    try { yes = (CONDITION); } catch {}
    if (!yes) return;
    watch.disconnect();
    removeEventListener("focusin", look);
    done(true);
  };
  const watch = new MutationObserver(look);
  watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
  addEventListener("focusin", look);
  look();
})"""


class Browser:
    """A browser, and the conversation with it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.problems: list[str] = []
        """What pages threw or wrote to console.error."""

    async def open(self, url: str) -> Page:
        """A new tab."""
        target = await self.call("Target.createTarget", url="about:blank")
        session = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, target["targetId"], session["sessionId"])
        for domain in ("Page", "Runtime"):
            await page.call(f"{domain}.enable")
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)  # every tab believes to be in front
        await page.call("Page.navigate", url=url)
        return page

    async def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        """One command. *Raises* AssertionError with the browser's words where it fails."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps(message))
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def listen(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(message["params"]["exceptionDetails"]))
            answer = self._answers.pop(message.get("id", 0), None)
            if answer is None or answer.done():
                continue
            if "error" in message:
                answer.set_exception(AssertionError(str(message["error"])))
            else:
                answer.set_result(message["result"])


class Page:
    """One tab."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    async def call(self, method: str, **parameters: object) -> Any:
        return await self._browser.call(method, self._session, **parameters)

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def shows(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; it is looked at whenever the page or its focus changes."""
        waiting = WAITING.replace("CONDITION", expression)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    # A navigation under way takes the promise with it.
                    with suppress(AssertionError):
                        await self.run(waiting)
                        return
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise AssertionError(f"waited for {expression}; the page says:\n{text}") from None

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self.call("Input.insertText", text=text)

    async def press_enter(self) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )

    async def close(self) -> None:
        await self._browser.call("Target.closeTarget", targetId=self._target)


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """A browser with a profile of its own in `folder`; it and all that it started are ended."""
    process = await asyncio.create_subprocess_exec(
        program(), *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # its command may be a script around it, so all of the group is ended
    )  # fmt: skip
    try:
        async with connect(await _address(process), proxy=None, max_size=None) as connection:
            running = Browser(connection)
            listening = asyncio.ensure_future(running.listen())
            try:
                yield running
            finally:
                listening.cancel()
                await asyncio.wait([listening])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it listens, which it says once."""
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(PATIENCE):
        async for line in process.stderr:
            text = line.decode(errors="replace").strip()
            said.append(text)
            if text.startswith("DevTools listening on "):
                return text.removeprefix("DevTools listening on ")
    raise AssertionError("the browser did not start:\n" + "\n".join(said))
