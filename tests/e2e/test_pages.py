"""The examples' pages in a browser, opened as files, as the README says: headless Chromium, `wsgateway dev`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser import Browser, Page, browser
from tests.e2e.test_chat import python_chat
from tests.e2e.test_streaming import dev as streaming

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running
        assert running.problems == []


def page_of(example: str, gateway: str) -> str:
    return f"{(EXAMPLES / example / 'index.html').as_uri()}?gateway={quote(gateway, safe='')}"


async def enter(page: Page, name: str) -> None:
    """Fill in the form as a person would: the name has the focus."""
    await page.shows('document.activeElement.name === "name"')
    await page.type(name)
    await page.press_enter()
    await page.shows('!document.getElementById("inside").hidden')


async def says(page: Page, text: str) -> None:
    await page.shows('document.activeElement.name === "text"')
    await page.type(text)
    await page.press_enter()


def reads(text: str) -> str:
    return f'[...document.querySelectorAll("#log li")].some((line) => line.textContent.includes({text!r}))'


def here(*names: str) -> str:
    return f'[...document.querySelectorAll("#here li")].map((one) => one.textContent).join() === {",".join(names)!r}'


async def test_two_tabs_chat(chromium: Browser, tmp_path: Path) -> None:
    async with python_chat(tmp_path) as running:
        ada = await chromium.open(page_of("chat", running.ws()))
        await enter(ada, "Ada")
        await ada.shows(here("Ada"))
        bob = await chromium.open(page_of("chat", running.ws()))
        await enter(bob, "Bob")
        await bob.shows(here("Ada", "Bob"))
        await ada.shows(here("Ada", "Bob"))

        await says(ada, "hello <b>you</b>")
        await bob.shows(reads("hello <b>you</b>"))
        await ada.shows(reads("Youhello <b>you</b>"))
        await says(bob, "hi Ada")
        await ada.shows(reads("hi Ada"))

        await bob.close()
        await ada.shows(reads("Bob left"))
        await ada.shows(here("Ada"))


async def test_a_tab_comes_back_by_itself_after_the_gateway_was_away(chromium: Browser, tmp_path: Path) -> None:
    async with python_chat(tmp_path) as first:
        port = first.port
        ada = await chromium.open(page_of("chat", first.ws()))
        await enter(ada, "Ada")
        first.process.kill()
        await first.wait()
    await ada.shows(reads("The connection was lost"))

    async with python_chat(tmp_path, "--port", str(port)):
        await ada.shows(reads("The connection is back"))
        await says(ada, "still here")
        await ada.shows(reads("Youstill here"))


async def test_another_gateway_can_be_written_into_the_form(chromium: Browser, tmp_path: Path) -> None:
    async with python_chat(tmp_path) as running:
        ada = await chromium.open(page_of("chat", "ws://127.0.0.1:9/nowhere"))
        await ada.shows('document.getElementById("status").dataset.state === "lost"')
        await ada.run(f'document.querySelector("[name=gateway]").value = "{running.ws()}"')

        await enter(ada, "Ada")

        await ada.shows(here("Ada"))


async def test_an_answer_grows_word_by_word(chromium: Browser, tmp_path: Path) -> None:
    async with streaming(tmp_path, "0") as running:
        page = await chromium.open(page_of("streaming", running.ws()))
        await page.shows('document.activeElement.name === "question"')
        await page.type("Is this <i>live</i>?")
        await page.press_enter()

        await page.shows('document.getElementById("status").textContent.endsWith("words")')
        answer = await page.run('document.getElementById("answer").textContent')
        assert answer.startswith("You asked: Is this <i>live</i>? A model would think now")
