"""A function's result that comes in pieces: its metadata first, then a body that is read no faster than it is taken.

Lambda developer guide, "Response streaming for Lambda functions"; API Gateway developer guide, "Set up a Lambda proxy
integration with payload response streaming": JSON, eight NUL bytes, the body; the NUL bytes are among the first 16 KB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wsgateway.errors import BadGateway
from wsgateway.functions.base import MAX_RESULT, TOO_LARGE, FunctionResult, Invoke, error_payload
from wsgateway.upstream.streamed import AnswerBody, Flow

DELIMITER: Final = bytes(8)
MOST_METADATA: Final = 16_384
"""Bytes in which the delimiter has to begin."""

TRUNCATED: Final = error_payload("Runtime.TruncatedResponse", "the function broke off in the middle of its answer")


class Pieces:
    """Ends an invocation as soon as the metadata is here; where its caller wants all at once, with all.

    What comes where nobody waits any more is dropped: what runs is let finish, as on AWS.
    """

    def __init__(self, invoke: Invoke, pause: Callable[[bool], None]) -> None:
        """`pause` stops and goes on reading of the function."""
        self._invoke = invoke
        self._pause = pause
        self._kept = bytearray()
        self._flow: Flow | None = None

    def feed(self, data: bytes) -> None:
        """More has come."""
        if self._flow is not None:
            self._flow.feed(data)
        elif not self._invoke.done():
            self._kept += data
            if self._invoke.over is None:
                self._keep_all()
            else:
                self._look(self._invoke.over)

    def end(self, payload: bytes, failed: bool, log_tail: bytes) -> None:
        """That was all; where it `failed`, `payload` is the error."""
        if self._flow is None:
            self._invoke.finish(FunctionResult(payload if failed else bytes(self._kept), failed, log_tail))
        elif failed:
            said = payload[:500].decode("utf-8", "replace")
            self._flow.fail(BadGateway(f"{self._invoke.arn} failed in the middle of its answer: {said}"))
        else:
            self._flow.finish()

    def _keep_all(self) -> None:
        if len(self._kept) > MAX_RESULT:
            self._invoke.finish(FunctionResult(TOO_LARGE, failed=True))
            self._kept.clear()

    def _look(self, over: Callable[[], None]) -> None:
        """Is the metadata here? Without it the caller gets the beginning of what came, and finds none, too."""
        kept = self._kept
        at = kept.find(DELIMITER)
        if 0 <= at <= MOST_METADATA:
            self._flow = flow = Flow(self._invoke.get_loop(), self._pause, _go_on, over)
            self._invoke.finish(FunctionResult(bytes(kept[:at]), stream=AnswerBody(flow)))
            flow.feed(bytes(kept[at + len(DELIMITER) :]))
            kept.clear()
        elif len(kept) >= MOST_METADATA + len(DELIMITER):
            self._invoke.finish(FunctionResult(bytes(kept[:MOST_METADATA])))
            kept.clear()


def _go_on() -> None:
    """Nobody reads on, and the function runs on."""
