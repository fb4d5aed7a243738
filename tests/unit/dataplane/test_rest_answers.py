"""Heads and later answers of REST APIs."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.unit.requests import method_request
from wsgateway.dataplane.rest_answers import KEPT, Heads, Later
from wsgateway.errors import BadGateway
from wsgateway.http1 import UnsafeHeader
from wsgateway.messages import EndpointResponse, HttpResponse

pytestmark = pytest.mark.anyio


def test_headers_become_lines() -> None:
    heads = Heads()
    for _ in range(2):
        assert heads.lines(((b"X", b"1"), (b"Date", b"d"))) == (
            b"X: 1\r\nx-amzn-Remapped-Date: d\r\nContent-Type: application/json\r\n"
        )
        assert heads.lines(((b"content-type", b"text/plain"),)) == b"content-type: text/plain\r\n"
    for number in range(KEPT + 1):
        assert heads.lines(((b"Content-Type", b"%d" % number),)) == b"Content-Type: %d\r\n" % number
    with pytest.raises(UnsafeHeader):
        heads.lines(((b"X", b"1\r\nY: 2"),))


class Rest:
    """Tells what it was told."""

    def __init__(self) -> None:
        self.running = 1
        self.gone = 0

    def answered(self, stage: Any, method: Any, invocation: Any, answer: EndpointResponse) -> HttpResponse:
        if answer.status == 299:
            raise UnsafeHeader("no")
        return HttpResponse(answer.status)

    def failed(self, stage: Any, invocation: Any, error: Exception) -> HttpResponse:
        return HttpResponse(500, (), type(error).__name__.encode())

    def left(self, stage: Any, invocation: Any) -> None:
        self.gone += 1

    def over(self, invocation: Any) -> None:
        self.running -= 1


def later() -> tuple[Later, asyncio.Future[EndpointResponse], Rest]:
    loop = asyncio.get_running_loop()
    made, rest = Later(loop=loop), Rest()
    made.asked = loop.create_future()
    made.rest = rest
    made.stage = made.method = None  # type: ignore[assignment]  # only handed on
    made.invocation = method_request()
    made.begin()
    return made, made.asked, rest


async def test_what_an_integration_ends_in_is_answered() -> None:
    for outcome, answer in (
        (EndpointResponse(201), HttpResponse(201)),
        (EndpointResponse(299), HttpResponse(500, (), b"UnsafeHeader")),
        (BadGateway("x"), HttpResponse(500, (), b"BadGateway")),
    ):
        waiting, asked, rest = later()
        if isinstance(outcome, EndpointResponse):
            asked.set_result(outcome)
        else:
            asked.set_exception(outcome)
        assert await waiting == answer
        assert rest.running == 0


async def test_a_client_that_goes_ends_the_call() -> None:
    waiting, asked, rest = later()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asked.cancelled()
    await asyncio.wait([asked])
    assert (rest.running, rest.gone) == (0, 1)


async def test_a_call_that_is_cancelled_is_answered_all_the_same() -> None:
    waiting, asked, rest = later()
    asked.cancel()
    assert (await waiting).body == b"ServiceUnavailable"
    assert rest.running == 0


class Client:
    """Waits for an answer, and knows it meanwhile."""

    def __init__(self, waiting: Later) -> None:
        self.waiting: Later | None = waiting
        self.response: HttpResponse | None = None
        waiting.told = self.hear

    def hear(self, response: HttpResponse) -> None:
        self.waiting, self.response = None, response


@pytest.mark.parametrize("ending", ["answer", "failure", "client"])
async def test_what_is_over_is_gone_without_the_collector(ending: str) -> None:
    gc.disable()
    try:
        waiting, asked, rest = later()
        client = Client(waiting)
        match ending:
            case "answer":
                asked.set_result(EndpointResponse(200))
            case "failure":
                asked.set_exception(BadGateway("x"))
            case _:
                waiting.cancel()
        await asyncio.wait([asked])
        await asyncio.sleep(0)
        assert (client.response is None) is (ending == "client")
        gone = weakref.ref(waiting)
        del waiting, asked, rest, client

        assert gone() is None
    finally:
        gc.enable()
