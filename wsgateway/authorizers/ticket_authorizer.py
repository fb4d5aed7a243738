"""TICKET: a client may connect by a ticket that was made for it at the internal listener. (Ours.)

`$context.authorizer` is `principalId`, what the backend gave as `context`, and `claims`, all as texts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

from wsgateway.authorizers.base import Ask, Authorize, Identity, Read, Site, Use, text_of
from wsgateway.authorizers.sources import SUBPROTOCOL, check_sources, compile_source, read_all, take_bearer
from wsgateway.authorizers.tickets import Grant, TicketOffice, known_of, principal_of
from wsgateway.errors import Problem
from wsgateway.invocation import Invocation
from wsgateway.model.authorizer import Authorizer


class TicketAuthorizers:
    """The AuthorizerType of TICKET; `office` knows the tickets."""

    def __init__(self, office: TicketOffice) -> None:
        self.office = office

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        yield from check_sources(authorizer)

    def compile(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> Authorize:
        source = authorizer.identity_source[0]
        reader = [(source, compile_source(source))]
        offered = source == SUBPROTOCOL

        def authorize(invocation: Invocation) -> Awaitable[Identity]:
            (ticket,) = read_all(reader, invocation)
            subprotocol = take_bearer(invocation) if offered else ""
            return self._redeem(authorizer, invocation, ticket, subprotocol)

        return authorize

    def renew(self, authorizer: Authorizer, site: Site, ask: Ask | None, token: Read) -> Authorize:
        return lambda invocation: self._redeem(authorizer, invocation, token(invocation))

    def keep_only(self, uses: Sequence[Use]) -> None:
        """Tickets are the stages'; nothing is held for an authorizer."""

    async def _redeem(
        self, authorizer: Authorizer, invocation: Invocation, ticket: str, subprotocol: str = ""
    ) -> Identity:
        client = invocation.client
        grant = await self.office.redeem(client.api_id, client.stage, ticket)
        expires = grant.expires if authorizer.close_on_expiry else None
        return Identity(context_of(grant), known_of(grant), expires, subprotocol)


def context_of(grant: Grant) -> dict[str, Any]:
    """`$context.authorizer` of the client."""
    context: dict[str, Any] = {name: text_of(value) for name, value in grant.context.items()}
    principal = principal_of(grant)
    if principal is not None:
        context["principalId"] = principal
    if grant.claims:
        context["claims"] = {name: text_of(value) for name, value in grant.claims.items() if value is not None}
    return context
