"""The fast lane: bytes from a client in, whole messages out, with `websockets` as the judge of every odd frame.

The lane owns frame boundaries. It reads each header itself and takes a frame that is whole in hand and plain: text or
binary, final, no reserved bit, masked, within the limits, while no fragmented message is open. Of any other frame
`websockets`' ServerProtocol gets exactly its bytes, so it sees the stream minus the frames taken here and needs be told
nothing. Sans-I/O: `receive` calls `deliver` for each message, `output` is what must be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from wsgateway.bodies import UNCOUNTED_BYTES, Hold, MessageMemory
from wsgateway.dataplane.allowance import Allowance
from wsgateway.errors import NoRoom
from wsgateway.messages import Message

MAX_FRAGMENTS = 4096
"""Fragments of one message; more is 1008, so that endless empty fragments end."""

PING_RATE = 10.0
PING_BURST = 100.0
"""Pings of the client, and pongs that no ping of ours asked for."""

ABNORMAL = Close(1006, "")


def nothing() -> None:
    """Do nothing."""


class FrameLimits(Protocol):
    """What the lane asks of the API's quotas."""

    @property
    def max_frame_bytes(self) -> int: ...
    @property
    def max_message_bytes(self) -> int: ...
    @property
    def binary(self) -> bool: ...


class Lane:
    """One connection's inbound side and its protocol state.

    `deliver` is called with each message, in order, text already checked to be UTF-8. It may close the lane or set
    `holding`; the undecoded rest then waits here until `release`. `clock` gives seconds (for the ping rate).
    After `turn` frames of one read (0: any number) `turn_over` is called, which must hold and see to the release.
    """

    __slots__ = (
        "_allowance",
        "_fragments",
        "_fragments_binary",
        "_fragments_bytes",
        "_frame_bytes",
        "_hold",
        "_limit",
        "_memory",
        "_owed",
        "_pongs_due",
        "_rest",
        "_taken",
        "clock",
        "control_frames",
        "deliver",
        "holding",
        "limits",
        "pongs",
        "protocol",
        "turn",
        "turn_over",
    )

    def __init__(
        self,
        limits: FrameLimits,
        deliver: Callable[[Message], None],
        clock: Callable[[], float],
        turn: int = 0,
        turn_over: Callable[[], None] = nothing,
        protocol: ServerProtocol | None = None,
        memory: MessageMemory | None = None,
    ) -> None:
        """`memory` counts what is here of a message that is not whole; where that finds no room the lane fails."""
        self.limits = limits
        self._memory = memory
        self._hold: Hold | None = None  # made with the first large message that does not come at once
        self.deliver = deliver
        self.clock = clock
        self.turn = turn
        self.turn_over = turn_over
        self.holding = False
        self.protocol = protocol
        """Made when a frame first needs it, or given, with the extensions that were negotiated."""
        self.control_frames = 0
        """Pings and pongs seen."""
        self.pongs = 0
        self._pongs_due = 0
        self._limit = min(limits.max_message_bytes, limits.max_frame_bytes)
        self._rest = b""
        self._taken = 0
        """Bytes of the rest that are taken already: a rest is not copied for each turn it waits."""
        self._owed = 0
        self._frame_bytes = 0
        """Of the frame whose rest is owed to the protocol."""
        self._fragments: list[bytes] | None = None
        self._fragments_bytes = 0
        self._fragments_binary = False
        self._allowance: Allowance | None = None  # made with the first ping

    @property
    def open(self) -> bool:
        """Whether no close has begun on either side."""
        protocol = self.protocol
        return protocol is None or protocol.state is OPEN

    @property
    def held_bytes(self) -> int:
        return len(self._rest) - self._taken

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; deliver what they complete."""
        if self._rest:
            data = self._rest[self._taken :] + data
            self._rest = b""
            self._taken = 0
        if self.holding:
            self._rest = data
            self._count()
        else:
            self._take(data, 0)

    def _count(self) -> None:
        """Count what is here of a message that is not whole; end the connection where there is no room for it.

        While held it grows no more, whatever it is: no more is read.
        """
        size = self.held_bytes + self._fragments_bytes + (self._frame_bytes - self._owed if self._owed else 0)
        if self._memory is None or (size <= UNCOUNTED_BYTES and self._hold is None):
            return
        hold = self._hold = self._hold or self._memory.hold("arriving")
        if self.holding:
            hold.count(size)
            return
        try:
            hold.keep(size)
        except NoRoom:
            hold.give_back()
            # IANA, "WebSocket Close Code Number Registry": try again later
            self.fail(1013, "No room for the message")

    def let_go(self) -> None:
        """The connection is lost, and what came of a message with it."""
        if self._hold is not None:
            self._hold.give_back()

    def _take(self, data: bytes, position: int) -> None:
        """Deliver what `data` holds from `position` on, until held; what is undecoded stays as the rest."""
        end = len(data)
        turn = self.turn
        while position < end:
            protocol = self.protocol
            if protocol is not None:
                if protocol.state is not OPEN:
                    self._step(protocol, data[position:] if position else data)
                    return
                if self._owed:
                    piece = data[position : position + self._owed]
                    self._owed -= len(piece)
                    position += len(piece)
                    self._step(protocol, piece)
                    self._count()
                    if self.holding:
                        break
                    turn -= 1
                    if not turn:
                        self.turn_over()
                        break
                    continue
            # RFC 6455 §5.2: the header is 2 bytes, then 0, 2 or 8 of length, then 4 of mask.
            if end - position < 2:
                break
            first = data[position]
            second = data[position + 1]
            size = second & 0x7F
            body = position + 6
            if size > 125:
                if second < 0x80 or first & 0x0F not in _OPCODES:
                    self._hand_over(data[position:])
                    return
                extra = 2 if size == 126 else 8
                body += extra
                if end < body - 4:
                    break
                size = int.from_bytes(data[position + 2 : position + 2 + extra], "big")
            if (
                (first == 0x81 or first == 0x82)
                and second >= 0x80
                and size <= self._limit
                and self._fragments is None
                and (protocol is None or not protocol.extensions)
            ):
                if end < body:
                    break
                stop = body + size
                if stop <= end:
                    payload = apply_mask(data[body:stop], data[body - 4 : body])
                    position = stop
                    self._message(payload, first == 0x82)
                    if self.holding:
                        break
                    turn -= 1
                    if not turn:
                        self.turn_over()
                        break
                    continue
            elif second < 0x80 or first & 0x0F not in _OPCODES:
                # The protocol fails on these two bytes: no boundary to keep any more.
                self._hand_over(data[position:])
                return
            if protocol is None:
                self._make_protocol()
            # Not plain, or not whole yet: from here to `body + size` every byte is the protocol's.
            self._owed = self._frame_bytes = body + size - position
        if position < end:
            if self.holding:
                self._rest = data
                self._taken = position
            else:  # of a frame that is not whole
                self._rest = data[position:]

    def release(self) -> None:
        """Stop holding and go on with what waited."""
        self.holding = False
        if self._rest:
            rest, taken = self._rest, self._taken
            self._rest = b""
            self._taken = 0
            self._take(rest, taken)
            if self._hold is not None:
                self._count()

    def receive_eof(self) -> None:
        """The client will send no more."""
        if self.protocol is not None:
            self.protocol.receive_eof()

    def ping(self) -> None:
        """Ask the client for a pong."""
        protocol = self.protocol or self._make_protocol()
        if protocol.state is OPEN:
            protocol.send_ping(b"")
            self._pongs_due += 1

    def close(self, code: int, reason: str = "") -> None:
        """Begin the close handshake, unless a close has begun already."""
        protocol = self.protocol or self._make_protocol()
        if protocol.state is OPEN:
            protocol.send_close(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """End the connection for a fault of the client's (RFC 6455 §7.1.7)."""
        protocol = self.protocol or self._make_protocol()
        if protocol.state is OPEN:
            protocol.fail(code, reason)

    def output(self) -> list[bytes]:
        """Bytes to write, in order; an empty item means: end the stream after it."""
        return [] if self.protocol is None else self.protocol.data_to_send()

    def outcome(self) -> Close:
        """Who closed first decides: the client's close, else ours, else 1006 (RFC 6455 §7.1.5)."""
        protocol = self.protocol
        if protocol is None:
            return ABNORMAL
        if protocol.close_rcvd is not None and (protocol.close_sent is None or protocol.close_rcvd_then_sent):
            return protocol.close_rcvd
        return protocol.close_sent or ABNORMAL

    def _make_protocol(self) -> ServerProtocol:
        # It costs 5 KiB, so plain connections do without.
        limits = self.limits
        self.protocol = ServerProtocol(state=OPEN, max_size=(limits.max_message_bytes, limits.max_frame_bytes))
        return self.protocol

    def _hand_over(self, data: bytes) -> None:
        self._step(self.protocol or self._make_protocol(), data)

    def _step(self, protocol: ServerProtocol, data: bytes) -> None:
        """Feed the protocol at most one frame's bytes and act on what it saw."""
        if protocol.reader.eof:
            return
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(protocol, event)
                event.data = b""  # the parser keeps its last frame until the next one comes

    def _frame(self, protocol: ServerProtocol, frame: Frame) -> None:
        if protocol.state is not OPEN:
            return
        opcode = frame.opcode
        if opcode is Opcode.PING or opcode is Opcode.PONG:
            self.control_frames += 1
            asked_for = False
            if opcode is Opcode.PONG:
                self.pongs += 1
                asked_for = self._pongs_due > 0
                self._pongs_due -= asked_for
            if not asked_for and not self._ping_allowed():
                self.fail(1008, f"Too many {opcode.name.lower()}s")
            return
        data = bytes(frame.data)
        if opcode is not Opcode.CONT:
            binary = opcode is Opcode.BINARY
            if frame.fin:
                self._message(data, binary)
                return
            if binary and not self.limits.binary:
                self.close(1003, "Binary is not supported")
                return
            self._fragments = [data]
            self._fragments_bytes = len(data)
            self._fragments_binary = binary
            return
        fragments = self._fragments
        assert fragments is not None  # the protocol refuses a continuation of nothing
        fragments.append(data)
        self._fragments_bytes += len(data)
        if frame.fin:
            self._fragments = None
            self._fragments_bytes = 0
            self._message(b"".join(fragments), self._fragments_binary)
        elif len(fragments) >= MAX_FRAGMENTS:
            self.fail(1008, "Too many fragments")

    def _message(self, data: bytes, binary: bool) -> None:
        if binary:
            if not self.limits.binary:
                # API Gateway developer guide, "Working with binary media types for WebSocket APIs"
                self.close(1003, "Binary is not supported")
                return
        elif not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError as error:
                self.fail(1007, f"invalid UTF-8 at byte {error.start}")
                return
        self.deliver(Message(data, binary))

    def _ping_allowed(self) -> bool:
        if self._allowance is None:
            self._allowance = Allowance(PING_RATE, PING_BURST)
        return self._allowance.take(self.clock())


_OPCODES = frozenset(int(opcode) for opcode in Opcode)
