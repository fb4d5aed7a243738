"""permessage-deflate: what is negotiated, what is compressed, and the lane with it against `websockets` alone."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from tests.unit.dataplane.values import handshake
from tests.unit.transport.test_lane import (
    AWS,
    OPEN_PROFILE,
    ROOMY,
    THOROUGH,
    Driven,
    Limits,
    Oracle,
    blobs,
    closes,
    frame,
    good,
    masks,
    pings,
    texts,
    wrong,
)
from wsgateway.dataplane.counters import Counters
from wsgateway.messages import Message
from wsgateway.model.compression import Compression
from wsgateway.model.quotas import Limits as LimitsOfApi
from wsgateway.model.quotas import resolve
from wsgateway.transport.deflate import LARGEST, Negotiated, negotiate
from wsgateway.transport.handshake import refuse

UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

TAKEOVER = {"serverNoContextTakeover": False, "clientNoContextTakeover": False}


def offered(*offers: str, counters: Counters | None = None, limits: Limits = ROOMY, **keys: Any) -> Negotiated | None:
    """What an API with these keys of `compression` makes of the offers."""
    sizes = {"maxMessageBytes": limits.max_message_bytes, "maxFrameBytes": limits.max_frame_bytes}
    quotas = resolve("open", LimitsOfApi.model_validate(sizes), Compression.model_validate(keys))
    request = handshake("/dev", *(("Sec-WebSocket-Extensions", offer) for offer in offers))
    return negotiate(request, quotas, counters or Counters())


def agreed(offer: str = "permessage-deflate; client_max_window_bits", **keys: Any) -> Negotiated:
    negotiated = offered(offer, **keys)
    assert negotiated is not None
    return negotiated


# Negotiation


@pytest.mark.parametrize(
    ("offers", "keys", "answer"),
    [
        pytest.param(
            ["permessage-deflate; client_max_window_bits"],
            {},
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=12; client_max_window_bits=12",
            id="as browsers offer it",
        ),
        pytest.param(
            ["permessage-deflate"],
            TAKEOVER,
            "permessage-deflate; server_max_window_bits=12",
            id="a client whose window can't be told",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=10; client_max_window_bits=9; server_no_context_takeover"],
            TAKEOVER,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            id="the client may ask for less",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=15; client_max_window_bits=15"],
            TAKEOVER | {"serverMaxWindowBits": 9, "clientMaxWindowBits": 11},
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11",
            id="and gets no more than is offered here",
        ),
        pytest.param(
            ["x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8", "permessage-deflate"],
            TAKEOVER,
            "permessage-deflate; server_max_window_bits=12",
            id="the first that can be met, in whichever header",
        ),
        pytest.param(["permessage-deflate; server_max_window_bits=8"], {}, None, id="zlib has no window of 8 bits"),
        pytest.param(["permessage-deflate; nonsense"], {}, None, id="an unknown parameter declines the offer"),
        pytest.param(["permessage-deflate; server_max_window_bits=16"], {}, None, id="a value out of range too"),
        pytest.param(
            ["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], {}, None, id="twice too"
        ),
        pytest.param(["permessage-bzip2"], {}, None, id="another extension"),
        pytest.param([], {}, None, id="nothing"),
    ],
)
def test_what_an_offer_gets(offers: list[str], keys: dict[str, Any], answer: str | None) -> None:
    """RFC 7692 §7.1."""
    counters = Counters()
    negotiated = offered(*offers, counters=counters, **keys)

    assert (None if negotiated is None else negotiated.answer.decode()) == answer
    assert counters.compressed_connections == (answer is not None)


def test_an_api_without_compression_does_not_look() -> None:
    request = handshake("/dev", ("Sec-WebSocket-Extensions", ";;;"))

    assert negotiate(request, resolve("open", LimitsOfApi()), Counters()) is None


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_any_offer_that_is_well_formed_gets_an_answer_or_none(text: str) -> None:
    for header in (text, "permessage-deflate; " + text):
        request = handshake("/dev", *UPGRADE, ("Sec-WebSocket-Extensions", header))
        if refuse(request, "1.1", announces_body=False) is None:
            offered(header)


# What leaves


@pytest.mark.parametrize(
    ("size", "minimum", "compressed"),
    [
        pytest.param(1023, 1024, False, id="below the minimum"),
        pytest.param(1024, 1024, True, id="the minimum"),
        pytest.param(0, 0, True, id="nothing at all"),
        pytest.param(LARGEST, 1024, True, id="the largest"),
        pytest.param(LARGEST + 1, 1024, False, id="above it"),
    ],
)
@pytest.mark.parametrize("takeover", [True, False])
def test_which_messages_are_compressed(size: int, minimum: int, compressed: bool, takeover: bool) -> None:
    negotiated = agreed(**(TAKEOVER if takeover else {}), minimumCompressionSize=minimum)
    message = Message(b"x" * size)

    frame = negotiated.deflate.frame(message)

    assert (frame != message.frame()) is compressed
    assert frame[0] == (0xC1 if compressed else 0x81)  # RFC 7692 §6: RSV1 says that a message is compressed


def test_a_message_to_many_is_compressed_once_a_window() -> None:
    message = Message(b"hello " * 1000, binary=True)
    frames = [agreed().deflate.frame(message) for _ in range(3)]
    narrow = agreed("permessage-deflate; server_max_window_bits=9").deflate.frame(message)

    assert frames[0][0] == 0xC2
    assert frames[1] is frames[0]
    assert frames[2] is frames[0]
    assert narrow is not frames[0]
    assert message.deflated is not None
    assert message.deflated.keys() == {12, 9}


def test_a_context_that_is_taken_over_is_not_shared() -> None:
    message = Message(b"hello " * 1000)
    negotiated = agreed(**TAKEOVER)
    frames = [negotiated.deflate.frame(message), negotiated.deflate.frame(message)]

    assert len(frames[1]) < len(frames[0])
    assert message.deflated is None


def test_both_directions_are_counted() -> None:
    counters = Counters()
    negotiated = offered("permessage-deflate", counters=counters)
    assert negotiated is not None
    out = [negotiated.deflate.frame(Message(data)) for data in (b"small", b"x" * 5000, b"y" * 5000)]
    driven = Driven(ROOMY, protocol=negotiated.protocol)
    packed = compressed(b"z" * 7000)
    driven.receive(frame(0x81, b"plain") + frame(0xC1, packed) + frame(0x41, packed[:5]) + frame(0x80, packed[5:]))

    assert len(driven.messages) == 3
    assert counters.compressed_out == 2
    assert counters.compressed_payload_bytes_out == 10_000
    assert counters.compressed_bytes_out == len(out[1]) + len(out[2])
    assert counters.compressed_in == 2
    assert counters.compressed_payload_bytes_in == 14_000
    assert counters.compressed_bytes_in == 2 * len(packed)


@given(
    st.lists(st.one_of(st.binary(max_size=3000), st.integers(0, 70_000).map(lambda size: b"ab" * size)), max_size=6),
    st.booleans(),
    st.sampled_from(["", "; server_max_window_bits=9", "; server_no_context_takeover"]),
)
def test_a_client_reads_what_was_sent(payloads: list[bytes], takeover: bool, wish: str) -> None:
    negotiated = agreed(f"permessage-deflate{wish}", **(TAKEOVER if takeover else {}), minimumCompressionSize=100)
    client = ClientProtocol(parse_uri("ws://gateway.example/"), state=OPEN)
    factory = ClientPerMessageDeflateFactory(
        server_no_context_takeover="takeover" in wish, server_max_window_bits=9 if "9" in wish else None
    )
    client.extensions = [factory.process_response_params(_parameters(negotiated.answer), [])]

    for payload in payloads:
        client.receive_data(negotiated.deflate.frame(Message(payload, True)))
        (event,) = client.events_received()
        assert isinstance(event, Frame)
        assert (bytes(event.data), event.fin) == (payload, True)


def _parameters(answer: bytes) -> list[tuple[str, str | None]]:
    pairs = [part.strip().partition("=") for part in answer.decode().split(";")[1:]]
    return [(name, value or None) for name, _, value in pairs]


# What comes in


def compressed(data: bytes, context: Any = None) -> bytes:
    """RFC 7692 §7.2.1."""
    context = context or zlib.compressobj(wbits=-15)
    packed: bytes = context.compress(data) + context.flush(zlib.Z_SYNC_FLUSH)
    assert packed.endswith(b"\x00\x00\xff\xff")
    return packed[:-4]


payloads = st.one_of(
    texts,
    blobs,
    st.integers(280, 320).map(lambda size: b"x" * size),
    st.integers(280, 320).map(lambda size: bytes(index % 251 % 128 for index in range(size))),
)


@st.composite
def deflated(draw: st.DrawFn, context: Any) -> bytes:
    """One compressed message in fragments cut anywhere, control frames between them, and now and then a flaw."""
    packed = compressed(draw(payloads), context)
    if draw(st.integers(0, 9)) == 0 and packed:
        at = draw(st.integers(0, len(packed) - 1))
        packed = packed[:at] + draw(st.binary(max_size=3)) + packed[at + 1 :]
    cuts = sorted(draw(st.lists(st.integers(0, len(packed)), max_size=3)))
    first = draw(st.sampled_from([0x41, 0x41, 0x42]))
    data = b""
    ends = [*cuts, len(packed)]
    for index, (start, stop) in enumerate(zip([0, *cuts], ends, strict=True)):
        again = draw(st.sampled_from([0x00] * 12 + [0x40]))  # RSV1 belongs to the first frame alone
        head = (first if index == 0 else again) | (0x80 if index == len(ends) - 1 else 0)
        data += frame(head, packed[start:stop], mask=draw(masks))
        if draw(st.booleans()):
            data += draw(pings)
    return data


@st.composite
def deflated_pieces(draw: st.DrawFn, takeover: bool) -> list[bytes]:
    """A client's bytes in any cut."""
    context = zlib.compressobj(wbits=-12) if takeover else None
    parts = [draw(st.one_of(deflated(context), deflated(context), good)) for _ in range(draw(st.integers(0, 7)))]
    parts += draw(st.lists(st.one_of(good, wrong, closes), max_size=2))
    data = b"".join(parts)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@THOROUGH
@given(st.sampled_from([AWS, OPEN_PROFILE]), st.booleans(), st.integers(0, 3), st.data())
def test_any_compressed_stream_in_any_cut_is_what_the_protocol_makes_of_its_bytes(
    limits: Limits, takeover: bool, turn: int, draw: st.DataObject
) -> None:
    """Messages, output and state are the oracle's after every piece: limits while inflating, flaws, interleaving."""
    negotiated = offered("permessage-deflate; client_max_window_bits=12", limits=limits, **TAKEOVER if takeover else {})
    assert negotiated is not None
    oracle = Oracle(limits, extensions=[PerMessageDeflate(not takeover, True, 12, 12)])
    driven = Driven(limits, turn=turn, protocol=negotiated.protocol)
    for piece in draw.draw(deflated_pieces(takeover)):
        oracle.receive(piece)
        driven.receive(piece)
        while driven.lane.holding:
            driven.release()

        assert driven.result() == oracle.result()
    oracle.eof()
    driven.eof()
    assert driven.result() == oracle.result()


@given(st.lists(st.one_of(texts, blobs), max_size=6), st.booleans(), st.integers(1, 9))
def test_messages_come_through_whole(sent: list[bytes], takeover: bool, pieces: int) -> None:
    """By zlib alone, not by what `websockets` makes of it."""
    negotiated = offered("permessage-deflate", limits=OPEN_PROFILE, **TAKEOVER if takeover else {})
    assert negotiated is not None
    driven = Driven(OPEN_PROFILE, protocol=negotiated.protocol)
    context = zlib.compressobj(wbits=-15) if takeover else None
    for data in sent:
        packed = compressed(data, context)
        step = -(-len(packed) // pieces)
        parts = [packed[at : at + step] for at in range(0, len(packed), step)] + [b""]
        driven.receive(b"".join(frame(0x42 if not index else 0, part) for index, part in enumerate(parts[:-1])))
        driven.receive(frame(0x80, parts[-1]))

    assert driven.messages == [Message(data, True) for data in sent]
    assert driven.lane.open


def test_the_limit_is_what_a_message_inflates_to() -> None:
    negotiated = offered("permessage-deflate", limits=OPEN_PROFILE)
    assert negotiated is not None
    driven = Driven(OPEN_PROFILE, protocol=negotiated.protocol)
    driven.receive(frame(0xC1, compressed(b"x" * 300)))

    assert driven.messages == [Message(b"x" * 300)]
    assert driven.lane.open


def refusal(data: bytes, **keys: Any) -> tuple[int, str, list[Message]]:
    negotiated = offered("permessage-deflate", limits=OPEN_PROFILE, **keys)
    assert negotiated is not None
    driven = Driven(OPEN_PROFILE, protocol=negotiated.protocol)
    driven.receive(data)
    return *driven.result().outcome, driven.messages


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(0xC1, compressed(b"x" * 301)), 1009, id="one byte over the limit"),
        pytest.param(frame(0xC1, compressed(b"\0" * 10_000_000)[:300]), 1009, id="a bomb"),
        pytest.param(
            frame(0x41, compressed(b"x" * 200)[:-1] + b"\0\0\0\xff\xff") + frame(0x80, compressed(b"x" * 101)),
            1009,
            id="a bomb in two fragments",
        ),
        pytest.param(frame(0xC1, b"\xff\xff\xff"), 1002, id="no deflate data"),
        pytest.param(frame(0x41, b"") + frame(0xC0, b""), 1002, id="RSV1 on a continuation"),
        pytest.param(frame(0xC9, b""), 1002, id="RSV1 on a ping"),
        pytest.param(frame(0xA1, b""), 1002, id="RSV2"),
        pytest.param(frame(0xC1, compressed(b"\xff")), 1007, id="no UTF-8 inside"),
    ],
)
@pytest.mark.parametrize("takeover", [True, False])
def test_what_ends_a_connection(data: bytes, code: int, takeover: bool) -> None:
    assert refusal(data, **TAKEOVER if takeover else {})[0] == code


def test_a_fragment_at_the_limit_may_be_followed_by_nothing_alone() -> None:
    """zlib takes a limit of 0 for none; that what a fragment left inside comes out then is no way around the limit."""
    context = zlib.compressobj(wbits=-15)
    packed = context.compress(b"x" * 5000) + context.flush(zlib.Z_SYNC_FLUSH)[:-4]
    for cut in range(1, len(packed)):
        code, _, messages = refusal(frame(0x41, packed[:cut]) + frame(0x80, packed[cut:]))
        assert (code, messages) == (1009, [])


def test_the_last_message_is_not_kept() -> None:
    """An idle connection would cost what its last message inflated to."""
    negotiated = agreed()
    seen: list[Frame] = []
    events_received = negotiated.protocol.events_received

    def noted() -> list[Any]:
        events = events_received()
        seen.extend(event for event in events if isinstance(event, Frame))
        return events

    negotiated.protocol.events_received = noted  # type: ignore[method-assign]  # what it gave is looked at
    driven = Driven(ROOMY, protocol=negotiated.protocol)
    driven.receive(frame(0xC1, compressed(b"x" * 100_000)))

    assert driven.messages == [Message(b"x" * 100_000)]
    assert [bytes(event.data) for event in seen] == [b""]
