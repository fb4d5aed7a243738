"""Values that cross layers: what a client sent, what goes back, and what a backend is asked and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from wsgateway.bodies import Hold
from wsgateway.errors import NoRoom

Header = tuple[bytes, bytes]
"""A header field as it stands on the wire: name as spelled, value without surrounding blanks."""


class Message:
    """One WebSocket message, in either direction.

    `data` is the whole payload; text is UTF-8, already checked. The frame is built on first use, so a message that
    goes to many sockets is encoded once; so is each of `deflated`, by the window it is compressed for.
    """

    __slots__ = ("_frame", "binary", "data", "deflated")

    def __init__(self, data: bytes, binary: bool = False) -> None:
        self.data = data
        self.binary = binary
        self._frame = b""
        self.deflated: dict[int, bytes] | None = None
        """Frames that depend on no other message, by the window bits they need; kept by whoever compressed."""

    def frame(self) -> bytes:
        """The message as one unmasked server frame (RFC 6455 §5.2)."""
        frame = self._frame
        if not frame:
            data = self.data
            size = len(data)
            first = b"\x82" if self.binary else b"\x81"
            if size < 126:
                frame = first + size.to_bytes(1, "big") + data
            elif size < 65536:
                frame = first + b"\x7e" + size.to_bytes(2, "big") + data
            else:
                frame = first + b"\x7f" + size.to_bytes(8, "big") + data
            self._frame = frame
        return frame

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.data, self.binary) == (other.data, other.binary)

    def __hash__(self) -> int:
        return hash((self.data, self.binary))

    def __repr__(self) -> str:
        kind = "binary" if self.binary else "text"
        return f"Message({kind}, {len(self.data)} bytes)"


class ByteStream(Protocol):
    """A body still arriving. It is read once, in order; reading it is what lets more of it arrive."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


@runtime_checkable
class Trailed(ByteStream, Protocol):
    """A body behind which something was said."""

    @property
    def trailers(self) -> Sequence[Header]:
        """The trailers that are kept, once the body was read to its end."""


Body = bytes | ByteStream


async def collect(body: Body, limit: int, hold: Hold | None = None) -> bytes | None:
    """The whole body, or None where it is over `limit` bytes; `hold` counts what is kept of it.

    *Raises* ConnectionResetError where the client left, and NoRoom.
    """
    if isinstance(body, bytes):
        if len(body) > limit:
            return None
        if hold is not None:
            hold.keep(len(body))
        return body
    parts: list[bytes] = []
    size = 0
    try:
        async for part in body:
            size += len(part)
            if size > limit:
                return None
            if hold is not None:
                hold.keep(size)
            parts.append(part)
    except NoRoom:
        parts.clear()  # the error refers to them
        raise
    return b"".join(parts)


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request head, checked, and its body.

    `target` is the origin form as sent (`/path?query`), `host` the canonical Host (lower case, no port, no trailing
    dot), `authority` the Host as sent. `source` is the client's address after `--trusted-proxies`, `scheme` http or
    https and `port` the listener's port, both after the same rule; `peer` is the address at the other end of the
    connection, a proxy's perhaps. Header names keep their spelling.
    """

    method: str
    target: str
    host: str
    headers: tuple[Header, ...] = ()
    body: Body = b""
    authority: str = ""
    source: str = ""
    scheme: str = "http"
    port: int = 0
    peer: str = ""

    def header(self, name: bytes) -> bytes | None:
        """The last value of `name` (lower case), or None."""
        found = None
        for key, value in self.headers:
            if key.lower() == name:
                found = value
        return found


class Answering(Protocol):
    """A body that is still being made. It is read once, in order; `aclose`, or letting go of it, ends it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class AnswerStream(Protocol):
    """The body of a backend's answer, still coming. It is read once, in order; who does not read all closes it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def close(self) -> None: ...


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer. Framing headers are the writer's: `headers` holds none.

    A `body` that is no bytes, such as a generator, is written as it comes, as fast as the client takes it. It is closed
    when it ends and when the client has gone; where it is never begun (the client left before, HEAD) nothing of it
    runs.
    `lines` are further header fields, each ended by CR LF, made of values that are safe by what they are. `close` ends
    the connection after the answer. `length` is of answers to HEAD: how long the body is that a GET would get, where
    that is not the one of `body`.
    """

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes | Answering = b""
    close: bool = False
    lines: bytes = b""
    length: int | None = None


class Upload(msgspec.Struct, frozen=True, gc=False):
    """The body of a request that is still arriving; `length` is what it says of itself, None of one in chunks."""

    body: AsyncIterable[bytes]
    length: int | None


class EndpointRequest(msgspec.Struct, frozen=True, gc=False):
    """What a backend is asked: a whole HTTP/1.1 request, ready to be written but for its body's length.

    `head` is the request line and all headers, each ended by CR LF, without the blank line and without framing
    headers (Content-Length is added by the upstream; `Content-Length: 0` on an empty body). `upload` is a body that is
    sent as it comes, in place of `body`.
    """

    head: bytes
    body: bytes = b""
    method: str = "POST"
    upload: Upload | None = None


class EndpointResponse(msgspec.Struct, frozen=True, gc=False):
    """What a backend answered: header names as spelled, the body whole and unchunked.

    `binary` says that a reply made of it is a binary frame; None leaves it to the Content-Type and the message's kind.
    `reply` is the reply itself, where it is always the same: its frame is built once. `failure` is how the backend
    failed, as GatewayError.failure says it, where that is not its status. `length` is what the answer to a HEAD says
    of the body that a GET would get, None where it says nothing. `stream` is a body that is still coming, in place of
    `body`.
    """

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes | None = b""
    binary: bool | None = None
    reply: Message | None = None
    failure: str | int = ""
    length: int | None = None
    stream: AnswerStream | None = None


class PromptAnswer(asyncio.Future[HttpResponse]):
    """An answer for later whose writer is told at once, not in the next turn of the loop.

    Whoever will write it sets `told` as soon as it has got the future; whoever ends it does so by `tell`. It can be
    awaited as any future as well.
    """

    __slots__ = ("told",)

    told: Callable[[HttpResponse], None] | None

    def cancel(self, msg: Any | None = None) -> bool:
        """End because nobody waits any more: nobody is told."""
        self.told = None  # it knows who waited, who knows us, and the collector is to have nothing to do
        return super().cancel(msg)

    def tell(self, response: HttpResponse) -> None:
        """End in `response`."""
        self.set_result(response)
        if self.told is not None:
            self.told(response)


Handler = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
"""Answers a request, at once where nothing has to be waited for (that spares a task on every push), else later."""
