"""HTTP/1.1 rules both sides share: heads that can't be split, fields of one hop, the framing of an answer.

What is written is checked as it is written: a CR, LF or NUL that a template, a client or a backend slipped into a
name, a value or a target is refused, never taken out (RFC 9110 §5.5, RFC 9112 §11.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from wsgateway.messages import Header

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 128

# RFC 9110 §7.6.1 and what its predecessors held to be of one hop. Trailer and Content-Length are here too: each hop
# frames its own message, and trailers are dropped.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
FRAMING = frozenset({b"content-length", b"transfer-encoding"})

_token = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110 §5.6.2
_unsafe = re.compile(rb"[\r\n\0]").search  # RFC 9110 §5.5
_target = re.compile(rb"[\x21-\x7e]+").fullmatch  # RFC 9112 §3.2
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


class UnsafeHeader(ValueError):
    """Written as it stands, this would be another head than the one meant."""


def is_token(text: bytes) -> bool:
    """Whether `text` may be a method or a field name (RFC 9110 §5.6.2)."""
    return _token(text) is not None


def field(name: bytes, value: bytes) -> bytes:
    """`name: value` as one line of a head.

    *Raises* UnsafeHeader for a name that is no token and for CR, LF or NUL in the value.
    """
    if _token(name) is None:
        raise UnsafeHeader(f"{name!r} is not a header name")
    if _unsafe(value) is not None:
        raise UnsafeHeader(f"the value of header {name.decode()} holds CR, LF or NUL")
    return b"%b: %b\r\n" % (name, value)


def fields(headers: Iterable[Header]) -> bytes:
    """The lines of `headers`. *Raises* UnsafeHeader as `field` does."""
    return b"".join([field(name, value) for name, value in headers])


def request_line(method: bytes, target: bytes) -> bytes:
    """The first line of a request.

    *Raises* UnsafeHeader unless `method` is a token and `target` is visible ASCII (percent-encode all else).
    """
    if _token(method) is None:
        raise UnsafeHeader(f"{method!r} is not a method")
    if _target(target) is None:
        raise UnsafeHeader("the request target holds blanks, controls or other than ASCII")
    return b"%b %b HTTP/1.1\r\n" % (method, target)


def status_line(status: int) -> bytes:
    """The first line of an answer. *Raises* UnsafeHeader for a status outside 100 to 999."""
    line = _STATUS_LINES.get(status)
    if line is None:
        if not 100 <= status <= 999:
            raise UnsafeHeader(f"{status} is not a status code")
        line = b"HTTP/1.1 %d \r\n" % status
    return line


def has_body(status: int) -> bool:
    """Whether an answer of this status may have content (RFC 9110 §6.4.1)."""
    return status >= 200 and status not in (204, 304)


@lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """The Unix time `second` as an IMF-fixdate (RFC 9110 §5.6.7)."""
    return formatdate(second, usegmt=True).encode()


def response(
    status: int,
    headers: Sequence[Header] = (),
    body: bytes = b"",
    *,
    lines: bytes = b"",
    close: bool = False,
    head_only: bool = False,
    length: int | None = None,
    now: float | None = None,
) -> bytes:
    """One whole answer, framed by Content-Length.

    `head_only` is for HEAD: the length of `body` is told, but `body` is not sent; where it is empty, `length` is told,
    or nothing if that isn't known, for it must be what a GET would get (RFC 9110 §8.6). 1xx, 204 and 304 have neither
    (RFC 9110 §8.6), 205 is empty (§15.3.6). With `now`, a final answer gets a Date unless `headers` bring one. `lines`
    are header fields ready to be written, no Date among them.
    *Raises* UnsafeHeader as `field` does, and for a Content-Length or Transfer-Encoding among `headers`.
    """
    if status == 200 and now is not None and not (headers or close or head_only):
        # Nothing to check: what most answers of the callback API are.
        return b"HTTP/1.1 200 OK\r\n%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            lines,
            http_date(int(now)),
            len(body),
            body,
        )
    if status == 205:
        body = b""
    told = length if head_only and not body else len(body)
    framing = b"Content-Length: %d\r\n" % told if told is not None and has_body(status) else b""
    top = head(status, headers, lines=lines, framing=framing, close=close, now=now)
    return top if head_only or not framing else top + body


def head(
    status: int,
    headers: Iterable[Header] = (),
    *,
    lines: bytes = b"",
    framing: bytes = b"",
    close: bool = False,
    now: float | None = None,
) -> bytes:
    """The head of an answer, the blank line with it; `framing` is the line that says how long the body is, if one does.

    The rest is as for `response`. *Raises* UnsafeHeader as `response` does.
    """
    parts = [status_line(status)]
    dated = now is None or status < 200
    for name, value in headers:
        key = name.lower()
        if key in FRAMING:
            raise UnsafeHeader(f"{name.decode()} is the writer's to set")
        dated = dated or key == b"date"
        parts.append(field(name, value))
    if lines:
        parts.append(lines)
    if now is not None and not dated:
        parts.append(b"Date: %b\r\n" % http_date(int(now)))
    if close:
        parts.append(b"Connection: close\r\n")
    parts.append(framing)
    parts.append(b"\r\n")
    return b"".join(parts)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """`data`, not empty, as one chunk of a chunked body (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def list_items(values: Iterable[bytes]) -> list[bytes]:
    """The items of a comma-separated field, lower case, empty ones left out (RFC 9110 §5.6.1)."""
    return [item for value in values for part in value.lower().split(b",") if (item := part.strip(b" \t"))]


def strip_hop_by_hop(headers: Iterable[Header]) -> tuple[Header, ...]:
    """`headers` without those of this hop: the known ones and those `Connection` names (RFC 9110 §7.6.1)."""
    headers = tuple(headers)
    named = list_items(value for name, value in headers if name.lower() == b"connection")
    dropped = HOP_BY_HOP.union(named) if named else HOP_BY_HOP
    return tuple([header for header in headers if header[0].lower() not in dropped])


def keeps_alive(version: str, connection: Iterable[bytes]) -> bool:
    """Whether a connection outlives a message of HTTP `version` with these `Connection` values (RFC 9112 §9.3)."""
    options = list_items(connection)
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)


def chunked_alone(codings: Iterable[bytes]) -> bool:
    """Whether these `Transfer-Encoding` values are `chunked` and nothing else, the only framing we read by coding."""
    return list_items(codings) == [b"chunked"]
