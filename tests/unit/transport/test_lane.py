"""The lane against an oracle: `websockets`' ServerProtocol fed byte by byte, with the plainest assembly around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.extensions import Extension
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLOSED, CLOSING, OPEN, State
from websockets.server import ServerProtocol

from wsgateway.bodies import UNCOUNTED_BYTES, MessageMemory
from wsgateway.messages import Message
from wsgateway.transport.lane import MAX_FRAGMENTS, Lane

THOROUGH = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

Seen = tuple[str | bytes, ...]


@dataclass(frozen=True)
class Limits:
    max_frame_bytes: int
    max_message_bytes: int
    binary: bool


AWS = Limits(max_frame_bytes=130, max_message_bytes=300, binary=False)
OPEN_PROFILE = Limits(max_frame_bytes=300, max_message_bytes=300, binary=True)
ROOMY = Limits(max_frame_bytes=1 << 20, max_message_bytes=1 << 20, binary=True)
VAST = Limits(max_frame_bytes=1 << 22, max_message_bytes=1 << 22, binary=True)


# Frames as a client could send them, right and wrong


def frame(
    first: int,
    payload: bytes,
    *,
    mask: bytes | None = b"\x11\x22\x33\x44",
    form: int = 0,
    declared: int | None = None,
) -> bytes:
    """A frame by its first byte; `form` 126 or 127 asks for a longer length than needed, `declared` lies about it."""
    size = len(payload) if declared is None else declared
    masked = 0 if mask is None else 0x80
    if form == 127 or size > 0xFFFF:
        head = bytes([first, masked | 127]) + size.to_bytes(8, "big")
    elif form == 126 or size > 125:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, masked | size])
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def text(payload: str) -> bytes:
    return frame(0x81, payload.encode())


forms = st.sampled_from([0, 0, 0, 126, 127])
masks = st.one_of(st.just(b"\0\0\0\0"), st.binary(min_size=4, max_size=4))
texts = st.one_of(st.text(max_size=40).map(str.encode), st.integers(120, 140).map(lambda size: b"x" * size))
broken_texts = st.sampled_from([b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a" * 124 + b"\xe2\x82"])
blobs = st.binary(max_size=150)
controls = st.binary(max_size=125)
close_payloads = st.one_of(
    st.just(b""),
    st.builds(
        lambda code, reason: code.to_bytes(2, "big") + reason.encode()[:123],
        st.sampled_from([1000, 1001, 1003, 1011, 3000, 4999]),
        st.text(alphabet="abc é", max_size=20),
    ),
    st.sampled_from([b"\x03", b"\x03\xed", b"\x03\xee", b"\x00\x00", b"\x13\x88", b"\x03\xe8\xff", b"\x27\x0f"]),
)

pings = st.builds(lambda payload, mask: frame(0x89, payload, mask=mask), controls, masks)
pongs = st.builds(lambda payload, mask: frame(0x8A, payload, mask=mask), controls, masks)
whole = st.builds(
    lambda first, payload, mask, form: frame(first, payload, mask=mask, form=form),
    st.sampled_from([0x81, 0x81, 0x81, 0x82]),
    texts,
    masks,
    forms,
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """One message in fragments, cut anywhere (inside characters too), control frames between them."""
    payload = draw(st.one_of(texts, blobs))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    pieces = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    first = draw(st.sampled_from([0x01, 0x01, 0x02]))
    data = b""
    for index, piece in enumerate(pieces):
        opcode = (first if index == 0 else 0x00) | (0x80 if index == len(pieces) - 1 else 0)
        data += frame(opcode, piece, mask=draw(masks), form=draw(forms))
        if draw(st.booleans()):
            data += draw(st.one_of(pings, pongs))
    return data


wrong = st.one_of(
    st.builds(lambda payload: frame(0x81, payload), broken_texts),
    st.builds(lambda payload: frame(0x81, payload, mask=None), texts),
    st.builds(frame, st.integers(0, 255), blobs),
    st.builds(lambda first, size: frame(first, b"", declared=size), st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x89]),
              st.sampled_from([131, 299, 300, 301, 65_535, 65_536, 2**32, 2**63 - 1, 2**63, 2**64 - 1])),
    st.builds(lambda payload: frame(0x89, payload), st.binary(min_size=126, max_size=130)),
    st.builds(lambda payload: frame(0x09, payload), controls),
    st.builds(lambda payload: frame(0x01, payload), texts),
    st.builds(lambda payload: frame(0x80, payload), texts),
    st.binary(max_size=20),
)  # fmt: skip
closes = st.builds(lambda payload: frame(0x88, payload), close_payloads)
good = st.one_of(whole, whole, whole, fragmented(), pings, pongs)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Bytes of a client: mostly well-behaved, so that much of the stream is reached; perhaps wrong or cut off."""
    parts = draw(st.lists(good, max_size=8))
    parts += draw(st.lists(st.one_of(good, wrong, closes), max_size=4))
    data = b"".join(parts)
    if data and draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    return data


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """A stream as it may arrive: in any cut, or byte by byte."""
    data = draw(streams())
    if draw(st.integers(0, 4)) == 0:
        return [data[index : index + 1] for index in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


# What is compared


@dataclass
class Result:
    messages: list[Message]
    output: bytes
    ended: bool
    state: State
    received: object
    sent: object
    outcome: tuple[int, str]


@dataclass
class Oracle:
    """The slow, obvious way to do what the lane does."""

    limits: Limits
    act: Callable[[int], tuple[str, int] | None] = lambda index: None
    messages: list[Message] = field(default_factory=list)
    output: list[bytes] = field(default_factory=list)
    parts: list[Frame] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = self.limits
        self.protocol = ServerProtocol(state=OPEN, max_size=(limits.max_message_bytes, limits.max_frame_bytes))
        self.protocol.extensions = self.extensions

    def receive(self, data: bytes) -> None:
        for index in range(len(data)):
            if self.protocol.reader.eof:
                return
            self.protocol.receive_data(data[index : index + 1])
            for event in self.protocol.events_received():
                assert isinstance(event, Frame)
                if self.protocol.state is OPEN and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._part(event)
            self.output += self.protocol.data_to_send()

    def _part(self, event: Frame) -> None:
        self.parts.append(event)
        binary = self.parts[0].opcode is Opcode.BINARY
        if binary and not self.limits.binary:
            self.protocol.send_close(1003, "Binary is not supported")
            return
        if not event.fin:
            if len(self.parts) == MAX_FRAGMENTS:
                self.protocol.fail(1008, "Too many fragments")
            return
        data = b"".join(part.data for part in self.parts)
        self.parts = []
        try:
            if not binary:
                data.decode()
        except UnicodeDecodeError as error:
            self.protocol.fail(1007, f"invalid UTF-8 at byte {error.start}")
            return
        self.messages.append(Message(data, binary))
        match self.act(len(self.messages)):
            case ("close", code):
                self.close(code)
            case ("fail", code):
                self.protocol.fail(code, "enough")

    def close(self, code: int) -> None:
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, "bye")
            self.output += self.protocol.data_to_send()

    def eof(self) -> None:
        self.protocol.receive_eof()
        self.output += self.protocol.data_to_send()

    def result(self) -> Result:
        protocol = self.protocol
        first = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent
        if first is None:
            first = protocol.close_rcvd if protocol.close_sent is None else None
        return Result(
            self.messages,
            b"".join(self.output),
            b"" in self.output,
            protocol.state,
            protocol.close_rcvd,
            protocol.close_sent,
            (int(CloseCode.ABNORMAL_CLOSURE), "") if first is None else (int(first.code), first.reason),
        )


class Driven:
    """A lane with a handler that records, and holds or closes as it is told."""

    def __init__(
        self,
        limits: Limits,
        act: Callable[[int], tuple[str, int] | None] = lambda index: None,
        turn: int = 0,
        protocol: ServerProtocol | None = None,
    ) -> None:
        self.lane = Lane(limits, self.deliver, lambda: 1.0, turn, self.turn_over, protocol)
        self.messages: list[Message] = []
        self.output: list[bytes] = []
        self.act = act

    def deliver(self, message: Message) -> None:
        assert not self.lane.holding, "a lane that holds delivers nothing"
        assert self.lane.open, "nothing is delivered after a close began"
        self.messages.append(message)
        match self.act(len(self.messages)):
            case ("hold", _):
                self.lane.holding = True
            case ("close", code):
                self.lane.close(code, "bye")
            case ("fail", code):
                self.lane.fail(code, "enough")

    def turn_over(self) -> None:
        self.lane.holding = True

    def receive(self, data: bytes) -> None:
        self.lane.receive(data)
        self.output += self.lane.output()

    def close(self, code: int) -> None:
        self.lane.close(code, "bye")
        self.output += self.lane.output()

    def release(self) -> None:
        self.lane.release()
        self.output += self.lane.output()

    def eof(self) -> None:
        self.lane.receive_eof()
        self.output += self.lane.output()

    def result(self) -> Result:
        protocol = self.lane.protocol
        outcome = self.lane.outcome()
        return Result(
            self.messages,
            b"".join(self.output),
            b"" in self.output,
            OPEN if protocol is None else protocol.state,
            None if protocol is None else protocol.close_rcvd,
            None if protocol is None else protocol.close_sent,
            (int(outcome.code), outcome.reason),
        )


limits_of_profiles = st.sampled_from([AWS, OPEN_PROFILE])


@THOROUGH
@given(limits_of_profiles, pieces())
def test_any_stream_in_any_cut_is_what_the_protocol_makes_of_its_bytes(limits: Limits, data: list[bytes]) -> None:
    """Messages, output and state are the oracle's after every piece. The end of the stream is part of it."""
    oracle, driven = Oracle(limits), Driven(limits)
    for piece in data:
        oracle.receive(piece)
        driven.receive(piece)
        assert driven.result() == oracle.result()
    oracle.eof()
    driven.eof()

    expected, result = oracle.result(), driven.result()
    if driven.lane.protocol is None:
        # It was never needed; the socket reads an end without a close as 1006, which is what the oracle says.
        assert expected.state is CLOSED
        assert (result.messages, result.output, result.outcome) == (expected.messages, b"", expected.outcome)
    else:
        assert result == expected


@THOROUGH
@given(limits_of_profiles, pieces(), st.lists(st.booleans(), max_size=40), st.data())
def test_holding_and_releasing_loses_and_reorders_nothing(
    limits: Limits, data: list[bytes], holds: list[bool], draw: st.DataObject
) -> None:
    """A handler may hold at any message, and be released between any pieces."""
    oracle = Oracle(limits)
    driven = Driven(limits, lambda index: ("hold", 0) if index < len(holds) and holds[index] else None)
    for piece in data:
        oracle.receive(piece)
        driven.receive(piece)
        if driven.lane.holding and draw.draw(st.booleans()):
            driven.release()
    while driven.lane.holding:
        driven.release()

    assert driven.result() == oracle.result()
    assert driven.lane.held_bytes <= 13


@THOROUGH
@given(limits_of_profiles, pieces(), st.integers(1, 4))
def test_taking_turns_changes_nothing_but_when(limits: Limits, data: list[bytes], turn: int) -> None:
    """A lane handles so many frames of one read; the rest waits for the release and stays in order."""
    oracle, driven = Oracle(limits), Driven(limits, turn=turn)
    for piece in data:
        oracle.receive(piece)
        driven.receive(piece)
        while driven.lane.holding:
            driven.release()

        assert driven.result() == oracle.result()


def test_a_turn_is_so_many_frames_whole_or_in_pieces() -> None:
    driven = Driven(ROOMY, turn=3)
    driven.receive(text("1") + frame(0x89, b"") + text("2") + text("3") + frame(0x8A, b"") * 5 + text("4"))
    counts = [len(driven.messages)]
    while driven.lane.holding:
        driven.release()
        counts.append(len(driven.messages))

    assert counts == [2, 3, 3, 4]


@THOROUGH
@given(
    limits_of_profiles,
    pieces(),
    st.integers(1, 6),
    st.sampled_from([("close", 1000), ("close", 4001), ("fail", 1008)]),
)
def test_a_handler_that_closes_in_the_middle_gets_no_later_message(
    limits: Limits, data: list[bytes], at: int, how: tuple[str, int]
) -> None:
    """What waits behind the message is read by the protocol alone: pings are answered, the client's close is seen."""
    act: Callable[[int], tuple[str, int] | None] = lambda index: how if index == at else None  # noqa: E731
    oracle, driven = Oracle(limits, act), Driven(limits, act)
    for piece in data:
        oracle.receive(piece)
        driven.receive(piece)

        assert driven.result() == oracle.result()
    assert len(driven.messages) <= at


@THOROUGH
@given(limits_of_profiles, pieces(), st.integers(0, 12))
def test_a_close_between_two_reads_wins_over_what_comes_later(limits: Limits, data: list[bytes], at: int) -> None:
    oracle, driven = Oracle(limits), Driven(limits)
    for index, piece in enumerate(data):
        if index == at:
            oracle.close(1001)
            driven.close(1001)
        oracle.receive(piece)
        driven.receive(piece)

        assert driven.result() == oracle.result()


@pytest.mark.parametrize(
    ("waiting", "received", "outcome"),
    [
        pytest.param(b"", None, (1001, "bye"), id="nothing waits"),
        pytest.param(text("later"), None, (1001, "bye"), id="a message waits and is dropped"),
        pytest.param(text("later") + frame(0x88, b"\x0f\xa0"), 4000, (1001, "bye"), id="the client's close waits"),
        pytest.param(text("later")[:4], None, (1001, "bye"), id="half a header waits"),
    ],
)
def test_a_close_while_frames_wait_reads_them_for_the_clients_close(
    waiting: bytes, received: int | None, outcome: tuple[int, str]
) -> None:
    driven = Driven(OPEN_PROFILE, lambda index: ("hold", 0))
    driven.receive(text("first") + waiting)
    driven.close(1001)
    driven.release()

    result = driven.result()
    assert result.messages == [Message(b"first")]
    assert result.outcome == outcome
    assert result.ended is (received is not None)
    protocol = driven.lane.protocol
    assert protocol is not None
    assert (None if protocol.close_rcvd is None else protocol.close_rcvd.code) == received


def test_plain_messages_need_no_protocol() -> None:
    """It costs kilobytes per connection, so a client that only sends plain messages has none."""
    driven = Driven(ROOMY)
    driven.receive(b"".join(text(f"message {index}") for index in range(50)))

    assert driven.lane.protocol is None
    assert [message.data for message in driven.messages] == [b"message %d" % index for index in range(50)]


@pytest.mark.parametrize("count", [MAX_FRAGMENTS, MAX_FRAGMENTS + 1])
def test_a_message_has_at_most_4096_fragments(count: int) -> None:
    """Empty fragments take no bytes of any other limit."""
    driven = Driven(ROOMY)
    driven.receive(frame(0x01, b"") + frame(0x00, b"") * (count - 2) + frame(0x80, b"end"))

    if count == MAX_FRAGMENTS:
        assert driven.result().messages == [Message(b"end")]
        assert driven.lane.open
    else:
        assert driven.result().messages == []
        assert driven.result().outcome == (1008, "Too many fragments")


def test_pongs_that_nobody_asked_for_share_the_allowance_of_pings() -> None:
    now = 100.0
    lane = Lane(OPEN_PROFILE, lambda message: None, lambda: now)
    pong = frame(0x8A, b"")
    lane.receive(pong * 99 + frame(0x89, b"x"))
    for _ in range(200):  # answers to pings are free
        lane.ping()
        lane.receive(pong)
    assert lane.open
    now += 1.0
    lane.receive(pong * 10)
    assert lane.open

    lane.receive(pong)

    assert (lane.outcome().code, lane.outcome().reason) == (1008, "Too many pongs")


def test_pings_are_answered_until_the_burst_is_spent() -> None:
    """100 at once, 10 a second after that."""
    now = [1000.0]
    lane = Lane(ROOMY, lambda message: None, lambda: now[0])
    ping = frame(0x89, b"x")
    lane.receive(ping * 100)
    assert lane.open
    now[0] += 1.0
    lane.receive(ping * 10)
    assert lane.open
    assert b"".join(lane.output()) == b"\x8a\x01x" * 110

    lane.receive(ping)

    assert (lane.outcome().code, lane.outcome().reason) == (1008, "Too many pings")


def test_pongs_are_counted() -> None:
    driven = Driven(ROOMY)
    driven.receive(frame(0x8A, b"") * 100)

    assert driven.lane.open
    assert driven.lane.pongs == 100
    assert driven.result().output == b""


@pytest.mark.parametrize(
    ("head", "code"),
    [
        pytest.param(b"\x81\xff" + (2**63).to_bytes(8, "big"), 1009, id="63 bits and one"),
        pytest.param(b"\x81\xff" + (2**64 - 1).to_bytes(8, "big"), 1009, id="all bits"),
        pytest.param(b"\x82\xfe\x01\x2d", 1009, id="one byte over"),
        pytest.param(b"\x81\x7e", 1002, id="unmasked, and long"),
        pytest.param(b"\x83\x80", 1002, id="an unknown opcode"),
    ],
)
def test_a_bad_header_ends_the_connection_before_any_payload(head: bytes, code: int) -> None:
    """The verdict needs no more bytes than the header's; a length that was only promised takes no memory."""
    driven = Driven(OPEN_PROFILE)
    driven.receive(head)

    assert driven.result().outcome[0] == code
    assert driven.result().state is CLOSING
    assert driven.result().ended


def test_the_sum_of_fragments_is_limited_on_the_header() -> None:
    driven = Driven(OPEN_PROFILE)
    driven.receive(frame(0x01, b"x" * 200) + frame(0x00, b"", declared=101)[:8])

    assert driven.result().outcome[0] == 1009


@pytest.mark.parametrize("size", [300, 301])
def test_the_largest_message_is_the_limit_exactly(size: int) -> None:
    driven = Driven(OPEN_PROFILE)
    driven.receive(frame(0x81, b"x" * size))

    assert len(driven.messages) == (size == 300)
    assert driven.lane.open is (size == 300)


def test_a_partial_message_keeps_only_what_came() -> None:
    """The undecoded rest is never more than a header; the payload is the protocol's."""
    driven = Driven(ROOMY)
    big = frame(0x81, b"x" * 1_000_000)
    for start in range(0, len(big), 65_536):
        driven.receive(big[start : start + 65_536])
        assert driven.lane.held_bytes <= 13

    assert driven.messages == [Message(b"x" * 1_000_000)]


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        pytest.param(frame(0x88, b"\x0f\xa0bye"), (4000, "bye"), id="the client's code and reason"),
        pytest.param(frame(0x88, b""), (1005, ""), id="a close without a code"),
        pytest.param(frame(0x88, b"\x03\xed"), (1002, "invalid close code: 1005"), id="a code that is never sent"),
        pytest.param(b"", (1006, ""), id="no close at all"),
    ],
)
def test_the_outcome_is_who_closed_first(sent: bytes, outcome: tuple[int, str]) -> None:
    driven = Driven(ROOMY)
    driven.receive(sent)
    driven.eof()

    code, reason = driven.result().outcome
    assert code == outcome[0]
    assert code == 1002 or reason == outcome[1]


LARGE = st.sampled_from([1, 1000, UNCOUNTED_BYTES, UNCOUNTED_BYTES + 1, 150_000, 400_000])


@st.composite
def large(draw: st.DrawFn) -> list[tuple[bytes, int]]:
    """Messages of one frame or of several, as frames, and how many bytes of it each message has."""
    sent = []
    for size, pieces in draw(st.lists(st.tuples(LARGE, st.integers(1, 3)), min_size=1, max_size=4)):
        firsts = [0x82] if pieces == 1 else [0x02, *([0x00] * (pieces - 2)), 0x80]
        part = b"m" * size
        sent.append((b"".join(zero_masked(first, part) for first in firsts), size * pieces))
    return sent


def zero_masked(first: int, payload: bytes) -> bytes:
    return frame(first, b"", mask=b"\0\0\0\0", declared=len(payload)) + payload


@settings(max_examples=60, deadline=None)
@given(large(), st.sampled_from([1, 2]), st.integers(20_000, 300_000), st.booleans())
def test_what_is_here_of_a_message_is_counted_until_it_is_whole(
    sent: list[tuple[bytes, int]], turn: int, size: int, held: bool
) -> None:
    """However it comes, and whoever is made to wait: never more than has come, and nothing in the end."""
    memory = MessageMemory()
    got: list[int] = []
    lane = Lane(VAST, lambda message: got.append(len(message.data)), lambda: 1.0, turn if held else 0, memory=memory)
    lane.turn_over = lambda: setattr(lane, "holding", True)
    data = b"".join(frames for frames, _ in sent)
    for start in range(0, len(data), size):
        lane.receive(data[start : start + size])
        assert memory.taken <= start + size
        if memory.taken:
            assert memory.taken > UNCOUNTED_BYTES
    while lane.holding:
        lane.release()

    assert got == [number for _, number in sent]
    assert memory.taken == 0


@pytest.mark.parametrize("first", [pytest.param(0x82, id="of one frame"), pytest.param(0x02, id="of several")])
def test_a_message_that_finds_no_room_ends_its_connection(first: int) -> None:
    memory = MessageMemory(250_000)
    one, other = (Lane(VAST, lambda message: None, lambda: 1.0, memory=memory) for _ in range(2))
    one.receive(zero_masked(first, b"m" * 200_000)[:-1])
    before = memory.taken
    assert 200_000 < before < 200_020

    for lane in (other, other):  # what follows is dropped
        lane.receive(zero_masked(first, b"m" * 200_000)[:-1])

    assert (int(other.outcome().code), other.outcome().reason) == (1013, "No room for the message")
    assert (memory.taken, memory.refused) == (before, {"arriving": 1})
    one.let_go()
    assert memory.taken == 0


def test_what_waits_because_nobody_reads_is_counted_and_refused_by_none() -> None:
    """It grows no more, and some of it may be whole messages."""
    memory = MessageMemory(100_000)
    got: list[int] = []
    lane = Lane(VAST, lambda message: got.append(len(message.data)), lambda: 1.0, memory=memory)
    lane.receive(zero_masked(0x82, b"m" * 50_000)[:-1])
    lane.holding = True
    lane.receive(b"m" + zero_masked(0x82, b"m" * 150_000))
    assert lane.open
    assert memory.taken > memory.limit

    lane.release()

    assert got == [50_000, 150_000]
    assert memory.taken == 0
