"""What an integration does about a backend that fails: ask again, leave it in peace, write down what was lost.

All of it is ours, and off unless it is written: AWS calls a backend once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import PlainValidator

from wsgateway.errors import Problem
from wsgateway.model.base import Definition
from wsgateway.model.explain import did_you_mean, fault, none_of, wrong_kind

Failure = Literal["connect-failure", "reset", "timeout", "function-error", 429, 500, 502, 503, 504]
"""How a backend may fail: no connection; no whole, usable answer; none in time; a function's error; a status."""

FAILURES: tuple[Failure, ...] = (
    "connect-failure", "reset", "timeout", "function-error", 429, 500, 502, 503, 504,
)  # fmt: skip


def _failure(value: object) -> Failure:
    for failure in FAILURES:
        if value == failure and type(value) is type(failure):
            return failure
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise fault(wrong_kind("a kind of failure, such as connect-failure or 503", value))
    known = [str(failure) for failure in FAILURES]
    if value in known:
        raise fault(f"{value} is a status; write it without quotes")
    raise fault(none_of(value, known) + (did_you_mean(value, known) if isinstance(value, str) else ""))


class Retry(Definition):
    """Asking a backend again where it failed, within `timeoutInMillis` in all. $disconnect has retries of its own."""

    max_attempts: Annotated[int, Ge(2), Le(10)] = 3
    """How often a backend is asked in all, the first time included; 3."""
    on: Annotated[Sequence[Annotated[Failure, PlainValidator(_failure, json_schema_input_type=Failure)]], MinLen(1)] = (
        "connect-failure",
    )
    """After which failures. With any but `connect-failure` a backend may get a message twice; `[connect-failure]`."""
    backoff_millis: Annotated[int, Ge(0), Le(60_000)] = 100
    """The pause before the second attempt; each one is twice the one before, less up to half of it at random; 100."""
    attempt_timeout_millis: Annotated[int, Ge(50), Le(300_000)] | None = None
    """How long one attempt may take, where `timeout` is among `on`; less than `timeoutInMillis`."""

    def check(self) -> Iterator[Problem]:
        if "timeout" in self.on and self.attempt_timeout_millis is None:
            text = (
                "timeout needs attemptTimeoutMillis: when timeoutInMillis is over there is no time for another attempt"
            )
            yield Problem(("on",), text)
        if "timeout" not in self.on and self.attempt_timeout_millis is not None:
            text = (
                "has no effect unless a timeout is retried; add timeout to on, or set the integration's timeoutInMillis"
            )
            yield Problem(("attemptTimeoutMillis",), text)


class CircuitBreaker(Definition):
    """Leaving a backend that fails in peace: while the breaker is open, calls fail at once with `Service Unavailable`.

    Then one call finds out whether the backend is back. A failure is no connection, no usable answer, none in time, or
    502, 503 or 504.
    """

    failure_threshold: Annotated[int, Ge(1), Le(10_000)] = 5
    """After so many failures in a row it opens; 5."""
    open_seconds: Annotated[float, Gt(0), Le(3600)] = 10.0
    """How long it stays open until one call may try; 10."""


class DeadLetter(Definition):
    """A log line for each message whose integration failed in the end, or answered it with 429 or 5xx."""

    include_payload: bool = False
    """true writes the message itself into the line, too; false."""
