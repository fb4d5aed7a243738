"""The streaming example: `wsgateway dev`, real sockets."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.chat import visiting
from tests.harness import Gateway, gateway, heard

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[2] / "examples" / "streaming"


def dev(folder: Path, pause: str, *, at_a_time: int = 20) -> AbstractAsyncContextManager[Gateway]:
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    definition = (EXAMPLE / "routes.yaml").read_text().replace("concurrency: 20", f"concurrency: {at_a_time}")
    env = {"SECONDS_PER_WORD": pause, "VIRTUAL_ENV": sys.prefix}
    return gateway(definition, folder, verb="dev", env=env)


async def test_the_words_arrive_in_order_and_the_result_last(tmp_path: Path) -> None:
    question = "Wie spät ist es, " + "und " * 100 + "warum? \U0001f44b"
    async with dev(tmp_path, "0") as running, visiting(running.ws()) as ada, visiting(running.ws()) as bob:
        for each in (ada, bob):
            await each.sends(action="ask", question=question)
        for each in (ada, bob):
            words = []
            while (message := json.loads(await heard(each.connection)))["type"] == "word":
                words.append(message)

            assert [word["n"] for word in words] == list(range(1, len(words) + 1))
            assert " ".join(word["text"] for word in words).startswith(f"You asked: {question} A model")
            assert message == {"type": "done", "words": len(words)}


async def test_an_answer_nobody_reads_any_more_ends(tmp_path: Path) -> None:
    async with dev(tmp_path, "0.09", at_a_time=1) as running, visiting(running.ws()) as bob:
        async with visiting(running.ws()) as ada:
            await ada.sends(action="ask", question="so " * 290)  # would take 28 s, and nobody waits so long in the line
            await ada.hears(type="word", n=3)
            await bob.sends(action="ask", question="And me?")

        await bob.hears(type="word", n=1)


@pytest.mark.parametrize("question", ["", " ", 7, None, "x" * 1001], ids=["empty", "blank", "number", "none", "long"])
async def test_what_is_no_question_is_refused(tmp_path: Path, question: object) -> None:
    async with dev(tmp_path, "0") as running, visiting(running.ws()) as ada:
        await ada.sends(action="ask", question=question)

        await ada.hears(type="error", message="question must be a string of 1 to 1000 characters")
