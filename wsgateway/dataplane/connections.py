"""The callback URL: POST, GET and DELETE `/{stage}/@connections/{id}`, byte for byte as AWS answers them.

API Gateway developer guide, "Use @connections commands in your backend service"; error types, which SDKs read from
`x-amzn-ErrorType`: the service model of the API Gateway Management API.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wsgateway.authorizers.signed import Signer
from wsgateway.authorizers.sigv4 import Claim, claim_of
from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.answers import (
    BEYOND,
    GONE,
    delete,
    dressed,
    get,
    no_room,
    problem,
    push,
    too_large,
)
from wsgateway.dataplane.counters import count
from wsgateway.dataplane.event_traces import answered, connections_call, trace_of
from wsgateway.dataplane.inspection import Inspection
from wsgateway.dataplane.reply import text_message
from wsgateway.dataplane.seals import Verb
from wsgateway.dataplane.throttle import ACCOUNT
from wsgateway.errors import (
    AuthorizerFailure,
    ExpiredToken,
    GatewayError,
    InvalidSignature,
    MissingAuthenticationToken,
    NoRoom,
    NotAuthorized,
    ServiceUnavailable,
    UnrecognizedClient,
)
from wsgateway.messages import HttpRequest, HttpResponse, Message, collect
from wsgateway.trace import Trace, mark_of, waited_for

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.directory import Directory
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.messages import Body
    from wsgateway.model.quotas import Quotas

GoOn = Callable[[], HttpResponse | Awaitable[HttpResponse]]
"""The rest of a call."""

VERBS = frozenset({"POST", "GET", "DELETE"})
REFUSED_RATE = 1.0
REFUSED_BURST = 20.0
"""Lines a second about calls that were not signed as they have to be."""

KINDS: Mapping[type[GatewayError], str] = {
    MissingAuthenticationToken: "MissingAuthenticationTokenException",
    UnrecognizedClient: "UnrecognizedClientException",
    InvalidSignature: "InvalidSignatureException",
    ExpiredToken: "ExpiredTokenException",
    NotAuthorized: "AccessDeniedException",
    AuthorizerFailure: "InternalServerErrorException",
    ServiceUnavailable: "ServiceUnavailableException",
}
"""What SDKs know these refusals by."""


class ConnectionsApi:
    """Answers `@connections` requests of one listener.

    `signed` asks for a signature of one of the gateway's `callers`, whose policy allows the call. A `directory` allows
    what is for the internal listener: `GET /{stage}/@connections`, and `GET /{stage}/@connections/{id}/tail`.
    All ways to an API with `disableExecuteApiEndpoint` are open there, too: that is about the public one.
    """

    def __init__(self, gateway: Gateway, *, signed: bool, directory: Directory | None = None) -> None:
        self._gateway = gateway
        self._signed = signed
        self._inspection = None if directory is None else Inspection(gateway, directory)
        self._refusals = Allowance(REFUSED_RATE, REFUSED_BURST)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Any request that is no handshake: `@connections`, or 403 as AWS answers what no API knows."""
        gateway = self._gateway
        target = request.target
        cut = target.rfind("/")
        known = gateway.endpoints.stage_of_callback(request.host, target[:cut])
        if known is not None and (self._inspection is not None or not known.closed):
            # The way of nearly every push. A connection that is here has a valid id, so there is nothing to check.
            connection_id = target[cut + 1 :].replace("%3D", "=")
            connection = gateway.hub.get(connection_id)
            if connection is not None:
                if connection.client.api_id == known.api_id:
                    return self._call(request, known, connection, connection_id)
            elif gateway.relay is not None and gateway.ids.valid(connection_id, known.api_id):
                return self._call(request, known, None, connection_id)
        try:
            place = gateway.endpoints.resolve_callback(request.host, target)
        except GatewayError as error:
            kind = "BadRequestException" if error.status == 400 else "ForbiddenException"
            return self._problem(error.status, kind, error.detail, error.reason)
        inspection = self._inspection
        if place.closed and inspection is None:
            why = f"API {place.api_id} has disableExecuteApiEndpoint: use one of its custom domains"
            return self._problem(403, "ForbiddenException", "Forbidden", why)
        rest = place.rest
        tailed = len(rest) == 3 and rest[2] == "tail" and request.method == "GET"
        if not rest or rest[0] != "@connections" or (len(rest) > 2 and (inspection is None or not tailed)):
            return self._problem(
                403, "ForbiddenException", "Forbidden", "neither a WebSocket handshake nor an @connections call"
            )
        if len(rest) == 1:
            if inspection is not None and request.method == "GET":
                return inspection.list(request, place)
            why = "connections are listed by GET on the internal listener"
            return self._problem(403, "ForbiddenException", "Forbidden", why)
        connection_id = rest[1]
        if not gateway.ids.valid(connection_id, place.api_id):
            # Before any authorization and any look-up: it says nothing of what exists.
            response = self._problem(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
            return self._counted(request, response)
        connection = gateway.hub.get(connection_id)
        if inspection is not None and tailed:
            return inspection.tail(request, place, connection, connection_id)
        return self._call(request, place, connection, connection_id)

    def _call(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """A call for one connection, None if it isn't here."""
        stage = self._gateway.stages[place.api_id, place.stage].current
        if (stage.access is None and self._gateway.tracing is None) or request.method not in VERBS:
            return self._called(request, place, connection, connection_id, stage.quotas)
        trace = trace_of(self._gateway, connections_call(request, place, connection_id), stage.access, None)
        return answered(trace, self._called(request, place, connection, connection_id, stage.quotas, trace))

    def _called(
        self,
        request: HttpRequest,
        place: Place,
        connection: Connection | None,
        connection_id: str,
        quotas: Quotas,
        trace: Trace | None = None,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if self._signed and request.method in VERBS:
            return self._call_signed(request, place, connection_id, trace)
        taken = self._take(place) if request.method in VERBS else True
        if taken is True:
            return self._unsigned(request, place, connection, connection_id, quotas, trace)

        def go_on() -> HttpResponse | Awaitable[HttpResponse]:
            return self._unsigned(request, place, self._gateway.hub.get(connection_id), connection_id, quotas, trace)

        return self._beyond(taken, request, place, go_on, trace)

    def _take(self, place: Place) -> bool | Awaitable[bool]:
        """What the account has for a call. Its stage may have gone while its body, or its session, was waited for."""
        ref = self._gateway.stages.get((place.api_id, place.stage))
        account = None if ref is None else ref.current.account
        return account is None or self._gateway.buckets.bucket(ACCOUNT, account).take()

    def _beyond(
        self,
        taken: bool | Awaitable[bool],
        request: HttpRequest,
        place: Place,
        go_on: GoOn,
        trace: Trace | None,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """The account has no token at hand: 429, unless one comes after all."""
        if not isinstance(taken, bool):
            return self._beyond_later(waited_for(trace, "limits", taken), request, place, go_on)
        self._gateway.throttling.refuse(place.api_id, place.stage, ACCOUNT[0], source=request.source)
        return self._counted(request, dressed(BEYOND))

    async def _beyond_later(
        self, pending: Awaitable[bool], request: HttpRequest, place: Place, go_on: GoOn
    ) -> HttpResponse:
        answer = go_on() if await pending else self._beyond(False, request, place, go_on, None)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _unsigned(
        self,
        request: HttpRequest,
        place: Place,
        connection: Connection | None,
        connection_id: str,
        quotas: Quotas,
        trace: Trace | None,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        match request.method:
            case "POST":
                body = request.body
                if not isinstance(body, bytes):
                    return self._later(request, place, connection_id, body, quotas, trace)
                data = body if len(body) <= quotas.max_message_bytes else None
                return self._push(request, place, connection, connection_id, data, quotas, trace)
            case "GET":
                return self._act(Verb.GET, place, connection, connection_id, trace)
            case "DELETE":
                return self._act(Verb.DELETE, place, connection, connection_id, trace)
            case _:
                return self._problem(403, "ForbiddenException", "Forbidden", "use POST, GET or DELETE")

    def _call_signed(
        self, request: HttpRequest, place: Place, connection_id: str, trace: Trace | None
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """A call that has to be signed, its body included. Nothing is looked up before that is known to be so."""
        try:
            claim = claim_of(request)  # nobody's body is read who brings no signature at all
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        quotas = self._gateway.stages[place.api_id, place.stage].current.quotas
        if isinstance(request.body, bytes):
            data = request.body if len(request.body) <= quotas.max_message_bytes else None
            return self._act_signed(request, claim, place, connection_id, data, quotas, trace)
        return self._later(request, place, connection_id, request.body, quotas, trace, claim)

    def _act_signed(
        self,
        request: HttpRequest,
        claim: Claim,
        place: Place,
        connection_id: str,
        data: bytes | None,
        quotas: Quotas,
        trace: Trace | None,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if data is None:
            return self._counted(request, dressed(too_large(quotas)))
        callers, now = self._gateway.callers, time.time()
        try:
            signer = callers.signer_of(claim, request, data, now, mark_of(trace))
            if not isinstance(signer, Signer):
                pending = waited_for(trace, "session", signer)
                return self._act_in_session(pending, request, place, connection_id, data, quotas, trace)
            callers.let_manage(signer, place.api_id, place.stage, request, now)
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        return self._act_allowed(request, place, connection_id, data, quotas, trace)

    async def _act_in_session(
        self,
        pending: Awaitable[Signer],
        request: HttpRequest,
        place: Place,
        connection_id: str,
        data: bytes,
        quotas: Quotas,
        trace: Trace | None,
    ) -> HttpResponse:
        """The call, once it is known whose session it is signed in."""
        callers, now = self._gateway.callers, time.time()
        try:
            callers.let_manage(await pending, place.api_id, place.stage, request, now)
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        answer = self._act_allowed(request, place, connection_id, data, quotas, trace)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _act_allowed(
        self, request: HttpRequest, place: Place, connection_id: str, data: bytes, quotas: Quotas, trace: Trace | None
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """The call, which its signer may make, where the account lets it through."""

        def go_on() -> HttpResponse | Awaitable[HttpResponse]:
            return self._allowed(request, place, connection_id, data, quotas, trace)

        taken = self._take(place)
        return go_on() if taken is True else self._beyond(taken, request, place, go_on, trace)

    def _allowed(
        self, request: HttpRequest, place: Place, connection_id: str, data: bytes, quotas: Quotas, trace: Trace | None
    ) -> HttpResponse | Awaitable[HttpResponse]:
        connection = self._gateway.hub.get(connection_id)
        if request.method == "POST":
            return self._push(request, place, connection, connection_id, data, quotas, trace)
        return self._act(Verb[request.method], place, connection, connection_id, trace)

    def _refused(self, request: HttpRequest, error: GatewayError) -> HttpResponse:
        """In AWS's words; the operator is told, too."""
        if self._refusals.take(self._gateway.loop.time()):
            path = request.target.partition("?")[0]
            self._gateway.log("callback refused", error=error.reason, path=path, source=request.source)
        name = "Message" if isinstance(error, NotAuthorized) else "message"
        reason = error.reason if self._gateway.show_reasons else ""
        return dressed(problem(error.status, KINDS[type(error)], error.detail, reason, key=name))

    def _act(
        self, verb: Verb, place: Place, connection: Connection | None, connection_id: str, trace: Trace | None
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """GET or DELETE."""
        if connection is not None:
            return dressed(get(self._gateway, connection) if verb is Verb.GET else delete(connection))
        relay = self._gateway.relay_to(connection_id)
        return dressed(GONE) if relay is None else _owner(trace, relay.call(verb, place.api_id, connection_id))

    async def _later(
        self,
        request: HttpRequest,
        place: Place,
        connection_id: str,
        body: Body,
        quotas: Quotas,
        trace: Trace | None,
        claim: Claim | None = None,
    ) -> HttpResponse:
        """The call, once its body is here; signed where it has to be."""
        with self._gateway.bodies.hold("push") as hold:
            try:
                data = await collect(body, quotas.max_message_bytes, hold)
            except ConnectionResetError:
                return HttpResponse(400, close=True)  # nobody reads it
            except NoRoom as error:
                return self._counted(request, dressed(no_room(error.reason if self._gateway.show_reasons else "")))
            if claim is not None:
                answer = self._act_signed(request, claim, place, connection_id, data, quotas, trace)
            else:
                connection = self._gateway.hub.get(connection_id)
                answer = self._push(request, place, connection, connection_id, data, quotas, trace)
            return answer if isinstance(answer, HttpResponse) else await answer

    def _push(
        self,
        request: HttpRequest,
        place: Place,
        connection: Connection | None,
        connection_id: str,
        data: bytes | None,
        quotas: Quotas,
        trace: Trace | None,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if data is None:
            return self._pushed(too_large(quotas))
        binary = quotas.binary and "?" in request.target and _wants_binary(request.target)
        if connection is not None:
            return self._pushed(push(connection, Message(data, True) if binary else text_message(data)))
        relay = self._gateway.relay_to(connection_id)
        if relay is None:
            return self._pushed(GONE)
        verb = Verb.BINARY if binary else Verb.TEXT
        return _owner(trace, relay.call(verb, place.api_id, connection_id, data, self._pushed))

    def _pushed(self, response: HttpResponse) -> HttpResponse:
        count(self._gateway.counters.pushes, response.status)
        return dressed(response)

    def _problem(self, status: int, kind: str, message: str, reason: str = "") -> HttpResponse:
        return dressed(problem(status, kind, message, reason if self._gateway.show_reasons else ""))

    def _counted(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.method == "POST":
            count(self._gateway.counters.pushes, response.status)
        return response


def _owner(
    trace: Trace | None, answer: HttpResponse | Awaitable[HttpResponse]
) -> HttpResponse | Awaitable[HttpResponse]:
    """What the node of a connection answers."""
    return answer if isinstance(answer, HttpResponse) else waited_for(trace, "owner", answer)


def _wants_binary(target: str) -> bool:
    return parse_qs(target.partition("?")[2]).get("type", [""])[-1] == "binary"
