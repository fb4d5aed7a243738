"""Tickets: who a client is, said beforehand by the backend it logged in at, and shown by the client once.

A browser's WebSocket sends no header of a page's choice, and what stands in a URL is in the logs of proxies in between.
A ticket may stand there: it is good for seconds and for one connection. Beyond AWS; the pattern is that of OAuth's
authorization codes (RFC 6749 §4.1.2: short-lived, used once).
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b, sha256
from typing import Any, Literal, Protocol

import msgspec

from wsgateway.errors import RegistryAway, ServiceUnavailable, Unauthorized

TICKET_BYTES = 24
"""Random, written as 32 characters that may stand in a URL, a header, a cookie and a subprotocol."""
MAC_BYTES = 32
MOST_AT_ONCE = 256
"""Tickets that are looked up at a time. A flood of tickets nobody made does not hold up what else asks the registry."""

is_ticket = re.compile(r"[A-Za-z0-9_-]{32}").fullmatch


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who the client with a ticket is. Fields are only ever added, with a default: nodes of two versions share them."""

    v: Literal[1] = 1
    principal_id: str | None = None
    context: dict[str, str | int | float | bool] = {}
    claims: dict[str, Any] = {}
    """JSON values."""
    expires: float | None = None
    """Unix time at which what the backend knows of the client is over; None for never."""


class Store(Protocol):
    """Keeps what is said under a digest for so many seconds, and gives it away once. *Raises* RegistryAway."""

    async def put(self, digest: bytes, data: bytes, ttl: float) -> None: ...
    async def take(self, digest: bytes) -> bytes | None: ...


class TicketOffice:
    """Makes tickets, and takes them. `now` gives Unix time."""

    def __init__(self, store: Store, secret: bytes | None = None, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self._key = b""
        self.seal_with(secret)
        self.results = {"issued": 0, "used": 0, "refused": 0, "away": 0}
        """What became of tickets: away are those that could not be made, or looked up."""
        self._now = now
        self._looking = 0

    def seal_with(self, secret: bytes | None) -> None:
        """The installation's secret, where it was given one; without it whoever can write to the store can let clients
        in."""
        self._key = b"" if secret is None else sha256(secret).digest()

    async def issue(self, api_id: str, stage: str, grant: Grant, ttl: float) -> str:
        """A ticket for one stage, good for `ttl` seconds. *Raises* RegistryAway."""
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        digest = _digest(api_id, stage, ticket)
        data = msgspec.json.encode(grant)
        try:
            await self.store.put(digest, self._mac(digest, data) + data, ttl)
        except RegistryAway:
            self.results["away"] += 1
            raise
        self.results["issued"] += 1
        return ticket

    async def redeem(self, api_id: str, stage: str, ticket: str) -> Grant:
        """Who comes with the ticket, which is used up by that.

        *Raises* Unauthorized; ServiceUnavailable where nobody knows, and then it may be used up all the same.
        """
        if is_ticket(ticket) is None:
            raise self._refused("it is no ticket: these have 32 letters, digits and -_")
        digest = _digest(api_id, stage, ticket)
        piece = await self._take(digest)
        if piece is None:
            raise self._refused("the ticket is used or over, or was never made for this stage")
        mac, data = piece[:MAC_BYTES], piece[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(digest, data)):
            raise self._refused("no node that has our installation secret has made the ticket")
        try:
            grant = msgspec.json.decode(data, type=Grant)
        except (msgspec.MsgspecError, RecursionError):
            raise self._refused("the ticket was made by another version") from None
        if grant.expires is not None and grant.expires <= self._now():
            raise self._refused("what the ticket stands for is over (expiresAt)")
        self.results["used"] += 1
        return grant

    async def _take(self, digest: bytes) -> bytes | None:
        if self._looking >= MOST_AT_ONCE:
            self.results["away"] += 1
            raise ServiceUnavailable(f"{MOST_AT_ONCE} tickets are being looked up")
        self._looking += 1
        try:
            return await self.store.take(digest)
        except RegistryAway as error:
            self.results["away"] += 1
            raise ServiceUnavailable(f"the ticket can't be looked up: {error}") from error
        finally:
            self._looking -= 1

    def _refused(self, reason: str) -> Unauthorized:
        self.results["refused"] += 1
        return Unauthorized(reason)

    def _mac(self, digest: bytes, data: bytes) -> bytes:
        return blake2b(digest + data, key=self._key, digest_size=MAC_BYTES, person=b"wsgateway ticket").digest()


def principal_of(grant: Grant) -> str | None:
    """Whom it is about: what was named, else the claims' `sub`."""
    subject = grant.claims.get("sub")
    return grant.principal_id or (subject if isinstance(subject, str) and subject else None)


def known_of(grant: Grant) -> Mapping[str, Any]:
    """What rules see as `authorizer`: `context` and `claims` in one, where claims win, and `principalId`."""
    principal = principal_of(grant)
    return {**grant.context, **grant.claims} | ({} if principal is None else {"principalId": principal})


def _digest(api_id: str, stage: str, ticket: str) -> bytes:
    """By which the store knows a ticket; another one for each stage. The ticket is random, so that this can't be
    turned round."""
    return sha256(f"{api_id}/{stage}/{ticket}".encode()).digest()
