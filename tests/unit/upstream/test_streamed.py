"""Bodies that pass through: who reads, who waits, who lets go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from wsgateway.dataplane.rest_bodies import Passed
from wsgateway.errors import BadGateway, GatewayError
from wsgateway.messages import EndpointResponse
from wsgateway.upstream.exchange import Exchange, Gate
from wsgateway.upstream.streamed import HIGH_WATER, Streamed

pytestmark = pytest.mark.anyio


class Place:
    """Where the exchange is."""

    stage = "there"

    def __init__(self) -> None:
        self.left = 0

    def leave(self, exchange: Exchange) -> None:
        self.left += 1


def exchange() -> tuple[Streamed, Place, Gate, list[bool], Callable[[bool], None]]:
    made, place, gate = Streamed(loop=asyncio.get_running_loop()), Place(), Gate(1)
    made.flow, made.passes, made.seconds = None, True, 1.0
    made.place, made.gate, made.told, made.pending = place, gate, None, {made: 1.0}
    gate.in_flight = 1
    paused: list[bool] = []
    return made, place, gate, paused, paused.append


async def test_a_body_is_read_as_it_comes_and_the_gate_is_held_until_its_end() -> None:
    asked, place, gate, paused, pause = exchange()
    flow = asked.begin(200, ((b"X", b"1"),), pause)
    answer = await asked
    assert (answer.status, answer.headers, answer.body) == (200, ((b"X", b"1"),), None)
    assert answer.stream is not None
    reading = aiter(answer.stream)
    flow.feed(b"a" * (HIGH_WATER + 1))
    flow.feed(b"b")
    assert paused == [True]
    assert await anext(reading) == b"a" * (HIGH_WATER + 1) + b"b"
    assert paused == [True, False]
    assert (gate.in_flight, asked.pending) == (1, {})
    asked.answer(EndpointResponse(200, (), b"c"))  # the last of it, as the connection gives it
    assert gate.in_flight == 0
    assert await anext(reading) == b"c"
    with pytest.raises(StopAsyncIteration):
        await anext(reading)
    answer.stream.close()
    assert (gate.in_flight, place.left) == (0, 0)


async def test_a_connection_goes_back_readable_though_nobody_has_read_the_end() -> None:
    asked, _, _, paused, pause = exchange()
    flow = asked.begin(200, (), pause)
    flow.feed(b"a" * (HIGH_WATER + 1))
    flow.finish()
    assert paused == [True, False]


async def test_a_body_that_breaks_off_raises_behind_what_came() -> None:
    asked, _, gate, _, pause = exchange()
    flow = asked.begin(200, (), pause)
    flow.feed(b"a")
    asked.fail(BadGateway("gone"))
    stream = (await asked).stream
    assert stream is not None
    reading = aiter(stream)
    assert await anext(reading) == b"a"
    with pytest.raises(GatewayError):
        await anext(reading)
    assert gate.in_flight == 0


async def test_whoever_lets_go_of_a_body_ends_the_call() -> None:
    asked, place, gate, _, pause = exchange()
    asked.begin(200, (), pause).feed(b"a")
    stream = (await asked).stream
    assert stream is not None
    assert await anext(aiter(stream)) == b"a"
    stream.close()
    assert (place.left, gate.in_flight) == (1, 0)


async def test_so_does_who_never_begins_to_read() -> None:
    asked, place, gate, _, pause = exchange()
    asked.begin(200, (), pause).feed(b"a")
    stream = (await asked).stream
    assert stream is not None
    heard: list[GatewayError] = []
    body: Passed | None = Passed(stream, heard.append)
    assert (body is None, place.left) == (False, 0)
    body = None
    assert (place.left, gate.in_flight, heard) == (1, 0, [])


async def test_an_answer_that_comes_whole_is_as_any_other() -> None:
    asked, _, gate, _, _ = exchange()
    asked.answer(EndpointResponse(204))
    assert (await asked).stream is None
    assert gate.in_flight == 0
