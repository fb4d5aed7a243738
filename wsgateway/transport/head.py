"""Request heads, read strictly.

llhttp (in httptools) refuses what can be read two ways: bare LF, obsolete folding, blanks before a colon, two lengths,
a length beside a coding, odd chunks. What it leaves open is checked here (RFC 9112 §2.2, §3.2, §6.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from wsgateway import http1
from wsgateway.transport import handshake

if TYPE_CHECKING:
    from wsgateway.messages import Header
    from wsgateway.transport.body import BodyStream

MAX_HEADERS = 128
MAX_LINE_BYTES = 8192
MAX_HEAD_BYTES = 10_240
"""All header fields together (API Gateway quotas)."""
MAX_URL_BYTES = 10_240

_authority = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]*)?").fullmatch


class Refused(Exception):
    """The request breaks a rule; ends parsing. The text says which."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def canonical_host(authority: str) -> str | None:
    """The host of a Host value: lower case, no port, no trailing dot. None where it can't be one (RFC 9112 §3.2)."""
    match = _authority(authority)
    return None if match is None else match[1].lower().removesuffix(".")


class Incoming(msgspec.Struct, eq=False):
    """A request whose head is complete and checked, and what came of its body."""

    method: str
    target: str
    version: str
    authority: str
    host: str
    headers: tuple[Header, ...]
    body: list[bytes] = []
    complete: bool = False
    keep_alive: bool = True
    websocket: bool = False
    stream: BodyStream | None = None
    trailers: list[Header] | None = None
    """Those that are kept."""
    behind: list[bytes] = []
    """What came behind a handshake, while it is decided."""
    behind_bytes: int = 0

    def wait(self, data: bytes) -> None:
        """Keep bytes that came behind a handshake."""
        if data:
            self.behind.append(data)
            self.behind_bytes += len(data)

    def interim(self) -> bytes:
        """What is written when the handler begins to read the body: `100 Continue` if the client waits for it."""
        expect = next((value for name, value in self.headers if name.lower() == b"expect"), b"")
        waits = expect.lower() == b"100-continue" and self.version == "1.1"
        return b"HTTP/1.1 100 Continue\r\n\r\n" if waits else b""

    def without_offer(self) -> bytes:
        """The head as it would be without its `Upgrade`."""
        head = [f"{self.method} {self.target} HTTP/{self.version}\r\n".encode("latin-1")]
        for name, value in self.headers:
            key = name.lower()
            if key == b"connection":
                value = b", ".join(item for item in http1.list_items([value]) if item in (b"close", b"keep-alive"))
            if key not in (b"upgrade", b"http2-settings") and (value or key != b"connection"):
                head.append(b"%s: %s\r\n" % (name, value))
        return b"".join(head) + b"\r\n"


class HeadReader:
    """Gathers what llhttp reports of one head after the other. Its methods *raise* Refused."""

    __slots__ = ("_authority", "_headers", "_host", "_open", "_size", "_url")

    def __init__(self) -> None:
        self._authority = ""
        self._host = ""
        """The Host last checked, as sent and canonical; most connections name one host."""
        self.begin()

    def begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers: list[Header] = []
        self._size = 0
        self._open = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_URL_BYTES:
            raise Refused(414, f"the URL is over {MAX_URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._open:
            self.trailer(name, value)
            return
        size = len(name) + len(value) + 4
        self._size += size
        if size > MAX_LINE_BYTES or self._size > MAX_HEAD_BYTES or len(self._headers) >= MAX_HEADERS:
            limits = f"at most {MAX_HEADERS} header fields, {MAX_LINE_BYTES} bytes each, {MAX_HEAD_BYTES} together"
            raise Refused(431, limits)
        self._headers.append((name, value.rstrip(b" \t")))  # llhttp leaves what is no part of it (RFC 9112 §5.1)

    def trailer(self, name: bytes, value: bytes) -> None:
        """A trailer: dropped, never merged into the headers (RFC 9110 §6.5.1)."""

    def finish(self, method: str, version: str) -> Incoming:
        """The head is complete: check what llhttp leaves to us."""
        self._open = False
        hosts = 0
        named = b""
        upgrades = False
        for name, value in self._headers:
            match len(name):
                case 4 if name.lower() == b"host":
                    hosts += 1
                    named = value
                case 7 if name.lower() == b"upgrade":
                    upgrades = True
                case 17 if name.lower() == b"transfer-encoding" and (
                    version == "1.0" or not http1.chunked_alone([value])
                ):
                    raise Refused(400, "the only Transfer-Encoding is chunked, in HTTP/1.1")
        if version not in ("1.1", "1.0"):
            raise Refused(505, "HTTP/1.1 is spoken here")
        if hosts > 1 or (not hosts and version == "1.1"):
            raise Refused(400, "there must be one Host")
        if method == "CONNECT":
            raise Refused(400, "this is no proxy")
        target, authority = self._target(named.decode("latin-1"))
        if not self._url.startswith(b"/"):
            # Whoever reads Host, or what is signed of it, is told where the request goes.
            self._headers = [(n, authority.encode("latin-1") if n.lower() == b"host" else v) for n, v in self._headers]
        if authority != self._authority:
            host = canonical_host(authority)
            if host is None:
                raise Refused(400, "Host is malformed")
            self._host = host
            self._authority = authority
        headers = tuple(self._headers)
        incoming = Incoming(method, target, version, authority, self._host, headers)
        incoming.websocket = upgrades and handshake.wants_websocket(headers)
        return incoming

    def _target(self, authority: str) -> tuple[str, str]:
        """The target as a path, and the authority that counts."""
        target = self._url.decode("latin-1")
        if not target.startswith("/"):
            # Absolute form: its authority wins over Host (RFC 9112 §3.2.2).
            _, scheme, rest = target.partition("://")
            authority, slash, path = rest.partition("/")
            target = slash + path if slash else "/"
            if not scheme or not authority:
                raise Refused(400, "the request target must be a path")
        if "#" in target:
            raise Refused(400, "the request target must be without a fragment")
        return target, authority
