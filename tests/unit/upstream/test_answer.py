"""One answer is read strictly, however its bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.messages import EndpointResponse
from wsgateway.upstream.answer import AnswerReader, Refused
from wsgateway.upstream.heads import KnownHeads

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(pieces: Iterable[bytes], *, head_only: bool = False, max_body: int = 100, eof: bool = True) -> AnswerReader:
    """A reader fed with `pieces`, and with the end of the stream if they leave the answer open."""
    reader = AnswerReader()
    reader.expect(head_only, max_body)
    for piece in pieces:
        if reader.complete:
            break
        reader.feed(piece)
    if eof and not reader.complete:
        reader.feed_eof()
    return reader


VALID = [
    pytest.param(OK + b"Content-Length: 2\r\n\r\nhi", EndpointResponse(200, (), b"hi"), True, id="Content-Length"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", EndpointResponse(200), True, id="an empty body"),
    pytest.param(
        CHUNKED + b"2\r\nhi\r\n3;x=y\r\n ho\r\n0\r\n\r\n", EndpointResponse(200, (), b"hi ho"), True, id="chunked"
    ),
    pytest.param(CHUNKED + b"0\r\nA: b\r\n\r\n", EndpointResponse(200), True, id="trailers are dropped"),
    pytest.param(OK + b"\r\nhi", EndpointResponse(200, (), b"hi"), False, id="ended by the end of the stream"),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", EndpointResponse(200, (), b"hi"), False, id="HTTP/1.0"
    ),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi",
        EndpointResponse(200, (), b"hi"),
        True,
        id="HTTP/1.0 kept alive",
    ),
    pytest.param(
        OK + b"connection: Close\r\nContent-Length: 2\r\n\r\nhi",
        EndpointResponse(200, (), b"hi"),
        False,
        id="Connection: close",
    ),
    pytest.param(
        OK + b"X-One: 1  \r\nx-two:\t2\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
        EndpointResponse(200, ((b"X-One", b"1"), (b"x-two", b"2"))),
        True,
        id="headers as spelled, without those of the hop",
    ),
    pytest.param(
        OK + b"X-One: 1\r\nConnection: x-one\r\nContent-Length: 0\r\n\r\n",
        EndpointResponse(200),
        True,
        id="a header named in Connection is of the hop",
    ),
    pytest.param(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
        EndpointResponse(200, ((b"Content-Encoding", b"gzip"),), b"\x1f\x8b"),
        True,
        id="content codings are not ours",
    ),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", EndpointResponse(204), True, id="204"),
    pytest.param(b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", EndpointResponse(204), True, id="204 of length 0"),
    pytest.param(b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", EndpointResponse(304), True, id="304 tells a length"),
    pytest.param(b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n", EndpointResponse(599), True, id="no reason phrase"),
    pytest.param(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        EndpointResponse(302, ((b"Location", b"http://169.254.169.254/"),)),
        True,
        id="a redirect is an answer",
    ),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nhi",
        EndpointResponse(200, (), b"hi"),
        True,
        id="interim answers are skipped",
    ),
]

REFUSED = [
    pytest.param(b"nonsense\r\n\r\n", "not HTTP", id="garbage"),
    pytest.param(b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", "not HTTP", id="a blank line first"),
    pytest.param(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "not HTTP", id="RTSP"),
    pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", ".", id="HTTP/2.0"),
    pytest.param(b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", ".", id="a status below 100"),
    pytest.param(b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n", ".", id="a status of four digits"),
    pytest.param(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "101", id="101"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "breaks off", id="an interim answer alone"),
    pytest.param(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ".", id="CL before TE"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", ".", id="TE before CL"),
    pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", ".", id="two lengths"),
    pytest.param(OK + b"Content-Length: 2, 2\r\n\r\nhi", ".", id="a list of lengths"),
    pytest.param(OK + b"Content-Length: +2\r\n\r\nhi", ".", id="a signed length"),
    pytest.param(OK + b"Content-Length: 99999999999999999999\r\n\r\nhi", ".", id="a length beyond 64 bits"),
    pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunked alone", id="gzip, chunked"),
    pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\nhi", ".", id="a coding without chunked"),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked alone", id="TE in HTTP/1.0"
    ),
    pytest.param(b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\nhi", "204 with a body", id="204 with a body"),
    pytest.param(b"HTTP/1.1 204 X\r\n\r\nhi", "204 with a body", id="bytes after 204"),
    pytest.param(b"HTTP/1.1 304 X\r\n\r\nhi", "304 with a body", id="bytes after 304"),
    pytest.param(b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "204", id="204 with chunks"),
    pytest.param(OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", ".", id="a folded line"),
    pytest.param(OK + b"X: a\nContent-Length: 0\r\n\r\n", ".", id="a lone LF"),
    pytest.param(OK + b"X: a\rY: b\r\nContent-Length: 0\r\n\r\n", ".", id="a lone CR"),
    pytest.param(OK + b"X: a\0\r\nContent-Length: 0\r\n\r\n", ".", id="NUL"),
    pytest.param(OK + b"X : a\r\nContent-Length: 0\r\n\r\n", ".", id="a blank before the colon"),
    pytest.param(OK + b"Content-Length: 5\r\n\r\nhi", "breaks off", id="half a body"),
    pytest.param(OK + b"Content-Le", "breaks off", id="half a head"),
    pytest.param(CHUNKED + b"5\r\nhi", "breaks off", id="half a chunk"),
    pytest.param(CHUNKED + b"2\r\nhi\r\n", "breaks off", id="no last chunk"),
    pytest.param(CHUNKED + b"2\nhi\r\n0\r\n\r\n", ".", id="LF after a chunk size"),
    pytest.param(CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n", ".", id="a negative chunk size"),
    pytest.param(OK + b"Content-Length: 101\r\n\r\n", "over 100 bytes", id="a length over the limit"),
    pytest.param(OK + b"\r\n" + b"x" * 101, "over 100 bytes", id="a stream over the limit"),
    pytest.param(
        CHUNKED + b"64\r\n" + b"x" * 100 + b"\r\n1\r\nx\r\n0\r\n\r\n", "over 100 bytes", id="chunks over the limit"
    ),
    pytest.param(OK + b"X: 1\r\n" * 129 + b"Content-Length: 0\r\n\r\n", "head is too large", id="129 headers"),
    pytest.param(
        OK + b"X: " + b"x" * 65_536 + b"\r\nContent-Length: 0\r\n\r\n", "head is too large", id="64 KiB of head"
    ),
]


@pytest.mark.parametrize(("answer", "response", "reusable"), VALID)
def test_a_valid_answer(answer: bytes, response: EndpointResponse, reusable: bool) -> None:
    reader = read([answer])

    assert reader.response() == response
    assert reader.reusable is reusable


@pytest.mark.parametrize(("answer", "response", "reusable"), VALID)
@given(data=st.data())
def test_cuts_change_nothing(data: st.DataObject, answer: bytes, response: EndpointResponse, reusable: bool) -> None:
    """A valid answer reads the same wherever its bytes are cut."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=6)))
    pieces = [answer[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(answer)], strict=True)]

    reader = read(pieces)

    assert reader.response() == response
    assert reader.reusable is reusable


@pytest.mark.parametrize(("answer", "why"), REFUSED)
def test_a_refused_answer(answer: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        read([answer])


@given(
    st.binary(max_size=200) | st.builds(lambda start, rest: start + rest, st.sampled_from([OK, CHUNKED]), st.binary())
)
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    """Nothing a backend sends raises anything but Refused."""
    with suppress(Refused):
        read([data])


@pytest.mark.parametrize("framing", [b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_no_body_follows_head(framing: bytes) -> None:
    reader = read([OK + framing + b"X: 1\r\n\r\n"], head_only=True, eof=False)

    length = 5000 if b"Length" in framing else None
    assert reader.response() == EndpointResponse(200, ((b"X", b"1"),), length=length)
    assert reader.complete
    assert reader.reusable


@pytest.mark.parametrize(
    ("answer", "surplus", "head_only"),
    [
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhi", b"H", False, id="one byte"),
        pytest.param(
            OK + b"Content-Length: 2\r\n\r\nhi", OK + b"Content-Length: 0\r\n\r\n", False, id="another answer"
        ),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhi", b"\0\0", False, id="garbage"),
        pytest.param(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n", False, id="more chunks"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\n", b"hi", True, id="a body after HEAD"),
    ],
)
def test_an_answer_counts_but_not_what_follows(answer: bytes, surplus: bytes, head_only: bool) -> None:
    reader = read([answer + surplus], head_only=head_only)

    assert reader.response().body == (b"" if head_only else b"hi")
    assert not reader.reusable


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param((OK + b"X: ", b"x" * 4096), id="a header"),
        pytest.param((OK, b"X: " + b"x" * 4096 + b"\r\n"), id="headers"),
        pytest.param((CHUNKED + b"0\r\nX: ", b"x" * 4096), id="a trailer"),
        pytest.param((CHUNKED + b"0\r\n", b"X: x\r\n" * 500), id="trailers"),
        pytest.param((CHUNKED + b"1;", b"x" * 4096), id="a chunk extension"),
        pytest.param((b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), id="interim answers"),
    ],
)
def test_nothing_endless_is_read_on_and_on(endless: tuple[bytes, bytes]) -> None:
    start, more = endless
    with pytest.raises(Refused, match="head is too large"):
        read([start + more, *[more] * 40])


def test_keep_alive_tells_how_long() -> None:
    assert read([OK + b"Keep-Alive: max=9, timeout=5\r\nContent-Length: 0\r\n\r\n"]).idle_seconds == 4
    assert read([OK + b"Keep-Alive: timeout=soon\r\nContent-Length: 0\r\n\r\n"]).idle_seconds == float("inf")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OK + b"Content-Length: 2\r\n\r\nhi", CHUNKED + b"3\r\nho!\r\n0\r\n\r\n"]), st.booleans()
        )
    )
)
def test_a_reader_reads_one_answer_after_another(answers: list[tuple[bytes, bool]]) -> None:
    """Nothing of an answer stays behind, HEAD or not."""
    reader = AnswerReader()
    for answer, head_only in answers:
        reader.expect(head_only, 100)
        reader.feed(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head_only else answer)
        assert reader.complete
        assert reader.reusable
        whole = b"hi" if answer.endswith(b"hi") else b"ho!"
        length = len(whole) if head_only and b"Length" in answer else None
        assert reader.response() == EndpointResponse(200, (), b"" if head_only else whole, length=length)


class TestKnownHeads:
    """A head seen before saves the parsing, and changes no outcome."""

    HEAD = OK + b"content-length: 2\r\nX: 1\r\n\r\n"

    def heads(self, *answers: bytes) -> KnownHeads:
        heads = KnownHeads()
        for answer in answers:
            reader = read([answer])
            heads.learn(answer, reader, reader.response(), 1.5)
        return heads

    def test_a_known_head(self) -> None:
        answer = self.HEAD + b"ho"

        known = self.heads(self.HEAD + b"hi").recall(answer)

        assert known is not None
        assert (known.status, known.headers, known.idle_seconds) == (200, ((b"X", b"1"),), 1.5)
        assert answer[known.start : known.size] == b"ho"

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(HEAD + b"h", id="half a body"),
            pytest.param(HEAD + b"hi!", id="a byte too many"),
            pytest.param(HEAD[:-2], id="half a head"),
            pytest.param(HEAD[:-4], id="a head without its blank line"),
            pytest.param(HEAD.replace(b"X: 1", b"X: 2") + b"hi", id="another value"),
            pytest.param(HEAD.replace(b": 2", b": 3") + b"hi!", id="another length"),
            pytest.param(b"hi", id="a body"),
        ],
    )
    def test_another_head(self, answer: bytes) -> None:
        assert self.heads(self.HEAD + b"hi").recall(answer) is None

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", id="closing"),
            pytest.param(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", id="chunked"),
            pytest.param(b"HTTP/1.1 304 X\r\nContent-Length: 0\r\n\r\n", id="304"),
            pytest.param(b"HTTP/1.1 204 X\r\n\r\n", id="204"),
            pytest.param(OK + b"\r\nhi", id="ended by closing"),
            pytest.param(
                b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", id="after an interim one"
            ),
            pytest.param(OK + b"Content-Length: 2\r\nX: " + b"x" * 3000 + b"\r\n\r\nhi", id="a long one"),
        ],
    )
    def test_some_are_not_kept(self, answer: bytes) -> None:
        assert self.heads(answer).recall(answer) is None

    def test_an_answer_to_head_is_not_kept(self) -> None:
        reader = read([self.HEAD], head_only=True)
        heads = KnownHeads()
        heads.learn(self.HEAD, reader, reader.response(), 1.5)
        assert heads.recall(self.HEAD) is None

    def test_there_is_a_bound(self) -> None:
        answers = [OK + b"Date: %d\r\nContent-Length: 2\r\n\r\nhi" % second for second in range(2000)]

        heads = self.heads(*answers)

        assert sum(heads.recall(answer) is not None for answer in answers) <= 512
        assert heads.recall(answers[-1]) is not None

    @given(st.binary(max_size=40), st.binary(max_size=40), st.data())
    def test_recalling_is_reading(self, value: bytes, body: bytes, data: st.DataObject) -> None:
        """What is recalled of any bytes is what the reader finds in them."""
        answer = OK + b"X: %b\r\nContent-Length: %d\r\n\r\n%b" % (value, len(body), body)
        try:
            heads = self.heads(answer)
        except Refused:
            return
        position = data.draw(st.integers(0, len(answer)))
        changed = (
            answer[:position] + data.draw(st.binary(max_size=2)) + answer[position + data.draw(st.integers(0, 2)) :]
        )

        known = heads.recall(changed)

        if known is not None:
            reader = read([changed])
            assert reader.response() == EndpointResponse(known.status, known.headers, changed[known.start :])
            assert reader.reusable
