"""One message from its route to the broker's answer, and what is counted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsgateway.upstream.exchange import Exchange, Gate, Place

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.integrations.publish.base import Outcome, Publication
    from wsgateway.integrations.publish.outlet import Outlet
    from wsgateway.messages import EndpointResponse


class Tally:
    """What became of the messages of one integration: `published`, `refused`, `timeout`, `lost`, `unreachable`,
    `queue_full`, `closed` or `cancelled`. `pending` have no answer yet."""

    __slots__ = ("pending", "results")

    def __init__(self) -> None:
        self.results: dict[str, int] = {"published": 0}
        self.pending = 0

    def count(self, result: str) -> None:
        self.results[result] = self.results.get(result, 0) + 1


class Handover(Exchange):
    """The broker's answer, later. It is among the deadlines, and in the outlet until it ends."""

    __slots__ = ("_outlet", "_tally", "acknowledgement", "publication", "size")

    def __init__(
        self, publication: Publication, size: int, outlet: Outlet, place: Place, tally: Tally, gate: Gate | None
    ) -> None:
        super().__init__(loop=outlet.loop)
        self.acknowledgement: Future[Outcome] | None = None
        """What the broker will say, where that comes later than the round ends."""
        self.publication = publication
        self.size = size
        self.place = place
        self.gate = gate
        self._outlet = outlet
        self._tally = tally
        tally.pending += 1
        if gate is not None:
            gate.in_flight += 1

    @property
    def deadline(self) -> float:
        """Monotonic time at which it ends at the latest."""
        return self.pending[self]

    def answer(self, response: EndpointResponse) -> None:
        self._tally.count("published")
        super().answer(response)

    def fail(self, error: BaseException, result: str = "timeout") -> None:
        self._tally.count(result)
        super().fail(error)

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self._tally.count("cancelled")
        return True

    def _release(self) -> None:
        super()._release()
        self._tally.pending -= 1
        if self.acknowledgement is not None:
            self.acknowledgement.cancel()
        self._outlet.ended(self)


class Queue:
    """The Place of what waits for its round."""

    __slots__ = ("_broker",)

    def __init__(self, broker: str) -> None:
        self._broker = broker

    @property
    def stage(self) -> str:
        return f"waiting for {self._broker}, which has not got the message,"

    def leave(self, exchange: Exchange) -> None:
        """Whoever ends leaves by itself."""


class Wire(Queue):
    """The Place of what was sent."""

    __slots__ = ()

    @property
    def stage(self) -> str:
        return f"the acknowledgement of {self._broker}, which may have the message all the same,"
