"""One request and the answer it waits for, and the gate it may have to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from wsgateway.errors import GatewayError, IntegrationTimeout, placeless
from wsgateway.messages import EndpointResponse


class Gate:
    """At most `limit` exchanges at a time: the share of a backend one integration may hold.

    There is no queue behind it. What finds it full fails at once, so a slow backend holds no more than its share.
    """

    __slots__ = ("in_flight", "limit", "refused")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.refused = 0


class Place(Protocol):
    """Where an exchange is: in an origin's queue or on a connection."""

    @property
    def stage(self) -> str:
        """What is being waited for there, as a timeout tells it."""

    def leave(self, exchange: Exchange) -> None:
        """Forget `exchange`, which is over; a connection that carried it can't be used again."""


class Exchange(asyncio.Future[EndpointResponse]):
    """The answer to a request, later. Ends in a response, a GatewayError or, when the caller loses interest, cancelled.

    It is its own future and its own key among the deadlines: one object a call. Its attributes are set by whoever makes
    it, at once (`Origin.send`, `Deadlines.begin`): an `__init__` would cost 0.4 µs.
    """

    __slots__ = ("gate", "pending", "place", "told")

    gate: Gate | None
    pending: dict[Exchange, float]
    place: Place
    told: Callable[[Exchange], None] | None
    """Told of its end beside whoever awaits it: of an answer at once, of all else in the next turn of the loop."""

    def answer(self, response: EndpointResponse) -> None:
        """End in `response`."""
        self._release()
        self.set_result(response)
        told = self.told
        if told is not None:
            self.told = None  # it may know us, and the collector is to have nothing to do
            try:
                told(self)
            except Exception as error:
                # As of any callback: else it would be the connection's, which brought the answer and is not to blame.
                self.get_loop().call_exception_handler({"message": "telling of an answer failed", "exception": error})

    def fail(self, error: BaseException) -> None:
        """End in `error`."""
        self._release()
        self.set_exception(placeless(error))
        self._tell_later()

    def expire(self, timeout: float) -> None:
        """End for want of time."""
        place = self.place
        self.fail(IntegrationTimeout(f"{place.stage} took longer than {timeout:g} s"))
        place.leave(self)

    def cancel(self, msg: Any | None = None) -> bool:
        """End because nobody waits any more; a connection in use is dropped."""
        if not super().cancel(msg):
            return False
        self._release()
        self.place.leave(self)
        self._tell_later()
        return True

    def _tell_later(self) -> None:
        # Whoever hears of it may ask for more, and where it was is only about to forget it.
        if self.told is not None:
            self.get_loop().call_soon(self.told, self)
            self.told = None

    def _release(self) -> None:
        del self.pending[self]
        if self.gate is not None:
            self.gate.in_flight -= 1


def when_over(
    answer: asyncio.Future[EndpointResponse], told: Callable[[asyncio.Future[EndpointResponse]], None]
) -> None:
    """Have `told` called with `answer` once that has ended: an exchange's answer is told at once."""
    if isinstance(answer, Exchange) and not answer.done():
        answer.told = told
    else:
        answer.add_done_callback(told)


def refused(loop: asyncio.AbstractEventLoop, error: GatewayError) -> asyncio.Future[EndpointResponse]:
    """An exchange that ended before it began."""
    future: asyncio.Future[EndpointResponse] = loop.create_future()
    future.set_exception(error)
    return future
