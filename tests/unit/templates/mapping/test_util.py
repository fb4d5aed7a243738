"""`$util` (API Gateway developer guide, "API Gateway mapping template and access logging variable reference")."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates.document import Number, decode
from wsgateway.templates.mapping.util import UTIL
from wsgateway.templates.vtl.values import NoMethod, RenderError, Value, Work, call, text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def util(name: str, argument: Value) -> Value:
    return call(UTIL, name, [argument], Work())


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        # Apache Commons Lang, StringEscapeUtils.escapeJavaScript.
        pytest.param('say "hi"', r"say \"hi\"", id="double quotes"),
        pytest.param("it's", r"it\'s", id="single quotes, which is no JSON"),
        pytest.param("a\\b", r"a\\b", id="a backslash"),
        pytest.param("a/b", r"a\/b", id="a slash"),
        pytest.param("\b\t\n\f\r", r"\b\t\n\f\r", id="controls with a letter"),
        pytest.param("\x00\x1f", r"\u0000\u001F", id="other controls"),
        pytest.param("\x7f", "\x7f", id="delete stays"),
        pytest.param("é\xa0", r"\u00E9\u00A0", id="Latin-1"),
        pytest.param("€", r"\u20AC", id="other than Latin-1"),
        pytest.param("😀", r"\uD83D\uDE00", id="two units"),
        pytest.param("aéb€😀c", r"a\u00E9b\u20AC\uD83D\uDE00c", id="all together"),
        pytest.param("", "", id="nothing"),
        pytest.param(None, "null", id="null"),
        pytest.param(Number("1.50"), "1.50", id="a number"),
        pytest.param(True, "true", id="a boolean"),
        pytest.param(decode(b'[{"a": "b"}]'), r"[{\"a\":\"b\"}]", id="a list"),
    ],
)
def test_escape_java_script(value: Value, escaped: str) -> None:
    assert util("escapeJavaScript", value) == escaped


@given(TEXTS)
def test_with_the_idiom_for_single_quotes_it_is_json(value: str) -> None:
    escaped = str(util("escapeJavaScript", value)).replace("\\'", "'")

    assert json.loads(f'"{escaped}"', strict=False) == value
    assert escaped.isascii()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        # Java SE API, URLEncoder.
        ("a b", "a+b"),
        ("a+b", "a%2Bb"),
        ("-_.*", "-_.*"),
        ("~", "%7E"),
        ("=&?/#%", "%3D%26%3F%2F%23%25"),
        ("ü€😀", "%C3%BC%E2%82%AC%F0%9F%98%80"),
        ('{"a": 1}', "%7B%22a%22%3A+1%7D"),
        ("\n", "%0A"),
        (7, "7"),
    ],
)
def test_url_encode(value: Value, encoded: str) -> None:
    assert util("urlEncode", value) == encoded


@given(TEXTS)
def test_what_was_url_encoded_is_decoded_to_the_same(value: str) -> None:
    encoded = str(util("urlEncode", value))

    assert re.fullmatch(r"[a-zA-Z0-9.*_+-]*(?:%[0-9A-F]{2}[a-zA-Z0-9.*_+-]*)*", encoded)
    assert util("urlDecode", encoded) == value


@pytest.mark.parametrize(
    ("value", "decoded"), [("a+b%20c", "a b c"), ("%c3%BC", "ü"), ("%FF", "\ufffd"), ("%ED%A0%80", "\ufffd" * 3)]
)
def test_url_decode(value: str, decoded: str) -> None:
    assert util("urlDecode", value) == decoded


@pytest.mark.parametrize("value", ["%", "100%", "%4", "%zz", "%%41"])
def test_what_is_not_url_encoded_is_null(value: str) -> None:
    with pytest.raises(NoMethod):
        util("urlDecode", value)


@pytest.mark.parametrize(("value", "encoded"), [("", ""), ("a", "YQ=="), ("ü?>", "w7w/Pg=="), (12, "MTI=")])
def test_base64_encode(value: Value, encoded: str) -> None:
    assert util("base64Encode", value) == encoded


@given(TEXTS)
def test_base64_there_and_back(value: str) -> None:
    assert util("base64Decode", util("base64Encode", value)) == value


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("YQ==", "a"),
        ("YQ", "a"),
        ("w7w/Pg==", "ü?>"),
        ("w7w_Pg", "ü?>"),
        ("YW\r\nJj\n", "abc"),
        ("/w==", "\ufffd"),
        ("", ""),
    ],
)
def test_base64_decode(value: str, decoded: str) -> None:
    assert util("base64Decode", value) == decoded


@pytest.mark.parametrize("value", ["Y", "a*b=", "Y=Q=", "ü"])
def test_what_is_not_base64_is_null(value: str) -> None:
    with pytest.raises(NoMethod):
        util("base64Decode", value)


def test_parse_json() -> None:
    parsed = util("parseJson", '{"errorMessage": "it\'s", "n": [1.0, {"k": null}]}')

    assert text(parsed, Work()) == '{errorMessage=it\'s, n=[1.0,{"k":null}]}'
    assert util("parseJson", "null") is None
    assert util("parseJson", Number("7")) == Number("7")


@pytest.mark.parametrize("value", ["", "{", "hello", {"a": "b"}])
def test_what_is_not_json_is_null(value: Value) -> None:
    with pytest.raises(NoMethod):
        util("parseJson", value)


@pytest.mark.parametrize("name", ["urlEncode", "urlDecode", "base64Encode", "base64Decode", "parseJson"])
def test_null_stays_null(name: str) -> None:
    assert util(name, None) is None


@pytest.mark.parametrize("name", ["escapeJavaScript", "urlEncode"])
def test_what_grows_is_paid_for(name: str) -> None:
    work, value = Work(), "\x01" * 500_000

    def grown() -> None:
        for _ in range(8):
            call(UTIL, name, [value], work)

    with pytest.raises(RenderError):
        grown()


@pytest.mark.parametrize("length", [4095, 4096, 4097, 9000])
def test_long_texts_are_whole(length: int) -> None:
    value = "é😀" * (length // 2)

    assert util("urlDecode", util("urlEncode", value)) == value
    assert json.loads(f'"{util("escapeJavaScript", value)}"') == value


def test_there_is_nothing_else() -> None:
    for arguments in ([], ["a", "b"]):
        with pytest.raises(NoMethod):
            call(UTIL, "urlEncode", list(arguments), Work())
    for name in ("toJson", "qr", "__class__", "call"):
        with pytest.raises(NoMethod):
            call(UTIL, name, ["x"], Work())


@given(st.sampled_from(["urlDecode", "base64Decode", "parseJson"]), TEXTS | st.text(alphabet='%aF=+-_/4 {}[]",:1'))
def test_no_text_raises_anything_else(name: str, value: str) -> None:
    with suppress(NoMethod):
        text(util(name, value), Work()).encode()
