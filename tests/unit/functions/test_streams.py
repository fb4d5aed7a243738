"""Results that come in pieces: what is metadata, what is body, and who gets it whole."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import BadGateway, IntegrationTimeout
from wsgateway.functions.base import MAX_RESULT, FunctionResult, Invoke
from wsgateway.functions.streams import DELIMITER, MOST_METADATA, Pieces

pytestmark = pytest.mark.anyio

METADATA = b'{"statusCode": 200}'


class Call:
    """One invocation whose answer comes in pieces."""

    def __init__(self, *, streams: bool = True) -> None:
        self.overs = 0
        self.pauses: list[bool] = []
        self.invoke = Invoke(loop=asyncio.get_running_loop())
        self.invoke.arn, self.invoke.timer = "arn", None
        self.invoke.over = self._over if streams else None
        self.pieces = Pieces(self.invoke, self.pauses.append)

    def _over(self) -> None:
        self.overs += 1

    def feed(self, *parts: bytes) -> None:
        for part in parts:
            self.pieces.feed(part)

    def end(self, error: bytes = b"") -> None:
        self.pieces.end(error, bool(error), b"tail")

    @property
    def result(self) -> FunctionResult:
        return self.invoke.result()

    async def body(self) -> bytes:
        assert self.result.stream is not None
        return b"".join([part async for part in self.result.stream])


async def test_the_metadata_ends_the_invocation_and_the_body_goes_on() -> None:
    call = Call()
    call.feed(METADATA[:5], METADATA[5:] + DELIMITER[:3])
    assert not call.invoke.done()

    call.feed(DELIMITER[3:] + b"one ", b"two")
    assert call.result.payload == METADATA
    assert call.overs == 0
    call.end()

    assert await call.body() == b"one two"
    assert call.overs == 1


@given(st.binary(max_size=64), st.lists(st.integers(0, 100), max_size=6))
def test_how_the_pieces_are_cut_makes_no_difference(body: bytes, cuts: list[int]) -> None:
    async def run() -> None:
        call, whole = Call(), METADATA + DELIMITER + body
        bounds = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
        call.feed(*[whole[start:end] for start, end in pairwise(bounds)])
        call.end()

        assert (call.result.payload, await call.body(), call.overs) == (METADATA, body, 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"no metadata"], id="short"),
        pytest.param([], id="nothing"),
        pytest.param([b"x" * MOST_METADATA, b"y" * 100, DELIMITER], id="a delimiter that comes too late"),
        pytest.param([b"x" * (MOST_METADATA + 1) + DELIMITER], id="a byte too late"),
    ],
)
async def test_what_has_no_metadata_is_no_stream(parts: list[bytes]) -> None:
    call = Call()
    call.feed(*parts)
    call.end()

    assert call.result.stream is None
    assert call.result.payload == b"".join(parts)[:MOST_METADATA]


async def test_a_delimiter_at_the_last_place_it_may_have() -> None:
    call = Call()
    call.feed(b"x" * MOST_METADATA, DELIMITER)

    assert len(call.result.payload) == MOST_METADATA
    assert call.result.stream is not None
    call.result.stream.close()


async def test_whoever_wants_it_whole_gets_it_whole() -> None:
    call = Call(streams=False)
    call.feed(METADATA, DELIMITER, b"body")
    assert not call.invoke.done()
    call.end()

    assert call.result == FunctionResult(METADATA + DELIMITER + b"body", log_tail=b"tail")


async def test_what_is_kept_whole_is_bounded() -> None:
    call = Call(streams=False)
    call.feed(b"x" * MAX_RESULT, b"x", b"more")
    call.end()

    assert call.result.failed
    assert b"Function.ResponseSizeTooLarge" in call.result.payload


async def test_a_failure_before_the_metadata_is_a_failed_result() -> None:
    call = Call()
    call.feed(METADATA)
    call.end(b'{"errorType": "Full"}')

    assert call.result == FunctionResult(b'{"errorType": "Full"}', failed=True, log_tail=b"tail")


async def test_a_failure_behind_it_breaks_the_body_off() -> None:
    call = Call()
    call.feed(METADATA + DELIMITER + b"one")
    call.end(b'{"errorType": "Full"}')

    with pytest.raises(BadGateway, match=r"arn failed in the middle of its answer.*Full"):
        await call.body()
    assert call.overs == 1


async def test_reading_pauses_while_nobody_takes_it_and_goes_on_where_nobody_will() -> None:
    call = Call()
    call.feed(METADATA + DELIMITER, b"x" * 65_537)
    assert call.pauses == [True]
    assert call.result.stream is not None
    assert len(await anext(aiter(call.result.stream))) == 65_537
    assert call.pauses == [True, False]

    call.feed(b"x" * 65_537)
    call.result.stream.close()
    call.feed(b"x" * 65_537)
    call.end()
    assert call.pauses == [True, False, True, False]
    assert call.overs == 1


async def test_what_comes_behind_the_deadline_is_dropped() -> None:
    call = Call()
    call.invoke.expire()
    call.feed(METADATA + DELIMITER + b"x" * 65_537)
    call.end()

    assert call.pauses == []
    assert isinstance(call.invoke.exception(), IntegrationTimeout)
