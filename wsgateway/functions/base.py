"""What invoking a function gives: its result, or AWS's refusal of the call.

InvokeRefused                     the function did not run
├── FunctionNotFound              404  ResourceNotFoundException
├── TooManyInvocations            429  TooManyRequestsException
└── PayloadTooLarge               413  RequestTooLargeException
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

import msgspec

from wsgateway.errors import BackendFault, IntegrationTimeout
from wsgateway.messages import AnswerStream

MAX_PAYLOAD = 6_291_456
"""Bytes a synchronous invocation may carry (Lambda quotas: 6 MB)."""
MAX_RESULT = 6_291_556
"""Bytes a result may have: the number in AWS's own refusal."""

VERSION = "$LATEST"


class Log(Protocol):
    """Where facts are told; one call a fact."""

    def __call__(self, event: str, **facts: object) -> None: ...


class InvokeRefused(BackendFault):
    """The call did not reach the function; `status`, `kind` and `fields` are AWS's (Lambda API reference, Invoke)."""

    status_code: ClassVar[int] = 500
    kind: ClassVar[str] = "ServiceException"
    fields: Mapping[str, str]

    def __init__(self, reason: str, /, **fields: str) -> None:
        super().__init__(reason)
        self.fields = {"Type": "User", **fields}


class FunctionNotFound(InvokeRefused):
    """No function has that name."""

    status_code = 404
    kind = "ResourceNotFoundException"

    def __init__(self, arn: str) -> None:
        super().__init__(f"Function not found: {arn}", Message=f"Function not found: {arn}")


class TooManyInvocations(InvokeRefused):
    """All processes are busy, and as many invocations wait as may, or this one waited as long as it may."""

    status_code = 429
    kind = "TooManyRequestsException"

    def __init__(self, why: str) -> None:
        super().__init__(why, Reason="ReservedFunctionConcurrentInvocationLimitExceeded", message="Rate Exceeded.")


class PayloadTooLarge(InvokeRefused):
    """The payload is over 6 MB."""

    status_code = 413
    kind = "RequestTooLargeException"

    def __init__(self) -> None:
        text = f"Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation"
        super().__init__(text, message=text)


class FunctionResult(msgspec.Struct, frozen=True, gc=False):
    """What a function gave: the JSON of its result, or of its error where `failed` (X-Amz-Function-Error: Unhandled).

    `log_tail` is the end of what the invocation printed, if that was asked for. Where there is a `stream`, `payload` is
    the metadata of an answer whose body is still coming.
    """

    payload: bytes
    failed: bool = False
    log_tail: bytes = b""
    stream: AnswerStream | None = None


class Invoke(asyncio.Future[FunctionResult]):
    """One invocation: its future is its result. Ends in a FunctionResult or a GatewayError.

    Its attributes are set by whoever makes it, at once (`Pool.invoke`). Cancelling it means that nobody waits any more:
    it never starts if it is still waiting, and what runs is let finish, as on AWS.
    """

    __slots__ = (
        "arn",
        "client_context",
        "deadline",
        "over",
        "payload",
        "request_id",
        "started",
        "tail",
        "timer",
        "trace_id",
    )

    payload: bytes
    request_id: str
    arn: str
    trace_id: str
    client_context: str
    tail: bool
    over: Callable[[], None] | None
    """Called once the body of a result that streams is through; None where its caller wants results whole."""
    deadline: float
    """Loop time at which its caller gives up; infinite where nobody does."""
    started: float
    """Loop time at which a worker got it; 0 while it waits."""
    timer: asyncio.TimerHandle | None
    """Ends the caller's wait."""

    def wait_until(self, end: float) -> None:
        """At loop time `end` it has ended, or a worker has it: only a deadline before that needs a timer."""
        if self.deadline < end and self.timer is None:
            self.timer = self.get_loop().call_at(self.deadline, self.expire)

    def finish(self, result: FunctionResult) -> None:
        """End in `result`, if somebody still waits."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.done():
            self.set_result(result)

    def expire(self) -> None:
        """End for want of time; what runs is let finish."""
        self.timer = None
        self.fail(IntegrationTimeout(f"{self.arn} did not answer in time"))

    def fail(self, error: BaseException) -> None:
        """End in `error`, if somebody still waits."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.done():
            self.set_exception(error)


def error_payload(error_type: str, message: str) -> bytes:
    """The JSON of an error that AWS itself reports for a function."""
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})


OVERSIZE = f"Response payload size exceeded maximum allowed payload size ({MAX_RESULT} bytes)."
TOO_LARGE = error_payload("Function.ResponseSizeTooLarge", OVERSIZE)
"""The error of a function whose result is over its limit."""


_name = re.compile(
    r"(?:arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:|(?:[0-9]{12}:)?function:|[0-9]{12}:)?"
    r"([A-Za-z0-9_-]{1,64})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?"
).fullmatch


def parse_name(text: str) -> tuple[str, str] | None:
    """`(name, qualifier)` of a name, a partial or a full ARN, each with or without a qualifier; None for others.

    Lambda API reference, Invoke, FunctionName. The design's short form `function:NAME` is a partial ARN, too.
    """
    found = _name(text)
    return None if found is None else (found[1], found[2] or "")
