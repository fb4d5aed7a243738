"""JWT: a client may connect by a token that its issuer has signed for us.

API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers"; Cognito user pools are such issuers. On
WebSocket APIs this is ours. `$context.authorizer` is `principalId` (the token's `sub`) and `claims`, all as texts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from wsgateway.authorizers.base import Authorize, Identity
from wsgateway.authorizers.sources import BEARER, SUBPROTOCOL, compile_source, protocols, read_all
from wsgateway.errors import Problem, Unauthorized
from wsgateway.invocation import Invocation
from wsgateway.messages import Header
from wsgateway.model.authorizer import Authorizer

if TYPE_CHECKING:
    from wsgateway.authorizers.jwks import Fetch, IssuerKeys, Log
    from wsgateway.authorizers.jwt import Claims, Unverified

_PROTOCOL = b"sec-websocket-protocol"


class JwtAuthorizers:
    """The AuthorizerType of JWT. `fetch` gets the documents of issuers."""

    def __init__(self, fetch: Fetch, log: Log, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._log = log
        self._now = now
        self._issuers: dict[tuple[str, str | None], IssuerKeys] = {}

    @property
    def issuers(self) -> tuple[IssuerKeys, ...]:
        """Those whose tokens are believed."""
        return tuple(self._issuers.values())

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        for number, source in enumerate(authorizer.identity_source):
            try:
                compile_source(source)
            except ValueError as error:
                yield Problem(("identitySource", number), str(error))

    def compile(self, authorizer: Authorizer, scopes: Sequence[str]) -> Authorize:
        from wsgateway.authorizers.jwt import Expected, read, verify  # what checks signatures takes 0.1 s to import

        source = authorizer.identity_source[0]
        reader = [(source, compile_source(source))]
        issuer = self._issuer(authorizer)
        configuration = authorizer.jwt_configuration
        expected = Expected(configuration.issuer, frozenset(configuration.audience))
        wanted, closing, offered = frozenset(scopes), authorizer.close_on_expiry, source == SUBPROTOCOL

        def authorize(invocation: Invocation) -> Identity | Awaitable[Identity]:
            (text,) = read_all(reader, invocation)
            subprotocol = _take_token(invocation) if offered else ""
            scheme, _, credentials = text.partition(" ")
            token = read(credentials.strip() if scheme.lower() == "bearer" else text)
            keys = issuer.at_once(token)
            if keys is None:
                return later(token, subprotocol)
            return _identity(verify(token, keys, expected, self._now()), wanted, closing, subprotocol)

        async def later(token: Unverified, subprotocol: str) -> Identity:
            claims = verify(token, await issuer.find(token), expected, self._now())
            return _identity(claims, wanted, closing, subprotocol)

        return authorize

    def keep_only(self, authorizers: Sequence[Authorizer]) -> None:
        kept = {_key(authorizer) for authorizer in authorizers}
        for key in self._issuers.keys() - kept:
            self._issuers.pop(key).close()

    def _issuer(self, authorizer: Authorizer) -> IssuerKeys:
        """One for all authorizers of an issuer; its keys stay over a reload."""
        from wsgateway.authorizers.jwks import IssuerKeys

        key = _key(authorizer)
        found = self._issuers.get(key)
        if found is None:
            found = self._issuers[key] = IssuerKeys(*key, self._fetch, self._log)
        return found


def _key(authorizer: Authorizer) -> tuple[str, str | None]:
    return authorizer.jwt_configuration.issuer, authorizer.jwt_configuration.jwks_uri


def _identity(claims: Claims, wanted: frozenset[str], closing: bool, subprotocol: str) -> Identity:
    from wsgateway.authorizers.jwt import scopes

    granted = scopes(claims)
    if wanted and not wanted & granted:
        raise Unauthorized(f"the token has none of the scopes {', '.join(sorted(wanted))}")
    context: dict[str, Any] = {}
    if isinstance(claims.get("sub"), str):
        context["principalId"] = claims["sub"]
    context["claims"] = {name: _text(value) for name, value in claims.items() if value is not None}
    return Identity(context, claims, float(claims["exp"]) if closing else None, subprotocol)


def _text(value: Any) -> str:
    """A claim as a text, as API Gateway hands claims on: lists and objects as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _take_token(invocation: Invocation) -> str:
    """Take the token out of the subprotocols that the client offers; gives the first of the others.

    It is nobody's behind us, and no subprotocol to be chosen.
    """
    request = invocation.request
    assert request is not None  # a CONNECT event is a request
    offers = [value.decode("latin-1") for name, value in request.headers if name.lower() == _PROTOCOL]
    kept = [protocol for protocol in protocols(offers) if not protocol.startswith(BEARER)]
    headers: tuple[Header, ...] = tuple(header for header in request.headers if header[0].lower() != _PROTOCOL)
    if kept:
        headers = (*headers, (b"Sec-WebSocket-Protocol", ", ".join(kept).encode("latin-1")))
    invocation.request = msgspec.structs.replace(request, headers=headers)
    return kept[0] if kept else ""
