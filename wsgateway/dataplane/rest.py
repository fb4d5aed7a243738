"""REST APIs: from a request to the method that answers it, and what goes back.

API Gateway developer guide, "API Gateway REST APIs" and "Important notes". What no resource answers is 403 `Missing
Authentication Token`, as on AWS; what no API or stage answers is 403 `Forbidden`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wsgateway.dataplane.coding import decoded
from wsgateway.dataplane.event_traces import trace_of
from wsgateway.dataplane.rest_answers import Heads as Answers
from wsgateway.dataplane.rest_answers import Later
from wsgateway.dataplane.rest_bodies import PASSED_BYTES, Passed, begun, bounded, hold_of, whole
from wsgateway.dataplane.rest_client import Heads, capitalized, client_of
from wsgateway.dataplane.rest_door import LEFT, Door
from wsgateway.errors import (
    AccessDenied,
    BadRequest,
    GatewayError,
    MissingAuthenticationToken,
    RequestTooLarge,
    Throttled,
)
from wsgateway.ids import new_request_id, new_uuid
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointResponse, Handler, HttpRequest, HttpResponse, Upload
from wsgateway.method_request import MethodRequest
from wsgateway.templates.content import listed

if TYPE_CHECKING:
    from wsgateway.bodies import Hold
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.rest_compiled import CompiledMethod, CompiledRestStage
    from wsgateway.messages import Header
    from wsgateway.trace import Trace

OURS = ("/@connections", "/@tickets")
"""Paths below a stage that are the gateway's own, whatever an API has."""


class RestApis:
    """Answers the requests of REST APIs; what none of them is meant by is for `otherwise`.

    With `private` it answers for PRIVATE APIs alone, else for all others.
    Without `asking` nobody is asked who may, nor is anything limited: so it is where nobody is to be called.
    """

    def __init__(
        self,
        gateway: Gateway,
        otherwise: Handler,
        *,
        asking: bool = True,
        private: bool = False,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` gives a number from 0 to 1 for each request of a stage that has a canary."""
        self._gateway = gateway
        self._draw = draw
        self._private = private
        self._otherwise = otherwise
        self._heads = Heads()
        self._answers = Answers()
        self._door = Door(gateway, self, asking)

    def __call__(self, request: HttpRequest, trace: Trace | None = None) -> HttpResponse | Awaitable[HttpResponse]:
        """`trace` hears of every step, where somebody wants to know."""
        gateway, target = self._gateway, request.target
        endpoints = gateway.private_endpoints if self._private else gateway.rest_endpoints
        if endpoints.empty:
            return self._otherwise(request)
        path = target.partition("?")[0]
        if "/@" in path and any(name in path for name in OURS):
            return self._otherwise(request)
        try:
            if "|" in target:
                raise BadRequest("the URL holds a vertical bar; write %7C")
            place, tail = endpoints.enter(_host_of(request) if self._private else request.host, path)
        except GatewayError as error:
            if trace is not None:
                trace.note("error", error)
            return _nowhere(error, gateway.show_reasons)
        if place.closed:
            return _nowhere(MissingAuthenticationToken("the API is reached by its domains alone"), gateway.show_reasons)
        stage = gateway.rest[place.api_id, place.stage]
        arrived = gateway.clock()
        canary = stage.canary
        if canary is not None and self._draw() * 100 < canary.percent:
            stage = canary.stage
        head = self._heads.of(request.headers)
        if stage.edge:
            request = replace(request, headers=capitalized(request.headers))
        elif head.respelled is not None:
            request = replace(request, headers=head.respelled)
        verb = head.verb or request.method
        found = stage.resources.find(verb, tail if tail and tail[0] and tail[-1] else _segments(tail))
        method, parameters = (None, {}) if found is None else found
        if place.prefix:
            path = path.removeprefix(place.prefix)
        client = client_of(request, head, place)
        if self._private:
            client.identity = gateway.vpc_endpoints.identity(request.source)
        invocation = MethodRequest(
            client,
            EventType.REQUEST,
            "" if method is None else method.route_keys[verb],
            stage.variables,
            request=request,
            arrived=arrived,
            resource="" if method is None else method.resource,
            http_method=verb,
            path=path,
            tail=tail if place.domain is None else path,
            path_parameters=parameters,
            account_id=gateway.callers.account,
            of_binary_type=bool(stage.binary_media_types) and listed(head.content_type, stage.binary_media_types),
            trace_header=head.trace,
            deployment_id=stage.deployment_id,
        )
        if canary is not None:
            invocation.canary = stage.of_canary
        logging = None if method is None else method.logging
        if trace is not None:
            invocation.trace = trace
            if canary is not None:
                trace.note("canary", stage.of_canary)
            trace.note("method", {"method": method and invocation.route_key, "parameters": parameters})
        elif stage.access is not None or logging is not None or gateway.tracing is not None:
            invocation.trace = trace_of(gateway, invocation, stage.access, logging, place.key)
        if method is None:
            fault = MissingAuthenticationToken(f"no resource answers {verb} {invocation.path}")
            return self._refused(stage, invocation, fault)
        invocation.tally = stage.tallies[invocation.route_key]
        if method.admit is not None:
            return self._door.enter(stage, method, method.admit, invocation, head.codings)
        return self.go_on(stage, method, invocation, head.codings)

    # What `Door` calls

    def go_on(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, codings: tuple[str, ...]
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """Run the method, at once if its body is here and small."""
        assert invocation.request is not None  # it is one
        body = invocation.request.body
        if isinstance(body, bytes) and not codings and len(body) <= stage.at_once_bytes:
            invocation.payload = body
            return self._run(stage, method, invocation)
        return self._run_later(stage, method, invocation, invocation.request, codings)

    async def _run_later(
        self,
        stage: CompiledRestStage,
        method: CompiledMethod,
        invocation: MethodRequest,
        request: HttpRequest,
        codings: tuple[str, ...],
    ) -> HttpResponse:
        """Go on once the whole body is here, without its codings, or so much of it that it is sent on as it comes."""
        with hold_of(invocation, self._gateway.bodies) as hold:
            try:
                invocation.payload = await self._arrived(stage, method, invocation, request, codings, hold)
            except ConnectionResetError:
                self.left(stage, invocation, 400)
                return HttpResponse(400, close=True)  # nobody reads it
            except asyncio.CancelledError:
                self.left(stage, invocation)
                raise
            except GatewayError as error:
                return self.failed(stage, invocation, error)
            answer = self._run(stage, method, invocation)
            return answer if isinstance(answer, HttpResponse) else await answer

    async def _arrived(
        self,
        stage: CompiledRestStage,
        method: CompiledMethod,
        invocation: MethodRequest,
        request: HttpRequest,
        codings: tuple[str, ...],
        hold: Hold,
    ) -> bytes:
        """The whole body; empty where it is the request's upload."""
        passes = method.passes and not codings
        most = stage.max_upload_bytes if passes else stage.max_body_bytes
        length = request.header(b"content-length")
        body: bytes | None
        if passes and int(length or 0) <= most:
            body, rest = await begun(request, PASSED_BYTES, hold)
            if rest is not None:
                arriving = bounded(body, rest, most, hold)
                invocation.upload = Upload(arriving, None if length is None else int(length))
                return b""
        else:
            body = await whole(request, most, hold)
        if body is None or len(body) > most:
            raise RequestTooLarge(f"a body has {most} bytes at most")
        if codings and body:
            sent = 0
            if method.claimed is not None:
                invocation.signed, sent = replace(request, body=body), len(body)
            body = await decoded(body, codings, stage.max_body_bytes, hold)
            hold.count(sent + len(body))
            headers = tuple([header for header in request.headers if header[0].lower() != b"content-encoding"])
            invocation.request = replace(request, headers=headers, body=body)
        return body

    def _run(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if invocation.trace is not None:
            invocation.trace.note("arrived", invocation.payload)
        try:
            for check in method.checks:
                check(invocation)
            invocation.called = self._gateway.clock()
            answer = method.integrate(invocation)
        except Exception as error:
            return self.failed(stage, invocation, error)
        if isinstance(answer, EndpointResponse):
            return self.answered(stage, method, invocation, answer)
        later = Later(loop=self._gateway.loop)
        later.asked = answer if isinstance(answer, asyncio.Future) else asyncio.ensure_future(answer)
        later.rest = self
        later.stage = stage
        later.method = method
        later.invocation = invocation
        self._gateway.running += 1
        later.begin()
        return later

    def left(self, stage: CompiledRestStage, invocation: MethodRequest, status: int = LEFT) -> None:
        """The client has gone, and gets no answer: its event is over, though."""
        invocation.template_context = None  # as where it fails
        if invocation.trace is not None:
            invocation.trace.note("response", HttpResponse(status))
        self._count(stage, invocation, status)

    # What `Later` calls

    def over(self, invocation: MethodRequest) -> None:
        self._gateway.running -= 1
        invocation.tally.integration_latency.add(self._gateway.clock() - invocation.called)

    def failed(self, stage: CompiledRestStage, invocation: MethodRequest, error: BaseException) -> HttpResponse:
        fault = self._gateway.fault_of(error, invocation, stage.log_name)
        if isinstance(fault, Throttled):
            self._gateway.throttled(fault, invocation)
        return self._refused(stage, invocation, fault)

    def _refused(self, stage: CompiledRestStage, invocation: MethodRequest, fault: GatewayError) -> HttpResponse:
        if invocation.trace is not None:
            invocation.trace.note("error", fault)
        response = stage.gateway_responses.answer(fault, invocation, self._gateway.show_reasons)
        invocation.tally.failed(fault)
        self._count(stage, invocation, response.status)
        return self._finished(stage, invocation, response)

    def answered(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, answer: EndpointResponse
    ) -> HttpResponse:
        faults = self._gateway.faults
        if faults.failing and not invocation.kept:
            faults.succeeded((stage.api_id, stage.log_name, invocation.route_key))
        lines = b"%bx-amzn-RequestId: %b\r\nx-amz-apigw-id: %b\r\n" % (
            self._answers.lines(answer.headers),
            invocation.request_id.encode(),
            invocation.extended_request_id.encode(),
        )
        if method.traced:
            lines += b"X-Amzn-Trace-Id: %b\r\n" % invocation.trace_id
        if invocation.trace is not None:
            invocation.trace.note("answered", answer)
        if answer.status >= 400 and not invocation.kept:
            invocation.tally.refused(answer.status, by_function=method.by_function)
        self._count(stage, invocation, answer.status)
        body = (
            answer.body or b""
            if answer.stream is None
            else Passed(answer.stream, partial(self._gateway.fault_of, invocation=invocation, stage=stage.log_name))
        )
        response = HttpResponse(answer.status, (), body, lines=lines, length=answer.length)
        return self._finished(stage, invocation, response)

    def _finished(self, stage: CompiledRestStage, invocation: MethodRequest, response: HttpResponse) -> HttpResponse:
        if stage.finish is not None:
            assert invocation.request is not None  # it is one
            response = stage.finish(invocation.request, response)
        if invocation.trace is not None:
            invocation.trace.note("response", response)
        return response

    def _count(self, stage: CompiledRestStage, invocation: MethodRequest, status: int) -> None:
        invocation.tally.over(self._gateway.clock() - invocation.arrived)
        tallies = stage.tallies
        tallies.requests[status] = tallies.requests.get(status, 0) + 1
        if stage.of_canary:
            tallies.canary_requests[status] = tallies.canary_requests.get(status, 0) + 1


def _host_of(request: HttpRequest) -> str:
    """The Host; where a client of a PRIVATE API calls an endpoint by its own name, the API's.

    API Gateway developer guide, "How to invoke a private API". *Raises* AccessDenied for what is no apiId.
    """
    named = request.header(b"x-apigw-api-id")
    if named is None:
        return request.host
    if _api_id(named) is None:
        raise AccessDenied("x-apigw-api-id is no API's id")
    return f"{named.decode()}.execute-api"


_api_id = re.compile(rb"[a-z0-9-]{1,63}").fullmatch


def _segments(tail: Sequence[str]) -> Sequence[str]:
    """A path's segments: of its slashes at the beginning one counts, and one at its end does not."""
    segments = list(tail)
    while segments and not segments[0]:
        del segments[0]
    return segments[:-1] if segments and not segments[-1] else segments


def _nowhere(error: GatewayError, show_reason: bool) -> HttpResponse:
    """No such API or stage."""
    body = {"message": "Forbidden" if error.status == 403 else error.detail}
    if show_reason and error.reason:
        body["reason"] = error.reason
    kind = b"ForbiddenException" if error.status == 403 else b"BadRequestException"
    headers: tuple[Header, ...] = (
        (b"Content-Type", b"application/json"),
        (b"x-amzn-RequestId", new_uuid().encode()),
        (b"x-amz-apigw-id", new_request_id().encode()),
        (b"x-amzn-ErrorType", kind),
    )
    return HttpResponse(error.status, headers, json.dumps(body, separators=(",", ":")).encode())
