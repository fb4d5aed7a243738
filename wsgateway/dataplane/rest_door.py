"""Whether a request of a REST API may go on: who sends it is known, and nothing limits it.

API Gateway developer guide, "Control and manage access to REST APIs in API Gateway".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.rest_bodies import hold_of, passed_over, whole
from wsgateway.errors import (
    AccessDenied,
    ClientFault,
    GatewayError,
    InvalidApiKey,
    NoRoom,
    RequestTooLarge,
    Throttled,
)
from wsgateway.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.admit import Admit
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.rest_compiled import CompiledMethod, CompiledRestStage
    from wsgateway.method_request import MethodRequest

REFUSED_RATE = 1.0
REFUSED_BURST = 20.0
"""Lines a second about requests that are not let in."""
LEFT = 499
"""The status of requests whose clients left before they were answered; nginx calls it so."""


class Running(Protocol):
    """What requests go on to."""

    def go_on(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, codings: tuple[str, ...]
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """Run the method."""

    def failed(self, stage: CompiledRestStage, invocation: MethodRequest, error: Exception) -> HttpResponse:
        """What the client gets of a failure."""

    def left(self, stage: CompiledRestStage, invocation: MethodRequest, status: int = LEFT) -> None:
        """The client has gone, and gets no answer."""


class Door:
    """Asks what methods admit their requests by (`CompiledMethod.admit`), counts what it says, and tells refusals.

    Without `asking` everybody goes on: so it is where nobody is to be called.
    """

    def __init__(self, gateway: Gateway, rest: Running, asking: bool) -> None:
        self._gateway = gateway
        self._rest = rest
        self._asking = asking
        self._refusals = Allowance(REFUSED_RATE, REFUSED_BURST)

    def enter(
        self,
        stage: CompiledRestStage,
        method: CompiledMethod,
        admit: Admit,
        invocation: MethodRequest,
        codings: tuple[str, ...],
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """Go on once it is known that it may: before the body is here, unless that is signed."""
        assert invocation.request is not None  # it is one
        if not self._asking:
            if invocation.trace is not None and method.authorizer:
                invocation.trace.note("authorizer", f"{method.authorizer} (not asked)")
            return self._rest.go_on(stage, method, invocation, codings)
        if method.claimed is not None:
            if not isinstance(invocation.request.body, bytes):
                return self._enter_whole(stage, method, admit, invocation, codings)
            invocation.payload = invocation.request.body
        try:
            pending = admit(invocation)
        except Exception as error:
            return self._kept_out(stage, method, invocation, error)
        if pending is not None:
            return self._enter_later(stage, method, pending, invocation, codings)
        return self._let_in(stage, method, invocation, codings)

    async def _enter_whole(
        self,
        stage: CompiledRestStage,
        method: CompiledMethod,
        admit: Admit,
        invocation: MethodRequest,
        codings: tuple[str, ...],
    ) -> HttpResponse:
        request, most = invocation.request, stage.max_body_bytes
        assert request is not None  # it is one
        refusal = _refusal(method, request)
        with hold_of(invocation, self._gateway.bodies) as hold:
            try:
                if refusal is not None:
                    if invocation.trace is not None:
                        invocation.trace.note("authorizer", method.authorizer)
                    await passed_over(request)
                    return self._kept_out(stage, method, invocation, refusal)
                body = await whole(request, most, hold)
            except ConnectionResetError:
                self._rest.left(stage, invocation, 400)
                return HttpResponse(400, close=True)  # nobody reads it
            except asyncio.CancelledError:
                self._rest.left(stage, invocation)
                raise
            except NoRoom as error:
                return self._rest.failed(stage, invocation, error)
            if body is None:
                return self._rest.failed(stage, invocation, RequestTooLarge(f"a body has {most} bytes at most"))
            invocation.request = replace(request, body=body)
            answer = self.enter(stage, method, admit, invocation, codings)
            return answer if isinstance(answer, HttpResponse) else await answer

    async def _enter_later(
        self,
        stage: CompiledRestStage,
        method: CompiledMethod,
        pending: Awaitable[object],
        invocation: MethodRequest,
        codings: tuple[str, ...],
    ) -> HttpResponse:
        try:
            await pending
        except Exception as error:
            return self._kept_out(stage, method, invocation, error)
        except asyncio.CancelledError:
            self._rest.left(stage, invocation)
            raise
        answer = self._let_in(stage, method, invocation, codings)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _let_in(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, codings: tuple[str, ...]
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if method.authorizer:
            self._gateway.counters.authorized(stage.api_id, method.authorizer, 200)
        return self._rest.go_on(stage, method, invocation, codings)

    def _kept_out(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, error: Exception
    ) -> HttpResponse:
        known = invocation.identified
        refused = not known and not isinstance(error, Throttled)  # by whoever is asked who it is
        if method.authorizer and (known or refused):
            status = 200 if known else error.status if isinstance(error, GatewayError) else 500
            self._gateway.counters.authorized(stage.api_id, method.authorizer, status)
        news = isinstance(error, ClientFault) and (refused or isinstance(error, AccessDenied | InvalidApiKey))
        if news and self._refusals.take(self._gateway.loop.time()):
            client = invocation.client
            self._gateway.log(
                "client not let in", api=client.api_id, stage=client.stage, route=invocation.route_key,
                error=str(error), request_id=invocation.request_id, source=client.source_ip,
            )  # fmt: skip
        return self._rest.failed(stage, invocation, error)


def _refusal(method: CompiledMethod, request: HttpRequest) -> Exception | None:
    """Why nobody needs the body of a request that is to be signed."""
    assert method.claimed is not None  # it is to be signed
    try:
        method.claimed(request)
    except Exception as error:
        return error
    return None
