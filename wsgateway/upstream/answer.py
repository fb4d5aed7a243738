"""Reading one answer strictly: httptools for the grammar, the rules it leaves to us here."""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

from wsgateway.http1 import (
    HOP_BY_HOP,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    chunked_alone,
    has_body,
    keeps_alive,
    list_items,
    strip_hop_by_hop,
)
from wsgateway.messages import EndpointResponse, Header

COMMON_OPTIONS = frozenset({b"close", b"keep-alive"})
FOREVER = float("inf")


class Refused(Exception):
    """This is not one whole HTTP answer within its limits; the text says why."""


class AnswerReader:
    """Answers out of the bytes of a connection, one at a time; httptools calls the `on_` methods.

    Whether bytes follow an answer is known only when all that came with it is parsed, so `complete` is to be looked
    at after `feed`.
    """

    __slots__ = (
        "_chunked",
        "_fed",
        "_framing",
        "_head_only",
        "_headers",
        "_keep",
        "_length",
        "_max_body",
        "_parser",
        "_pieces",
        "_size",
        "_status",
        "_surplus",
        "begun",
        "complete",
        "idle_seconds",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._head_only = False
        self.expect(False, 0)

    def expect(self, head_only: bool, max_body: int) -> None:
        """Begin an answer, the last having been `reusable`. After HEAD no body follows (RFC 9110 §9.3.2)."""
        if self._head_only:
            self._parser = HttpResponseParser(self)  # the old one still waits for that body
        self._head_only = head_only
        self._max_body = max_body
        self._fed = 0  # bytes since the answer or a piece of its body began
        self._pieces: list[bytes] = []
        self._size = 0
        self._surplus = False
        self.begun = False
        self.complete = False
        self._expect_head()

    def _expect_head(self) -> None:
        self._headers: list[Header] = []
        self._framing: list[Header] = []  # the fields of this hop
        self._status = 0  # until the head is complete
        self._length: int | None = None
        self._chunked = False
        self._keep = False
        self.idle_seconds = FOREVER  # what the backend says it keeps an idle connection for

    def feed(self, data: bytes) -> None:
        """Take what the backend sent. *Raises* Refused."""
        if not self.begun and not data.startswith(b"H"):
            # RFC 9112 §4; httptools skips blank lines and takes RTSP/ and ICE/ too
            raise Refused("it is not HTTP")
        self.begun = True
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.complete:
                raise Refused(str(error.__context__ or error)) from error
            self._surplus = True
        if self._surplus and not has_body(self._status):
            raise Refused(f"it is a {self._status} with a body")
        if self._fed > MAX_HEAD_BYTES and not self.complete:
            raise Refused("its head is too large")

    def feed_eof(self) -> None:
        """The backend is done. *Raises* Refused unless that ends the answer (RFC 9112 §6.3)."""
        if self._status < 200 or self._length is not None or self._chunked:
            raise Refused("it breaks off")
        self.complete = True

    def close(self) -> None:
        """Let go of the parser. It refers back here, and both would stay until a garbage collection."""
        del self._parser

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._keep and not self._surplus

    @property
    def measured(self) -> bool:
        """Whether the answer ended where its Content-Length says."""
        return self._length is not None and has_body(self._status) and not self._head_only

    def response(self) -> EndpointResponse:
        """Take the answer, without the fields of this hop and without trailers."""
        pieces, self._pieces = self._pieces, []
        length = self._length if self._head_only else None
        return EndpointResponse(self._status, tuple(self._headers), b"".join(pieces), length=length)

    @property
    def kept(self) -> int:
        """Bytes of the body that are here and were not taken."""
        return self._size if self._pieces else 0

    @property
    def headed(self) -> bool:
        """Whether the head of the final answer is complete."""
        return self._status >= 200

    def head(self) -> tuple[int, tuple[Header, ...]]:
        """Status and headers, without the fields of this hop."""
        return self._status, tuple(self._headers)

    def pieces(self) -> bytes:
        """Take what has come of the body."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    # httptools

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:
            return  # a trailer: RFC 9110 §6.5.1 lets us drop it
        if name.lower() in HOP_BY_HOP:
            self._framing.append((name, value))
        else:
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._status = self._parser.get_status_code()
        if len(self._headers) + len(self._framing) > MAX_HEADERS or (
            self._fed > MAX_HEAD_BYTES and self._head_size() > MAX_HEAD_BYTES
        ):
            raise Refused("its head is too large")
        if status < 200:
            if status < 100 or status == 101:
                raise Refused(f"its status is {status}")
            return
        self._keep = self._read_framing(self._parser.get_http_version())
        if self._head_only:
            self.complete = True
        elif self._length is not None and self._length > self._max_body and has_body(status):
            raise Refused(f"its body is over {self._max_body} bytes")

    def on_body(self, piece: bytes) -> None:
        if self.complete:
            self._surplus = True
            return
        self._fed = 0
        self._size += len(piece)
        if self._size > self._max_body:
            raise Refused(f"its body is over {self._max_body} bytes")
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self.complete = True
        else:
            self._expect_head()  # RFC 9110 §15.2; its bytes count against the limit of the final head

    # The rules

    def _read_framing(self, version: str) -> bool:
        """Whether the connection outlives this answer. *Raises* Refused if where it ends is in doubt."""
        if version not in ("1.1", "1.0"):
            raise Refused(f"it is HTTP/{version}")
        connection: list[bytes] = []
        codings: list[bytes] = []
        for name, value in self._framing:
            match name.lower():
                case b"content-length":
                    if self._length is not None:
                        raise Refused("it has two Content-Lengths")
                    self._length = int(value)
                case b"transfer-encoding":
                    codings.append(value)
                case b"connection":
                    connection.append(value)
                case b"keep-alive":
                    self._read_keep_alive(value)
        # RFC 9112 §6.1: never beside Content-Length, not in HTTP/1.0; other codings we can't undo
        if codings and (self._length is not None or version == "1.0" or not chunked_alone(codings)):
            raise Refused("its Transfer-Encoding is not chunked alone")
        if self._status == 204 and (codings or self._length):
            raise Refused("it is a 204 with a body")  # RFC 9112 §6.1, RFC 9110 §8.6
        self._chunked = bool(codings)
        if connection and not COMMON_OPTIONS.issuperset(list_items(connection)):
            self._headers = list(strip_hop_by_hop([*self._headers, *self._framing]))
        if self._length is None and not self._chunked and not self._head_only and has_body(self._status):
            return False  # RFC 9112 §6.3: it ends with the connection
        return keeps_alive(version, connection) if connection else version == "1.1"

    def _read_keep_alive(self, value: bytes) -> None:
        for item in list_items((value,)):
            name, _, seconds = item.partition(b"=")
            if name == b"timeout" and seconds.isdigit():
                self.idle_seconds = int(seconds[:9]) - 1.0

    def _head_size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in (*self._headers, *self._framing))
