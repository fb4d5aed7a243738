"""One connection to a backend, carrying one exchange at a time."""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import Protocol, cast

from wsgateway.bodies import UNCOUNTED_BYTES, BodyMemory, Hold
from wsgateway.errors import UNSENT, BadGateway, GatewayError, IntegrationFailure, NoRoom
from wsgateway.http1 import CHUNKED, LAST_CHUNK, chunk
from wsgateway.messages import EndpointRequest, EndpointResponse, Upload
from wsgateway.outbox import Outbox
from wsgateway.upstream.answer import FOREVER, AnswerReader, Refused
from wsgateway.upstream.complaint import complaint
from wsgateway.upstream.exchange import Exchange
from wsgateway.upstream.heads import KnownHeads
from wsgateway.upstream.streamed import Streamed

COPIED_BYTES = 65_536  # a body up to this is cheaper copied behind its head than written as a second piece


class Owner(Protocol):
    """What keeps connections: an origin."""

    url: str
    heads: KnownHeads
    outbox: Outbox
    bodies: BodyMemory
    idle_seconds: float
    bad_answers: int
    unreachable: int

    def release(self, connection: Connection) -> None:
        """Take back a connection whose answer is complete and which may carry another request."""

    def drop(self, connection: Connection) -> None:
        """Forget a connection that must not be used again. May be told twice."""

    def again(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        """Find another connection for what was started on one that was lost before anything was written."""

    def lost(self, connection: Connection) -> None:
        """Forget a connection whose socket is closed."""


class Connection(asyncio.Protocol):
    """Writes a request, reads its answer, and goes back to its owner or, in any doubt, away.

    What the backend says unasked, or beyond an answer, ends the connection: no byte of one answer can become part of
    another.
    """

    __slots__ = (
        "_exchange",
        "_head_only",
        "_held",
        "_max_body",
        "_next",
        "_owner",
        "_reader",
        "_reading",
        "_room",
        "_sending",
        "_socket",
        "error",
        "expires",
        "fresh",
        "idle_seconds",
        "over",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._exchange: Exchange | None = None  # whose request is written
        self._next: tuple[Exchange, EndpointRequest, int] | None = None  # to be written at the end of this turn
        self._head_only = False
        self._max_body = 0
        self._reader: AnswerReader  # made when there is a connection
        self._reading = False  # an answer of which a part is read
        self._held: Hold | None = None  # counts that part; made with the first answer that does not come at once
        self._sending: asyncio.Task[None] | None = None  # writes a body that is still arriving
        self._room: asyncio.Future[None] | None = None  # the backend takes nothing more for now
        self._socket = select.poll()
        self.over = False
        self.error: Exception | None = None  # that ended it
        self.fresh = True  # has not been free yet
        self.expires = FOREVER
        self.idle_seconds = owner.idle_seconds  # less if the backend says so

    def usable(self) -> bool:
        """Whether, as far as this end can know, the peer still listens and has said nothing out of turn.

        Looks into the socket (1 µs), however short ago it answered: a FIN the loop has not come round to would cost the
        message, for a request once written is never written again.
        """
        return not (self.transport.is_closing() or self._socket.poll(0))

    def start(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        """Write the request, all at once, at the end of this loop turn."""
        exchange.place = self
        self._next = exchange, request, max_body
        self._owner.outbox.add(self)

    def flush(self) -> None:
        """Write the request that waits for the end of the turn, unless it was given up meanwhile."""
        if self._next is None:
            return
        if self.transport.is_closing():
            if self.over or not self.fresh:
                self._part(self.error)
            return  # why a new one ends is told in this turn or the next: by `connection_lost`
        self._exchange, request, self._max_body = self._next
        self._next = None
        self._head_only = request.method == "HEAD"
        if request.upload is not None:
            self._sending = asyncio.ensure_future(self._send(self._exchange, request.head, request.upload))
            return
        body = request.body
        size = len(body)
        if size <= COPIED_BYTES:
            self.transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (request.head, size, body))
        else:
            self.transport.writelines((b"%bContent-Length: %d\r\n\r\n" % (request.head, size), body))

    async def _send(self, exchange: Exchange, head: bytes, upload: Upload) -> None:
        """Write a body as it arrives, as fast as the backend takes it."""
        write, chunked = self.transport.write, upload.length is None
        try:
            framing = CHUNKED if upload.length is None else b"Content-Length: %d\r\n" % upload.length
            write(head + framing + b"\r\n")
            async for piece in upload.body:
                write(chunk(piece) if chunked else piece)
                if self._room is not None:
                    await self._room
                if isinstance(exchange, Streamed):
                    exchange.progress()
            if chunked:
                write(LAST_CHUNK)
        except Exception as error:
            if self._exchange is exchange:
                self._exchange = None
                self._owner.drop(self)
                exchange.fail(error)
            return
        self._sending = None

    def _hold(self, full: bool) -> None:
        """Read nothing more of an answer, or go on."""
        if self.transport.is_closing():
            return
        if full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    @property
    def stage(self) -> str:
        return f"the answer of backend {self._owner.url}"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self._reader = AnswerReader()
        self._socket.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.transport.abort()  # nothing was asked; perhaps even before the owner got this connection
            self._part()
            return
        reader = self._reader
        if not self._reading:
            known = self._owner.heads.recall(data)
            if known is not None and not self._head_only and known.size - known.start <= self._max_body:
                self._exchange = None
                self.idle_seconds = known.idle_seconds
                self._owner.release(self)
                exchange.answer(EndpointResponse(known.status, known.headers, data[known.start :]))
                return
            self._reading = True
            reader.expect(self._head_only, self._max_body)
        try:
            reader.feed(data)
        except Refused as error:
            self._refuse(exchange, str(error))
            return
        if reader.headed and not reader.complete and isinstance(exchange, Streamed) and exchange.passes:
            flow = exchange.flow or exchange.begin(*reader.head(), self._hold)
            self._stop_sending()  # what it has not read before it answers it does not get
            flow.feed(reader.pieces())
        elif reader.complete:
            response = self._finish(exchange)
            self._owner.heads.learn(data, reader, response, self.idle_seconds)
        elif reader.kept > UNCOUNTED_BYTES:
            self._keep(exchange, reader.kept)

    def _keep(self, exchange: Exchange, size: int) -> None:
        """An answer of which so many bytes are here, and more is to come."""
        held = self._held = self._held or self._owner.bodies.hold("answer")
        try:
            held.keep(size)
        except NoRoom as error:
            self._exchange = None
            self._owner.drop(self)
            exchange.fail(error)

    def eof_received(self) -> None:
        self._end(None)

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self.error = exc
        self._end(exc)
        self._stop_sending()
        self._reader.close()
        if self._held is not None:
            self._held.give_back()
        self._owner.lost(self)

    # The ends

    def leave(self, exchange: Exchange) -> None:
        """`exchange` expired or was cancelled: its answer may still come, so nothing else may be asked here."""
        self._exchange = None
        self._next = None
        self._stop_sending()
        self._owner.drop(self)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()  # and kept: whoever was not sent all is asked nothing more

    def _part(self, error: Exception | None = None) -> None:
        """The peer left, or spoke, while nothing was asked. What was about to be may still go another way."""
        self._owner.drop(self)
        if self._next is None:
            return
        exchange, request, max_body = self._next
        self._next = None
        if self.fresh:  # another new one would fare no better
            rejection = self.rejection(error)
            if rejection is None:
                rejection = self._bad(early(self._owner.url))
            else:
                self._owner.unreachable += 1
            rejection.failure = UNSENT
            exchange.fail(rejection)
        else:
            self._owner.again(exchange, request, max_body)

    def _finish(self, exchange: Exchange) -> EndpointResponse:
        """The answer is whole: give it to who asked, and the connection back if it may live on."""
        reader = self._reader
        response = reader.response()
        if self._held is not None:
            self._held.give_back()
        self._exchange = None
        self._reading = False
        self.idle_seconds = min(self._owner.idle_seconds, reader.idle_seconds)
        if reader.reusable and self._sending is None:
            self._owner.release(self)
        else:
            self._stop_sending()  # it answered before it had all that was asked
            self._owner.drop(self)
        exchange.answer(response)
        return response

    def _refuse(self, exchange: Exchange, why: str) -> None:
        self._exchange = None
        self._owner.drop(self)
        exchange.fail(self._bad(f"backend {self._owner.url} gave no usable answer: {why}"))

    def _bad(self, reason: str) -> BadGateway:
        self._owner.bad_answers += 1
        return BadGateway(reason)

    def rejection(self, error: Exception | None) -> GatewayError | None:
        """The failure of a TLS handshake that the peer ends behind our part of it, as TLS 1.3 lets it (RFC 8446 §4.4).

        None for an end of any other kind.
        """
        if not (isinstance(error, ssl.SSLError) and self.fresh and not self._reading):
            return None
        return IntegrationFailure(f"backend {self._owner.url} {complaint(error)}")

    def _end(self, error: Exception | None) -> None:
        """The peer is done."""
        exchange = self._exchange
        if exchange is None:
            self._part(error)
        elif (rejection := self.rejection(error)) is not None:
            self._exchange = None
            self._owner.drop(self)
            self._owner.unreachable += 1
            exchange.fail(rejection)
        elif error is not None:
            self._refuse(exchange, f"the connection broke: {error}")
        elif not self._reading:
            self._refuse(exchange, "the connection was closed first")
        else:
            try:
                self._reader.feed_eof()
            except Refused as refusal:
                self._refuse(exchange, str(refusal))
            else:
                self._finish(exchange)


def early(url: str) -> str:
    """What is said of a backend that accepts connections and ends them."""
    return f"backend {url} closed the connection, or spoke, before it was asked"
