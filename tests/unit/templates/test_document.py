"""Documents: what is JSON, what numbers look like, how values are printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates.document import (
    MAX_DEPTH,
    MISSING,
    Json,
    Number,
    decode,
    number_value,
    to_json,
    to_text,
    too_deep,
)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n", id="blanks"),
        pytest.param(b"hello", id="a bare word"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="a trailing comma"),
        pytest.param(b'{"a": 1} x', id="something behind it"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b"[-Infinity]", id="minus Infinity"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="a surrogate in UTF-8"),
        pytest.param(b'"\x01"', id="a control character"),
        pytest.param(b'"\\q"', id="an unknown escape"),
        pytest.param(b"01", id="a leading zero"),
        pytest.param(b"1.", id="a point without digits"),
        pytest.param(b"\x00", id="a zero byte"),
        pytest.param(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), id="nested too deep"),
        pytest.param(b"[" * 1_000_000, id="a million brackets"),
        pytest.param(b'{"a":' * 200_000, id="a million characters of open objects"),
    ],
)
def test_what_is_not_json(data: bytes) -> None:
    assert decode(data) is MISSING


@pytest.mark.parametrize(
    ("data", "document"),
    [
        pytest.param(b"null", None, id="null is a document"),
        pytest.param(b' \t\r\n"x" ', "x", id="blanks around it"),
        pytest.param(b'{"a": 1, "a": 2}', {"a": Number("2")}, id="the last of equal names wins"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', {"a": Number("2")}, id="the last of equal names wins, however written"),
        pytest.param(b'"\\ud83d\\ude00"', "😀", id="a surrogate pair"),
        pytest.param(b'"x\\ud83dy"', "x\ufffdy", id="half a pair, high"),
        pytest.param(b'"\\uDE00"', "\ufffd", id="half a pair, low"),
        pytest.param(b'"\\ud83d\\ud83d\\ude00"', "\ufffd😀", id="half a pair before a whole one"),
        pytest.param(b'"\\\\ud83d"', "\\ud83d", id="an escaped backslash before the letters of a surrogate"),
    ],
)
def test_what_is_json(data: bytes, document: Json) -> None:
    assert decode(data) == document


@pytest.mark.parametrize(
    "text", ["7", "7.0", "-0", "-0.0", "1e3", "1E+400", "123456789012345678901234567890", "9" * 5000]
)
def test_numbers_keep_their_text(text: str) -> None:
    document = decode(f'{{"n": [{text}]}}'.encode())

    assert to_text(document) == f"{{n=[{text}]}}"
    assert isinstance(document, dict)
    assert to_json(document) == f'{{"n":[{text}]}}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("7", 7, id="an integer"),
        pytest.param("-7", -7, id="a negative integer"),
        pytest.param("7.5", 7.5, id="a fraction"),
        pytest.param("1e3", 1000.0, id="an exponent"),
        pytest.param("12345678901234567890", 12345678901234567890, id="an integer over 64 bits"),
        pytest.param("9" * 5000, float("inf"), id="more digits than Python reads"),
        pytest.param("-1e999", float("-inf"), id="an exponent over the range"),
    ],
)
def test_number_values(text: str, value: float) -> None:
    assert number_value(text) == value
    assert Number(text).value() == value


def test_numbers_are_equal_by_value() -> None:
    assert Number("7") == Number("7.0")
    assert hash(Number("7")) == hash(Number("7.0"))
    assert Number("7") != "7"
    assert Number("1") != True  # noqa: E712


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"null", "", id="null alone is empty"),
        pytest.param(b"true", "true", id="true"),
        pytest.param(b'["u", "v"]', "[u, v]", id="an array as Java prints a list"),
        pytest.param(b'{"k": 1, "k2": "v"}', "{k=1, k2=v}", id="an object as Java prints a map"),
        pytest.param(b'{"a": [null, false, {}], "b": []}', "{a=[null, false, {}], b=[]}", id="nested"),
    ],
)
def test_text_as_java_prints_it(data: bytes, text: str) -> None:
    assert to_text(decode(data)) == text


def test_json_is_printed_without_blanks_and_escapes() -> None:
    assert to_json(decode(b'{ "a" : [ "\\u00e9", null, true, 1.50 ] }')) == '{"a":["é",null,true,1.50]}'  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, id="as deep as allowed"),
        pytest.param(b"[" + b"[]," * 10_000 + b"[]]", id="wide"),
        pytest.param(b'"' + b"[" * 10_000 + b'"', id="brackets in a string"),
        pytest.param(b'"' + b'\\"[' * 10_000 + b'"', id="brackets in a string with escaped quotes"),
    ],
)
def test_documents_within_the_depth(data: bytes) -> None:
    assert not too_deep(data)
    assert decode(data) is not MISSING


def test_documents_at_the_depth_are_printed() -> None:
    data = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    document = decode(data)

    assert isinstance(document, dict)
    assert to_json(document).encode() == data
    assert to_text(document) == "{a=" * MAX_DEPTH + "1" + "}" * MAX_DEPTH


def test_a_string_without_end_is_scanned_once() -> None:
    """Escaped quotes in a string that never ends must not be tried as beginnings, one by one."""
    assert decode(b'"' + b'\\"[' * 300_000) is MISSING


@given(st.binary() | st.text().map(str.encode) | st.from_regex(rb'[\[\]{}",:\\ 0-9ud.e-]*', fullmatch=True))
def test_any_bytes_are_a_document_or_missing(data: bytes) -> None:
    document = decode(data)

    if document is not MISSING:
        to_text(document).encode()
        assert decode(to_json(document).encode()) == document
