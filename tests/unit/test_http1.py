"""Heads can't be split, and each hop frames its own message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway import http1
from wsgateway.http1 import UnsafeHeader
from wsgateway.messages import Header


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(b"X", b"a\r\nSet-Cookie: b", id="CR LF in the value"),
        pytest.param(b"X", b"a\rb", id="a lone CR"),
        pytest.param(b"X", b"a\nb", id="a lone LF"),
        pytest.param(b"X", b"a\n", id="a trailing LF"),
        pytest.param(b"X", b"a\0b", id="NUL"),
        pytest.param(b"", b"a", id="no name"),
        pytest.param(b"X Y", b"a", id="a blank in the name"),
        pytest.param(b"X:", b"a", id="a colon in the name"),
        pytest.param(b"X\n", b"a", id="LF ending the name"),
        pytest.param(b"X\r\nY", b"a", id="CR LF in the name"),
        pytest.param("é".encode(), b"a", id="a name outside ASCII"),
    ],
)
def test_an_unsafe_field_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(UnsafeHeader):
        http1.field(name, value)
    with pytest.raises(UnsafeHeader):
        http1.fields([(b"Fine", b"1"), (name, value)])
    with pytest.raises(UnsafeHeader):
        http1.response(200, [(name, value)])


@given(st.binary(), st.binary())
def test_any_field_is_one_line_or_refused(name: bytes, value: bytes) -> None:
    try:
        line = http1.field(name, value)
    except UnsafeHeader:
        return
    assert line == name + b": " + value + b"\r\n"
    assert line.count(b"\r") == line.count(b"\n") == 1
    assert line.index(b":") == len(name)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        pytest.param(b"GET /", b"/", id="a blank in the method"),
        pytest.param(b"", b"/", id="no method"),
        pytest.param(b"GET", b"", id="no target"),
        pytest.param(b"GET", b"/a b", id="a blank in the target"),
        pytest.param(b"GET", b"/a\r\nX: y", id="CR LF in the target"),
        pytest.param(b"GET", "/é".encode(), id="a target outside ASCII"),
    ],
)
def test_an_unsafe_request_line_is_refused(method: bytes, target: bytes) -> None:
    with pytest.raises(UnsafeHeader):
        http1.request_line(method, target)


def test_a_request_line() -> None:
    assert http1.request_line(b"POST", b"/a?b=%20") == b"POST /a?b=%20 HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        pytest.param(
            http1.response(200, [(b"X", b"1")], b"hi"),
            b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi",
            id="plain",
        ),
        pytest.param(
            http1.response(200, (), b"hi", head_only=True),
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            id="to HEAD",
        ),
        pytest.param(
            http1.response(200, (), head_only=True, length=7),
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            id="to HEAD, the body elsewhere",
        ),
        pytest.param(http1.response(200, (), head_only=True), b"HTTP/1.1 200 OK\r\n\r\n", id="to HEAD, length unknown"),
        pytest.param(
            http1.response(200, (), length=7), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="length of no HEAD"
        ),
        pytest.param(
            http1.response(403, close=True),
            b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            id="closing",
        ),
        pytest.param(http1.response(204, (), b"no"), b"HTTP/1.1 204 No Content\r\n\r\n", id="204 has no body"),
        pytest.param(http1.response(304, (), b"no"), b"HTTP/1.1 304 Not Modified\r\n\r\n", id="304 has no body"),
        pytest.param(
            http1.response(205, (), b"no"),
            b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            id="205 is empty",
        ),
        pytest.param(
            http1.response(101, [(b"Upgrade", b"websocket")], now=0),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            id="101 is not dated",
        ),
        pytest.param(http1.response(799), b"HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n", id="no known reason"),
        pytest.param(
            http1.response(204, now=0.9),
            b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
            id="dated",
        ),
        pytest.param(
            http1.response(204, [(b"date", b"then")], now=0),
            b"HTTP/1.1 204 No Content\r\ndate: then\r\n\r\n",
            id="a Date that was there stays alone",
        ),
    ],
)
def test_a_response(answer: bytes, written: bytes) -> None:
    assert answer == written


@pytest.mark.parametrize("status", [-1, 0, 99, 1000])
def test_a_status_outside_the_range_is_refused(status: int) -> None:
    with pytest.raises(UnsafeHeader):
        http1.response(status)


@pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding", b"CONTENT-LENGTH"])
def test_framing_is_the_writers(name: bytes) -> None:
    with pytest.raises(UnsafeHeader):
        http1.response(200, [(name, b"1")])


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        pytest.param(((b"Accept", b"*/*"), (b"X", b"1")), ((b"Accept", b"*/*"), (b"X", b"1")), id="end to end"),
        pytest.param(((b"TE", b"trailers"), (b"KEEP-ALIVE", b"3"), (b"Content-Length", b"1")), (), id="known"),
        pytest.param(
            (
                (b"X-Forwarded-For", b"1.2.3.4"),
                (b"connection", b" x-forwarded-for\t, X-A ,"),
                (b"x-a", b"1"),
                (b"B", b""),
            ),
            ((b"B", b""),),
            id="named in Connection",
        ),
    ],
)
def test_strip_hop_by_hop(headers: tuple[Header, ...], kept: tuple[Header, ...]) -> None:
    assert http1.strip_hop_by_hop(iter(headers)) == kept


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        pytest.param("1.1", [], True, id="1.1"),
        pytest.param("1.1", [b"Upgrade, Close"], False, id="1.1 closing"),
        pytest.param("1.0", [], False, id="1.0"),
        pytest.param("1.0", [b"Keep-Alive"], True, id="1.0 kept"),
        pytest.param("1.0", [b"keep-alive", b"close"], False, id="close wins"),
    ],
)
def test_keeps_alive(version: str, connection: list[bytes], kept: bool) -> None:
    assert http1.keeps_alive(version, connection) is kept


@pytest.mark.parametrize(
    ("codings", "alone"),
    [
        ([b"Chunked"], True),
        ([b"gzip, chunked"], False),
        ([b"chunked", b"chunked"], False),
        ([], False),
        ([b"x"], False),
    ],
)
def test_chunked_alone(codings: list[bytes], alone: bool) -> None:
    assert http1.chunked_alone(codings) is alone
