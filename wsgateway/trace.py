"""Who hears of an event's steps: `wsgateway explain`, the execution log, the access log, tracing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

from wsgateway.messages import EndpointRequest, EndpointResponse, Message

Awaited = TypeVar("Awaited")


class Mark(NamedTuple):
    """What an endpoint is told of the trace that it is called in, as header values."""

    traceparent: bytes
    """W3C Trace Context, "Traceparent Header"."""
    amzn: bytes
    """`X-Amzn-Trace-Id`."""

    @property
    def lines(self) -> bytes:
        """Both header fields."""
        return b"traceparent: %b\r\nX-Amzn-Trace-Id: %b\r\n" % self


class Trace(ABC):
    """Hears what each step made of one event, where somebody wants to know: `wsgateway explain`, logs, tracing."""

    __slots__ = ()

    @property
    def mark(self) -> Mark | None:
        """What an endpoint that is called now is told; None where nobody follows the event there."""
        return None

    marks: bool = False
    """Whether it has a `mark`."""
    wants_answers: bool = True
    """Whether it is told of an endpoint's answer as soon as it is there; else when the event goes on with it."""

    def asked(self, head: bytes, body: bytes) -> None:
        """An HTTP backend is about to be sent this."""
        method = head[: head.index(b" ")].decode()
        self.note("endpoint request", EndpointRequest(head, body, method))

    def answered(self, answer: EndpointResponse, frame: Message | None) -> None:
        """A message's integration has answered, and this goes back to the client."""
        self.note("answered", answer)
        self.note("frame", frame)

    @abstractmethod
    def note(self, step: str, value: object) -> None:
        """`value` is what the step called `step` gave; it is not kept alive longer than the trace."""


def mark_of(trace: Trace | None) -> Mark | None:
    """What whoever is called now is told; None where nobody follows the event."""
    return trace.mark if trace is not None and trace.marks else None


def waited_for(trace: Trace | None, what: str, waited: Awaitable[Awaited]) -> Awaitable[Awaited]:
    """`waited`, of whose beginning and end a trace hears."""
    return waited if trace is None else _waited_for(trace, what, waited)


async def _waited_for(trace: Trace, what: str, waited: Awaitable[Awaited]) -> Awaited:
    trace.note("waits", what)
    try:
        return await waited
    finally:
        trace.note("waited", what)


class Traces(Trace):
    """Several that hear of one event."""

    __slots__ = ("_traces", "marks", "wants_answers")

    def __init__(self, *traces: Trace) -> None:
        self._traces = traces
        self.marks = any(trace.marks for trace in traces)
        self.wants_answers = any(trace.wants_answers for trace in traces)

    @property
    def mark(self) -> Mark | None:
        return next((mark for trace in self._traces if (mark := trace.mark) is not None), None)

    def note(self, step: str, value: object) -> None:
        for trace in self._traces:
            trace.note(step, value)
