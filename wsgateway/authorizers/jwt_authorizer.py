"""JWT: a client may connect by a token that its issuer has signed for us.

API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers"; Cognito user pools are such issuers. On
WebSocket APIs this is ours. `$context.authorizer` is `principalId` (the token's `sub`) and `claims`, all as texts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wsgateway.authorizers.base import Ask, Authorize, Identity, Read, Site, Use, text_of
from wsgateway.authorizers.sources import SUBPROTOCOL, check_sources, compile_source, read_all, take_bearer
from wsgateway.aws import Endpoint, NoEndpoint
from wsgateway.errors import Problem, Unauthorized
from wsgateway.invocation import Invocation
from wsgateway.model.authorizer import Authorizer, ClaimRule, Issuer
from wsgateway.templates import pattern
from wsgateway.trace import mark_of

if TYPE_CHECKING:
    from wsgateway.authorizers.jwks import Fetch, IssuerKeys, Log
    from wsgateway.authorizers.jwt import Claims, Expected, Unverified

Decide = Callable[[str, str, Invocation], Identity | Awaitable[Identity]]
"""Whose a token is; the second text is the subprotocol that was offered with it. *Raises* as Authorize does."""


class JwtAuthorizers:
    """The AuthorizerType of JWT. `fetch` gets the documents of issuers; `pools` says who stands for Cognito, if anybody
    does (it *raises* NoEndpoint where that can't be read)."""

    def __init__(
        self,
        fetch: Fetch,
        log: Log,
        now: Callable[[], float] = time.time,
        pools: Callable[[], Endpoint | None] = lambda: None,
    ) -> None:
        self._fetch = fetch
        self._log = log
        self._now = now
        self._pools = pools
        self._issuers: dict[tuple[str, str | None], IssuerKeys] = {}

    @property
    def issuers(self) -> tuple[IssuerKeys, ...]:
        """Those whose tokens are believed."""
        return tuple(self._issuers.values())

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        yield from check_sources(authorizer)
        try:
            for issuer in self._issuers_of(authorizer):
                pattern.compile(issuer.audience_pattern or "")
        except pattern.PatternError as error:
            yield Problem(("identityValidationExpression",), str(error))
        except NoEndpoint as error:
            yield Problem(("providerARNs",), str(error))

    def compile(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> Authorize:
        source = authorizer.identity_source[0]
        reader = [(source, compile_source(source))]
        decide, offered = self._decider(authorizer, site.scopes), source == SUBPROTOCOL

        def authorize(invocation: Invocation) -> Identity | Awaitable[Identity]:
            (text,) = read_all(reader, invocation)
            return decide(text, take_bearer(invocation) if offered else "", invocation)

        return authorize

    def renew(self, authorizer: Authorizer, site: Site, ask: Ask | None, token: Read) -> Authorize:
        decide = self._decider(authorizer, site.scopes)
        return lambda invocation: decide(token(invocation), "", invocation)

    def _decider(self, authorizer: Authorizer, scopes: Sequence[str]) -> Decide:
        from wsgateway.authorizers.jwt import read, verify  # what checks signatures takes 0.1 s to import

        believed = {each.issuer: self._believed(each) for each in self._issuers_of(authorizer)}
        only = next(iter(believed.values())) if len(believed) == 1 else None
        wanted, closing = frozenset(scopes), authorizer.close_on_expiry

        def decide(text: str, subprotocol: str, invocation: Invocation) -> Identity | Awaitable[Identity]:
            scheme, _, credentials = text.partition(" ")
            token = read(credentials.strip() if scheme.lower() == "bearer" else text)
            whose = only or believed.get(token.issuer())
            if whose is None:
                raise Unauthorized("the token's issuer is none of those that are believed")
            keys = whose.keys.at_once(token)
            if keys is None:
                return later(token, whose, subprotocol, invocation)
            claims = verify(token, keys, whose.expected, self._now())
            whose.check(claims, bool(wanted))
            return _identity(claims, wanted, closing, subprotocol, whose.pool)

        async def later(token: Unverified, whose: _Believed, subprotocol: str, invocation: Invocation) -> Identity:
            keys = await whose.keys.find(token, mark_of(invocation.trace))
            claims = verify(token, keys, whose.expected, self._now())
            whose.check(claims, bool(wanted))
            return _identity(claims, wanted, closing, subprotocol, whose.pool)

        return decide

    def _believed(self, issuer: Issuer) -> _Believed:
        from wsgateway.authorizers.jwt import ALGORITHMS, Expected

        expression = issuer.audience_pattern
        return _Believed(
            Expected(issuer.issuer, issuer.audiences, issuer.algorithms or ALGORITHMS),
            self._issuer(issuer),
            bool(issuer.pool),
            None if expression is None else pattern.compile(expression).matches,
            issuer.claims,
        )

    def keep_only(self, uses: Sequence[Use]) -> None:
        kept = {(each.issuer, each.jwks_uri) for authorizer, _ in uses for each in self._issuers_of(authorizer)}
        for key in self._issuers.keys() - kept:
            self._issuers.pop(key).close()

    def _issuers_of(self, authorizer: Authorizer) -> Iterator[Issuer]:
        """Whose tokens are believed. What stands for Cognito has the keys of pools, and is their issuer besides."""
        for issuer in authorizer.issuers:
            endpoint = self._pools() if issuer.pool else None
            if endpoint is None:
                yield issuer
            else:
                place = f"{endpoint.url}/{issuer.pool}"
                for name in (issuer.issuer, place):
                    yield replace(issuer, issuer=name, jwks_uri=f"{place}/.well-known/jwks.json")

    def _issuer(self, issuer: Issuer) -> IssuerKeys:
        """One for all authorizers of an issuer; its keys stay over a reload."""
        from wsgateway.authorizers.jwks import IssuerKeys

        key = (issuer.issuer, issuer.jwks_uri)
        found = self._issuers.get(key)
        if found is None:
            found = self._issuers[key] = IssuerKeys(*key, self._fetch, self._log)
        return found


@dataclass(frozen=True, slots=True)
class _Believed:
    """One whose tokens are believed."""

    expected: Expected
    keys: IssuerKeys
    pool: bool
    accepts: Callable[[str], bool] | None
    rules: tuple[ClaimRule, ...]

    def check(self, claims: Claims, scoped: bool) -> None:
        """*Raises* Unauthorized for a token that says other than it must, or one of a user pool for something else.

        API Gateway developer guide, "Integrate a REST API with an Amazon Cognito user pool": methods with scopes take
        access tokens, all others identity tokens.
        """
        if self.pool:
            use = "access" if scoped else "id"
            if claims.get("token_use") != use:
                raise Unauthorized(f"the token's token_use is not {use}")
        for rule in self.rules:
            _check_claim(rule, claims.get(rule.name))
        if self.accepts is not None:
            from wsgateway.authorizers.jwt import audiences

            if not any(map(self.accepts, audiences(claims))):
                raise Unauthorized("the token's audience does not match identityValidationExpression")


def _check_claim(rule: ClaimRule, value: Any) -> None:
    if value is None and not rule.required:
        return
    if not isinstance(value, str) or (rule.values and value not in rule.values):
        raise Unauthorized(f"the token's {rule.name} is not what it has to be")


def _identity(claims: Claims, wanted: frozenset[str], closing: bool, subprotocol: str, pool: bool = False) -> Identity:
    if wanted:
        from wsgateway.authorizers.jwt import scopes

        if not wanted & scopes(claims):
            raise Unauthorized(f"the token has none of the scopes {', '.join(sorted(wanted))}")
    context: dict[str, Any] = {}
    if isinstance(claims.get("sub"), str) and not pool:  # AWS has none of user pools
        context["principalId"] = claims["sub"]
    text = _pool_text if pool else _text
    context["claims"] = {name: text(name, value) for name, value in claims.items() if value is not None}
    return Identity(context, claims, float(claims["exp"]) if closing else None, subprotocol)


def _text(name: str, value: Any) -> str:
    return text_of(value)


def _pool_text(name: str, value: Any) -> str:
    """A claim of a user pool as REST APIs of AWS hand it on: lists with commas, `exp` and `iat` as Java prints dates.

    Nothing documents it; events of such methods look so (`"cognito:groups": "a,b"`, `"exp": "Fri Jun 08 16:57:12 UTC
    2018"`).
    """
    if name in ("exp", "iat") and isinstance(value, (int, float)):
        with suppress(OverflowError, ValueError):  # no date of ours
            return datetime.fromtimestamp(int(value), UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return ",".join(map(text_of, value)) if isinstance(value, list) else text_of(value)
