"""What goes to one broker: gathered for one turn of the loop, sent in order, bounded, each with its own deadline.

One round is under way at a time; what is asked for meanwhile is the next one. While the broker can't be reached
everything is refused at once, and one attempt after the other is made to reach it, with back-off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from wsgateway.errors import UNSENT, IntegrationFailure, ServiceUnavailable
from wsgateway.integrations.publish.base import BrokerAway, Outcome, Publication, Publisher, Refused
from wsgateway.integrations.publish.handover import Handover, Queue, Tally, Wire
from wsgateway.messages import EndpointResponse

if TYPE_CHECKING:
    from wsgateway.integrations.publish.brokers import Log
    from wsgateway.upstream.deadlines import Deadlines
    from wsgateway.upstream.exchange import Gate

MOST_MESSAGES = 10_000
"""Messages that wait for one broker, those being sent included; one more is refused at once (503)."""
MOST_BYTES = 64 << 20
"""What they take; likewise."""
ROUND_MESSAGES = 1000
ROUND_BYTES = 1 << 20
ROUND_SECONDS = 10.0
"""A round gets no less, however short its messages' deadlines are: to end it is to end the link."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LAST_SECONDS = 1.0
"""What is under way gets, when the process ends."""

JSON = ((b"Content-Type", b"application/json"),)


class Outlet:
    """The queue in front of a Publisher, and the care for its link. Messages of one caller stay in order."""

    def __init__(self, name: str, publisher: Publisher, deadlines: Deadlines, log: Log) -> None:
        self.name = name
        self._publisher = publisher
        publisher.lost = self._lost
        self._deadlines = deadlines
        self._log = log
        self.loop = asyncio.get_running_loop()
        self._waiting: dict[Handover, None] = {}
        self._sent: dict[Handover, None] = {}
        self._bytes = 0
        self._queue = Queue(name)
        self._wire = Wire(name)
        self._wanted = self._linked = self._closed = False
        self._down = ""
        self._down_since = 0.0
        self._running: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether some route publishes here."""
        return self._wanted

    @property
    def up(self) -> bool:
        """Whether there is a link, as far as is known."""
        return self._linked

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._sent or self._linked or self._running)

    # Called by the integration

    def publish(self, publication: Publication, seconds: float, tally: Tally, gate: Gate | None) -> Handover:
        """Have it sent with the next round; ends in the broker's answer.

        *Raises* IntegrationFailure while the broker can't be reached, ServiceUnavailable where too much waits.
        """
        if self._closed:
            raise ServiceUnavailable("the gateway is closing")
        if self._down:
            tally.count("unreachable")
            raise IntegrationFailure(self._down, failure=UNSENT)
        size = publication.size
        if len(self._waiting) + len(self._sent) >= MOST_MESSAGES or self._bytes + size > MOST_BYTES:
            tally.count("queue_full")
            raise ServiceUnavailable(f"too much waits for {self.name}")
        handover = Handover(publication, size, self, self._queue, tally, gate)
        self._waiting[handover] = None
        self._bytes += size
        self._deadlines.begin(handover, monotonic(), seconds)
        self._run()
        return handover

    # Called by whoever has it

    def use(self) -> None:
        """Some route publishes here: have a link from now on."""
        self._wanted = True
        self._run()

    def retire(self) -> None:
        """No route does any more. What waits is sent; then the link ends."""
        self._wanted = False
        self._stop_mending()
        self._down = ""
        self._run()

    async def aclose(self) -> None:
        """End it, and what still waits after a moment."""
        self._closed = True
        self._stop_mending()
        pending = [*self._sent, *self._waiting]
        if pending:
            await asyncio.wait(pending, timeout=LAST_SECONDS)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._fail([*self._sent, *self._waiting], ServiceUnavailable("the gateway is closing"), "closed")
        await self._publisher.aclose()
        self._linked = False

    # The rounds

    def _run(self) -> None:
        """Have work done, from the end of this turn on."""
        if self._running is None and not self._closed and self._next_step() is not None:
            self._running = self.loop.create_task(self._work())
            self._running.add_done_callback(self._worked)

    def _next_step(self) -> Callable[[], Awaitable[None]] | None:
        """What is to be done now."""
        if self._down:
            return None
        if self._waiting:
            return self._round if self._linked else self._link
        if self._wanted:
            return None if self._linked else self._link
        return self._unlink if self._linked and not self._sent else None

    async def _work(self) -> None:
        while (step := self._next_step()) is not None:
            await step()

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._running = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:  # a fault of ours: nobody waits for it in vain
            self._linked = False
            reason = self._unexpected(error)
            self._fail(tuple(self._sent), IntegrationFailure(reason), "lost")
            self._fell(reason)
        else:
            self._run()  # what came while it ended

    async def _round(self) -> None:
        """Send the first that wait, and tell each what became of it."""
        batch = self._next()
        for handover in batch:
            del self._waiting[handover]
            self._sent[handover] = None
            handover.place = self._wire
        seconds = max(ROUND_SECONDS, max(handover.deadline for handover in batch) - monotonic() + 1.0)
        try:
            answers = await self._publisher.send([handover.publication for handover in batch], seconds)
        except BrokerAway as away:
            self._lost(str(away))
            self._fail(batch, IntegrationFailure(f"{away}; the message may have been taken all the same"), "lost")
            return
        for handover, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, asyncio.Future):
                _tell(handover, answer)
            elif handover.done():
                answer.cancel()
            else:
                handover.acknowledgement = answer
                answer.add_done_callback(partial(_acknowledged, handover))

    def _next(self) -> list[Handover]:
        """The first that wait, as many as make a round."""
        batch: list[Handover] = []
        size = 0
        for handover in self._waiting:
            size += handover.size
            if batch and (size > ROUND_BYTES or len(batch) >= ROUND_MESSAGES):
                break
            batch.append(handover)
        return batch

    def _fail(self, handovers: Sequence[Handover], error: IntegrationFailure | ServiceUnavailable, result: str) -> None:
        for handover in handovers:
            if not handover.done():
                handover.fail(error, result)

    def ended(self, handover: Handover) -> None:
        """It has ended in whichever way; it takes no place any more."""
        self._waiting.pop(handover, None)
        self._sent.pop(handover, None)
        self._bytes -= handover.size
        if not (self._wanted or self._sent):
            self._run()  # it may have been the last

    # The link

    async def _link(self) -> None:
        reason = await self._attempt()
        if reason:
            self._fell(reason)
        else:
            self._rose()

    async def _attempt(self) -> str:
        """Why there is no link, "" where there is one now."""
        try:
            await self._publisher.open()
        except BrokerAway as away:
            return str(away)
        except Exception as error:
            return self._unexpected(error)
        return ""

    def _unexpected(self, error: BaseException) -> str:
        """A fault of ours is told, and what it is to those who wait."""
        self._log("unexpected error", error=error, broker=self.name)
        return f"{self.name}: unexpected {type(error).__name__}; see the log"

    async def _unlink(self) -> None:
        self._linked = False
        await self._publisher.aclose()

    def _rose(self) -> None:
        self._linked = True
        if self._down_since:
            self._log("broker answers again", broker=self.name, after_seconds=round(monotonic() - self._down_since, 1))
        else:
            self._log("broker connected", broker=self.name)
        self._down, self._down_since = "", 0.0

    def _lost(self, reason: str) -> None:
        """The link is gone. It is made anew at once; what waits may wait for that."""
        if not self._linked:
            return
        self._linked = False
        self._down_since = monotonic()
        self._log("broker lost", broker=self.name, error=reason)
        self._run()

    def _fell(self, reason: str) -> None:
        """It can't be had: nothing waits for it, and from now on it is tried now and then."""
        self._fail(tuple(self._waiting), IntegrationFailure(reason, failure=UNSENT), "unreachable")
        if not self._wanted or self._closed:
            return
        self._down_since = self._down_since or monotonic()
        self._down = reason
        self._log("broker can't be reached", broker=self.name, error=reason)
        self._mending = self.loop.create_task(self._mend())

    async def _mend(self) -> None:
        for pause in _pauses():
            await asyncio.sleep(pause)
            reason = await self._attempt()
            if not reason:
                break
            if reason != self._down:
                self._down = reason
                self._log("broker can't be reached", broker=self.name, error=reason)
        self._mending = None
        self._rose()

    def _stop_mending(self) -> None:
        if self._mending is not None:
            self._mending.cancel()
            self._mending = None


def _tell(handover: Handover, outcome: Outcome) -> None:
    if handover.done():
        return  # its time was over
    if isinstance(outcome, Refused):
        failure: str | int = 503 if outcome.transient else 400  # as a backend would say it
        if outcome.result == "lost":
            failure = "reset"  # it may have been taken: no refusal
        error = IntegrationFailure(outcome.reason, transient=outcome.transient, failure=failure)
        handover.fail(error, outcome.result)
    else:
        handover.answer(EndpointResponse(200, JSON, outcome, False))


def _acknowledged(handover: Handover, acknowledgement: asyncio.Future[Outcome]) -> None:
    if not acknowledgement.cancelled():
        _tell(handover, acknowledgement.result())


def _pauses() -> Iterator[float]:
    """Each about twice the one before, never the same for all nodes."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(2 * pause, LONGEST_PAUSE)
