"""Messages and bodies: frames (RFC 6455 §5.2), and collecting what still arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State

from wsgateway.messages import HttpRequest, Message, collect


@pytest.mark.parametrize(
    ("size", "head"),
    [
        pytest.param(0, "8100", id="empty"),
        pytest.param(125, "817d", id="the largest short length"),
        pytest.param(126, "817e007e", id="the smallest of two bytes"),
        pytest.param(65_535, "817effff", id="the largest of two bytes"),
        pytest.param(65_536, "817f0000000000010000", id="the smallest of eight bytes"),
    ],
)
def test_a_frames_head_for_a_payload_of(size: int, head: str) -> None:
    data = b"x" * size

    assert Message(data).frame() == bytes.fromhex(head) + data


@given(st.binary(max_size=300), st.booleans())
def test_a_frame_is_read_back_by_an_independent_reader(data: bytes, binary: bool) -> None:
    reader = Protocol(CLIENT, state=State.OPEN)

    reader.receive_data(Message(data, binary).frame())

    (frame,) = reader.events_received()
    assert isinstance(frame, Frame)
    opcode = Opcode.BINARY if binary else Opcode.TEXT
    assert (frame.opcode, frame.data, frame.fin) == (opcode, data, True)


def test_a_frame_is_made_once() -> None:
    message = Message(b"x")

    assert message.frame() is message.frame()


def test_messages_are_equal_by_payload_and_kind() -> None:
    assert Message(b"x") == Message(b"x")
    assert hash(Message(b"x")) == hash(Message(b"x"))
    assert Message(b"x") != Message(b"x", True)
    assert Message(b"x") != b"x"


def test_a_messages_payload_stays_out_of_logs() -> None:
    assert repr(Message(b"secret", True)) == "Message(binary, 6 bytes)"


async def _arriving(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("parts", "limit", "collected"),
    [
        pytest.param((), 3, b"", id="nothing"),
        pytest.param((b"ab", b"c"), 3, b"abc", id="exactly the limit"),
        pytest.param((b"ab", b"cd"), 3, None, id="one over"),
    ],
)
async def test_a_body_is_collected_up_to_its_limit(
    parts: tuple[bytes, ...], limit: int, collected: bytes | None
) -> None:
    assert await collect(_arriving(*parts), limit) == collected
    assert await collect(b"".join(parts), limit) == collected


def test_a_repeated_header_is_its_last_value() -> None:
    request = HttpRequest("GET", "/", "h", ((b"X-A", b"1"), (b"x-a", b"2")))

    assert request.header(b"x-a") == b"2"
    assert request.header(b"x-b") is None
