"""One WebSocket on one TCP connection: the lane inside, the transport outside, and all timers of the wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wsgateway.dataplane.hub import Sent
from wsgateway.errors import NoRoom
from wsgateway.transport.lane import Lane, nothing
from wsgateway.transport.tls import TlsTransport

if TYPE_CHECKING:
    from wsgateway.bodies import Hold
    from wsgateway.dataplane.connection import Connection
    from wsgateway.messages import Message
    from wsgateway.transport.deflate import Negotiated
    from wsgateway.transport.listener import Listener

CLOSE_SECONDS = 5.0
"""How long the peer has to finish the close handshake, and to take what waits, before the TCP connection is cut."""

FLOW = 1  # the data plane holds enough of this client's messages
WRITE = 2  # the client does not take what we write
TURN = 4  # others are to be served before the rest of what it sent

TURN_FRAMES = 4
"""Frames of one client that are handled before the loop turns: replies leave, and nobody waits for a crowd of them."""

TURN_INFLATED_BYTES = 64 * 1024
"""So does a turn of compressed messages: a few bytes of one may stand for a MiB and milliseconds of work."""

CLOSE_REASONS = {
    1005: "Client-side close frame status not set",
    1006: "Connection closed abnormally",
}
"""API Gateway's `disconnectReason` where the close frame brings none."""


class WebSocket(asyncio.Protocol):
    """Carries messages between one client and its Connection; implements `hub.Socket`."""

    __slots__ = (
        "_abort_at",
        "_connection",
        "_deflate",
        "_ended",
        "_flushed",
        "_gathered",
        "_gathered_bytes",
        "_inflated",
        "_lane",
        "_listener",
        "_messages",
        "_most",
        "_paused_for",
        "_ping_at",
        "_pongs",
        "_stalled_since",
        "_transport",
        "_unread",
        "_written",
    )

    def __init__(
        self,
        listener: Listener,
        transport: asyncio.Transport,
        connection: Connection,
        negotiated: Negotiated | None = None,
    ) -> None:
        self._listener = listener
        self._transport = transport
        self._connection = connection
        turn = max(1, min(TURN_FRAMES, connection.quotas.outbox_messages // 2))
        self._deflate = None if negotiated is None else negotiated.deflate
        self._inflated = 0
        """Bytes of messages in this turn, where they may come compressed."""
        self._lane = Lane(
            connection.quotas,
            connection.on_message if negotiated is None else self._deliver,
            listener.clock,
            turn,
            self._turn_over,
            None if negotiated is None else negotiated.protocol,
            listener.messages,
        )
        self._most = connection.quotas.outbox_bytes
        """What may wait to be written without being looked at; nothing, while the client does not take it."""
        self._unread: Hold | None = None
        """Counts what it does not take; made the first time."""
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._messages = 0
        """Messages written since the outbox was last empty."""
        self._written = 0
        self._flushed = 0
        self._stalled_since = listener.clock()
        self._paused_for = 0
        self._ping_at = 0.0
        """When the ping now unanswered was sent; 0 when none is."""
        self._pongs = 0
        self._abort_at = 0.0
        self._ended = False

    # hub.Socket

    def send(self, message: Message) -> Sent:
        """Put the message into this turn's write."""
        transport = self._transport
        if self._ended or transport.is_closing():
            return Sent.GONE
        frame = message.frame()
        size = len(frame)
        waiting = self._gathered_bytes + transport.get_write_buffer_size()
        if waiting:
            if self._messages >= self._connection.quotas.outbox_messages:
                return Sent.FULL
            if waiting + size > self._most and not self._fits(waiting + size):
                return Sent.FULL
            self._messages += 1
        else:
            self._messages = 1
        if self._deflate is not None:
            # Only now: a context that was taken over must not know a message that is not sent.
            frame = self._deflate.frame(message)
            size = len(frame)
        if not self._gathered:
            self._listener.outbox.add(self)
        self._gathered.append(frame)
        self._gathered_bytes += size
        return Sent.QUEUED

    def close(self, code: int, reason: str) -> None:
        self._lane.close(code, reason)
        self._after_lane()
        if self._lane.held_bytes:
            # The client's own close may wait among the frames that were held back.
            self._lane.release()
            self._after_lane()

    def pause(self) -> None:
        self._hold(FLOW)

    def resume(self) -> None:
        self._go_on(FLOW)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        lane = self._lane
        lane.receive(data)
        if lane.protocol is not None:
            self._after_lane()

    def eof_received(self) -> None:
        self._lane.receive_eof()
        self._after_lane()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lane.receive_eof()
        self._lane.output()
        self._end()
        if isinstance(self._transport, TlsTransport):
            self._transport.lost()
        self._lane.let_go()
        if self._unread is not None:
            self._unread.give_back()
        self._lane.turn_over = nothing  # else the two keep each other until the collector comes
        self._lane.deliver = self._connection.on_message
        if self._deflate is not None and self._lane.protocol is not None:
            # The protocol is a cycle of its own; its windows go now.
            self._lane.protocol.extensions.clear()
            self._deflate = None
        self._listener.forget(self)

    def pause_writing(self) -> None:
        self._most = 0
        self._unread = self._unread or self._listener.messages.hold("unread")
        self._unread.count(self._transport.get_write_buffer_size())
        self._hold(WRITE)

    def resume_writing(self) -> None:
        self._most = self._connection.quotas.outbox_bytes
        if self._unread is not None:
            self._unread.give_back()
        self._go_on(WRITE)

    # Writing

    def _fits(self, size: int) -> bool:
        """Whether so many bytes may wait for a client that does not take them."""
        if size > self._connection.quotas.outbox_bytes:
            return False
        if self._unread is not None:
            try:
                self._unread.keep(size)
            except NoRoom:
                return False
        return True

    def flush(self) -> None:
        """Write what this turn gathered. Nothing else writes data frames."""
        gathered = self._gathered
        if not gathered:
            return
        self._gathered = []
        self._written += self._gathered_bytes
        self._gathered_bytes = 0
        if len(gathered) == 1:
            self._transport.write(gathered[0])
        else:
            self._transport.writelines(gathered)

    def _after_lane(self) -> None:
        """Write what the protocol wants written, behind what was sent before it; notice a close that began."""
        chunks = self._lane.output()
        if chunks:
            self.flush()
            end = not chunks[-1]  # websockets' mark for the end of the stream
            data = b"".join(chunks)
            if data and not self._transport.is_closing():
                self._written += len(data)
                self._transport.write(data)
            if end and not self._transport.is_closing():
                self._transport.write_eof()
        if not self._lane.open:
            self._end()

    def _end(self) -> None:
        """A close has begun, or the connection is lost: tell the data plane, once."""
        if self._ended:
            return
        self._ended = True
        self._abort_at = self._listener.clock() + CLOSE_SECONDS
        self._lane.holding = False
        if self._paused_for and not self._transport.is_closing():
            # Whatever the client still sends is read and dropped, so that its close frame or FIN is seen.
            self._paused_for = 0
            self._transport.resume_reading()
        close = self._lane.outcome()
        code = int(close.code)
        self._connection.on_close(code, close.reason or CLOSE_REASONS.get(code, ""))

    # Timers

    def sweep(self, now: float) -> None:
        """Called about once a second: pings, dead peers, stalled writes, unfinished closes. `now` is loop time."""
        if self._ended:
            if now >= self._abort_at:
                self._transport.abort()
            return
        quotas = self._connection.quotas
        waiting = self._transport.get_write_buffer_size()
        flushed = self._written - waiting
        if not self._most and self._unread is not None:
            self._unread.count(waiting)
        if not waiting or flushed != self._flushed:
            self._flushed = flushed
            self._stalled_since = now
        elif now - self._stalled_since >= quotas.stalled_write:
            # It takes no byte, so it can't be told: 1008 goes behind what waits, and the connection is cut.
            self._listener.counters.stalled_writes += 1
            self._lane.close(1008, "Client does not read")
            self._after_lane()
            self._transport.abort()
            return
        if self._paused_for:
            # We don't read, so neither pong nor message can be seen: the clocks stop.
            self._ping_at = 0.0
            self._connection.last_heard = now
            return
        lane = self._lane
        if lane.control_frames and quotas.profile == "open":
            # On AWS only messages count; here a client that answers pings is not idle.
            lane.control_frames = 0
            self._connection.last_heard = now
        if not quotas.ping_interval:
            return
        if lane.pongs != self._pongs:
            self._pongs = lane.pongs
            self._ping_at = 0.0
        if self._ping_at:
            if now - self._ping_at >= quotas.pong_timeout:
                self._listener.counters.pong_timeouts += 1
                self._transport.abort()
        elif now - self._connection.last_heard >= quotas.ping_interval:
            self._ping_at = now
            lane.ping()
            self._after_lane()

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._transport.abort()

    @property
    def idle(self) -> bool:
        """A WebSocket is never idle to a drain: it must be closed."""
        return False

    # Reading

    def _hold(self, why: int) -> None:
        """Read no further, neither from the socket nor of what is here."""
        if not self._paused_for and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused_for |= why
        if not self._ended:  # else the rest is read for the client's close
            self._lane.holding = True

    def _go_on(self, why: int) -> None:
        """Read on in the next turn, unless there is another reason not to."""
        if self._paused_for == why:
            self._turn_over()
        self._paused_for &= ~why

    def _turn_over(self) -> None:
        """Others first: what is undecoded waits for the loop's next turn, and so does what was not read."""
        self._inflated = 0
        self._hold(TURN)
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._paused_for &= ~TURN
        if not self._may_read:
            return
        self._lane.release()
        if self._lane.protocol is not None:
            self._after_lane()
        if self._may_read:
            self._transport.resume_reading()

    @property
    def _may_read(self) -> bool:
        return not (self._paused_for or self._transport.is_closing())

    def _deliver(self, message: Message) -> None:
        self._connection.on_message(message)
        self._inflated += len(message.data)
        if self._inflated >= TURN_INFLATED_BYTES and not self._ended:
            self._turn_over()
