"""An answer for later, and what becomes of it."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable

from wsgateway.errors import placeless
from wsgateway.messages import EndpointResponse
from wsgateway.upstream.exchange import Exchange

Use = Callable[[EndpointResponse], EndpointResponse]


def then(answer: Future[EndpointResponse], use: Use) -> Future[EndpointResponse]:
    """What `use` makes of `answer`, once that is there.

    Costs a future and a callback, no task. What `use` raises is what it ends in; errors of `answer` and its
    cancellation pass through, and whoever cancels what is given here cancels `answer`.
    """
    outcome: Future[EndpointResponse] = answer.get_loop().create_future()

    def landed(answer: Future[EndpointResponse]) -> None:
        if answer.cancelled():
            outcome.cancel()
            return
        error = answer.exception()
        if outcome.done():
            return  # nobody waits any more
        if error is not None:
            outcome.set_exception(error)
            return
        try:
            result = use(answer.result())
        except Exception as fault:  # whoever waits for the outcome has to hear of it
            outcome.set_exception(placeless(fault))
        else:
            outcome.set_result(result)

    def left(outcome: Future[EndpointResponse]) -> None:
        if outcome.cancelled():
            answer.cancel()

    answer.add_done_callback(landed)
    outcome.add_done_callback(left)
    return outcome


class Mapped(Exchange):
    """An exchange that ends in what `use` makes of its answer: `then`, without a future of its own and another turn."""

    __slots__ = ("use",)

    use: Use

    def answer(self, response: EndpointResponse) -> None:
        try:
            result = self.use(response)
        except Exception as fault:  # whoever waits has to hear of it
            super().fail(fault)
        else:
            super().answer(result)
