"""One HTTP/1.1 connection of a listener: its requests answered in their order, and its time limits."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from wsgateway import http1
from wsgateway.bodies import UNCOUNTED_BYTES
from wsgateway.errors import GatewayError
from wsgateway.messages import Answering, Body, HttpRequest, HttpResponse, PromptAnswer
from wsgateway.transport import upgrade
from wsgateway.transport.answers import INTERNAL_ERROR, INTERNAL_ERROR_BODY, JSON, MISDIRECTED, refused
from wsgateway.transport.body import BodyStream
from wsgateway.transport.certificates import NamedObject
from wsgateway.transport.linger import Linger
from wsgateway.transport.pump import Pump
from wsgateway.transport.requests import RequestReader
from wsgateway.transport.tls import TlsTransport, begin
from wsgateway.transport.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from wsgateway.messages import Header
    from wsgateway.transport.head import Incoming
    from wsgateway.transport.listener import Entrance, Listener
    from wsgateway.transport.websocket import WebSocket

IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 500
"""What a body has to bring on the whole, each time it had so long."""
PRESSED_BYTES_PER_SECOND = 16_384
"""The same of large ones while room for them is scarce."""

TURN_ANSWERS = 2
TURN_BYTES = 65_536
"""What one connection is answered before the loop turns: others come in between, and a full socket is noticed."""


def _nothing() -> None:
    """A body that is whole holds nobody up."""


class HttpConnection(asyncio.Protocol):
    """Reads requests and writes their answers, one at a time and in order."""

    __slots__ = (
        "_answering",
        "_blocked",
        "_closing",
        "_entrance",
        "_gathered",
        "_gathered_bytes",
        "_is_new",
        "_linger",
        "_peer",
        "_pump",
        "_reader",
        "_server_name",
        "_task",
        "_turn_over",
        "_unread",
        "_waiting_since",
        "ended",
        "listener",
        "lost",
        "paused",
        "transport",
    )

    def __init__(self, listener: Listener, entrance: Entrance) -> None:
        self.listener = listener
        self._entrance = entrance
        self._server_name: str | None = None
        """What the client asked for in its TLS handshake, "" for nothing; None without TLS."""
        self._reader = RequestReader(listener.counters)
        self._is_new = True
        """No whole head has come yet."""
        self._answering: Incoming | None = None
        self._task: asyncio.Future[Any] | None = None
        """Makes the answer, or writes it; of a handshake the listener owns it."""
        self._pump: Pump | None = None
        """Writes the answer whose body is still being made."""
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._turn_over = False
        """Others are to be served before the next answer."""
        self._blocked = False
        """The client does not take our answers."""
        self._unread: Unread | None = None
        """What it did not take; made the first time."""
        self.paused = False
        """What the client sends waits in the socket."""
        self.ended = False
        """The client sends no more."""
        self._closing = False
        """The last answer is written."""
        self.lost = False
        """The connection is no more."""
        self._linger: Linger | None = None
        self._waiting_since = listener.clock()
        self._peer = ""
        self.transport = cast("asyncio.Transport", None)  # set by connection_made, before anything else runs

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        if not self.listener.admit(self, self._peer):
            self.transport.abort()
        elif self._entrance.certificates is not None:
            # Its time began with the connection, so that the whole head behind it has to come in that time, too.
            begin(self.transport, self, self._entrance.certificates, self.listener.head_seconds, self._secured)

    def _secured(self, transport: TlsTransport | None) -> None:
        """The TLS handshake is through, or has failed."""
        if transport is None:
            self.listener.counters.tls_handshakes_failed += 1
            self.transport.abort()
            self.connection_lost(None)
            return
        self.transport = transport
        named = transport.get_extra_info("ssl_object")
        self._server_name = named.server_name if isinstance(named, NamedObject) else ""

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader.deaf:
            if self._linger is not None and self._linger.drop(data):
                self.transport.close()
            return
        answering = self._answering
        if answering is not None and answering.websocket:
            # Frames that arrive during $connect: up to one message, then TCP back-pressure.
            answering.wait(data)
            self._flow()
            return
        fresh = reader.incoming is None and not reader.unparsed and answering is None
        if fresh:
            known = self.listener.heads.recall(data)
            if known is not None:
                if self._blocked or self._turn_over or self._closing or self.paused:
                    reader.queue.append(known)
                    self._next()
                else:
                    self._take(known, known.body[0])
                return
            if not self._is_new:  # a new connection's time began with it
                self._waiting_since = self.listener.clock()
        reader.unread = memoryview(data)
        reader.parse(answering)
        if fresh and len(reader.queue) == 1 and reader.incoming is None and not reader.unparsed and not reader.unread:
            one = reader.queue[0]
            length = sum(map(len, one.body))
            self.listener.heads.learn(data, one.headers, one.authority, one.host, length)
        self._next()

    def eof_received(self) -> bool:
        # A client may half-close behind its last request and still read the answer (RFC 9112 §9.6). One that is still
        # being made may have no end, and this is how a client that has gone looks; other servers give up here too.
        # TLS ends both directions at once here, as most servers' does (RFC 5246 §7.2.1).
        reader = self._reader
        if reader.incoming is not None or self._pump is not None or self._server_name is not None:
            return False
        self.ended = self._answering is not None or bool(reader.queue or reader.unread)
        return self.ended and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost:
            return  # a TLS handshake that fails says so twice
        self.lost = True
        if isinstance(self.transport, TlsTransport):
            self.transport.lost()
        reader = self._reader
        reader.stop()
        del reader.parser
        if self._unread is not None:
            self._unread.end()
        if self._task is not None:
            if self._pump is not None:
                self._task.cancel()  # before it writes any more
            else:  # not now: one that has not begun would never hear of it, nor would what it was given to wait for
                asyncio.get_running_loop().call_soon(self._task.cancel)
        if reader.incoming is not None and reader.incoming.stream is not None:
            reader.incoming.stream.abort()
        self.listener.forget(self)

    def pause_writing(self) -> None:
        self._blocked = True
        if self._unread is None:
            self._unread = Unread(self.transport, self.listener.bodies.hold("unread"))
        self._unread.begin(self.listener.clock())
        if self._pump is not None:
            self._pump.pause(self.listener.clock())
        self._flow()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._unread is not None:
            self._unread.end()
        self._waiting_since = self.listener.clock()
        if self._pump is not None:
            self._pump.resume()
        self._next()

    # Requests

    def _request(self, incoming: Incoming, body: Body) -> HttpRequest:
        """The request as handlers see it."""
        proxies, entrance, peer = self.listener.proxies, self._entrance, self._peer
        if not proxies.networks:
            return HttpRequest(
                incoming.method,
                incoming.target,
                incoming.host,
                incoming.headers,
                body,
                incoming.authority,
                peer,
                entrance.scheme,
                entrance.port,
                peer,
            )
        origin = proxies.origin_of(peer, incoming.headers)
        return HttpRequest(
            incoming.method,
            incoming.target,
            incoming.host,
            incoming.headers,
            body,
            origin.authority or incoming.authority,
            origin.source,
            origin.scheme or entrance.scheme,
            origin.port or entrance.port,
            peer,
        )

    def _next(self) -> None:
        """Answer the requests that are ready, unless one is being answered already; so many and no more in a turn."""
        reader = self._reader
        left = TURN_ANSWERS
        while self._answering is None and not (self._blocked or self._turn_over or self._closing):
            if reader.unread:
                reader.parse(None)
            if reader.queue:
                if not left or self._gathered_bytes >= TURN_BYTES:
                    self._end_turn()
                    break
                left -= 1
                incoming = reader.queue.popleft()
                whole = incoming.body[0] if len(incoming.body) == 1 else b"".join(incoming.body)
                body: Body = whole if incoming.trailers is None else self._trailed(whole, incoming.trailers)
            elif reader.incoming is not None and reader.incoming.stream is None:
                # The head is here and the body is not: it is read as the handler asks for it.
                incoming = reader.incoming
                self.flush()  # answers to requests before it, for it may write an interim one
                body = incoming.stream = BodyStream(self.transport, incoming.interim(), self._read_on)
                for chunk in incoming.body:
                    incoming.stream.feed(chunk)
            else:
                if reader.refusal is not None:
                    self._write(refused(reader.refusal))
                    self.close(linger=True)
                elif self.ended:
                    self.close()
                break
            self._take(incoming, body)
        self._flow()

    def _take(self, incoming: Incoming, body: Body) -> None:
        """Have this request answered."""
        self._answering = incoming
        if self._is_new:
            self._is_new = False
            self.listener.head_read(self)
        self._answer(incoming, self._request(incoming, body))

    def _trailed(self, body: bytes, trailers: list[Header]) -> BodyStream:
        """A body that is here, with what was said behind it."""
        stream = BodyStream(self.transport, b"", _nothing)
        stream.feed(body)
        stream.trailers = trailers
        stream.finish()
        return stream

    def _end_turn(self) -> None:
        """Let the loop turn, and go on behind it."""
        self._turn_over = True
        self.flush()
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_over = False
        if not self.lost:
            self._next()

    def _read_on(self) -> None:
        """The handler read of the body, or has enough of it for now."""
        self._reader.parse(self._answering)
        self._next()

    def _answer(self, incoming: Incoming, request: HttpRequest) -> None:
        server_name = self._server_name
        if (
            server_name is not None
            and server_name != incoming.host
            and self.listener.misdirected(server_name, incoming.host, self._peer)
        ):
            self.respond(incoming, MISDIRECTED)
            return
        if incoming.websocket:
            upgrade.answer(self, incoming, request)
            return
        try:
            answer = self.listener.handler(request)
        except Exception as error:
            answer = self.fault(error, incoming)
        if type(answer) is HttpResponse:
            self.respond(incoming, answer)
        else:
            # One that is a future already needs no task: what is only passed on costs a callback, or not even that.
            later = self._task = (
                answer
                if isinstance(answer, PromptAnswer)
                else asyncio.ensure_future(cast("Awaitable[HttpResponse]", answer))
            )
            if isinstance(later, PromptAnswer) and not later.done():
                later.told = partial(self._answer_now, incoming)
            else:
                later.add_done_callback(partial(self._answer_later, incoming))

    def _answer_now(self, incoming: Incoming, response: HttpResponse) -> None:
        self._task = None
        self.respond(incoming, response)
        if self._reader.waits or self.ended or self.paused:
            self._next()

    def _answer_later(self, incoming: Incoming, later: asyncio.Future[HttpResponse]) -> None:
        self._task = None
        error = None if later.cancelled() else later.exception()
        if self.lost or later.cancelled():
            self.transport.abort()  # cancelled without that: nobody will ever answer
            return
        if error is None:
            response = later.result()
        elif isinstance(error, Exception):
            response = self.fault(error, incoming)
        else:
            raise error
        self.respond(incoming, response)
        self._next()

    def fault(self, error: Exception, incoming: Incoming) -> HttpResponse:
        """What the client hears where a handler broke off."""
        stream = incoming.stream
        if stream is None or not stream.failed:  # else the request broke off, and the handler with it
            self.listener.unexpected(error, incoming.method, incoming.target)
        return INTERNAL_ERROR

    def respond(self, incoming: Incoming, response: HttpResponse) -> None:
        """Write the answer and be ready for what comes next."""
        if self.lost:
            return
        stream = incoming.stream
        unread = stream is not None and not incoming.complete
        if unread and self._reader.refusal is not None:
            # Its body is malformed: that is the answer, whatever was made of the part that came.
            self._answering = None
            return
        close = response.close or not incoming.keep_alive or unread or self.listener.draining
        body = response.body
        if not isinstance(body, bytes):
            self._begin_stream(incoming, response, body, close)
            return
        try:
            data = http1.response(
                response.status,
                response.headers,
                body,
                lines=response.lines,
                close=close,
                head_only=incoming.method == "HEAD",
                length=response.length,
                now=time.time(),
            )
        except http1.UnsafeHeader as error:
            self.listener.unexpected(error, incoming.method, incoming.target)
            data = http1.response(500, JSON, INTERNAL_ERROR_BODY, close=True)
            close = True
        self._write(data)
        self._answered(incoming, close, unread)

    def _answered(self, incoming: Incoming, close: bool, unread: bool) -> None:
        """The answer is written: be ready for what comes next."""
        reader = self._reader
        self._answering = None
        self._waiting_since = self.listener.clock()
        if unread and incoming.stream is not None:
            incoming.stream.close()
            reader.incoming = None
        if close:
            more = bool(reader.queue or reader.unread) or reader.refusal is not None
            self.close(linger=unread or incoming.websocket or more)

    # Answers that are still being made

    def _begin_stream(self, incoming: Incoming, response: HttpResponse, body: Answering, close: bool) -> None:
        """Write the head and then the body as it comes."""
        pump = Pump(self.transport, incoming.version)
        close = close or not pump.chunked
        try:
            head = pump.head(response, close)
        except http1.UnsafeHeader as error:
            self.listener.unexpected(error, incoming.method, incoming.target)
            self.respond(incoming, INTERNAL_ERROR)
            return
        self._write(head)
        if incoming.method == "HEAD":
            self._answered(incoming, close, incoming.stream is not None and not incoming.complete)
            return
        if incoming.stream is not None:
            incoming.stream.close()
        self.flush()  # it goes before the body
        self._pump = pump
        if self._blocked:
            pump.pause(self.listener.clock())
        self._task = asyncio.ensure_future(self._stream(incoming, pump, body, close))

    async def _stream(self, incoming: Incoming, pump: Pump, body: Answering, close: bool) -> None:
        try:
            with self.listener.bodies.hold("unread") as hold:
                hold.count(getattr(body, "held", 0))  # of one that is made of something that is here
                await pump.run(body)
        except Exception as error:
            # The status is said: that the rest is missing can be told by the cut alone.
            if not isinstance(error, GatewayError):  # of one the operator has been told
                self.listener.unexpected(error, incoming.method, incoming.target)
            self.transport.abort()
            return
        self._pump = self._task = None
        unread = incoming.stream is not None and not incoming.complete
        self._answered(incoming, close or self.listener.draining, unread)
        self._next()

    # Ends

    def hand_over(self, socket: WebSocket) -> None:
        """From now on the socket has the TCP connection, and what it reads."""
        if self._gathered:
            self.flush()
        self.transport.set_protocol(socket)
        self.listener.replace(self, socket)
        del self._reader.parser

    def close(self, *, linger: bool = False) -> None:
        """End the connection behind what is written; nothing that comes is parsed any more.

        `linger` is for clients that may still be sending: the stream ends, and what comes is dropped for a while.
        """
        if self._closing:
            return
        self._closing = True
        self._reader.stop()
        self.flush()
        if self.lost or self.transport.is_closing():
            return
        if linger and not self.ended:
            self._linger = Linger(self.listener.clock())
            self.transport.write_eof()
            self._flow()
        else:
            self.transport.close()

    def _write(self, data: bytes) -> None:
        """Put an answer into this turn's write."""
        if not self._gathered:
            self.listener.outbox.add(self)
        self._gathered.append(data)
        self._gathered_bytes += len(data)

    def flush(self) -> None:
        """Write what this turn gathered. Nothing else writes answers."""
        gathered = self._gathered
        if gathered and not self.lost:
            self._gathered = []
            self._gathered_bytes = 0
            self.transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _flow(self) -> None:
        """Read, or let what comes wait in the socket: while answers are not taken, and what is here is enough."""
        answering = self._answering
        pause = (
            self._blocked
            or self._turn_over
            or bool(self._reader.unread)
            or (
                answering is not None
                and (self._reader.has_enough(answering) or answering.behind_bytes >= self.listener.behind_bytes)
            )
        )
        if pause is not self.paused and not self.lost and not self.transport.is_closing():
            self.paused = pause
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # The sweep

    def sweep(self, now: float) -> None:
        """Called about once a second: slow heads, slow bodies, idle connections. `now` is loop time."""
        reader = self._reader
        if self._linger is not None:
            if self._linger.over(now):
                self.transport.abort()
        elif self._pump is not None:
            if self._pump.stalled(now, draining=self.listener.draining):
                self.transport.abort()
        elif reader.incoming is not None and reader.incoming.stream is not None:
            stream = reader.incoming.stream
            pressed = stream.size > UNCOUNTED_BYTES and self.listener.bodies.scarce
            if stream.too_slow(now, BODY_SECONDS, PRESSED_BYTES_PER_SECOND if pressed else BODY_BYTES_PER_SECOND):
                stream.abort()
                self.transport.abort()
        elif self._blocked and self._unread is not None:
            if self._unread.stalled(now):
                self.transport.abort()
        elif self._answering is None:
            patience = self.listener.head_seconds if reader.unparsed or self._is_new else IDLE_SECONDS
            if now - self._waiting_since >= patience:
                self.transport.abort()

    @property
    def idle(self) -> bool:
        """Whether nothing is being read or answered, so that a drain may end it at once."""
        reader = self._reader
        return self._answering is None and reader.incoming is None and not reader.queue and not reader.unread

    @property
    def active_at(self) -> float:
        """Since when it is idle, loop time; infinity while it is not, or has an answer to write."""
        return self._waiting_since if self.idle and not self._gathered else math.inf

    def abort(self) -> None:
        """Cut the TCP connection."""
        self.transport.abort()
