"""Asynchronous invocations of local functions: accepted at once, run once, and what they end in is in the log.

Lambda developer guide, "Invoking a Lambda function asynchronously". Here they run once, without AWS's two retries.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wsgateway.functions.base import FunctionResult, Invoke, Log, TooManyInvocations

if TYPE_CHECKING:
    from wsgateway.functions.functions import Functions

MAX_EVENTS = 1000
"""Under way at a time, of all functions; at that they are refused as throttled."""
EVENT_SECONDS = 900.0
"""How long one may wait and run."""


class Events:
    """The asynchronous invocations of a process."""

    def __init__(self, functions: Functions, log: Log) -> None:
        self._functions = functions
        self._log = log
        self._running: set[Invoke] = set()

    def start(
        self,
        name: str,
        payload: bytes,
        *,
        request_id: str = "",
        qualifier: str = "",
        trace_id: str = "",
        client_context: str = "",
    ) -> None:
        """Begin one; nobody waits for it. *Raises* InvokeRefused."""
        if len(self._running) >= MAX_EVENTS:
            raise TooManyInvocations(f"{MAX_EVENTS} asynchronous invocations are under way")
        invoke = self._functions.invoke(
            name,
            payload,
            request_id=request_id,
            deadline=asyncio.get_running_loop().time() + EVENT_SECONDS,
            qualifier=qualifier,
            trace_id=trace_id,
            client_context=client_context,
        )
        self._running.add(invoke)
        invoke.add_done_callback(self._over)

    def _over(self, invoke: asyncio.Future[FunctionResult]) -> None:
        assert isinstance(invoke, Invoke)
        self._running.discard(invoke)
        if invoke.cancelled():
            return
        error = invoke.exception()
        if error is not None:
            reason = str(error)
        elif invoke.result().failed:
            reason = invoke.result().payload.decode("utf-8", "replace")
        else:
            return
        self._log("asynchronous invocation failed", function=invoke.arn, request_id=invoke.request_id, reason=reason)
