"""A route's `refresh`: a client shows another token in a message, and goes on with what that one says. (Ours.)

The token is held to all that a token at $connect is held to, and has to be of the same principal: a connection stays
its client's. A route asks for it where limits are asked (`Admit`), before its checks, and the messages behind it wait:
they come with the new token.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from wsgateway.authorizers.base import Identity
from wsgateway.errors import AccessDenied, Problem, Unauthorized
from wsgateway.messages import EndpointResponse
from wsgateway.templates.document import JSON
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.selection import compile_selection, static
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.authorizers.base import Authorize, Read
    from wsgateway.invocation import Client, Invocation
    from wsgateway.model.websocket import WebSocketApi

_TEXT = ((b"Content-Type", b"application/json"),)
"""In a text frame, whatever the message was."""


def check_refresh(api: WebSocketApi) -> Iterator[Problem]:
    """Expressions that read no token; paths start at the API."""
    for key, route in api.routes.items():
        if route.refresh is None:
            continue
        path = ("routes", key, "refresh")
        try:
            token_reader(route.refresh, api.binary_message_format)
            constant = static(route.refresh) is not None
        except ExpressionError as error:
            yield Problem(path, str(error))
            continue
        if constant:
            yield Problem(path, "reads nothing of the message; write where its token is, such as $request.body.token")


def takes_tickets(api: WebSocketApi) -> bool:
    """Whether clients of the API come with tickets."""
    return api.connect_authorizer is not None and api.connect_authorizer.authorizer_type == "TICKET"


def token_reader(expression: str, binary_format: str) -> Read:
    """What reads the token out of a message, by a selection expression, and *raises* Unauthorized where there is none.

    *Raises* ExpressionError.
    """
    text = compile_selection(expression, JSON)
    binary = compile_selection(expression, FORMATS[binary_format])

    def read(invocation: Invocation) -> str:
        found = (binary if invocation.binary else text)(invocation.body())
        if not found:
            raise Unauthorized(f"the message has no token: {expression} gives nothing")
        return found

    return read


def renewal(authorize: Authorize, name: str) -> Callable[[Invocation], Awaitable[Identity]]:
    """An Admit that asks the authorizer of this name for a token. What it gives is who the client is from then on.

    *Raises*, later, what `authorize` raises; AccessDenied for a token of somebody else.
    """

    async def renew(invocation: Invocation) -> Identity:
        asked = authorize(invocation)
        if isinstance(asked, Identity):
            identity = asked
        else:
            identity = await waited_for(invocation.trace, f"authorizer {name}", asked)
        _check_principal(invocation.client, identity)
        return identity

    return renew


def _check_principal(client: Client, identity: Identity) -> None:
    principal = client.authorizer.get("principalId")
    if not principal:
        raise AccessDenied("the connection has no principalId (sub), so that no token can be known to be its client's")
    # RFC 7519 §4.1.2: subjects are unique within their issuer, and another authorizer may have been deployed meanwhile.
    if (identity.context.get("principalId"), identity.claims.get("iss")) != (principal, client.claims.get("iss")):
        raise AccessDenied("the token is of another principal, or issuer, than the connection")


def renewed(invocation: Invocation) -> EndpointResponse:
    """The answer of a route with `refresh` and no integration: when the connection is closed, None for never."""
    client = invocation.client
    expires = client.expires
    if expires is not None and expires.is_integer():
        expires = int(expires)
    facts = {
        "message": "Refreshed",
        "expires": expires,
        "connectionId": client.connection_id,
        "requestId": invocation.request_id,
    }
    return EndpointResponse(200, _TEXT, json.dumps(facts).encode())
