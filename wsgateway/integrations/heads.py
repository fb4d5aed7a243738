"""Request heads as both HTTP types write them: the target that parameters are put into, and the gateway's own headers.

API Gateway developer guide, "Set up HTTP integrations" and "Important notes".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from wsgateway.http1 import UnsafeHeader, field
from wsgateway.integrations.parameters import SLOT, one

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.invocation import Invocation
    from wsgateway.messages import Header
    from wsgateway.templates.parameters import Value

TEXT = b"Content-Type: application/json\r\n"
BINARY = b"Content-Type: application/octet-stream\r\n"

# Whoever decodes such a value before resolving the path would step out of its segment (RFC 3986 §5.2.4, CWE-22).
_leaves = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\\\0]").search
_dots = re.compile(r"\.{1,2}").fullmatch

_AS_SENT = "/%!$&'()*+,;=:@~"
"""What stands in a path as its client wrote it (RFC 3986 §3.3)."""

_NOTHING: Mapping[str, Value] = {}


class RequestTarget:
    """The target of an integration's requests: a URI's path and query, and room for what is mapped into them.

    A mapped query parameter is the only one of its name, and there is none if it has no value: which of two a backend
    believes is not for the client to choose.
    """

    def __init__(
        self, path: str, query: str, mapped: Iterable[str] = (), *, greedy: Collection[str] = frozenset()
    ) -> None:
        """`mapped` are the query parameters that mappings set, `greedy` the slots that take several segments."""
        self._path = path
        self._greedy = greedy
        self._mapped = frozenset(mapped)
        self._query = self._unmapped(query, self._mapped)
        self._slotted = "{" in self._query or "}" in self._query

    def plain(self) -> bytes:
        """The target of a request into which nothing is mapped."""
        return self._join(self._path, _unbraced(self._query))

    def render(
        self,
        query: Iterable[tuple[str, str]] = (),
        path: Mapping[str, Value] = _NOTHING,
        *,
        client_query: str = "",
        over: Collection[str] = (),
    ) -> bytes:
        """The target of one request with these mapped parameters; values can't leave their segment.

        `client_query` is as the client sent it; of it and of the URI's own query nothing mapped stays, nor what `over`
        names. *Raises* UnsafeHeader for a path value that would be another path.
        """
        text = self._path
        if path:
            text = SLOT.sub(lambda slot: _fill(slot, path, self._greedy), text)
            if any(_dots(segment) for segment in text.split("/")):
                raise UnsafeHeader("path parameters fill a segment with dots alone")
        mapped, own = self._mapped, self._query
        if not mapped.issuperset(over):
            mapped = mapped.union(over)
            own = self._unmapped(own, mapped)
        if self._slotted:
            own = _unbraced(SLOT.sub(lambda slot: _fill_query(slot, path, self._greedy), own) if path else own)
        parts = [part for part in (own, self._unmapped(client_query, mapped)) if part]
        parts += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query]
        return self._join(text, "&".join(parts))

    @staticmethod
    def _unmapped(query: str, mapped: frozenset[str]) -> str:
        """`query` without the parameters that mappings set, the others byte for byte."""
        if not mapped:
            return query
        return "&".join([part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in mapped])

    @staticmethod
    def _join(path: str, query: str) -> bytes:
        path = _unbraced(path)
        return (f"{path}?{query}" if query else path).encode("ascii")


def _unbraced(text: str) -> str:
    """Braces that stay (a slot nobody maps) are not URI characters: RFC 3986 §2."""
    return text.replace("{", "%7B").replace("}", "%7D")


def _fill(slot: re.Match[str], values: Mapping[str, Value], greedy: Collection[str]) -> str:
    name: str = slot[1]
    value = values.get(name)
    if value is None:
        return slot[0]
    text = one(value)
    if _leaves(text) is not None:
        raise UnsafeHeader(f"the value of path parameter {name} holds a dot segment, a backslash or NUL")
    return quote(text, safe=_AS_SENT if name in greedy else "")


def _fill_query(slot: re.Match[str], values: Mapping[str, Value], greedy: Collection[str]) -> str:
    """A value can't leave its parameter. What a `{name+}` took is as it came, encoded; it is encoded here again."""
    name: str = slot[1]
    value = values.get(name)
    if value is None:
        return slot[0]
    text = one(value)
    return quote(unquote_to_bytes(text) if name in greedy else text, safe="")


def default_headers(site: Site) -> list[Header]:
    """What is sent unless the client or a mapping says otherwise."""
    return [
        (b"Accept", b"application/json"),
        (b"User-Agent", b"AmazonAPIGateway_%b" % site.api_id.encode()),
        (b"X-Amzn-Apigateway-Api-Id", site.api_id.encode()),
        (b"Connection", b"keep-alive"),
    ]


def client_type(invocation: Invocation) -> bytes:
    """The line that says what a request's body is, as its client did. *Raises* UnsafeHeader."""
    found = None if invocation.request is None else invocation.request.header(b"content-type")
    return TEXT if found is None else field(b"Content-Type", found)


def header_lines(name: bytes, value: Value) -> Iterator[bytes]:
    """The lines of a mapped header. *Raises* UnsafeHeader, UnicodeEncodeError."""
    if isinstance(value, str):
        yield field(name, value.encode())
    elif value is not None:
        for item in value:
            yield field(name, item.encode())
