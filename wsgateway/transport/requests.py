"""What comes on one HTTP/1.1 connection, as requests in their order; no socket here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import httptools

from wsgateway.transport.head import MAX_HEAD_BYTES, MAX_LINE_BYTES, MAX_URL_BYTES, HeadReader, Incoming, Refused

if TYPE_CHECKING:
    from wsgateway.dataplane.counters import Counters

KEPT_TRAILERS = b"lambda-runtime-function-error-"
SLICE_BYTES = 1024
"""Parsed at once: requests that wait for their turn are few, whatever was read."""


class RequestReader(HeadReader):
    """Reads no further than it is asked to: what was read of the socket waits in `unread`, requests in `queue`."""

    __slots__ = ("_counters", "deaf", "incoming", "parser", "queue", "refusal", "unparsed", "unread")

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters
        self.parser = httptools.HttpRequestParser(self)
        """Refers to us: whoever is done with us deletes it, so that no garbage is left for the collector."""
        self.unread = _NOTHING
        """Read from the socket and not parsed yet; no more is to be read while there is some."""
        self.unparsed = 0
        """Bytes fed since a head began that is not complete."""
        self.incoming: Incoming | None = None
        """The request whose body is being read."""
        self.queue: deque[Incoming] = deque()
        """Requests to be answered."""
        self.refusal: Refused | None = None
        """What is behind the requests before was malformed."""
        self.deaf = False
        """Nothing more is parsed: what came was malformed, or the last answer is written."""

    def parse(self, answering: Incoming | None) -> None:
        """Parse what was read until there is a request to answer, or enough behind the one being answered."""
        while self.unread and not self.queue:
            if answering is not None and self.has_enough(answering):
                break
            data = self.unread[:SLICE_BYTES]
            self.unread = self.unread[SLICE_BYTES:]
            if self.incoming is None:
                self.unparsed += len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._upgraded(data, upgrade.args[0])
            except httptools.HttpParserError as error:
                self._refuse(_cause(error))
            else:
                if self.incoming is None and self.unparsed > MAX_HEAD_BYTES + MAX_URL_BYTES:
                    self._refuse(Refused(431, f"the request head is over {MAX_HEAD_BYTES} bytes"))

    @property
    def waits(self) -> bool:
        """Whether anything is here behind the request being answered."""
        return bool(self.queue or self.unread) or self.incoming is not None or self.refusal is not None

    def has_enough(self, answering: Incoming) -> bool:
        """Whether no more is to be read until the request being answered is through, or reads more of its body."""
        incoming = self.incoming
        if self.queue or self.deaf:
            return True
        if incoming is None:
            return False
        return incoming is not answering or (incoming.stream is not None and incoming.stream.full)

    def stop(self) -> None:
        """Parse nothing more, and forget what is to be answered."""
        self.deaf = True
        self.queue.clear()
        self.unread = _NOTHING

    # httptools, besides on_url and on_header

    def on_message_begin(self) -> None:
        # A head that began behind another request in the same read is unparsed as well.
        self.unparsed = self.unparsed or 1
        self.begin()

    def on_headers_complete(self) -> None:
        parser = self.parser
        self.incoming = incoming = self.finish(parser.get_method().decode(), parser.get_http_version())
        incoming.keep_alive = parser.should_keep_alive()
        self.unparsed = 0

    def on_body(self, data: bytes) -> None:
        incoming = self.incoming
        assert incoming is not None
        stream = incoming.stream
        if stream is None:
            incoming.body.append(data)
        else:
            stream.feed(data)

    def trailer(self, name: bytes, value: bytes) -> None:
        """Dropped, but of how a function's answer failed (AWS Lambda developer guide, "Building a custom runtime")."""
        incoming = self.incoming
        assert incoming is not None
        if name.lower().startswith(KEPT_TRAILERS) and len(value) <= MAX_LINE_BYTES:
            incoming.trailers = [*(incoming.trailers or [])[:1], (name, value)]

    def on_message_complete(self) -> None:
        incoming = self.incoming
        assert incoming is not None
        self.incoming = None
        incoming.complete = True
        if incoming.stream is not None:
            incoming.stream.trailers = incoming.trailers or []
            incoming.stream.finish()
        else:
            self.queue.append(incoming)

    def _upgraded(self, data: memoryview, offset: int) -> None:
        """llhttp stopped behind a head with `Upgrade`: a handshake, or offers of other protocols.

        RFC 9110 §7.8: a server may ignore such an offer (Java's HttpClient makes one of h2c with every cleartext
        request). The same head is read again without it, and then what is behind it.
        """
        rest = data
        while True:
            rest = rest[offset:]
            incoming = self.queue[-1]
            if incoming.websocket:
                incoming.wait(bytes(rest) + self.unread)
                self.unread = _NOTHING
                return
            self.queue.pop()
            self.parser = httptools.HttpRequestParser(self)
            try:
                self.parser.feed_data(incoming.without_offer())
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                offset = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse(_cause(error))
                return
            else:
                return

    def _refuse(self, refusal: Refused) -> None:
        """A malformed request: answered behind what is being answered, then the connection ends."""
        self._counters.requests_malformed += 1
        self.refusal = refusal
        self.deaf = True
        self.unread = _NOTHING
        incoming = self.incoming
        if incoming is not None:
            if incoming.stream is not None:
                incoming.stream.abort()
            self.incoming = None


def _cause(error: httptools.HttpParserError) -> Refused:
    """Our own refusal where it is one, else llhttp's."""
    cause = error.__context__
    return cause if isinstance(cause, Refused) else Refused(400, f"malformed request: {error}")


_NOTHING = memoryview(b"")
