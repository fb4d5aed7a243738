"""The keys of an issuer: fetched once for all who wait, renewed before they are old, looked for anew when unknown.

OpenID Connect Discovery 1.0 §4 (where they are), RFC 7517 §5 (what they are). Renewal never keeps a handshake waiting,
and an issuer that is down does no harm for as long as its keys may be believed.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import Task
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

from wsgateway.authorizers.jwt import SigningKey, Unverified, parse_keys
from wsgateway.errors import AuthorizerFailure
from wsgateway.trace import Mark

FRESH_SECONDS = 300.0
"""After that they are renewed, by whoever asks next, who does not wait for it."""
BELIEVED_SECONDS = 3600.0
"""For so long a key is believed though its issuer can't be asked; then nobody is let in by it."""
PAUSE_SECONDS = 10.0
"""Between two fetches at least: tokens with made-up key ids, and an issuer that is down, cost no more than that."""

WELL_KNOWN = "/.well-known/openid-configuration"


class Log(Protocol):
    """Where facts are told; one call a fact."""

    def __call__(self, event: str, **facts: object) -> None: ...


Fetch = Callable[[str, bool, Mark | None], Awaitable[bytes]]
"""The body of a 200 answer to a GET, given a URL, whether an operator wrote its host, and the trace it is asked for in,
if anybody follows one. Bounded in time and size.
*Raises* OSError or ValueError, in words, where there is none."""


class IssuerKeys:
    """The signing keys of one issuer. `jwks_uri` is where they are; None: where the issuer's own configuration says."""

    def __init__(
        self, issuer: str, jwks_uri: str | None, fetch: Fetch, log: Log, clock: Callable[[], float] | None = None
    ) -> None:
        self.issuer = issuer
        self._uri = jwks_uri
        self._fetch = fetch
        self._log = log
        self._clock = clock or asyncio.get_running_loop().time
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._fault = ""
        self._renewal: Task[None] | None = None
        self.fetches = 0
        self.failures = 0

    def at_once(self, token: Unverified) -> tuple[SigningKey, ...] | None:
        """The issuer's keys where one of them may have signed the token and nothing has to be waited for, else None."""
        age = self._clock() - self._fetched_at
        if age >= BELIEVED_SECONDS or not token.candidates(self._keys):
            return None
        if age >= FRESH_SECONDS:
            self._renew()
        return self._keys

    async def find(self, token: Unverified, mark: Mark | None = None) -> tuple[SigningKey, ...]:
        """The issuer's keys, fetched where none of those known fits; `mark` is of whoever waits.

        *Raises* AuthorizerFailure where they can't be.
        """
        keys = self.at_once(token)
        if keys is not None:
            return keys
        renewal = self._renew(mark)
        if renewal is not None:
            await asyncio.wait([renewal])  # whoever leaves ends it for nobody else, and its own end is no error here
            if not renewal.cancelled():
                renewal.result()
        if self._clock() - self._fetched_at >= BELIEVED_SECONDS:
            raise AuthorizerFailure(f"the keys of {self.issuer} can't be had: {self._fault}")
        return self._keys

    async def fetch(self, mark: Mark | None = None) -> tuple[SigningKey, ...]:
        """The keys as they are published now, which are not kept. *Raises* OSError or ValueError, in words."""
        return parse_keys(await self._fetch(*await self._where(mark), mark))

    def close(self) -> None:
        """End the fetch under way; who waits for it is told that there are no keys."""
        if self._renewal is not None:
            self._fault = "no authorizer names it any more"
            self._renewal.cancel()

    def _renew(self, mark: Mark | None = None) -> Task[None] | None:
        """The fetch under way, or one that begins now; None so soon after the last one."""
        if self._renewal is None and self._clock() - self._tried_at >= PAUSE_SECONDS:
            self._tried_at = self._clock()
            self._renewal = asyncio.create_task(self._renewed(mark))
        return self._renewal

    async def _renewed(self, mark: Mark | None) -> None:
        self.fetches += 1
        try:
            keys = await self.fetch(mark)
        except (OSError, ValueError) as error:
            self.failures += 1
            if str(error) != self._fault:
                self._log("keys of an issuer can't be fetched", issuer=self.issuer, error=str(error))
            self._fault = str(error)
        else:
            if self._fault:
                self._log("keys of an issuer are fetched again", issuer=self.issuer)
            self._fault = ""
            self._keys, self._fetched_at = keys, self._clock()
        finally:
            self._renewal = None

    async def _where(self, mark: Mark | None) -> tuple[str, bool]:
        """The URL of the keys, and whether an operator wrote its host."""
        if self._uri is not None:
            return self._uri, True
        # Not kept: an issuer may move them.
        uri = jwks_uri_in(await self._fetch(self.issuer.rstrip("/") + WELL_KNOWN, True, mark), self.issuer)
        return uri, urlsplit(uri).netloc == urlsplit(self.issuer).netloc


def jwks_uri_in(document: bytes, issuer: str) -> str:
    """`jwks_uri` of an issuer's configuration. *Raises* ValueError where it is another's, or has none to be trusted."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{issuer}{WELL_KNOWN} is no JSON object")
    if found.get("issuer") != issuer:
        # OpenID Connect Discovery 1.0 §4.3: else somebody speaks for another.
        raise ValueError(f"the configuration at {issuer} is that of {str(found.get('issuer'))[:200]!r}")
    uri = found.get("jwks_uri")
    if not isinstance(uri, str) or urlsplit(uri).scheme not in ("https", urlsplit(issuer).scheme):
        raise ValueError(f"the configuration at {issuer} has no https jwks_uri")
    return uri
