"""Spans of what the gateway does, by OpenTelemetry, to a collector that speaks OTLP.

A handshake, a message, the end of a connection, a push and a request of a REST API are a span each; what they wait for,
an authorizer or an integration, is a span below it. Whether an event has one is decided before anything is made: one
that has none costs a look at a number. Ids are of the form that X-Ray knows, too, so that `traceparent` (W3C Trace
Context) and `X-Amzn-Trace-Id` (AWS X-Ray developer guide, "Tracing header") name the same trace.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from wsgateway.errors import GatewayError
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse, HttpRequest, HttpResponse
from wsgateway.method_request import MethodRequest
from wsgateway.trace import Mark, Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

    from wsgateway.telemetry.log import Log

FLUSH_SECONDS: Final = 3.0
"""For what is not yet exported when the process ends."""

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})").match
_AMZN = re.compile(rb"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=([01])").match


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that an event belongs below; trace id and span id are 0 where it begins a trace."""

    trace_id: int
    span_id: int


ROOT: Final = Parent(0, 0)


class Spans(Trace):
    """The Trace of one event that makes spans."""

    marks = True
    wants_answers = False

    __slots__ = ("_answered", "_below", "_context", "_kind", "_span", "_tracer")

    def __init__(self, tracer: Tracer, invocation: Invocation, parent: Parent) -> None:
        self._tracer = tracer
        self._span: Span = tracer.start_span(
            _name(invocation), _context(parent), SpanKind.SERVER, _attributes(invocation)
        )
        self._context: Context = set_span_in_context(self._span)
        self._below: Span | None = None
        self._kind = invocation.event_type
        self._answered = self._kind in (EventType.REQUEST, EventType.CONNECTION_API)
        """An answer follows whatever happens."""

    @property
    def mark(self) -> Mark:
        """What an endpoint that is called now is told."""
        context = (self._below or self._span).get_span_context()
        trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        return Mark(
            b"00-%b-%b-01" % (trace_id.encode(), span_id.encode()),
            f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id};Sampled=1".encode(),
        )

    def note(self, step: str, value: object) -> None:
        match step, value:
            case "authorizer", _:
                self._begin(f"authorizer {value}", {})
            case "waits", _:
                self._begin(str(value), {})
            case "retry", str():
                (self._below or self._span).add_event("retry", {"error.type": value})
            case "identity" | "waited", _:
                self._end_below()
            case "endpoint request", EndpointRequest():
                self._begin("integration", {"http.request.method": value.method})
            case "endpoint request", _:
                self._begin("integration", {})
            case "answered" | "endpoint response", EndpointResponse():
                if self._below is not None:
                    self._below.set_attribute("http.response.status_code", value.status)
                    self._end_below()
            case "endpoint response", _:
                self._end_below()
            case "frame", EndpointResponse() if value.status > 299:
                self._end(value.status)
            case "frame", _:
                self._end(101 if self._kind is EventType.CONNECT else None)
            case "response", HttpResponse():
                self._end(value.status)
            case _, GatewayError():
                self._failed(value)

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._end_below()
        self._below = self._tracer.start_span(name, self._context, SpanKind.CLIENT, attributes)

    def _end_below(self, failure: str = "") -> None:
        below, self._below = self._below, None
        if below is not None:
            if failure:
                below.set_attribute("error.type", failure)
                _mark_failed(below, failure)
            below.end()

    def _failed(self, fault: GatewayError) -> None:
        self._end_below(fault.response_type)
        self._span.set_attribute("error.type", fault.response_type)
        if fault.status >= 500:
            _mark_failed(self._span, fault.reason or fault.message)
        if not self._answered:
            self._end(None if self._kind is EventType.MESSAGE else fault.status)

    def _end(self, status: int | None) -> None:
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        self._end_below()
        self._span.end()


class Tracing:
    """Decides which events have spans, and makes them."""

    def __init__(
        self, ratio: float, parents: bool, version: str, log: Log, exporter: SpanExporter, *, named: bool
    ) -> None:
        """This part of the events that begin a trace, others as who began it says, if `parents`; `named` by OTEL_….

        The rest of it (in which batches they go to the exporter) the library reads from the environment.
        """
        self.ratio = ratio
        self._parents = parents
        resource = Resource.create(({} if named else {SERVICE_NAME: "wsgateway"}) | {"service.version": version})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # of events that were chosen here
            resource=resource,
            id_generator=Ids(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("wsgateway", version)
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(Complaints(log))
        logger.propagate = False

    def parent(self, request: HttpRequest | None) -> Parent | None:
        """What an event that `request` began belongs below; None where it has no span."""
        if request is not None and self._parents:
            told = _parent_told(request)
            if told is not None:
                sampled, parent = told
                return parent if sampled else None
        return ROOT if self.ratio and random.random() < self.ratio else None

    def begin(self, invocation: Invocation, parent: Parent) -> Trace:
        """The spans of an event that begins now."""
        return Spans(self._tracer, invocation, parent)

    async def aclose(self) -> None:
        """Export what is left, for a while."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            loop.call_soon_threadsafe(done.set)

        # A thread that nobody has to wait for: a collector that doesn't answer must not keep the process.
        threading.Thread(target=shut_down, name="tracing", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            pass


class Ids(IdGenerator):
    """Trace ids that begin with their second, as X-Ray's do."""

    def generate_span_id(self) -> int:
        return random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return (int(time.time()) & 0xFFFFFFFF) << 96 | random.getrandbits(96)


class Complaints(logging.Handler):
    """What the library complains of, told as all else is; of many complaints one a minute."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._again_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._again_at:
            self._again_at = now + 60.0
            self._log("traces are not exported", error=record.getMessage())


def _parent_told(request: HttpRequest) -> tuple[bool, Parent] | None:
    """Whether it is sampled, and the span, that a request says it belongs below; None where it says nothing of use."""
    told = request.header(b"traceparent")
    found = None if told is None else _TRACEPARENT(told)
    if found is not None:
        return bool(int(found[3], 16) & 1), Parent(int(found[1], 16), int(found[2], 16))
    told = request.header(b"x-amzn-trace-id")
    found = None if told is None else _AMZN(told)
    if found is not None:
        return found[4] == b"1", Parent(int(found[1] + found[2], 16), int(found[3], 16))
    return None


def _context(parent: Parent) -> Context | None:
    if parent is ROOT:
        return None
    above = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(above))


def _name(invocation: Invocation) -> str:
    """Of few kinds: what definitions name, and nothing that clients write."""
    if isinstance(invocation, MethodRequest):
        return invocation.route_key if invocation.resource else "REST request"
    if invocation.event_type is EventType.CONNECTION_API:
        return invocation.route_key
    return f"{invocation.event_type.value} {invocation.route_key}"


def _attributes(invocation: Invocation) -> dict[str, str | int]:
    client = invocation.client
    attributes: dict[str, str | int] = {
        "wsgateway.api": client.api_id,
        "wsgateway.stage": client.stage,
        "wsgateway.event": invocation.event_type.value,
        "wsgateway.request_id": invocation.request_id,
    }
    if client.connection_id:
        attributes["wsgateway.connection_id"] = client.connection_id
    if invocation.request is not None:
        attributes["http.request.method"] = invocation.request.method
        attributes["client.address"] = client.source_ip
    if invocation.message is not None:
        attributes["messaging.message.body.size"] = len(invocation.message.data)
    if invocation.event_type is EventType.DISCONNECT:
        attributes["wsgateway.close_code"] = invocation.status_code
    return attributes


def _mark_failed(span: Span, why: str) -> None:
    span.set_status(Status(StatusCode.ERROR, why))
