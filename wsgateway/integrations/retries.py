"""Retries: a backend that failed is asked again after a pause, as often as `retry` says and the deadline lets.

The first attempts of a connection's messages begin in their order. A retry comes later than what was sent meanwhile,
unless the API's messageOrdering is SEQUENTIAL: then what comes later waits.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, TimerHandle
from typing import TYPE_CHECKING, Any

from wsgateway.errors import GatewayError, ServiceUnavailable, placeless
from wsgateway.messages import EndpointResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgateway.integrations.base import Attempt
    from wsgateway.integrations.breaker import Breaker
    from wsgateway.model.resilience import Retry
    from wsgateway.trace import Trace

MOST_WAITING = 10_000
"""Calls of a process that may wait for another attempt; beyond, a call ends as its last attempt did."""

PARTS = 64
"""A retry gets what is left of the time, rounded down to so many parts of all: equal deadlines share a timer."""

Outcome = EndpointResponse | BaseException


class Waiting:
    """The calls of a process that wait for another attempt. `jitter` gives numbers from 0 to 1."""

    def __init__(self, loop: AbstractEventLoop, jitter: Callable[[], float]) -> None:
        self.loop = loop
        self.jitter = jitter
        self.calls: set[Tries] = set()
        self.closing = False

    def close(self) -> None:
        """End them, and let no other call wait."""
        self.closing = True
        for tries in tuple(self.calls):
            tries.give_up(ServiceUnavailable("the gateway is closing"))


class Retrying:
    """An Attempt that makes several of another one, within one deadline."""

    def __init__(
        self,
        attempt: Attempt,
        retry: Retry,
        *,
        seconds: float,
        breaker: Breaker | None,
        waiting: Waiting,
        counted: Callable[[], None],
    ) -> None:
        """`seconds` is the time for all attempts; `counted` is called for every retry."""
        self.attempt = attempt
        self.waiting = waiting
        self.counted = counted
        self._most = retry.max_attempts
        self._on = frozenset[object](retry.on)
        self._backoff = retry.backoff_millis / 1000
        self._seconds = seconds
        each = retry.attempt_timeout_millis
        self._each = seconds if each is None else min(seconds, each / 1000)
        self._breaker = breaker

    def __call__(self, *arguments: Any) -> Future[EndpointResponse]:
        loop = self.waiting.loop
        tries = Tries(loop=loop)
        tries.retrying = self
        tries.arguments = arguments
        tries.ends = loop.time() + self._seconds
        tries.made = 0
        tries.timer = None
        tries.running = None
        tries.begin(self._each)
        return tries

    def pause(self, made: int, outcome: Outcome, left: float) -> float | None:
        """Seconds until the next attempt after `made`, of which the last ended like this, with `left` to go.

        None where there is to be none.
        """
        if made >= self._most or failure_of(outcome) not in self._on:
            return None
        if self.waiting.closing or len(self.waiting.calls) >= MOST_WAITING:
            return None
        pause = self._backoff * 2.0 ** (made - 1) * (1.0 - self.waiting.jitter() / 2)
        pause = max(pause, _asked_for(outcome))
        return pause if self.time_for(left - pause) else None

    def time_for(self, left: float) -> float:
        """How long an attempt may take with so many seconds to go; 0 where it isn't worth one."""
        part = self._seconds / PARTS
        return self._each if left >= self._each else max(0.0, left // part * part)

    def refuses(self, now: float) -> bool:
        """Whether the circuit breaker would not let another attempt through."""
        return self._breaker is not None and self._breaker.shut(now)


class Tries(Future[EndpointResponse]):
    """All attempts of one call; ends as the last of them. Its attributes are set by whoever makes it, at once."""

    __slots__ = ("arguments", "ends", "made", "retrying", "running", "timer")

    retrying: Retrying
    arguments: tuple[Any, ...]
    ends: float
    """Loop time."""
    made: int
    """Attempts so far."""
    timer: TimerHandle | None
    running: Future[EndpointResponse] | None

    def begin(self, seconds: float) -> None:
        """Make an attempt."""
        self.made += 1
        try:
            self.running = self.retrying.attempt(*self.arguments, seconds=seconds)
        except Exception as error:
            self._ended(error)
        else:
            self.running.add_done_callback(self._landed)

    def give_up(self, error: BaseException) -> None:
        """End without another attempt."""
        self._wait_no_more()
        self.set_exception(error)

    def cancel(self, msg: Any | None = None) -> bool:
        """End because nobody waits any more, and the attempt under way with it."""
        if not super().cancel(msg):
            return False
        self._wait_no_more()
        if self.running is not None:
            self.running.cancel()
        return True

    def _landed(self, attempt: Future[EndpointResponse]) -> None:
        self.running = None
        if attempt.cancelled():
            self.cancel()
            return
        error = attempt.exception()
        if not self.done():
            self._ended(attempt.result() if error is None else error)

    def _ended(self, outcome: Outcome) -> None:
        """An attempt is over: that is the end, or there is another one after a pause."""
        loop, retrying = self.get_loop(), self.retrying
        pause = retrying.pause(self.made, outcome, self.ends - loop.time())
        if pause is None:
            self._finish(outcome)
            return
        retrying.waiting.calls.add(self)
        self.timer = loop.call_later(pause, self._again, outcome)

    def _again(self, outcome: Outcome) -> None:
        self._wait_no_more()
        retrying, now = self.retrying, self.get_loop().time()
        seconds = retrying.time_for(self.ends - now)
        if not seconds or retrying.refuses(now):
            self._finish(outcome)
            return
        retrying.counted()
        trace: Trace | None = self.arguments[0].trace
        if trace is not None:
            trace.note("retry", f"{failure_of(outcome)}")
        self.begin(seconds)

    def _finish(self, outcome: Outcome) -> None:
        if isinstance(outcome, EndpointResponse):
            self.set_result(outcome)
        else:
            self.set_exception(placeless(outcome))

    def _wait_no_more(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.retrying.waiting.calls.discard(self)


def failure_of(outcome: Outcome) -> str | int:
    """How the backend failed: as a GatewayError says, or its status, which may be a good one."""
    if isinstance(outcome, EndpointResponse):
        return outcome.failure or outcome.status
    return outcome.failure if isinstance(outcome, GatewayError) else ""


def _asked_for(outcome: Outcome) -> float:
    """How long the backend asks to be left alone, in seconds (RFC 9110 §10.2.3; a date is not read)."""
    if isinstance(outcome, EndpointResponse):
        for name, value in outcome.headers:
            if name.lower() == b"retry-after" and value.isdigit() and len(value) < 10:
                return float(value)
    return 0.0
