"""Credentials: looked for in a thread, renewed there, and read without waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from wsgateway.aws import Credentials, Keys

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


@dataclass
class Chain:
    """What looks for credentials: answers in turn, the last one for ever. An Event is waited for first."""

    answers: list[Keys | Exception | threading.Event | None]
    looks: int = 0
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.looks < times:
                self.heard.clear()
                await self.heard.wait()

    def find(self) -> Chain | None:
        self.looks += 1
        self.loop.call_soon_threadsafe(self.heard.set)
        answer = self.answers[0]
        if isinstance(answer, threading.Event):
            assert answer.wait(PATIENCE)
            self.answers.pop(0)
        return None if self.answers[0] is None and self._next() is None else self

    def get_frozen_credentials(self) -> object:
        answer = self._next()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Keys)
        return SimpleNamespace(access_key=answer.access_key, secret_key=answer.secret_key, token=answer.token or None)

    def _next(self) -> Keys | Exception | threading.Event | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def log(self, event: str, **facts: object) -> None:
        self.told.append((event, facts))
        self.heard.set()

    async def logged(self, event: str) -> dict[str, object]:
        async with asyncio.timeout(PATIENCE):
            while True:
                for told, facts in self.told:
                    if told == event:
                        return facts
                self.heard.clear()
                await self.heard.wait()


ONE, TWO = Keys("ONE", "secret one"), Keys("TWO", "secret two", "token")


class Kept:
    """Credentials made of a chain, ended with the test."""

    def __init__(self) -> None:
        self.made: list[Credentials] = []

    def of(self, chain: Chain) -> Credentials:
        self.made.append(Credentials(chain.log, chain.find))
        return self.made[-1]


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    made = Kept()
    yield made
    for credentials in made.made:
        credentials.close()


async def test_nothing_is_looked_for_until_somebody_needs_it(kept: Kept) -> None:
    chain = Chain([ONE])
    credentials = kept.of(chain)
    assert (credentials.keys, credentials.wanted, chain.looks) == (None, False, 0)

    credentials.start()
    await credentials.first(PATIENCE)

    assert (credentials.keys, credentials.fault) == (ONE, "")
    assert (await chain.logged("AWS credentials found"))["access_key_id"] == "ONE"


async def test_a_look_that_hangs_holds_nobody_up(kept: Kept) -> None:
    gate = threading.Event()
    credentials = kept.of(chain := Chain([gate, ONE]))
    credentials.start()

    await credentials.first(0.01)
    assert credentials.keys is None
    assert (await chain.logged("no AWS credentials"))["error"] == "they are still being looked for"

    gate.set()
    await chain.logged("AWS credentials found")
    assert credentials.keys == ONE


async def test_keys_that_change_are_taken(kept: Kept) -> None:
    credentials = kept.of(chain := Chain([ONE, TWO]))
    credentials.start()
    await credentials.first(PATIENCE)
    credentials.look_again()

    assert (await chain.logged("AWS credentials changed"))["access_key_id"] == "TWO"
    assert credentials.keys == TWO


async def test_equal_keys_stay_the_same_object(kept: Kept) -> None:
    """Whoever signs derives a key for every other object."""
    gate = threading.Event()
    credentials = kept.of(chain := Chain([ONE, gate, Keys("ONE", "secret one"), RuntimeError("the end")]))
    credentials.start()
    await credentials.first(PATIENCE)
    before = credentials.keys
    credentials.look_again()
    await chain.asked(2)
    credentials.look_again()  # after the one that hangs
    gate.set()

    await chain.logged("AWS credentials can't be renewed")
    assert credentials.keys is before


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(None, "none were found; set AWS_ACCESS_KEY_ID", id="none"),
        pytest.param(RuntimeError("the profile is odd"), "RuntimeError: the profile is odd", id="an error"),
        pytest.param(Keys("", ""), "is empty", id="empty ones"),
        pytest.param(Keys("A", "b", "c\r\nX-Evil: 1"), "characters that no header can", id="a token with a line end"),
    ],
)
async def test_why_there_are_none(answer: Keys | Exception | None, fault: str, kept: Kept) -> None:
    credentials = kept.of(chain := Chain([answer]))
    credentials.start()
    await credentials.first(PATIENCE)

    assert credentials.keys is None
    assert fault in credentials.fault
    assert fault in str((await chain.logged("no AWS credentials"))["error"])


async def test_keys_that_cannot_be_renewed_are_kept_and_told_once(kept: Kept) -> None:
    credentials = kept.of(chain := Chain([ONE, RuntimeError("no network")]))
    credentials.start()
    await credentials.first(PATIENCE)
    credentials.look_again()

    assert "no network" in str((await chain.logged("AWS credentials can't be renewed"))["error"])
    assert credentials.keys == ONE
    assert "no network" in credentials.fault


async def test_suspicion_does_not_look_for_every_refused_call(kept: Kept) -> None:
    gate = threading.Event()
    credentials = kept.of(chain := Chain([ONE, gate, TWO]))
    credentials.start()
    await credentials.first(PATIENCE)
    for _ in range(1000):
        credentials.suspect()
    gate.set()

    await chain.logged("AWS credentials changed")
    assert chain.looks == 2
