"""A request body as it arrives."""

from __future__ import annotations

import asyncio

import pytest

from wsgateway.transport.body import HIGH_WATER, BodyStream

pytestmark = pytest.mark.anyio


class Writes(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[object] = []

    def write(self, data: object) -> None:
        self.written.append(data)


def stream(changes: list[bool] | None = None, expect: bytes = b"") -> tuple[BodyStream, Writes]:
    transport = Writes()
    body = BodyStream(transport, expect, lambda: None if changes is None else changes.append(body.full))
    return body, transport


async def test_a_body_is_read_in_order_to_its_end() -> None:
    body, _ = stream()
    body.feed(b"one")
    body.feed(b"two")
    reader = aiter(body)
    assert await anext(reader) == b"onetwo"
    waiting = asyncio.ensure_future(anext(reader))
    body.feed(b"three")
    assert await waiting == b"three"
    body.finish()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_body_that_breaks_off_says_so() -> None:
    body, transport = stream(expect=b"HTTP/1.1 100 Continue\r\n\r\n")
    body.abort()

    with pytest.raises(ConnectionResetError):
        await anext(aiter(body))
    assert not transport.written


async def test_reading_pauses_at_the_high_water_mark_and_goes_on_when_it_was_read() -> None:
    changes: list[bool] = []
    body, _ = stream(changes)
    body.feed(b"x" * HIGH_WATER)
    assert changes == []
    body.feed(b"x")
    body.feed(b"x")
    assert changes == [True]

    assert len(await anext(aiter(body))) == HIGH_WATER + 2
    assert changes == [True, False]


async def test_the_interim_answer_is_written_once_when_reading_begins() -> None:
    body, transport = stream(expect=b"go on")
    body.feed(b"x")
    assert transport.written == []
    await anext(aiter(body))
    body.feed(b"y")
    await anext(aiter(body))

    assert transport.written == [b"go on"]


async def test_a_closed_body_keeps_nothing() -> None:
    changes: list[bool] = []
    body, _ = stream(changes)
    body.close()
    body.feed(b"x" * 2 * HIGH_WATER)

    assert changes == []


async def test_a_body_has_to_bring_so_much_each_time_it_had_so_long() -> None:
    """500 bytes/s in 10 s, say; time in which we did not read does not count."""
    body, _ = stream()
    start = asyncio.get_running_loop().time()
    body.feed(b"x" * 4_000)
    assert not body.too_slow(start + 9, window=10, rate=500)
    assert body.too_slow(start + 11, window=10, rate=500)
    body.feed(b"x" * 4_000)
    assert not body.too_slow(start + 11, window=10, rate=500)

    body.feed(b"x" * HIGH_WATER)
    assert not body.too_slow(start + 1000, window=10, rate=500)
    await anext(aiter(body))
    assert not body.too_slow(start + 1009, window=10, rate=500)
    assert body.too_slow(start + 1011, window=10, rate=500)
    body.finish()
    assert not body.too_slow(start + 2000, window=10, rate=500)


async def test_what_came_fast_is_no_credit_for_what_comes_later() -> None:
    body, _ = stream()
    start = asyncio.get_running_loop().time()
    for _ in range(160):
        body.feed(b"x" * HIGH_WATER)
        await anext(aiter(body))
    assert body.size == 160 * HIGH_WATER

    assert not body.too_slow(start + 11, window=10, rate=500)
    assert not body.too_slow(start + 21, window=10, rate=500)
    assert body.too_slow(start + 22, window=10, rate=500)
