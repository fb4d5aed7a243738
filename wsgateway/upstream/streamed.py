"""Bodies that pass through: a request's is sent as it comes, an answer's given on as it comes, neither ever kept whole.

Each side is read no faster than the other takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Self

from wsgateway.errors import BadGateway
from wsgateway.messages import EndpointResponse
from wsgateway.upstream.exchange import Exchange

if TYPE_CHECKING:
    from wsgateway.messages import Header

HIGH_WATER = 65_536
"""Bytes of an answer that wait for its reader before no more is read of the backend."""

IDLE_SECONDS = 300.0
"""How long an answer that has begun may stand still (developer guide, "Response streaming", of regional APIs)."""


class Streamed(Exchange):
    """An exchange that ends in an answer's head; its body is read of the answer's `stream`.

    An answer that comes whole at once, or has no body, ends it as any other. Beside those of Exchange, `seconds` is set
    by whoever makes it: how long the backend may take nothing of a request's body, and then give no answer.
    """

    __slots__ = ("flow", "passes", "seconds")

    seconds: float
    flow: Flow | None
    passes: bool
    """Whether the answer's body is given on as it comes; else the request's alone is sent so."""

    def progress(self) -> None:
        """The backend has taken more of the request: its time begins anew."""
        if self.pending.pop(self, None) is not None:
            self.pending[self] = monotonic() + self.seconds

    def begin(self, status: int, headers: tuple[Header, ...], pause: Callable[[bool], None]) -> Flow:
        """The head is here and the body is not, or not all of it; `pause` stops and goes on reading of the backend."""
        loop = self.get_loop()
        self.flow = flow = Flow(loop, pause, self._left, self._over)
        self._tell_later()  # whoever hears of it may have enough, and the first piece is about to be fed
        super().answer(EndpointResponse(status, headers, None, stream=AnswerBody(flow)))
        return flow

    def answer(self, response: EndpointResponse) -> None:
        if self.flow is None:
            super().answer(response)
        else:
            self.flow.feed(response.body or b"")
            self.flow.finish()

    def fail(self, error: BaseException) -> None:
        if self.flow is None:
            super().fail(error)
        else:
            self.flow.fail(error)

    def _release(self) -> None:
        if self.flow is None:
            super()._release()
        else:
            del self.pending[self]  # the gate is held until the body is through

    def _left(self) -> None:
        self.place.leave(self)

    def _over(self) -> None:
        if self.gate is not None:
            self.gate.in_flight -= 1


class Flow:
    """What has come of an answer's body and was not read yet."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pause: Callable[[bool], None],
        leave: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        """`leave` is called where nobody reads on, `over` in any case, once."""
        self._loop = loop
        self._pause = pause
        self._leave = leave
        self._over = over
        self._pieces: list[bytes] = []
        self._size = 0
        self._full = False
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._moved = monotonic()
        self._timer = loop.call_later(IDLE_SECONDS, self._look)

    def feed(self, data: bytes) -> None:
        """More has come."""
        if data and not self._ended:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > HIGH_WATER and not self._full:
                self._full = True
                self._pause(True)
            self._wake()

    def finish(self) -> None:
        """That was all."""
        self._end()

    def fail(self, error: BaseException) -> None:
        """The rest will not come."""
        self._error = error
        self._end()

    def close(self) -> None:
        """Nobody reads on."""
        self._pieces.clear()
        if not self._ended:
            self._end()
            self._leave()

    async def read(self) -> bytes | None:
        """More of the body; None at its end. *Raises* GatewayError where it breaks off."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._moved = monotonic()
        if self._full:
            self._full = False
            self._pause(False)
        return data

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._full:
                self._full = False
                self._pause(False)  # the connection may carry another call
            self._timer.cancel()
            self._over()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        left = self._moved + IDLE_SECONDS - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._error = BadGateway(f"the backend's answer stood still for {IDLE_SECONDS:g} s")
            self.close()


class AnswerBody:
    """The body of an answer, read once. Whoever does not read it to its end closes it."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self._flow.read()
        if data is None:
            raise StopAsyncIteration
        return data

    def close(self) -> None:
        """Read no more."""
        self._flow.close()
