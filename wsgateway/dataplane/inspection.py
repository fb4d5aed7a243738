"""What the internal listener tells of connections, beside AWS's calls: lists, and what happens on one. (Ours.)"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wsgateway.dataplane.answers import GONE, JSON, dressed, pretty, problem
from wsgateway.dataplane.directory import is_token
from wsgateway.dataplane.identity import slot_of
from wsgateway.dataplane.seals import Verb
from wsgateway.dataplane.tail import MAX_TAILS
from wsgateway.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.directory import Directory
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.relay import Relay
    from wsgateway.messages import Header

PAGE = 100
MAX_PAGE = 1000

_LINES: tuple[Header, ...] = (
    (b"Content-Type", b"application/x-ndjson"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),  # nginx would gather lines
)


class Inspection:
    """Answers `GET /{stage}/@connections` and `GET /{stage}/@connections/{id}/tail`."""

    def __init__(self, gateway: Gateway, directory: Directory) -> None:
        self._gateway = gateway
        self._directory = directory

    def tail(
        self, request: HttpRequest, place: Place, connection: Connection | None, connection_id: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        """What happens on the connection, a JSON line each, until it closes; at its own node alone."""
        if connection is None:
            relay = self._gateway.relay_to(connection_id)
            return dressed(GONE) if relay is None else self._tail_elsewhere(relay, place, connection_id)
        tails = self._gateway.tails
        if tails.running >= MAX_TAILS:
            return dressed(problem(429, "LimitExceededException", f"{MAX_TAILS} tails are running; end one"))
        # Who reads what clients say is for the record.
        self._gateway.log("tail", connection_id=connection.client.connection_id, source=request.source)
        return dressed(HttpResponse(200, _LINES, tails.lines(connection)))

    async def _tail_elsewhere(self, relay: Relay, place: Place, connection_id: str) -> HttpResponse:
        """409 that says where the connection is, if it is anywhere."""
        answer = relay.call(Verb.GET, place.api_id, connection_id)
        response = answer if isinstance(answer, HttpResponse) else await answer
        if response.status != 200:
            return response
        name, address = self._directory.place_of(slot_of(connection_id))
        where = {"message": f"node {name} holds the connection; tail it at {address}", "node": name, "address": address}
        return dressed(HttpResponse(409, ((b"x-amzn-ErrorType", b"ConflictException"), JSON), pretty(where)))

    def list(self, request: HttpRequest, place: Place) -> HttpResponse | Awaitable[HttpResponse]:
        """`?maxResults=…&nextToken=…`, in id order; connections that come and go between pages may be missed."""
        query = parse_qs(request.target.partition("?")[2])
        text = query.get("maxResults", [str(PAGE)])[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
            return dressed(problem(400, "BadRequestException", f"maxResults must be 1 to {MAX_PAGE}"))
        after = query.get("nextToken", [""])[-1]
        if is_token(after) is None:
            return dressed(problem(400, "BadRequestException", "nextToken must be one of an answer's"))
        return self._listed(place.api_id, after, int(text))

    async def _listed(self, api_id: str, after: str, size: int) -> HttpResponse:
        return dressed(HttpResponse(200, (JSON,), pretty(await self._directory.connections(api_id, after, size))))
