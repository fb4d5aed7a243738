"""`POST /{stage}/@tickets` on the internal listener: a backend says who a client is, and gets a ticket for it. (Ours.)

    {"principalId": "ann", "context": {"plan": "pro"}, "claims": {"rooms": ["a"]}, "ttlSeconds": 30, "expiresAt": 1790}

All of it may be left out. The answer is 201 `{"ticket": …, "expires": …}`; times are in seconds since the epoch, as a
JWT's `exp` is. A ticket is good once, for the stage it was made for, until `expires`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from wsgateway.authorizers.ticket_authorizer import context_of
from wsgateway.authorizers.tickets import Grant, TicketOffice
from wsgateway.dataplane.answers import JSON, dressed, problem
from wsgateway.dataplane.reply import retry_after
from wsgateway.errors import GatewayError, RegistryAway
from wsgateway.messages import Handler, HttpRequest, HttpResponse, collect

if TYPE_CHECKING:
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.gateway import Gateway

NAME = "@tickets"
MAX_BODY = 16_384
"""What is said of a client is in its record, in every event and in $context: as much as a token may hold."""
MAX_CONTEXT = 2 * MAX_BODY
"""The same as texts: 1e15 is 1000000000000000.0 there."""
MAX_TTL = 300
USUAL_TTL = 30

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
OURS = frozenset({"principalId", "claims"})
"""What `$context.authorizer` has beside what a backend's `context` names."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The body of a request."""

    principal_id: Text | None = None
    context: dict[Text, str | int | float | bool | None] = {}
    claims: dict[Text, Any] = {}
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL)] = USUAL_TTL
    expires_at: Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)] | None = None


class TicketsApi:
    """A Handler: makes tickets, and passes everything else on.

    `refusal` answers those who may not have one: whoever makes a ticket decides who a client is.
    """

    def __init__(
        self,
        gateway: Gateway,
        office: TicketOffice,
        *,
        refusal: Callable[[HttpRequest], HttpResponse | None],
        otherwise: Handler,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._office = office
        self._refusal = refusal
        self._otherwise = otherwise
        self._now = now

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if NAME[1:] not in request.target:  # the @ may be written %40
            return self._otherwise(request)
        try:
            place = self._gateway.endpoints.resolve(request.host, request.target)
        except GatewayError:
            return self._otherwise(request)
        if place.rest != (NAME,):
            return self._otherwise(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.method != "POST":
            return dressed(problem(405, "MethodNotAllowedException", "use POST", "", (b"Allow", b"POST")))
        if not self._gateway.stages[place.api_id, place.stage].current.takes_tickets:
            return dressed(problem(404, "NotFoundException", f"$connect of API {place.api_id} asks for no ticket"))
        return self._make(request, place)

    def warn(self, why: str) -> None:
        """Tell, after a deployment, of stages that ask for tickets, which nobody may have made."""
        stages = [
            f"{api_id}/{name}" for (api_id, name), ref in self._gateway.stages.items() if ref.current.takes_tickets
        ]
        if stages:
            self._gateway.log("no ticket can be made", stages=", ".join(stages), error=why)

    async def _make(self, request: HttpRequest, place: Place) -> HttpResponse:
        try:
            body = await collect(request.body, MAX_BODY)
        except ConnectionResetError:
            return HttpResponse(400, close=True)  # nobody reads it
        if body is None:
            text = f"The body is over {MAX_BODY} bytes"
            return dressed(problem(413, "PayloadTooLargeException", text))
        try:
            wanted = parse(body, self._now())
        except ValueError as error:
            return dressed(problem(400, "BadRequestException", str(error)))
        expires = int(self._now()) + wanted.ttl_seconds
        try:
            ticket = await self._office.issue(place.api_id, place.stage, grant_of(wanted), wanted.ttl_seconds)
        except RegistryAway as error:
            text = f"no ticket could be made: {error}"
            return dressed(problem(503, "ServiceUnavailableException", text, "", retry_after()))
        made = msgspec.json.encode({"ticket": ticket, "expires": expires})
        return dressed(HttpResponse(201, (JSON, (b"Cache-Control", b"no-store")), made))


def parse(body: bytes, now: float) -> Wanted:
    """What a request asks for; an empty body asks for a ticket that says nothing of its client.

    *Raises* ValueError, in words.
    """
    try:
        wanted = msgspec.json.decode(body.strip() or b"{}", type=Wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not as it should be: {error}") from error
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    for name in OURS.intersection(wanted.context):
        raise ValueError(f"context may not name {name}: it has a place of its own beside context")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise ValueError("expiresAt is over already; it is in seconds since the epoch, as a JWT's exp")
    try:
        # As texts and back again, as it will be read when the client comes.
        context = context_of(msgspec.json.decode(msgspec.json.encode(grant_of(wanted)), type=Grant))
        if len(msgspec.json.encode(context)) > MAX_CONTEXT:
            raise ValueError(f"as texts they have over {MAX_CONTEXT} bytes")
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"claims or context can't be kept: {error}") from error
    return wanted


def grant_of(wanted: Wanted) -> Grant:
    """What the ticket stands for."""
    return Grant(
        principal_id=wanted.principal_id,
        context={name: value for name, value in wanted.context.items() if value is not None},
        claims=wanted.claims,
        expires=wanted.expires_at,
    )
