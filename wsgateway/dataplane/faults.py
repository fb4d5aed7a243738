"""Failing integrations, told to the operator once and then counted: a dead backend is a line, not a flood of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgateway.errors import ClientFault, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgateway.dataplane.gateway import Log

AGAIN_SECONDS = 10.0
"""While a route keeps failing, one line in this time says how often."""

Key = tuple[str, str, str]
"""apiId, stage and route key: from definitions only, so that there are few."""


class _Failing:
    """One route that fails."""

    __slots__ = ("since", "told", "untold")

    def __init__(self, now: float) -> None:
        self.since = now
        self.told = now
        self.untold = 0


class Faults:
    """Which routes fail now. `failing` is empty while all is well, so that a success costs a glance at it."""

    __slots__ = ("_clock", "_log", "failing")

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self.failing: dict[Key, _Failing] = {}
        self._log = log
        self._clock = clock

    def failed(self, key: Key, fault: GatewayError, *, request_id: str, connection_id: str) -> None:
        """An integration failed. A fault of the client's is none of it."""
        if isinstance(fault, ClientFault):
            return
        now = self._clock()
        state = self.failing.get(key)
        if state is None:
            state = self.failing[key] = _Failing(now)
        elif now - state.told < AGAIN_SECONDS:
            state.untold += 1
            return
        api, stage, route = key
        self._log(
            "integration fails",
            api=api,
            stage=stage,
            route=route,
            status=fault.status,
            error=fault.reason or fault.message,
            not_told=state.untold,
            request_id=request_id,
            connection_id=connection_id,
        )
        state.told = now
        state.untold = 0

    def succeeded(self, key: Key) -> None:
        """The integration answers, perhaps again. Call it while anything is `failing`."""
        state = self.failing.pop(key, None)
        if state is not None:
            api, stage, route = key
            seconds = round(self._clock() - state.since, 1)
            self._log("integration answers again", api=api, stage=stage, route=route, after_seconds=seconds)
