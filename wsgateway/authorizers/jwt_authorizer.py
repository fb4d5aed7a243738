"""JWT: a client may connect by a token that its issuer has signed for us.

API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers"; Cognito user pools are such issuers. On
WebSocket APIs this is ours. `$context.authorizer` is `principalId` (the token's `sub`) and `claims`, all as texts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wsgateway.authorizers.base import Ask, Authorize, Identity, Read, Site, Use, text_of
from wsgateway.authorizers.sources import SUBPROTOCOL, check_sources, compile_source, read_all, take_bearer
from wsgateway.errors import Problem, Unauthorized
from wsgateway.invocation import Invocation
from wsgateway.model.authorizer import Authorizer

if TYPE_CHECKING:
    from wsgateway.authorizers.jwks import Fetch, IssuerKeys, Log
    from wsgateway.authorizers.jwt import Claims, Unverified

Decide = Callable[[str, str], Identity | Awaitable[Identity]]
"""Whose a token is; the second text is the subprotocol that was offered with it. *Raises* as Authorize does."""


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
        yield from check_sources(authorizer)

    def compile(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> Authorize:
        source = authorizer.identity_source[0]
        reader = [(source, compile_source(source))]
        decide, offered = self._decider(authorizer, site.scopes), source == SUBPROTOCOL

        def authorize(invocation: Invocation) -> Identity | Awaitable[Identity]:
            (text,) = read_all(reader, invocation)
            return decide(text, take_bearer(invocation) if offered else "")

        return authorize

    def renew(self, authorizer: Authorizer, site: Site, ask: Ask | None, token: Read) -> Authorize:
        decide = self._decider(authorizer, site.scopes)
        return lambda invocation: decide(token(invocation), "")

    def _decider(self, authorizer: Authorizer, scopes: Sequence[str]) -> Decide:
        from wsgateway.authorizers.jwt import Expected, read, verify  # what checks signatures takes 0.1 s to import

        issuer, configuration = self._issuer(authorizer), authorizer.jwt_configuration
        assert configuration is not None  # JWT authorizers have one
        expected = Expected(configuration.issuer, frozenset(configuration.audience))
        wanted, closing = frozenset(scopes), authorizer.close_on_expiry

        def decide(text: str, subprotocol: str) -> Identity | Awaitable[Identity]:
            scheme, _, credentials = text.partition(" ")
            token = read(credentials.strip() if scheme.lower() == "bearer" else text)
            keys = issuer.at_once(token)
            if keys is None:
                return later(token, subprotocol)
            return _identity(verify(token, keys, expected, self._now()), wanted, closing, subprotocol)

        async def later(token: Unverified, subprotocol: str) -> Identity:
            claims = verify(token, await issuer.find(token), expected, self._now())
            return _identity(claims, wanted, closing, subprotocol)

        return decide

    def keep_only(self, uses: Sequence[Use]) -> None:
        kept = {_key(authorizer) for authorizer, _ in uses}
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
    configuration = authorizer.jwt_configuration
    assert configuration is not None  # JWT authorizers have one
    return configuration.issuer, configuration.jwks_uri


def _identity(claims: Claims, wanted: frozenset[str], closing: bool, subprotocol: str) -> Identity:
    if wanted:
        from wsgateway.authorizers.jwt import scopes

        if not wanted & scopes(claims):
            raise Unauthorized(f"the token has none of the scopes {', '.join(sorted(wanted))}")
    context: dict[str, Any] = {}
    if isinstance(claims.get("sub"), str):
        context["principalId"] = claims["sub"]
    context["claims"] = {
        name: value if isinstance(value, str) else text_of(value) for name, value in claims.items() if value is not None
    }
    return Identity(context, claims, float(claims["exp"]) if closing else None, subprotocol)
