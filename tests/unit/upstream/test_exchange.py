"""Who hears when an exchange is over: its answer at once, all else in the next turn of the loop."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from wsgateway.errors import BadGateway
from wsgateway.integrations.mapping.future import Mapped, then
from wsgateway.messages import EndpointResponse
from wsgateway.upstream.exchange import Exchange, when_over

pytestmark = pytest.mark.anyio

Told = list[asyncio.Future[EndpointResponse]]


class Place:
    """Where the exchange is."""

    stage = "there"

    def leave(self, exchange: Exchange) -> None: ...


def exchange() -> Exchange:
    made = Exchange(loop=asyncio.get_running_loop())
    made.place, made.gate, made.told, made.pending = Place(), None, None, {made: 1.0}
    return made


async def turn() -> None:
    """One of the loop's."""
    await asyncio.sleep(0)


async def test_an_answer_is_told_at_once_and_once() -> None:
    made = exchange()
    told: Told = []
    when_over(made, told.append)

    made.answer(EndpointResponse(200))

    assert told == [made]
    assert (await made).status == 200
    await turn()
    assert told == [made]


async def test_whoever_brings_an_answer_hears_of_no_fault_of_the_told() -> None:
    made = exchange()
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["exception"]))
    fault = ValueError("odd")

    def broken(_: object) -> None:
        raise fault

    when_over(made, broken)
    made.answer(EndpointResponse(200))

    assert heard == [fault]
    assert (await made).status == 200


async def test_a_failure_is_told_in_the_next_turn() -> None:
    made = exchange()
    told: Told = []
    when_over(made, told.append)

    made.fail(BadGateway("no usable answer"))

    assert not told
    await turn()
    assert told == [made]
    assert isinstance(made.exception(), BadGateway)


async def test_one_that_is_given_up_is_told_in_the_next_turn() -> None:
    made = exchange()
    told: Told = []
    when_over(made, told.append)

    made.cancel()

    assert not told
    await turn()
    assert told == [made]
    assert made.cancelled()


async def test_what_has_ended_and_what_is_no_exchange_is_told_in_the_next_turn() -> None:
    over: asyncio.Future[EndpointResponse] = exchange()
    over.set_result(EndpointResponse(200))
    other: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    told: Told = []
    when_over(over, told.append)
    when_over(other, told.append)
    other.set_result(EndpointResponse(201))

    assert not told
    await turn()
    assert told == [over, other]


def misread(answer: EndpointResponse) -> EndpointResponse:
    raise BadGateway("it can't be used")


def mapped() -> asyncio.Future[EndpointResponse]:
    made = Mapped(loop=asyncio.get_running_loop())
    made.place, made.gate, made.told, made.pending, made.use = Place(), None, None, {made: 1.0}, misread
    made.answer(EndpointResponse(200))
    return made


def awaited() -> asyncio.Future[EndpointResponse]:
    asked: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    asked.set_result(EndpointResponse(200))
    return then(asked, misread)


@pytest.mark.parametrize("make", [mapped, awaited])
async def test_what_failed_is_gone_without_the_collector(make: Callable[[], asyncio.Future[EndpointResponse]]) -> None:
    gc.disable()
    try:
        made = make()
        await asyncio.wait([made])
        assert isinstance(made.exception(), BadGateway)
        gone = weakref.ref(made)
        del made

        assert gone() is None
    finally:
        gc.enable()
