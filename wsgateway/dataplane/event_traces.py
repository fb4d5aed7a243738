"""Who hears of an event's steps: its spans, its row in the access log, its lines in the execution log, or nobody."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from wsgateway.dataplane.access_log import Row
from wsgateway.dataplane.execution_log import ExecutionLog
from wsgateway.dataplane.method_log import MethodLog
from wsgateway.invocation import Client, EventType, Invocation, header_text
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.method_request import MethodRequest
from wsgateway.trace import Trace, Traces

if TYPE_CHECKING:
    from wsgateway.dataplane.access_log import AccessLog
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.execution_log import Logging
    from wsgateway.dataplane.gateway import Gateway


def trace_of(
    gateway: Gateway,
    invocation: Invocation,
    access: AccessLog | None,
    logging: Logging | None,
    base_path: str | None = None,
) -> Trace | None:
    """The Trace of an event that begins now; None where nobody hears of it. `base_path` is the key of the mapping of a
    custom domain that led here."""
    tracing, request = gateway.tracing, invocation.request
    # A call for each message would cost.
    parent = None if tracing is None or (request is None and not tracing.ratio) else tracing.parent(request)
    if parent is None and logging is None:
        return None if access is None else Row(access, gateway.write_row, invocation, base_path)
    traces: list[Trace] = []
    if tracing is not None and parent is not None:
        traces.append(tracing.begin(invocation, parent))
    if access is not None:
        traces.append(Row(access, gateway.write_row, invocation, base_path))
    if logging is not None:
        if isinstance(invocation, MethodRequest):
            traces.append(MethodLog(gateway.log, logging, invocation))
        else:
            traces.append(ExecutionLog(gateway.log, logging, invocation))
    return Traces(*traces) if len(traces) > 1 else traces[0] if traces else None


def connections_call(request: HttpRequest, place: Place, connection_id: str) -> Invocation:
    """A call of `@connections` for a connection, as far as is told of it: it is its caller who is the client."""
    agent = request.header(b"user-agent")
    caller = Client(
        api_id=place.api_id,
        stage=place.stage,
        connection_id=connection_id,
        connected_at=0,
        domain_name=request.host,
        source_ip=request.source,
        user_agent=None if agent is None else header_text(agent),
        callback_url="",
        forwarded=b"",
    )
    route_key = f"{request.method} /@connections/{{connectionId}}"
    return Invocation(caller, EventType.CONNECTION_API, route_key, {}, request=request)


def answered(
    trace: Trace | None, answer: HttpResponse | Awaitable[HttpResponse]
) -> HttpResponse | Awaitable[HttpResponse]:
    """The answer to a call, of which its trace hears."""
    if trace is None:
        return answer
    if not isinstance(answer, HttpResponse):
        return _answered(trace, answer)
    trace.note("response", answer)
    return answer


async def _answered(trace: Trace, answer: Awaitable[HttpResponse]) -> HttpResponse:
    response = await answer
    trace.note("response", response)
    return response
