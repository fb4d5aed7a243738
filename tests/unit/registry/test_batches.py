"""How writes of records gather: what travels together, in which order, and what happens at the bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from wsgateway.errors import RegistryAway
from wsgateway.registry import batches
from wsgateway.registry.batches import ROUND_BYTES, ROUND_WRITES, Batches, Key, Round

pytestmark = pytest.mark.anyio

SLOT = b"aaa"


class Wire:
    """Where rounds go to, one after the other, as the test lets them."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.open = asyncio.Event()
        self.open.set()
        self.faults: list[Exception] = []
        """Of the rounds to come."""

    async def send(self, records: Round) -> None:
        self.rounds.append(dict(records))
        await self.open.wait()
        if self.faults:
            raise self.faults.pop()


def key(name: object) -> Key:
    return SLOT, str(name)


async def test_a_turn_is_a_round_and_what_comes_meanwhile_the_next_one() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    wire.open.clear()
    first = [asyncio.ensure_future(gathered.put(key(number), b"")) for number in range(3)]
    await asyncio.sleep(0)
    later = [gathered.put(key(number), None) for number in range(5)]
    wire.open.set()
    await asyncio.gather(*first, *later)

    assert wire.rounds == [{key(number): b"" for number in range(3)}, {key(number): None for number in range(5)}]


async def test_of_one_record_the_last_write_counts() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    await asyncio.gather(gathered.put(key("a"), b"1"), gathered.put(key("a"), None), gathered.put(key("a"), b"2"))
    await asyncio.gather(gathered.put(key("a"), b"3"), gathered.put(key("a"), None))

    assert wire.rounds == [{key("a"): b"2"}, {key("a"): None}]


async def test_a_round_that_fails_fails_for_its_callers_alone() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    wire.open.clear()
    wire.faults = [RegistryAway("gone")]
    failing = [gathered.put(key(number), b"") for number in range(2)]
    await asyncio.sleep(0)
    fine = gathered.put(key("fine"), b"")
    wire.open.set()
    outcomes = await asyncio.gather(*failing, return_exceptions=True)

    assert all(isinstance(outcome, RegistryAway) for outcome in outcomes)
    await fine


async def test_a_silent_redis_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SILENT_SECONDS", -1.0)
    wire = Wire()
    gathered = Batches(wire.send)
    wire.open.clear()
    wire.faults = [RegistryAway("no answer")]
    first = gathered.put(key("first"), b"")
    await asyncio.sleep(0)
    meanwhile = [gathered.put(key(number), b"") for number in range(2 * ROUND_WRITES)]
    wire.open.set()
    outcomes = await asyncio.gather(first, *meanwhile, return_exceptions=True)

    assert {str(outcome) for outcome in outcomes} == {"no answer"}
    assert len(wire.rounds) == 1
    await gathered.put(key("later"), b"")


async def test_an_unexpected_error_is_the_callers_and_does_not_stop_the_next_round() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    wire.faults = [KeyError("?")]
    with pytest.raises(RegistryAway, match="unexpected: KeyError"):
        await gathered.put(key(1), b"")

    await gathered.put(key(2), b"")


async def test_rounds_are_bounded_in_writes_and_bytes() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    await asyncio.gather(*(gathered.put(key(number), b"") for number in range(2 * ROUND_WRITES + 1)))
    large = b"." * (ROUND_BYTES // 2)
    await asyncio.gather(*(gathered.put(key(number), large) for number in range(5)))
    await gathered.put(key("huge"), large * 3)

    assert [len(records) for records in wire.rounds] == [ROUND_WRITES, ROUND_WRITES, 1, 2, 2, 1, 1]


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_WRITES", 3)
    monkeypatch.setattr(batches, "MOST_BYTES", 10)
    gathered = Batches(Wire().send)
    waiting: list[Awaitable[None]] = [gathered.put(key("a"), b"12345"), gathered.put(key("a"), b"123456")]
    with pytest.raises(RegistryAway, match="too many records"):
        await gathered.put(key("b"), b"12345")
    await asyncio.gather(*waiting)
    waiting = [gathered.put(key(number), b"") for number in range(3)]
    with pytest.raises(RegistryAway, match="too many records"):
        await gathered.put(key("fourth"), None)
    await asyncio.gather(*waiting)

    await asyncio.gather(*(gathered.put(key(number), b"123") for number in range(3)))


async def test_closing_refuses_what_waits_and_what_is_under_way() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    wire.open.clear()
    under_way = gathered.put(key(1), b"")
    await asyncio.sleep(0)
    waiting = gathered.put(key(2), b"")
    await gathered.aclose()

    for write in (under_way, waiting):
        with pytest.raises(RegistryAway, match="the node ends"):
            await write


async def test_a_caller_who_goes_away_is_not_told() -> None:
    wire = Wire()
    gathered = Batches(wire.send)
    gone, stays = asyncio.ensure_future(gathered.put(key(1), b"")), gathered.put(key(2), b"")
    gone.cancel()
    await stays

    assert wire.rounds == [{key(1): b"", key(2): b""}]
