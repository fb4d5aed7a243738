"""Who sends a request of a REST API: what its head says of it, read once for all requests with the same headers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from wsgateway.dataplane.coding import codings_of
from wsgateway.invocation import Client, header_text

if TYPE_CHECKING:
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.messages import Header, HttpRequest

KEPT = 512
KEPT_HEADERS = 24

OVERRIDE = b"x-http-method-override"


ALWAYS_NEW = frozenset({b"authorization", b"x-amzn-trace-id"})


SPELLED: Mapping[bytes, bytes] = {b"authorization": b"Authorization", b"user-agent": b"User-Agent"}
"""Names that clients may spell as they like: AWS has been seen to write them so, and all others as they came. Many
clients (httpx, the fetch of Node) send names in lower case, whom no mapping of `Authorization` would find."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a request's headers say."""

    verb: str | None
    """Of `X-HTTP-Method-Override`."""
    user_agent: str | None
    chain: str
    """Of `X-Forwarded-For`, each ended by a comma and a blank."""
    content_type: str
    trace: bytes
    codings: tuple[str, ...]
    """Of the body."""
    respelled: tuple[Header, ...] | None
    """All of them, with names as mappings know them; None where the client spells them so."""


class Heads:
    """The heads of requests that came before; clients and proxies send the same again and again."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[Header, ...], Head] = {}

    def of(self, headers: tuple[Header, ...]) -> Head:
        known = self._known.get(headers)
        return self._learn(headers) if known is None else known

    def _learn(self, headers: tuple[Header, ...]) -> Head:
        last: dict[bytes, bytes] = {}
        chain = ""
        respelled = False
        for name, value in headers:
            key = name.lower()
            if key in SPELLED and name != SPELLED[key]:
                respelled = True
            if key == b"x-forwarded-for":
                chain += value.decode("latin-1") + ", "
            last[key] = value
        verb, user_agent = last.get(OVERRIDE), last.get(b"user-agent")
        head = Head(
            None if verb is None else verb.decode("latin-1").upper(),
            None if user_agent is None else header_text(user_agent),
            chain,
            last.get(b"content-type", b"").decode("latin-1"),
            last.get(b"x-amzn-trace-id", b""),
            tuple(codings_of(headers)),
            tuple([(SPELLED.get(name.lower(), name), value) for name, value in headers]) if respelled else None,
        )
        if not ALWAYS_NEW.intersection(last) and len(headers) <= KEPT_HEADERS:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[headers] = head
        return head


def capitalized(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    """With names as CloudFront writes them, in front of EDGE APIs: `X-Tenant-Id`, however clients and proxies do."""
    return tuple([(_capitalized(name), value) for name, value in headers])


@lru_cache(maxsize=1024)
def _capitalized(name: bytes) -> bytes:
    return b"-".join([word.capitalize() for word in name.split(b"-")])


def client_of(request: HttpRequest, head: Head, place: Place) -> Client:
    """The client of one request."""
    return Client(
        api_id=place.api_id,
        stage=place.stage,
        connection_id="",
        connected_at=0,
        domain_name=request.authority,
        source_ip=request.source,
        user_agent=head.user_agent,
        callback_url="",
        forwarded=_forwarded(head.chain, request.peer or request.source, request.scheme, request.port),
    )


@lru_cache(maxsize=1024)
def _forwarded(chain: str, peer: str, scheme: str, port: int) -> bytes:
    """The X-Forwarded-* lines of calls made for this client."""
    lines = f"X-Forwarded-For: {chain}{peer}\r\nX-Forwarded-Proto: {scheme}\r\nX-Forwarded-Port: {port}\r\n"
    return lines.encode("latin-1")
