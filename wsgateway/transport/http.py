"""One HTTP/1.1 connection of a listener: bounded bodies, answers in order, and the way to a WebSocket."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from wsgateway import http1
from wsgateway.messages import Body, HttpRequest, HttpResponse
from wsgateway.transport import deflate, handshake
from wsgateway.transport.body import BodyStream
from wsgateway.transport.certificates import NamedObject
from wsgateway.transport.head import MAX_HEAD_BYTES, MAX_URL_BYTES, HeadReader, Incoming, Refused
from wsgateway.transport.pump import Pump
from wsgateway.transport.tls import TlsTransport, begin
from wsgateway.transport.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from wsgateway.dataplane.websocket import Accepted
    from wsgateway.transport.listener import Entrance, Listener

IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
BODY_GRACE_SECONDS = 10.0
BODY_BYTES_PER_SECOND = 500
DISCARD_BYTES = 1 << 20
DISCARD_SECONDS = 5.0
"""How much of a refused body is read, so that the caller gets to read the refusal."""

STALL_SECONDS = 60.0
"""How long a client may take nothing of an answer that is still being made."""
DRAIN_STALL_SECONDS = 2.0
"""The same while the node leaves."""

TURN_ANSWERS = 2
TURN_BYTES = 65_536
"""What one connection is answered before the loop turns: others come in between, and a full socket is noticed."""
SLICE_BYTES = 1024
"""Parsed at once: requests that wait for their turn are few, whatever was read."""


class HttpConnection(asyncio.Protocol):
    """Reads requests and writes their answers, one at a time and in order."""

    __slots__ = (
        "_answering",
        "_blocked",
        "_closing",
        "_deaf",
        "_discard_until",
        "_discarded",
        "_ended",
        "_entrance",
        "_gathered",
        "_gathered_bytes",
        "_head",
        "_incoming",
        "_is_new",
        "_lost",
        "_parser",
        "_paused",
        "_peer",
        "_pump",
        "_queue",
        "_refusal",
        "_server_name",
        "_task",
        "_transport",
        "_turn_over",
        "_unparsed",
        "_unread",
        "_waiting_since",
        "listener",
        "on_header",
        "on_url",
    )

    def __init__(self, listener: Listener, entrance: Entrance) -> None:
        self.listener = listener
        self._entrance = entrance
        self._server_name: str | None = None
        """What the client asked for in its TLS handshake, "" for nothing; None without TLS."""
        self._head = HeadReader()
        self.on_url = self._head.on_url
        self.on_header = self._head.on_header
        self._parser = httptools.HttpRequestParser(self)
        self._unparsed = 0
        """Bytes fed since a head began that is not complete."""
        self._incoming: Incoming | None = None
        """The request whose body is being read."""
        self._is_new = True
        """No whole head has come yet."""
        self._queue: deque[Incoming] = deque()
        self._answering: Incoming | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._unread = _NOTHING
        """Read from the socket and not parsed yet; no more is read while there is some."""
        self._turn_over = False
        """Others are to be served before the next answer."""
        self._refusal: Refused | None = None
        self._task: asyncio.Future[None] | None = None
        self._pump: Pump | None = None
        """Writes the answer whose body is still being made."""
        self._paused = False
        self._blocked = False
        """The client does not take our answers."""
        self._ended = False
        """The client sends no more."""
        self._deaf = False
        """Nothing more is parsed: what came was malformed, or the last answer is written."""
        self._closing = False
        """The last answer is written."""
        self._lost = False
        self._discard_until = 0.0
        self._discarded = 0
        self._waiting_since = listener.clock()
        self._peer = ""
        self._transport = cast("asyncio.Transport", None)  # set by connection_made, before anything else runs

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        if not self.listener.admit(self, self._peer):
            self._transport.abort()
        elif self._entrance.certificates is not None:
            # Its time began with the connection, so that the whole head behind it has to come in that time, too.
            begin(self._transport, self, self._entrance.certificates, self.listener.head_seconds, self._secured)

    def _secured(self, transport: TlsTransport | None) -> None:
        """The TLS handshake is through, or has failed."""
        if transport is None:
            self.listener.counters.tls_handshakes_failed += 1
            self._transport.abort()
            self.connection_lost(None)
            return
        self._transport = transport
        named = transport.get_extra_info("ssl_object")
        self._server_name = named.server_name if isinstance(named, NamedObject) else ""

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discard(data)
            return
        answering = self._answering
        if answering is not None and answering.websocket:
            self._wait_behind(answering, data)
            return
        fresh = self._incoming is None and not self._unparsed and answering is None
        if fresh:
            known = self.listener.heads.recall(data)
            if known is not None:
                self._queue.append(known)
                self._next()
                return
            if not self._is_new:  # a new connection's time began with it
                self._waiting_since = self.listener.clock()
        self._unread = memoryview(data)
        self._parse()
        if fresh and len(self._queue) == 1 and self._incoming is None and not self._unparsed and not self._unread:
            one = self._queue[0]
            length = sum(map(len, one.body))
            self.listener.heads.learn(data, one.headers, one.authority, one.host, length)
        self._next()

    def eof_received(self) -> bool:
        # A client may half-close behind its last request and still read the answer (RFC 9112 §9.6). One that is still
        # being made may have no end, and this is how a client that has gone looks; other servers give up here too.
        # TLS ends both directions at once here, as most servers' does (RFC 5246 §7.2.1).
        if self._incoming is not None or self._pump is not None or self._server_name is not None:
            return False
        self._ended = self._answering is not None or bool(self._queue or self._unread)
        return self._ended and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return  # a TLS handshake that fails says so twice
        self._lost = True
        if isinstance(self._transport, TlsTransport):
            self._transport.lost()
        del self._parser  # it refers to us
        self._queue.clear()
        self._unread = _NOTHING
        if self._incoming is not None and self._incoming.stream is not None:
            self._incoming.stream.abort()
        # A handshake goes on: its $connect integration may have said yes, and then $disconnect must run.
        if self._task is not None and not (self._answering is not None and self._answering.websocket):
            self._task.cancel()
        self.listener.forget(self)

    def pause_writing(self) -> None:
        self._blocked = True
        if self._pump is not None:
            self._pump.pause(self.listener.clock())
        self._flow()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._pump is not None:
            self._pump.resume()
        self._next()

    # httptools

    def on_message_begin(self) -> None:
        # A head that began behind another request in the same read is unparsed as well.
        self._unparsed = self._unparsed or 1
        self._head.begin()

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._incoming = incoming = self._head.finish(parser.get_method().decode(), parser.get_http_version())
        incoming.keep_alive = parser.should_keep_alive()
        self._unparsed = 0

    def on_body(self, data: bytes) -> None:
        incoming = self._incoming
        assert incoming is not None
        stream = incoming.stream
        if stream is None:
            incoming.body.append(data)
        else:
            stream.feed(data)

    def on_message_complete(self) -> None:
        incoming = self._incoming
        assert incoming is not None
        self._incoming = None
        incoming.complete = True
        if incoming.stream is not None:
            incoming.stream.finish()
        else:
            self._queue.append(incoming)

    # Requests

    def _parse(self) -> None:
        """Parse what was read until there is a request to answer."""
        while self._unread and not self._queue:
            answering = self._answering
            if answering is not None and self._has_enough(answering):
                break
            data = self._unread[:SLICE_BYTES]
            self._unread = self._unread[SLICE_BYTES:]
            if self._incoming is None:
                self._unparsed += len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._upgraded(data, upgrade.args[0])
            except httptools.HttpParserError as error:
                self._refuse(_cause(error))
            else:
                if self._incoming is None and self._unparsed > MAX_HEAD_BYTES + MAX_URL_BYTES:
                    self._refuse(Refused(431, f"the request head is over {MAX_HEAD_BYTES} bytes"))

    def _request(self, incoming: Incoming, body: Body) -> HttpRequest:
        """The request as handlers see it."""
        listener = self.listener
        origin = listener.proxies.origin_of(self._peer, incoming.headers)
        return HttpRequest(
            incoming.method,
            incoming.target,
            incoming.host,
            incoming.headers,
            body,
            origin.authority or incoming.authority,
            origin.source,
            origin.scheme or self._entrance.scheme,
            origin.port or self._entrance.port,
            self._peer,
        )

    def _upgraded(self, data: memoryview, offset: int) -> None:
        """llhttp stopped behind a head with `Upgrade`: a handshake, or offers of other protocols.

        RFC 9110 §7.8: a server may ignore such an offer (Java's HttpClient makes one of h2c with every cleartext
        request). The same head is read again without it, and then what is behind it.
        """
        rest = data
        while True:
            rest = rest[offset:]
            incoming = self._queue[-1]
            if incoming.websocket:
                incoming.wait(bytes(rest) + self._unread)
                self._unread = _NOTHING
                return
            self._queue.pop()
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(incoming.without_offer())
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                offset = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse(_cause(error))
                return
            else:
                return

    def _wait_behind(self, answering: Incoming, data: bytes) -> None:
        """Frames that arrive during $connect: up to one message, then TCP back-pressure."""
        answering.wait(data)
        self._flow()

    def _next(self) -> None:
        """Answer the requests that are ready, unless one is being answered already; so many and no more in a turn."""
        left = TURN_ANSWERS
        while self._answering is None and not (self._blocked or self._turn_over or self._closing):
            if self._unread:
                self._parse()
            if self._queue:
                if not left or self._gathered_bytes >= TURN_BYTES:
                    self._end_turn()
                    break
                left -= 1
                incoming = self._queue.popleft()
                body: Body = incoming.body[0] if len(incoming.body) == 1 else b"".join(incoming.body)
            elif self._incoming is not None and self._incoming.stream is None:
                # The head is here and the body is not: it is read as the handler asks for it.
                incoming = self._incoming
                self.flush()  # answers to requests before it, for it may write an interim one
                body = incoming.stream = BodyStream(self._transport, incoming.interim(), self._read_on)
                for chunk in incoming.body:
                    incoming.stream.feed(chunk)
            else:
                if self._refusal is not None:
                    self._write_refusal(self._refusal)
                elif self._ended:
                    self._close()
                break
            self._answering = incoming
            if self._is_new:
                self._is_new = False
                self.listener.head_read(self)
            self._answer(incoming, self._request(incoming, body))
        self._flow()

    def _end_turn(self) -> None:
        """Let the loop turn, and go on behind it."""
        self._turn_over = True
        self.flush()
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_over = False
        if not self._lost:
            self._next()

    def _read_on(self) -> None:
        """The handler read of the body, or has enough of it for now."""
        self._parse()
        self._next()

    def _answer(self, incoming: Incoming, request: HttpRequest) -> None:
        server_name = self._server_name
        if (
            server_name is not None
            and server_name != incoming.host
            and self.listener.misdirected(server_name, incoming.host, self._peer)
        ):
            self._respond(incoming, _MISDIRECTED)
            return
        if incoming.websocket:
            self._answer_handshake(incoming, request)
            return
        try:
            answer = self.listener.handler(request)
        except Exception as error:
            answer = self._fault(error, incoming)
        if type(answer) is HttpResponse:
            self._respond(incoming, answer)
        else:
            later = cast("Awaitable[HttpResponse]", answer)
            self._task = asyncio.ensure_future(self._answer_later(incoming, later))

    async def _answer_later(self, incoming: Incoming, answer: Awaitable[HttpResponse]) -> None:
        try:
            response = await answer
        except Exception as error:
            response = self._fault(error, incoming)
        self._task = None
        self._respond(incoming, response)
        self._next()

    def _fault(self, error: Exception, incoming: Incoming) -> HttpResponse:
        """What the client hears where a handler broke off."""
        stream = incoming.stream
        if stream is None or not stream.failed:  # else the request broke off, and the handler with it
            self.listener.unexpected(error, incoming.method, incoming.target)
        return _INTERNAL_ERROR

    def _respond(self, incoming: Incoming, response: HttpResponse) -> None:
        """Write the answer and be ready for what comes next."""
        if self._lost:
            return
        stream = incoming.stream
        unread = stream is not None and not incoming.complete
        if unread and self._refusal is not None:
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
                now=time.time(),
            )
        except http1.UnsafeHeader as error:
            self.listener.unexpected(error, incoming.method, incoming.target)
            data = http1.response(500, _JSON, _INTERNAL_ERROR_BODY, close=True)
            close = True
        self._write(data)
        self._answered(incoming, close, unread)

    def _answered(self, incoming: Incoming, close: bool, unread: bool) -> None:
        """The answer is written: be ready for what comes next."""
        self._answering = None
        self._waiting_since = self.listener.clock()
        if unread and incoming.stream is not None:
            incoming.stream.close()
            self._incoming = None
        if close:
            self._close(
                linger=unread or incoming.websocket or bool(self._queue or self._unread) or self._refusal is not None
            )

    # Answers that are still being made

    def _begin_stream(
        self, incoming: Incoming, response: HttpResponse, body: AsyncGenerator[bytes, None], close: bool
    ) -> None:
        """Write the head and then the body as it comes; without chunks, to HTTP/1.0, the end of it is the close."""
        chunked = incoming.version == "1.1"
        try:
            head = http1.head(
                response.status,
                response.headers,
                lines=response.lines,
                framing=http1.CHUNKED if chunked else b"",
                close=close or not chunked,
                now=time.time(),
            )
        except http1.UnsafeHeader as error:
            self.listener.unexpected(error, incoming.method, incoming.target)
            self._respond(incoming, _INTERNAL_ERROR)
            return
        self._write(head)
        if incoming.method == "HEAD":
            self._answered(incoming, close or not chunked, incoming.stream is not None and not incoming.complete)
            return
        if incoming.stream is not None:
            incoming.stream.close()
        self.flush()  # it goes before the body
        self._pump = pump = Pump(self._transport, chunked)
        if self._blocked:
            pump.pause(self.listener.clock())
        self._task = asyncio.ensure_future(self._stream(incoming, pump, body, close or not chunked))

    async def _stream(self, incoming: Incoming, pump: Pump, body: AsyncGenerator[bytes, None], close: bool) -> None:
        try:
            await pump.run(body)
        except Exception as error:
            # The status is said: that the rest is missing can be told by the cut alone.
            self.listener.unexpected(error, incoming.method, incoming.target)
            self._transport.abort()
            return
        self._pump = self._task = None
        unread = incoming.stream is not None and not incoming.complete
        self._answered(incoming, close or self.listener.draining, unread)
        self._next()

    # Handshakes

    def _answer_handshake(self, incoming: Incoming, request: HttpRequest) -> None:
        announces_body = any(
            name.lower() == b"transfer-encoding" or (name.lower() == b"content-length" and value != b"0")
            for name, value in request.headers
        )
        refusal = handshake.refuse(request, incoming.version, announces_body)
        if refusal is not None:
            self.listener.counters.handshakes_malformed += 1
            self._respond(incoming, refusal)
            return
        try:
            answer = self.listener.upgrade(request)
        except Exception as error:
            answer = self._fault(error, incoming)
        if isinstance(answer, HttpResponse) or not hasattr(answer, "__await__"):
            # Reading a handshake and answering it are a turn each, for others' messages come in between.
            asyncio.get_running_loop().call_soon(self._finish_handshake, incoming, request, answer)
        else:
            later = cast("Awaitable[HttpResponse | Accepted]", answer)
            self._task = asyncio.ensure_future(self._finish_later(incoming, request, later))
            self.listener.own(self._task)

    async def _finish_later(
        self, incoming: Incoming, request: HttpRequest, answer: Awaitable[HttpResponse | Accepted]
    ) -> None:
        try:
            decided = await answer
        except Exception as error:
            decided = self._fault(error, incoming)
        self._finish_handshake(incoming, request, decided)

    def _finish_handshake(self, incoming: Incoming, request: HttpRequest, answer: HttpResponse | Accepted) -> None:
        """Switch to the WebSocket, or say why not."""
        self._task = None
        if isinstance(answer, HttpResponse):
            self._respond(incoming, http_close(answer))
            return
        connection = answer.connection
        if self._lost or self._ended or self._transport.is_closing():
            connection.abandoned()
            self._close()
            return
        try:
            negotiated = deflate.negotiate(request, connection.quotas, self.listener.counters)
            extensions = None if negotiated is None else negotiated.answer
            head = handshake.accept(request, answer.subprotocol, extensions)
        except deflate.MalformedOffer:
            self.listener.counters.handshakes_malformed += 1
            connection.abandoned()
            self._respond(incoming, _MALFORMED_OFFER)
            return
        except http1.UnsafeHeader as error:
            self.listener.unexpected(error, request.method, request.target)
            connection.abandoned()
            self._respond(incoming, _INTERNAL_ERROR)
            return
        self.flush()
        transport = self._transport
        socket = WebSocket(self.listener, transport, connection, negotiated)
        transport.set_protocol(socket)
        self.listener.replace(self, socket)
        del self._parser  # it refers to us, and a handshake leaves no garbage for the collector
        # Addressable before the client can have read the 101.
        connection.opened(socket)
        transport.write(head)
        if self._paused:
            transport.resume_reading()
        if incoming.behind:
            socket.data_received(b"".join(incoming.behind))

    # Ends

    def _refuse(self, refusal: Refused) -> None:
        """A malformed request: answered behind what is being answered, then the connection ends."""
        self.listener.counters.requests_malformed += 1
        self._refusal = refusal
        self._deaf = True
        self._unread = _NOTHING
        incoming = self._incoming
        if incoming is not None:
            if incoming.stream is not None:
                incoming.stream.abort()
            self._incoming = None

    def _write_refusal(self, refusal: Refused) -> None:
        why = str(refusal).replace("\\", "\\\\").replace('"', "'")
        body = b'{"message":"%s"}' % why.encode("ascii", "replace")
        self._write(http1.response(refusal.status, _JSON, body, close=True, now=time.time()))
        self._close(linger=True)

    def _close(self, *, linger: bool = False) -> None:
        """End the connection behind what is written; nothing that comes is parsed any more.

        `linger` is for clients that may still be sending: the stream ends, and what comes is read and dropped for a
        while. Closing at once would reset the connection before the client has read its answer (RFC 9112 §9.6).
        """
        if self._closing:
            return
        self._closing = self._deaf = True
        self._queue.clear()
        self._unread = _NOTHING
        self.flush()
        if self._lost or self._transport.is_closing():
            return
        if linger and not self._ended:
            self._discard_until = self.listener.clock() + DISCARD_SECONDS
            self._transport.write_eof()
            self._flow()
        else:
            self._transport.close()

    def _discard(self, data: bytes) -> None:
        if self._closing:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self._transport.close()

    def _write(self, data: bytes) -> None:
        """Put an answer into this turn's write."""
        if not self._gathered:
            self.listener.outbox.add(self)
        self._gathered.append(data)
        self._gathered_bytes += len(data)

    def flush(self) -> None:
        """Write what this turn gathered. Nothing else writes answers."""
        gathered = self._gathered
        if gathered and not self._lost:
            self._gathered = []
            self._gathered_bytes = 0
            self._transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _flow(self) -> None:
        """Read, or let what comes wait in the socket: while answers are not taken, and what is here is enough."""
        answering = self._answering
        pause = (
            self._blocked
            or self._turn_over
            or bool(self._unread)
            or (answering is not None and self._has_enough(answering))
        )
        if pause is not self._paused and not self._lost and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _has_enough(self, answering: Incoming) -> bool:
        """Whether no more is to be read until the request being answered is through, or reads more of its body."""
        incoming = self._incoming
        if self._queue or self._deaf or answering.behind_bytes >= self.listener.behind_bytes:
            return True
        if incoming is None:
            return False
        return incoming is not answering or (incoming.stream is not None and incoming.stream.full)

    # The sweep

    def sweep(self, now: float) -> None:
        """Called about once a second: slow heads, slow bodies, idle connections. `now` is loop time."""
        if self._discard_until:
            if now >= self._discard_until:
                self._transport.abort()
        elif self._pump is not None:
            if self._pump.stalled(now, DRAIN_STALL_SECONDS if self.listener.draining else STALL_SECONDS):
                self._transport.abort()
        elif self._incoming is not None and self._incoming.stream is not None:
            stream = self._incoming.stream
            if stream.too_slow(now, BODY_GRACE_SECONDS, BODY_BYTES_PER_SECOND):
                stream.abort()
                self._transport.abort()
        elif self._answering is None:
            patience = self.listener.head_seconds if self._unparsed or self._is_new else IDLE_SECONDS
            if now - self._waiting_since >= patience:
                self._transport.abort()

    @property
    def idle(self) -> bool:
        """Whether nothing is being read or answered, so that a drain may end it at once."""
        return self._answering is None and self._incoming is None and not self._queue and not self._unread

    @property
    def active_at(self) -> float:
        """Since when it is idle, loop time; infinity while it is not, or has an answer to write."""
        return self._waiting_since if self.idle and not self._gathered else math.inf

    def close_idle(self) -> None:
        """End an idle connection."""
        self._close()

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._transport.abort()


def http_close(response: HttpResponse) -> HttpResponse:
    """The same answer, ending the connection."""
    return HttpResponse(response.status, response.headers, response.body, close=True, lines=response.lines)


def _cause(error: httptools.HttpParserError) -> Refused:
    """Our own refusal where it is one, else llhttp's."""
    cause = error.__context__
    return cause if isinstance(cause, Refused) else Refused(400, f"malformed request: {error}")


_NOTHING = memoryview(b"")
_JSON = ((b"Content-Type", b"application/json"),)
_MISDIRECTED = HttpResponse(
    421, _JSON, b'{"message":"Misdirected Request: TLS was begun for another host name"}', close=True
)
_MALFORMED_OFFER = HttpResponse(400, _JSON, b'{"message":"Sec-WebSocket-Extensions is malformed"}', close=True)
_INTERNAL_ERROR_BODY = b'{"message":"Internal server error"}'
_INTERNAL_ERROR = HttpResponse(500, _JSON, _INTERNAL_ERROR_BODY, close=True)
