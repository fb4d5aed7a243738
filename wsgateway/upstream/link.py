"""One backend at several targets: each call goes to the one with the least to do, past those that take none."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from time import monotonic

from wsgateway.errors import UNSENT, GatewayError
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.upstream.exchange import Exchange, Gate
from wsgateway.upstream.origin import Origin

AVOIDED_SECONDS = 5.0
"""So long a target that took no connection is asked only if all are like that; then one call finds out."""


class Link:
    """Targets that any call may go to: the one with the fewest calls under way, and of equals the next in turn.

    What a target does is known to all links it is a target of.
    """

    def __init__(self, targets: Sequence[Origin]) -> None:
        self.targets = tuple(targets)
        self.loop = targets[0].loop
        self._turn = 0

    def send(
        self, request: EndpointRequest, timeout: float, *, max_body: int, gate: Gate | None = None
    ) -> asyncio.Future[EndpointResponse]:
        """Send `request` to a target and give its answer, as `Origin.send` does.

        One that takes no connection was sent nothing, so the next one is tried, each once and all within `timeout`.
        """
        target = self.choose(monotonic())
        assert target is not None  # none was tried
        exchange = LinkedExchange(loop=self.loop)
        exchange.link = self
        exchange.request = request
        exchange.max_body = max_body
        exchange.tried = [target]
        return target.send(request, timeout, max_body=max_body, gate=gate, exchange=exchange)

    def choose(self, now: float, tried: Collection[Origin] = ()) -> Origin | None:
        """The target for a call at the monotonic time `now`; None where all are among `tried`."""
        count = len(self.targets)
        best, least = -1, (True, 0)
        for index in (position % count for position in range(self._turn, self._turn + count)):
            target = self.targets[index]
            rank = (_avoided(target, now), target.load)
            if target not in tried and (best < 0 or rank < least):
                best, least = index, rank
        if best < 0:
            return None
        self._turn = best + 1
        return self.targets[best]


class LinkedExchange(Exchange):
    """An exchange that goes on to another target as long as it finds no connection."""

    __slots__ = ("link", "max_body", "request", "tried")

    link: Link
    request: EndpointRequest
    max_body: int
    tried: list[Origin]

    def fail(self, error: BaseException) -> None:
        if isinstance(error, GatewayError) and error.failure == UNSENT:
            now = monotonic()
            self.tried[-1].avoided_until = now + AVOIDED_SECONDS
            following = self.link.choose(now, self.tried)
            if following is not None:
                self.tried.append(following)
                following.take(self, self.request, self.max_body)
                return
        super().fail(error)

    def expire(self, timeout: float) -> None:
        target = self.tried[-1]
        if self.place is target and not target.held:  # it waited for a first connection all the time
            target.avoided_until = monotonic() + AVOIDED_SECONDS
        super().expire(timeout)


def _avoided(target: Origin, now: float) -> bool:
    """Whether others are better: it took no connection of late, or did not before and somebody finds out just now."""
    return target.avoided_until > 0 and (now < target.avoided_until or (target.load > 0 and not target.held))
