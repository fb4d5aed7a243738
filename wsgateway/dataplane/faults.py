"""What goes wrong on integrations' and clients' side, told to the operator and then counted.

A dead backend is a line, not a flood of lines, and so is a client that breaks the protocol again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgateway.dataplane.allowance import Allowance
from wsgateway.errors import AccessDenied, ClientFault, GatewayError, NoRoom, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgateway.dataplane.gateway import Log

AGAIN_SECONDS = 10.0
"""While a route keeps failing, one line in this time says how often, and one for each other cause."""
CAUSES = 5
"""So many causes are told of one route in that time: those that name what clients sent may be many."""

FAILURES_RATE = 10.0
FAILURES_BURST = 100.0
"""Lines a second about integrations: where messages make templates fail, every other one may be a new failure."""

CLOSES_RATE = 10.0
CLOSES_BURST = 100.0
"""Lines a second about connections that did not end in an ordinary way."""

REFUSALS_RATE = 1.0
REFUSALS_BURST = 20.0
"""Lines a second about tokens that clients show in messages and that are not taken."""

Key = tuple[str, str, str]
"""apiId, stage and route key: from definitions only, so that there are few."""


class _Failing:
    """One route that fails."""

    __slots__ = ("causes", "since", "told", "untold")

    def __init__(self, now: float) -> None:
        self.since = now
        self.told = now
        self.untold = 0
        self.causes: set[str] = set()
        """What was told since `told`."""

    def news(self, cause: str, now: float) -> bool:
        """Whether `cause` is one to be told now."""
        if now - self.told >= AGAIN_SECONDS:
            self.told = now
            self.causes.clear()
        return cause not in self.causes and len(self.causes) < CAUSES


class Faults:
    """Which routes fail now. `failing` is empty while all is well, so that a success costs a glance at it."""

    __slots__ = ("_clock", "_closes", "_closes_untold", "_failures", "_log", "_refusals", "failing")

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self.failing: dict[Key, _Failing] = {}
        self._log = log
        self._clock = clock
        self._failures = Allowance(FAILURES_RATE, FAILURES_BURST)
        self._closes = Allowance(CLOSES_RATE, CLOSES_BURST)
        self._closes_untold = 0
        self._refusals = Allowance(REFUSALS_RATE, REFUSALS_BURST)

    def failed(self, key: Key, fault: GatewayError, *, request_id: str, connection_id: str) -> None:
        """An integration failed. A fault of the client's is none of it, nor is want of room, which is told as such."""
        if isinstance(fault, ClientFault | NoRoom):
            return
        now = self._clock()
        state = self.failing.get(key)
        if state is None:
            state = self.failing[key] = _Failing(now)
        cause = fault.reason or fault.message
        if not state.news(cause, now) or not self._failures.take(now):
            state.untold += 1
            return
        api, stage, route = key
        self._log(
            "integration fails",
            api=api,
            stage=stage,
            route=route,
            status=fault.status,
            error=cause,
            not_told=state.untold,
            request_id=request_id,
            connection_id=connection_id,
        )
        state.causes.add(cause)
        state.untold = 0

    def succeeded(self, key: Key) -> None:
        """The integration answers, perhaps again. Call it while anything is `failing`."""
        state = self.failing.pop(key, None)
        if state is not None and state.causes:
            api, stage, route = key
            self._log(
                "integration answers again",
                api=api,
                stage=stage,
                route=route,
                after_seconds=round(self._clock() - state.since, 1),
                not_told=state.untold,
            )

    def refused(self, key: Key, error: BaseException, *, connection_id: str) -> None:
        """A message could not go on later than at once; told where that is for the token it brought."""
        if isinstance(error, Unauthorized | AccessDenied) and self._refusals.take(self._clock()):
            api, stage, route = key
            reason = error.reason
            self._log("token not taken", api=api, stage=stage, route=route, error=reason, connection_id=connection_id)

    def closed(self, *, api: str, connection_id: str, code: int, reason: str) -> None:
        """A connection ended for a fault, or without a close frame."""
        if not self._closes.take(self._clock()):
            self._closes_untold += 1
            return
        self._log(
            "connection closed",
            api=api,
            connection_id=connection_id,
            code=code,
            reason=reason,
            not_told=self._closes_untold,
        )
        self._closes_untold = 0
