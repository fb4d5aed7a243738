"""The callback URL: POST, GET and DELETE `/{stage}/@connections/{id}`, byte for byte as AWS answers them.

API Gateway developer guide, "Use @connections commands in your backend service"; error types, which SDKs read from
`x-amzn-ErrorType`: the service model of the API Gateway Management API.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable
from itertools import count as count_from
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wsgateway.dataplane.counters import count
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.reply import text_message
from wsgateway.dataplane.tail import MAX_TAILS
from wsgateway.errors import GatewayError
from wsgateway.invocation import iso_time, random_bytes
from wsgateway.messages import HttpRequest, HttpResponse, Message, collect

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.messages import Body, Header
    from wsgateway.model.quotas import Quotas

PAGE = 100
MAX_PAGE = 1000


class ConnectionsApi:
    """Answers `@connections` requests of one listener.

    `signed` asks for SigV4 signatures; until they are built every such call is 403. `internal` allows
    what is for the internal listener: `GET /{stage}/@connections`, and `GET /{stage}/@connections/{id}/tail`.
    All ways to an API with `disableExecuteApiEndpoint` are open there, too: that is about the public one.
    """

    def __init__(self, gateway: Gateway, *, signed: bool, internal: bool) -> None:
        self._gateway = gateway
        self._signed = signed
        self._internal = internal

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Any request that is no handshake: `@connections`, or 403 as AWS answers what no API knows."""
        gateway = self._gateway
        target = request.target
        cut = target.rfind("/")
        known = gateway.endpoints.stage_of_callback(request.host, target[:cut])
        if known is not None and (self._internal or not known.closed):
            # The way of nearly every push. A connection that is here has a valid id, so there is nothing to check.
            connection = gateway.hub.get(target[cut + 1 :].replace("%3D", "="))
            if connection is not None and connection.client.api_id == known.api_id:
                return self._call(request, known, connection, connection.client.connection_id)
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
            if self._internal and request.method == "GET":
                return self._list(request, place)
            why = "connections are listed by GET on the internal listener"
            return self._problem(403, "ForbiddenException", "Forbidden", why)
        connection_id = rest[1]
        if not gateway.ids.valid(connection_id, place.api_id):
            # Before any authorization and any look-up: it says nothing of what exists.
            response = self._problem(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
            return self._counted(request, response)
        connection = gateway.hub.get(connection_id)
        if tailed:
            return self._tail(request, connection)
        return self._call(request, place, connection, connection_id)

    def _call(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """A call for one connection, None if it isn't here."""
        if self._signed:
            return self._counted(
                request,
                self._problem(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
            )
        match request.method:
            case "POST":
                quotas = self._gateway.stages[place.api_id, place.stage].current.quotas
                body = request.body
                if not isinstance(body, bytes):
                    return self._push_later(request, connection_id, body, quotas)
                data = body if len(body) <= quotas.max_message_bytes else None
                return self._counted(request, self._push(request, connection, data, quotas))
            case "GET":
                return self._get(connection)
            case "DELETE":
                return self._delete(connection)
            case _:
                return self._problem(403, "ForbiddenException", "Forbidden", "use POST, GET or DELETE")

    async def _push_later(self, request: HttpRequest, connection_id: str, body: Body, quotas: Quotas) -> HttpResponse:
        try:
            data = await collect(body, quotas.max_message_bytes)
        except ConnectionResetError:
            return HttpResponse(400, close=True)  # nobody reads it
        connection = self._gateway.hub.get(connection_id)
        return self._counted(request, self._push(request, connection, data, quotas))

    def _push(
        self, request: HttpRequest, connection: Connection | None, data: bytes | None, quotas: Quotas
    ) -> HttpResponse:
        """Put a whole message into the connection's outbox; 200 means that it is there."""
        if data is None:
            if quotas.profile == "aws":
                return HttpResponse(413)  # AWS sends neither a body nor any of its headers
            return self._problem(
                413,
                "PayloadTooLargeException",
                f"The message is over {quotas.max_message_bytes} bytes",
            )
        if connection is None:
            return self._gone()
        binary = quotas.binary and "?" in request.target and _wants_binary(request.target)
        match connection.push(Message(data, True) if binary else text_message(data)):
            case Sent.QUEUED:
                return HttpResponse(200, lines=_JSON_LINE + _ids())
            case Sent.GONE:
                return self._gone()
            case Sent.FULL:
                return self._problem(429, "LimitExceededException", "The client side buffer is full")

    def _get(self, connection: Connection | None) -> HttpResponse:
        if connection is None:
            return self._gone()
        return HttpResponse(200, (_JSON,), _pretty(self._facts(connection)), lines=_ids())

    def _delete(self, connection: Connection | None) -> HttpResponse:
        if connection is None:
            return self._gone()
        connection.close(1000, "Connection Closed Normally")
        return HttpResponse(204, lines=_ids())

    def _tail(self, request: HttpRequest, connection: Connection | None) -> HttpResponse:
        """Ours: what happens on the connection, a JSON line each, until it closes."""
        if connection is None:
            return self._gone()
        tails = self._gateway.tails
        if tails.running >= MAX_TAILS:
            return self._problem(429, "LimitExceededException", f"{MAX_TAILS} tails are running; end one")
        # Who reads what clients say is for the record.
        self._gateway.log("tail", connection_id=connection.client.connection_id, source=request.source)
        return HttpResponse(200, _LINES, tails.lines(connection), lines=_ids())

    def _list(self, request: HttpRequest, place: Place) -> HttpResponse:
        """Ours: `?maxResults=…&nextToken=…`, in id order; connections that come and go between pages may be missed."""
        query = parse_qs(request.target.partition("?")[2])
        text = query.get("maxResults", [str(PAGE)])[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
            return self._problem(400, "BadRequestException", f"maxResults must be 1 to {MAX_PAGE}")
        after = query.get("nextToken", [""])[-1]
        size = int(text)
        found = self._gateway.hub.page(place.api_id, after, size)
        items = [
            {"connectionId": connection.client.connection_id, "stage": connection.client.stage}
            | self._facts(connection)
            for connection in found
        ]
        page: dict[str, object] = {"items": items}
        if len(found) == size:
            page["nextToken"] = found[-1].client.connection_id
        return HttpResponse(200, (_JSON,), _pretty(page), lines=_ids())

    def _facts(self, connection: Connection) -> dict[str, object]:
        client = connection.client
        idle = self._gateway.loop.time() - connection.last_active
        identity = {"sourceIp": client.source_ip}
        if client.user_agent is not None:
            identity["userAgent"] = client.user_agent
        return {
            "identity": identity,
            "connectedAt": iso_time(client.connected_at),
            "lastActiveAt": iso_time(max(client.connected_at, int((time.time() - idle) * 1000))),
        }

    def _gone(self) -> HttpResponse:
        return HttpResponse(410, ((b"x-amzn-ErrorType", b"GoneException"), _JSON), lines=_ids())

    def _problem(self, status: int, kind: str, message: str, reason: str = "") -> HttpResponse:
        body = {"message": message}
        if self._gateway.show_reasons and reason:
            body["reason"] = reason
        headers = ((b"x-amzn-ErrorType", kind.encode()), _JSON)
        return HttpResponse(status, headers, json.dumps(body, separators=(",", ":")).encode(), lines=_ids())

    def _counted(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.method == "POST":
            count(self._gateway.counters.pushes, response.status)
        return response


_JSON: Header = (b"Content-Type", b"application/json")
_JSON_LINE = b"Content-Type: application/json\r\n"
_LINES: tuple[Header, ...] = (
    (b"Content-Type", b"application/x-ndjson"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),  # nginx would gather lines
)


class _AnswerIds:
    """The ids AWS puts on every answer of the management API, as header lines: unique, and nobody's secret.

    A random part per process and a count behind it; three random ids for each of many thousand pushes a second would
    cost more than the push.
    """

    __slots__ = ("_count", "_lines")

    def __init__(self) -> None:
        random = random_bytes(24).hex().encode()
        self._count = count_from(int.from_bytes(random_bytes(4)))
        uuid = b"%b-%b-4%b-a%b-" % (random[:8], random[8:12], random[12:15], random[15:18])
        self._lines = (
            b"x-amzn-RequestId: " + uuid + b"%012x\r\n"
            b"x-amz-apigw-id: " + random[18:20] + b"%012xA=\r\n"
            b"X-Amzn-Trace-Id: Root=1-%08x-" + random[20:32] + b"%012x\r\n"
        )

    def __call__(self) -> bytes:
        number = next(self._count)
        return self._lines % (number, number, int(time.time()), number)


_ids = _AnswerIds()


def _wants_binary(target: str) -> bool:
    return parse_qs(target.partition("?")[2]).get("type", [""])[-1] == "binary"


def _pretty(value: object) -> bytes:
    """Spaced as AWS spaces it: two blanks a level, a blank on both sides of the colon."""
    return json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False).encode()
