"""A head that was seen before is read as the parser would read it, or not at all."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.messages import Header
from wsgateway.transport.heads import KEPT, KnownHeads

HEADERS: tuple[Header, ...] = ((b"Host", b"a"), (b"Content-Length", b"3"))
REQUEST = b"POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


class Parsed:
    """What llhttp makes of some bytes: whole requests only."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.headers: list[Header] = []
        self.requests: list[tuple[bytes, bytes, tuple[Header, ...], bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.requests.append((self.parser.get_method(), self.url, tuple(self.headers), self.body))
        self.url = self.body = b""
        self.headers = []


def learnt() -> KnownHeads:
    heads = KnownHeads()
    heads.learn(REQUEST, HEADERS, "a", "a", 3)
    return heads


def test_the_same_block_on_another_path_is_recalled() -> None:
    found = learnt().recall(b"DELETE /dev/y?z=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz")

    assert found is not None
    assert (found.method, found.target, found.body) == ("DELETE", "/dev/y?z=1", [b"xyz"])
    assert found.headers == HEADERS


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(REQUEST + b"G", id="a byte behind it"),
        pytest.param(REQUEST + REQUEST, id="a request behind it"),
        pytest.param(REQUEST.replace(b"\r\n", b"\r\nX: y\r\n", 1), id="another header"),
        pytest.param(REQUEST.replace(b"Host", b"host"), id="another spelling"),
        pytest.param(REQUEST.replace(b"POST ", b"POST  "), id="two blanks"),
        pytest.param(REQUEST[:-1], id="a byte missing"),
        pytest.param(b"\r\n" + REQUEST, id="an empty line before it"),
        pytest.param(REQUEST.replace(b"Host: a", b"Host: b"), id="another host"),
        pytest.param(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), id="another version"),
        pytest.param(REQUEST.replace(b"POST", b"CONNECT"), id="a method with rules of its own"),
        pytest.param(REQUEST.replace(b"/dev/x", b"/dev x"), id="a blank in the target"),
        pytest.param(REQUEST.replace(b"/dev/x", b"/dev#x"), id="a fragment"),
        pytest.param(REQUEST.replace(b"/dev/x", b"http://b/x"), id="an absolute target"),
        pytest.param(REQUEST.replace(b"/dev/x", b"/\xff"), id="a target beyond ASCII"),
        pytest.param(REQUEST.replace(b"/dev/x", b"/\r"), id="a bare CR"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_anything_else_goes_to_the_parser(data: bytes) -> None:
    assert learnt().recall(data) is None


@pytest.mark.parametrize("name", [b"Authorization", b"Connection", b"Expect", b"Transfer-Encoding", b"upgrade"])
def test_heads_with_a_meaning_of_their_own_are_not_remembered(name: bytes) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n%s: x\r\n\r\n" % name
    heads = KnownHeads()

    heads.learn(data, ((b"Host", b"a"), (name, b"x")), "a", "a", 0)

    assert heads.recall(data) is None


def test_what_is_remembered_is_bounded() -> None:
    heads = KnownHeads()
    for number in range(3 * KEPT):
        data = b"GET / HTTP/1.1\r\nHost: a%d\r\n\r\n" % number
        heads.learn(data, ((b"Host", b"a%d" % number),), "a", "a", 0)

    assert len(heads._blocks) <= KEPT


ODD = st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\0", b":", b"#", b"//", b"%00", b"Content-Length: 3\r\n", b"abc"])


@given(st.data())
def test_what_is_recalled_is_what_the_parser_reads(data: st.DataObject) -> None:
    """Whatever is done to a known request: it is not recalled, or llhttp reads the very same one request in it."""
    request = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(request)))
        removed = data.draw(st.integers(0, 3))
        request[position : position + removed] = data.draw(ODD | st.binary(max_size=3))

    found = learnt().recall(bytes(request))

    if found is not None:
        parsed = Parsed(bytes(request))
        assert parsed.requests == [(found.method.encode(), found.target.encode(), found.headers, found.body[0])]
