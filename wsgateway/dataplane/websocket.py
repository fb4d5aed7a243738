"""Handshakes: from a request to a connection, or to the answer that refuses it.

API Gateway developer guide, "Manage connected users and client apps: $connect and $disconnect routes".
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsgateway.authorizers.base import Identity
from wsgateway.dataplane.admission import Cause
from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.counters import count
from wsgateway.dataplane.event_traces import trace_of
from wsgateway.dataplane.reply import error_text, handshake_answer, refused_handshake, retry_after
from wsgateway.dataplane.sources import source_of
from wsgateway.errors import (
    AccessDenied,
    ClientFault,
    GatewayError,
    InvalidApiKey,
    QuotaExceeded,
    RegistryAway,
    ServiceUnavailable,
    Throttled,
)
from wsgateway.ids import new_request_id
from wsgateway.invocation import Client, EventType, Invocation, header_text
from wsgateway.messages import EndpointResponse, HttpRequest, HttpResponse
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.dataplane.compiled import CompiledStage, Operation
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.ledger import Ledger


REFUSED_RATE = 1.0
REFUSED_BURST = 20.0
"""Lines a second about clients that are not let in."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handshake that got its yes. Transport calls `connection.opened`, or `abandoned` where the client has gone."""

    connection: Connection
    subprotocol: bytes | None


class WebSocketApis:
    """Answers WebSocket handshakes for every API of the node."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._refusals = Allowance(REFUSED_RATE, REFUSED_BURST)

    def connect(self, request: HttpRequest) -> HttpResponse | Accepted | Awaitable[HttpResponse | Accepted]:
        """Carry a well-formed handshake to $connect; no 101 before that said yes, and exactly one call."""
        gateway = self._gateway
        try:
            place = gateway.endpoints.resolve(request.host, request.target)
            if place.rest:
                alone = "the stage" if place.domain is None else "an API mapping's key"
                raise AccessDenied(f"a WebSocket path is {alone} alone")
            if place.closed:
                raise AccessDenied(f"API {place.api_id} has disableExecuteApiEndpoint: use one of its custom domains")
        except GatewayError as error:
            count(gateway.counters.connects, error.status)
            return _refused_place(error, gateway.show_reasons)
        source = source_of(request.source)
        cause = self._why_not(place.api_id, source, request.source)
        if cause is not None:
            return self._turn_away(place.api_id, cause, request.source)
        ref = gateway.stages[place.api_id, place.stage]
        stage = ref.current
        connection = Connection(gateway, ref, _client(gateway, request, stage, place))
        connection.take_place(source)
        invocation = Invocation(connection.client, EventType.CONNECT, "$connect", stage.variables, request=request)
        invocation.arrived = gateway.clock()
        operation = stage.connect
        if operation is not None:
            invocation.tally = ref.tallies["$connect"]
        logging = None if operation is None else operation.logging
        if logging is not None or stage.access is not None or gateway.tracing is not None:
            invocation.trace = trace_of(gateway, invocation, stage.access, logging)
        if stage.check_origin is not None:
            try:
                stage.check_origin(request)
            except AccessDenied as error:
                return self._not_let_in(connection, invocation, error)
        if operation is not None and operation.authorize is not None:
            if invocation.trace is not None:
                invocation.trace.note("authorizer", operation.authorizer)
            try:
                identity = operation.authorize(invocation)
            except Exception as error:
                return self._not_authorized(connection, operation, invocation, error)
            if not isinstance(identity, Identity):
                gateway.opening += 1
                gateway.admission.begin(connection.client.source_ip)
                return self._connect_authorized(connection, operation, invocation, identity)
            self._identify(connection, operation, invocation, identity)
        return self._go_on(connection, operation, invocation)

    async def _connect_authorized(
        self, connection: Connection, operation: Operation, invocation: Invocation, pending: Awaitable[Identity]
    ) -> HttpResponse | Accepted:
        """Go on once the authorizer has said who the client is."""
        gateway, source = self._gateway, connection.client.source_ip
        try:
            self._identify(connection, operation, invocation, await pending)
        except Exception as error:
            return self._not_authorized(connection, operation, invocation, error)
        finally:
            gateway.opening -= 1
            gateway.admission.end(source)
        if gateway.clock() > gateway.check_at:
            gateway.awoken()
        answer = self._go_on(connection, operation, invocation)
        return answer if isinstance(answer, HttpResponse | Accepted) else await answer

    def _identify(
        self, connection: Connection, operation: Operation, invocation: Invocation, identity: Identity
    ) -> None:
        connection.identified(identity)
        self._gateway.counters.authorized(connection.api_id, operation.authorizer, 200)
        if invocation.trace is not None:
            invocation.trace.note("identity", identity.context)

    def _not_authorized(
        self, connection: Connection, operation: Operation, invocation: Invocation, error: Exception
    ) -> HttpResponse:
        status = error.status if isinstance(error, GatewayError) else 500
        self._gateway.counters.authorized(connection.api_id, operation.authorizer, status)
        return self._not_let_in(connection, invocation, error)

    def _go_on(
        self, connection: Connection, operation: Operation | None, invocation: Invocation
    ) -> HttpResponse | Accepted | Awaitable[HttpResponse | Accepted]:
        """Who the client is is known: see what limits it, check what it brings, write its record, call $connect."""
        if operation is not None and operation.admit is not None:
            try:
                pending = operation.admit(invocation)
            except InvalidApiKey as error:
                return self._not_let_in(connection, invocation, error)
            except Exception as error:
                return self._refuse(connection, invocation, error)
            if pending is not None:
                self._gateway.opening += 1
                self._gateway.admission.begin(connection.client.source_ip)
                return self._connect_admitted(connection, operation, invocation, pending)
        return self._check(connection, operation, invocation)

    async def _connect_admitted(
        self, connection: Connection, operation: Operation, invocation: Invocation, pending: Awaitable[Identity | None]
    ) -> HttpResponse | Accepted:
        """Go on once what limits the client has been asked."""
        gateway = self._gateway
        try:
            await pending
        except Exception as error:
            return self._refuse(connection, invocation, error)
        finally:
            gateway.opening -= 1
            gateway.admission.end(connection.client.source_ip)
        if gateway.clock() > gateway.check_at:
            gateway.awoken()
        answer = self._check(connection, operation, invocation)
        return answer if isinstance(answer, HttpResponse | Accepted) else await answer

    def _check(
        self, connection: Connection, operation: Operation | None, invocation: Invocation
    ) -> HttpResponse | Accepted | Awaitable[HttpResponse | Accepted]:
        if operation is not None:
            try:
                for check in operation.checks:
                    check(invocation)
            except Exception as error:
                return self._refuse(connection, invocation, error)
        ledger = self._gateway.ledger
        if ledger is not None and ledger.wants(connection.stage):
            return self._connect_recorded(ledger, connection, operation, invocation)
        return self._ask(connection, operation, invocation)

    async def _connect_recorded(
        self, ledger: Ledger, connection: Connection, operation: Operation | None, invocation: Invocation
    ) -> HttpResponse | Accepted:
        """Only once the connection is on record its $connect is called: whoever heard of it hears of its end."""
        client, admission = connection.client, self._gateway.admission
        self._gateway.opening += 1
        admission.begin(client.source_ip)
        try:
            await waited_for(invocation.trace, "registry", ledger.enter(connection))
        except RegistryAway:
            connection.give_up_place()
            return self._turn_away(client.api_id, Cause.REGISTRY_AWAY, client.source_ip)
        except Exception as error:
            ledger.leave(client.connection_id)
            return self._refuse(connection, invocation, error)
        except asyncio.CancelledError:
            ledger.leave(client.connection_id)
            raise
        finally:
            self._gateway.opening -= 1
            admission.end(client.source_ip)
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if connection.taken:
            return self._ended_elsewhere(connection)
        asked = self._ask(connection, operation, invocation)
        answer = asked if isinstance(asked, HttpResponse | Accepted) else await asked
        if isinstance(answer, HttpResponse):
            ledger.leave(client.connection_id)
        return answer

    def _ask(
        self, connection: Connection, operation: Operation | None, invocation: Invocation
    ) -> HttpResponse | Accepted | Awaitable[HttpResponse | Accepted]:
        """Call the $connect integration, if there is one."""
        if operation is None:
            if invocation.trace is not None:
                invocation.trace.note("frame", None)
            return self._accept(connection, None)
        invocation.called = self._gateway.clock()
        try:
            answer = operation.integrate(invocation)
        except Exception as error:
            return self._refuse(connection, invocation, error)
        if isinstance(answer, EndpointResponse):
            return self._decide(connection, operation, invocation, answer)
        self._gateway.opening += 1
        self._gateway.admission.begin(connection.client.source_ip)
        return self._connect_later(connection, operation, invocation, answer)

    def _why_not(self, api_id: str, source: str, address: str) -> Cause | None:
        """Why this handshake can't go on, decided before anything is made for it."""
        gateway = self._gateway
        if gateway.draining:
            return Cause.DRAINING
        if gateway.registry_away:
            return Cause.REGISTRY_AWAY
        if gateway.clock() > gateway.check_at:
            gateway.awoken()
        if len(gateway.hub) + gateway.opening >= gateway.max_connections:
            return Cause.MAX_CONNECTIONS
        return gateway.admission.admit(api_id, source, address)

    def _turn_away(self, api_id: str, cause: Cause, address: str) -> HttpResponse:
        gateway = self._gateway
        gateway.admission.refuse(api_id, cause, address)
        count(gateway.counters.connects, cause.status)
        reason = cause.reason if gateway.show_reasons else ""
        if cause.status == 503:
            return _refused_busy(reason)
        request_id = new_request_id()
        text = error_text(Throttled.message, gateway.ids.new(api_id), request_id, reason)
        return refused_handshake(429, text, request_id)

    async def _connect_later(
        self,
        connection: Connection,
        operation: Operation,
        invocation: Invocation,
        pending: Awaitable[EndpointResponse],
    ) -> HttpResponse | Accepted:
        try:
            try:
                answer = await pending
            finally:
                invocation.tally.integration_latency.add(self._gateway.clock() - invocation.called)
            return self._decide(connection, operation, invocation, answer)
        except Exception as error:
            return self._refuse(connection, invocation, error)
        finally:
            self._gateway.opening -= 1
            self._gateway.admission.end(connection.client.source_ip)

    def _decide(
        self, connection: Connection, operation: Operation, invocation: Invocation, answer: EndpointResponse
    ) -> HttpResponse | Accepted:
        """2xx is yes; any other status becomes the handshake's own."""
        invocation.tally.over(self._gateway.clock() - invocation.arrived)
        if answer.status >= 400:
            invocation.tally.refused(answer.status, by_function=operation.by_function)
        faults = self._gateway.faults
        if faults.failing:
            faults.succeeded((connection.api_id, connection.client.stage, invocation.route_key))
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if connection.taken:
            return self._ended_elsewhere(connection)
        if invocation.trace is not None:
            invocation.trace.note("frame", answer)
        if 200 <= answer.status <= 299:
            subprotocol = None
            for name, value in answer.headers:
                if name.lower() == b"sec-websocket-protocol":
                    subprotocol = value
            return self._accept(connection, subprotocol)
        connection.give_up_place()
        count(self._gateway.counters.connects, answer.status)
        return handshake_answer(answer, invocation.request_id)

    def _ended_elsewhere(self, connection: Connection) -> HttpResponse:
        """This process slept so long that another node has ended the connection, with a $disconnect."""
        connection.give_up_place()
        return self._turn_away(connection.api_id, Cause.REGISTRY_AWAY, connection.client.source_ip)

    def _accept(self, connection: Connection, subprotocol: bytes | None) -> Accepted:
        # It is opening, and counts, until transport says what became of it.
        self._gateway.opening += 1
        return Accepted(connection, subprotocol or connection.subprotocol or None)

    def _not_let_in(self, connection: Connection, invocation: Invocation, error: Exception) -> HttpResponse:
        """Who it is, or from where, is not good enough. Why is for the operator alone."""
        if isinstance(error, ClientFault) and self._refusals.take(self._gateway.loop.time()):
            client = connection.client
            self._gateway.log(
                "client not let in", api=client.api_id, stage=client.stage, error=error.reason,
                request_id=invocation.request_id, source=client.source_ip,
            )  # fmt: skip
        return self._refuse(connection, invocation, error)

    def _refuse(self, connection: Connection, invocation: Invocation, error: Exception) -> HttpResponse:
        connection.give_up_place()
        fault = self._gateway.fault_of(error, invocation)
        invocation.tally.over(self._gateway.clock() - invocation.arrived)
        invocation.tally.failed(fault)
        if isinstance(fault, Throttled):
            self._gateway.throttled(fault, invocation)
        if invocation.trace is not None:
            invocation.trace.note("error", fault)
        count(self._gateway.counters.connects, fault.status)
        text = connection.error_text(fault, invocation)
        return refused_handshake(fault.status, text, invocation.request_id, soon=not isinstance(fault, QuotaExceeded))


def _client(gateway: Gateway, request: HttpRequest, stage: CompiledStage, place: Place) -> Client:
    domain_name, base = gateway.callback_url(request, place)
    connection_id = gateway.ids.new(stage.api_id)
    user_agent = request.header(b"user-agent")
    chain = [value.decode("latin-1") for name, value in request.headers if name.lower() == b"x-forwarded-for"]
    # API Gateway appends the address it saw to what it was sent; that one can be relied on, whoever is trusted.
    chain.append(request.peer or request.source)
    forwarded = (
        f"X-Forwarded-For: {', '.join(chain)}\r\n"
        f"X-Forwarded-Proto: {request.scheme}\r\n"
        f"X-Forwarded-Port: {request.port}\r\n"
    )
    return Client(
        api_id=stage.api_id,
        stage=stage.name,
        connection_id=connection_id,
        connected_at=time.time_ns() // 1_000_000,
        domain_name=domain_name,
        source_ip=request.source,
        user_agent=None if user_agent is None else header_text(user_agent),
        callback_url=f"{base}/@connections/{connection_id.replace('=', '%3D')}",
        forwarded=forwarded.encode("latin-1"),
    )


def _refused_place(error: GatewayError, show_reason: bool) -> HttpResponse:
    """No such API or stage: there is no connection to speak of, so AWS names none."""
    names = {400: b"BadRequestException", 403: b"ForbiddenException"}
    body = {"message": error.detail}
    if show_reason and error.reason:
        body["reason"] = error.reason
    headers = (
        (b"Content-Type", b"application/json"),
        (b"x-amzn-ErrorType", names.get(error.status, b"InternalServerErrorException")),
    )
    return HttpResponse(error.status, headers, json.dumps(body, separators=(",", ":")).encode(), close=True)


def _refused_busy(reason: str) -> HttpResponse:
    body = {"message": ServiceUnavailable.message}
    if reason:
        body["reason"] = reason
    headers = ((b"Content-Type", b"application/json"), retry_after())
    return HttpResponse(503, headers, json.dumps(body, separators=(",", ":")).encode(), close=True)
