"""Calls that other nodes pass on to this one, which holds the connection: done here or not at all, never passed on."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wsgateway.dataplane import batch
from wsgateway.dataplane.answers import DONE, GONE, JSON, delete, get, no_room, page, problem, push
from wsgateway.dataplane.counters import count
from wsgateway.dataplane.once import Once
from wsgateway.dataplane.reply import text_message
from wsgateway.dataplane.seals import PREFIX, SEAL_HEADER, VERB_AT
from wsgateway.errors import NoRoom
from wsgateway.messages import Handler, HttpRequest, HttpResponse, Message, collect

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.seals import Seals
    from wsgateway.messages import Body

MAX_BODY = 64 * 1024 * 1024
"""No API's messages may be larger; the API's own limit has been held where the call came in."""
TELL_SECONDS = 10.0

_FORBIDDEN = problem(403, "ForbiddenException", "Forbidden")
_BAD = problem(400, "BadRequestException", "Bad Request")
_MISDIRECTED = problem(421, "MisdirectedRequestException", "This node does not have that slot")
_TOO_LARGE = problem(413, "PayloadTooLargeException", "The message is too large")


class RelayedCalls:
    """A Handler, for the internal listener alone: relayed calls, and everything else to `otherwise`.

    Any other answer than 403 and 421 says what this node did. A push or DELETE that comes twice is done once.
    """

    def __init__(self, gateway: Gateway, seals: Seals, otherwise: Handler) -> None:
        self._gateway = gateway
        self._seals = seals
        self._otherwise = otherwise
        self._ids = gateway.ids
        self._once = Once(gateway.loop.time)
        self._told = float("-inf")

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if not request.target.startswith(PREFIX):
            return self._otherwise(request)
        body = request.body
        if request.target[VERB_AT : VERB_AT + 1] == "m":
            return self._many(request, body) if isinstance(body, bytes) else self._many_later(request, body)
        owner = self._ids.begin
        read = self._seals.read(request.target, owner)
        if read is None:
            return self._unsealed(request)
        signed, seal = read
        if not signed.startswith(owner):
            return self._refused(_MISDIRECTED)
        if isinstance(body, bytes):
            return self._sealed(self._do(signed, body), seal)
        return self._do_later(signed, body, seal)

    async def _many_later(self, request: HttpRequest, body: Body) -> HttpResponse:
        try:
            data = await collect(body, batch.MAX_BODY)
        except ConnectionResetError:
            return HttpResponse(400, close=True)  # nobody reads it
        return self._unsealed(request) if data is None else self._many(request, data)

    def _many(self, request: HttpRequest, body: bytes) -> HttpResponse:
        """The pushes of one request, each with an answer of its own."""
        owner = self._ids.begin
        read = self._seals.read(request.target, owner, body)
        if read is None:
            return self._unsealed(request)
        if not read[0].startswith(owner):
            return self._refused(_MISDIRECTED)
        pushes = batch.pushes(body)
        if pushes is None:
            return self._sealed(_BAD, read[1])
        find = self._gateway.hub.get
        counts = self._gateway.counters.relayed_in
        statuses = []
        done = True
        for call, api_id, connection_id, data in pushes:
            connection = find(connection_id)
            if connection is not None and connection.client.api_id != api_id:
                connection = None
            answer = self._do_once(call, call[4:5], connection, data)
            count(counts, answer.status)
            statuses.append(answer.status)
            done = done and answer is DONE
        return self._answer(DONE if done else HttpResponse(200, body=batch.pack(statuses)), read[1])

    async def _do_later(self, signed: str, body: Body, seal: bytes) -> HttpResponse:
        with self._gateway.bodies.hold("push") as hold:
            try:
                data = await collect(body, MAX_BODY, hold)
            except ConnectionResetError:
                return HttpResponse(400, close=True)  # nobody reads it
            except NoRoom:
                return self._sealed(no_room(), seal)
            return self._sealed(_TOO_LARGE if data is None else self._do(signed, data), seal)

    def _do(self, signed: str, body: bytes) -> HttpResponse:
        """What one call asks for: `{owner}{verb}{caller}{number}` and what it is about."""
        call, *about = signed.split("/")
        match call[4:5], about:
            case ("t" | "b" | "g" | "d") as verb, [api_id, connection_id]:
                connection = self._gateway.hub.get(connection_id)
                if connection is not None and connection.client.api_id != api_id:
                    return GONE
                if verb == "g":
                    return GONE if connection is None else get(self._gateway, connection)
                return self._do_once(call, verb, connection, body)
            case "l", [api_id, size, after] if size.isascii() and size.isdigit():
                return _json({"items": page(self._gateway, api_id, after, int(size))})
            case "s", []:
                return _json({"connections": len(self._gateway.hub)})
            case "f", [api_id, stage]:
                return _json({"forgotten": self._gateway.forget_authorizations(unquote(api_id), unquote(stage))})
            case _:
                return _BAD

    def _do_once(self, call: str, verb: str, connection: Connection | None, body: bytes) -> HttpResponse:
        done = self._once.answer(call)
        if done is not None:
            return done
        if connection is None:
            answer = GONE
        elif verb == "d":
            answer = delete(connection)
        else:
            answer = push(connection, Message(body, True) if verb == "b" else text_message(body))
        self._once.did(call, answer)
        return answer

    def _sealed(self, answer: HttpResponse, seal: bytes) -> HttpResponse:
        count(self._gateway.counters.relayed_in, answer.status)
        return self._answer(answer, seal)

    def _answer(self, answer: HttpResponse, seal: bytes) -> HttpResponse:
        return HttpResponse(answer.status, answer.headers, answer.body, lines=b"%b: %b\r\n" % (SEAL_HEADER, seal))

    def _refused(self, answer: HttpResponse) -> HttpResponse:
        count(self._gateway.counters.relayed_in, answer.status)
        return answer

    def _unsealed(self, request: HttpRequest) -> HttpResponse:
        now = self._gateway.loop.time()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._gateway.log(
                "a relayed call is refused: not sealed with this installation's secret", peer=request.peer
            )
        return self._refused(_FORBIDDEN)


def _json(value: object) -> HttpResponse:
    return HttpResponse(200, (JSON,), json.dumps(value, separators=(",", ":")).encode())
