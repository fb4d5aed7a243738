"""Content codings (RFC 9110 §8.4, §12.5.3)."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgateway.dataplane.coding import PIECE, codings_of, compressed, compressible, decoded, wanted
from wsgateway.errors import RequestTooLarge, UnsupportedMediaType

pytestmark = pytest.mark.anyio

LIMIT = 200_000
UNDO = {"gzip": gzip.decompress, "deflate": zlib.decompress}


async def whole(body: bytes, coding: str) -> bytes:
    made = compressed(body, coding)
    return made if isinstance(made, bytes) else b"".join([piece async for piece in made])


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 5 * PIECE + 7])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_is_compressed_can_be_undone(size: int, coding: str) -> None:
    body = (b"0123456789" * (size // 10 + 1))[:size]
    made = await whole(body, coding)
    assert UNDO[coding](made) == body
    assert await decoded(made, [coding], LIMIT) == body


MEMBERS = gzip.compress(b"a" * 70_000) + gzip.compress(b"b")


async def test_members_of_gzip_are_one_body() -> None:
    assert await decoded(MEMBERS, ["gzip"], LIMIT) == b"a" * 70_000 + b"b"
    assert await decoded(b"as it is", [], LIMIT) == b"as it is"


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        pytest.param(b"x", ["br"], id="another coding"),
        pytest.param(b"x", ["gzip", "gzip"], id="two codings"),
        pytest.param(b"no gzip", ["gzip"], id="no gzip"),
        pytest.param(gzip.compress(b"x"), ["deflate"], id="gzip as deflate"),
        pytest.param(gzip.compress(b"x" * 9999)[:-1], ["gzip"], id="cut off"),
        pytest.param(gzip.compress(b"x")[:5], ["gzip"], id="cut off in its head"),
        pytest.param(gzip.compress(b"x") + b"more", ["gzip"], id="bytes behind it"),
        pytest.param(zlib.compress(b"x") + b"more", ["deflate"], id="bytes behind deflate"),
        pytest.param(gzip.compress(b"") * 17, ["gzip"], id="no end of members"),
        pytest.param(gzip.compress(b"x")[:-8] + b"\0" * 8, ["gzip"], id="a wrong checksum"),
    ],
)
async def test_what_can_not_be_undone_is_unsupported(body: bytes, codings: list[str]) -> None:
    with pytest.raises(UnsupportedMediaType):
        await decoded(body, codings, LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_does_not_become_larger_than_the_limit(coding: str) -> None:
    assert len(await decoded(await whole(b"\0" * LIMIT, coding), [coding], LIMIT)) == LIMIT
    bomb = await whole(b"\0" * 50_000_000, coding)
    assert len(bomb) < 60_000
    with pytest.raises(RequestTooLarge):
        await decoded(bomb, [coding], LIMIT)


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate"]))
async def test_any_bytes_are_undone_or_refused(body: bytes, coding: str) -> None:
    with suppress(UnsupportedMediaType):
        assert isinstance(await decoded(body, [coding], LIMIT), bytes)


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", ""),
        ("*", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, deflate, gzip", "gzip"),
        ("GZIP;Q=0.5, deflate ; q=0.8", "deflate"),
        ("gzip;q=0", ""),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0.5, identity", ""),
        ("gzip;q=much, *;q=1", ""),
        ("gzip;q=1.2.3", ""),
        ("gzip;q=²", ""),
    ],
)
def test_what_a_client_asks_for(accept: str, coding: str) -> None:
    assert wanted(accept) == coding


def test_codings_of_a_request() -> None:
    assert codings_of([(b"Content-Encoding", b"identity, X-GZIP"), (b"content-encoding", b"br")]) == ["gzip", "br"]
    assert codings_of([]) == []


@pytest.mark.parametrize(
    ("status", "lines", "may"),
    [
        (200, b"Content-Type: text/plain\r\n", True),
        (206, b"", False),
        (200, b"X: 1\r\ncontent-encoding: br\r\n", False),
        (200, b"X-Content-Encoding: br\r\n", True),
        (200, b"Content-Range: bytes 0-1/2\r\n", False),
        (200, b"Cache-Control: public, No-Transform\r\n", False),
    ],
)
def test_what_may_be_compressed(status: int, lines: bytes, may: bool) -> None:
    assert compressible(status, lines) is may
