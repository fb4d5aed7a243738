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
    JSON,
    delete,
    dressed,
    get,
    no_room,
    pretty,
    problem,
    push,
    too_large,
)
from wsgateway.dataplane.counters import count
from wsgateway.dataplane.directory import is_token
from wsgateway.dataplane.event_traces import ConnectionsCall, answered, trace_of
from wsgateway.dataplane.identity import slot_of
from wsgateway.dataplane.reply import text_message
from wsgateway.dataplane.seals import Verb
from wsgateway.dataplane.tail import MAX_TAILS
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
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.directory import Directory
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.relay import Relay
    from wsgateway.messages import Body, Header
    from wsgateway.model.quotas import Quotas

PAGE = 100
MAX_PAGE = 1000

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
        self._directory = directory
        self._internal = directory is not None
        self._refusals = Allowance(REFUSED_RATE, REFUSED_BURST)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Any request that is no handshake: `@connections`, or 403 as AWS answers what no API knows."""
        gateway = self._gateway
        target = request.target
        cut = target.rfind("/")
        known = gateway.endpoints.stage_of_callback(request.host, target[:cut])
        if known is not None and (self._internal or not known.closed):
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
        if place.closed and not self._internal:
            why = f"API {place.api_id} has disableExecuteApiEndpoint: use one of its custom domains"
            return self._problem(403, "ForbiddenException", "Forbidden", why)
        rest = place.rest
        tailed = self._internal and len(rest) == 3 and rest[2] == "tail" and request.method == "GET"
        if not rest or rest[0] != "@connections" or (len(rest) > 2 and not tailed):
            return self._problem(
                403, "ForbiddenException", "Forbidden", "neither a WebSocket handshake nor an @connections call"
            )
        if len(rest) == 1:
            if self._directory is not None and request.method == "GET":
                return self._list(request, place, self._directory)
            why = "connections are listed by GET on the internal listener"
            return self._problem(403, "ForbiddenException", "Forbidden", why)
        connection_id = rest[1]
        if not gateway.ids.valid(connection_id, place.api_id):
            # Before any authorization and any look-up: it says nothing of what exists.
            response = self._problem(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
            return self._counted(request, response)
        connection = gateway.hub.get(connection_id)
        if tailed:
            return self._tail(request, place, connection, connection_id)
        return self._call(request, place, connection, connection_id)

    def _call(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """A call for one connection, None if it isn't here."""
        stage = self._gateway.stages[place.api_id, place.stage].current
        if (stage.access is None and self._gateway.tracing is None) or request.method not in VERBS:
            return self._called(request, place, connection, connection_id, stage.quotas)
        trace = trace_of(self._gateway, ConnectionsCall(request, place, connection_id), stage.access, None)
        answer = self._called(request, place, connection, connection_id, stage.quotas)
        if connection is None and not isinstance(answer, HttpResponse):
            answer = waited_for(trace, "owner", answer)
        return answered(trace, answer)

    def _called(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str, quotas: Quotas
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if self._signed and request.method in VERBS:
            return self._call_signed(request, place, connection_id)
        taken = self._take(place) if request.method in VERBS else True
        if taken is True:
            return self._unsigned(request, place, connection, connection_id, quotas)

        def go_on() -> HttpResponse | Awaitable[HttpResponse]:
            return self._unsigned(request, place, self._gateway.hub.get(connection_id), connection_id, quotas)

        return self._beyond(taken, request, place, go_on)

    def _take(self, place: Place) -> bool | Awaitable[bool]:
        """What the account has for a call. Its stage may have gone while its body, or its session, was waited for."""
        ref = self._gateway.stages.get((place.api_id, place.stage))
        account = None if ref is None else ref.current.account
        return account is None or self._gateway.buckets.bucket(ACCOUNT, account).take()

    def _beyond(
        self, taken: bool | Awaitable[bool], request: HttpRequest, place: Place, go_on: GoOn
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """The account has no token at hand: 429, unless one comes after all."""
        if not isinstance(taken, bool):
            return self._beyond_later(taken, request, place, go_on)
        self._gateway.throttling.refuse(place.api_id, place.stage, ACCOUNT[0], source=request.source)
        return self._counted(request, dressed(BEYOND))

    async def _beyond_later(
        self, pending: Awaitable[bool], request: HttpRequest, place: Place, go_on: GoOn
    ) -> HttpResponse:
        answer = go_on() if await pending else self._beyond(False, request, place, go_on)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _unsigned(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str, quotas: Quotas
    ) -> HttpResponse | Awaitable[HttpResponse]:
        match request.method:
            case "POST":
                body = request.body
                if not isinstance(body, bytes):
                    return self._later(request, place, connection_id, body, quotas)
                data = body if len(body) <= quotas.max_message_bytes else None
                return self._push(request, place, connection, connection_id, data, quotas)
            case "GET":
                return self._act(Verb.GET, place, connection, connection_id)
            case "DELETE":
                return self._act(Verb.DELETE, place, connection, connection_id)
            case _:
                return self._problem(403, "ForbiddenException", "Forbidden", "use POST, GET or DELETE")

    def _call_signed(
        self, request: HttpRequest, place: Place, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """A call that has to be signed, its body included. Nothing is looked up before that is known to be so."""
        try:
            claim = claim_of(request)  # nobody's body is read who brings no signature at all
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        quotas = self._gateway.stages[place.api_id, place.stage].current.quotas
        if isinstance(request.body, bytes):
            data = request.body if len(request.body) <= quotas.max_message_bytes else None
            return self._act_signed(request, claim, place, connection_id, data, quotas)
        return self._later(request, place, connection_id, request.body, quotas, claim)

    def _act_signed(
        self,
        request: HttpRequest,
        claim: Claim,
        place: Place,
        connection_id: str,
        data: bytes | None,
        quotas: Quotas,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if data is None:
            return self._counted(request, dressed(too_large(quotas)))
        callers, now = self._gateway.callers, time.time()
        try:
            signer = callers.signer_of(claim, request, data, now)
            if not isinstance(signer, Signer):
                return self._act_in_session(signer, request, place, connection_id, data, quotas)
            callers.let_manage(signer, place.api_id, place.stage, request, now)
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        return self._act_allowed(request, place, connection_id, data, quotas)

    async def _act_in_session(
        self,
        pending: Awaitable[Signer],
        request: HttpRequest,
        place: Place,
        connection_id: str,
        data: bytes,
        quotas: Quotas,
    ) -> HttpResponse:
        """The call, once it is known whose session it is signed in."""
        callers, now = self._gateway.callers, time.time()
        try:
            callers.let_manage(await pending, place.api_id, place.stage, request, now)
        except GatewayError as error:
            return self._counted(request, self._refused(request, error))
        answer = self._act_allowed(request, place, connection_id, data, quotas)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _act_allowed(
        self, request: HttpRequest, place: Place, connection_id: str, data: bytes, quotas: Quotas
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """The call, which its signer may make, where the account lets it through."""

        def go_on() -> HttpResponse | Awaitable[HttpResponse]:
            return self._allowed(request, place, connection_id, data, quotas)

        taken = self._take(place)
        return go_on() if taken is True else self._beyond(taken, request, place, go_on)

    def _allowed(
        self, request: HttpRequest, place: Place, connection_id: str, data: bytes, quotas: Quotas
    ) -> HttpResponse | Awaitable[HttpResponse]:
        connection = self._gateway.hub.get(connection_id)
        if request.method == "POST":
            return self._push(request, place, connection, connection_id, data, quotas)
        return self._act(Verb[request.method], place, connection, connection_id)

    def _refused(self, request: HttpRequest, error: GatewayError) -> HttpResponse:
        """In AWS's words; the operator is told, too."""
        if self._refusals.take(self._gateway.loop.time()):
            path = request.target.partition("?")[0]
            self._gateway.log("callback refused", error=error.reason, path=path, source=request.source)
        name = "Message" if isinstance(error, NotAuthorized) else "message"
        reason = error.reason if self._gateway.show_reasons else ""
        return dressed(problem(error.status, KINDS[type(error)], error.detail, reason, key=name))

    def _act(
        self, verb: Verb, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """GET or DELETE."""
        if connection is not None:
            return dressed(get(self._gateway, connection) if verb is Verb.GET else delete(connection))
        relay = self._relay_to(connection_id)
        return dressed(GONE) if relay is None else relay.call(verb, place.api_id, connection_id)

    async def _later(
        self,
        request: HttpRequest,
        place: Place,
        connection_id: str,
        body: Body,
        quotas: Quotas,
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
                answer = self._act_signed(request, claim, place, connection_id, data, quotas)
            else:
                connection = self._gateway.hub.get(connection_id)
                answer = self._push(request, place, connection, connection_id, data, quotas)
            return answer if isinstance(answer, HttpResponse) else await answer

    def _push(
        self,
        request: HttpRequest,
        place: Place,
        connection: Connection | None,
        connection_id: str,
        data: bytes | None,
        quotas: Quotas,
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if data is None:
            return self._pushed(too_large(quotas))
        binary = quotas.binary and "?" in request.target and _wants_binary(request.target)
        if connection is not None:
            return self._pushed(push(connection, Message(data, True) if binary else text_message(data)))
        relay = self._relay_to(connection_id)
        if relay is None:
            return self._pushed(GONE)
        return relay.call(Verb.BINARY if binary else Verb.TEXT, place.api_id, connection_id, data, self._pushed)

    def _pushed(self, response: HttpResponse) -> HttpResponse:
        count(self._gateway.counters.pushes, response.status)
        return dressed(response)

    def _relay_to(self, connection_id: str) -> Relay | None:
        """What calls the node of a connection that is not here; None where it can only have been here."""
        relay = self._gateway.relay
        return relay if relay is not None and relay.elsewhere(connection_id) else None

    def _tail(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """Ours: what happens on the connection, a JSON line each, until it closes; at its own node alone."""
        if connection is None:
            relay = self._relay_to(connection_id)
            return dressed(GONE) if relay is None else self._tail_elsewhere(relay, place, connection_id)
        tails = self._gateway.tails
        if tails.running >= MAX_TAILS:
            return self._problem(429, "LimitExceededException", f"{MAX_TAILS} tails are running; end one")
        # Who reads what clients say is for the record.
        self._gateway.log("tail", connection_id=connection.client.connection_id, source=request.source)
        return dressed(HttpResponse(200, _LINES, tails.lines(connection)))

    async def _tail_elsewhere(self, relay: Relay, place: Place, connection_id: str) -> HttpResponse:
        """409 that says where the connection is, if it is anywhere."""
        answer = relay.call(Verb.GET, place.api_id, connection_id)
        response = answer if isinstance(answer, HttpResponse) else await answer
        if response.status != 200:
            return response
        assert self._directory is not None  # tails are of the internal listener
        name, address = self._directory.place_of(slot_of(connection_id))
        where = {"message": f"node {name} holds the connection; tail it at {address}", "node": name, "address": address}
        return dressed(HttpResponse(409, ((b"x-amzn-ErrorType", b"ConflictException"), JSON), pretty(where)))

    def _list(self, request: HttpRequest, place: Place, directory: Directory) -> HttpResponse | Awaitable[HttpResponse]:
        """Ours: `?maxResults=…&nextToken=…`, in id order; connections that come and go between pages may be missed."""
        query = parse_qs(request.target.partition("?")[2])
        text = query.get("maxResults", [str(PAGE)])[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
            return self._problem(400, "BadRequestException", f"maxResults must be 1 to {MAX_PAGE}")
        after = query.get("nextToken", [""])[-1]
        if is_token(after) is None:
            return self._problem(400, "BadRequestException", "nextToken must be one of an answer's")
        return self._listed(directory, place.api_id, after, int(text))

    async def _listed(self, directory: Directory, api_id: str, after: str, size: int) -> HttpResponse:
        return dressed(HttpResponse(200, (JSON,), pretty(await directory.connections(api_id, after, size))))

    def _problem(self, status: int, kind: str, message: str, reason: str = "") -> HttpResponse:
        return dressed(problem(status, kind, message, reason if self._gateway.show_reasons else ""))

    def _counted(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.method == "POST":
            count(self._gateway.counters.pushes, response.status)
        return response


_LINES: tuple[Header, ...] = (
    (b"Content-Type", b"application/x-ndjson"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),  # nginx would gather lines
)


def _wants_binary(target: str) -> bool:
    return parse_qs(target.partition("?")[2]).get("type", [""])[-1] == "binary"
