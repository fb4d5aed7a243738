"""Methods of each kind of value, as the Java SE API documents them for String, List, Map, Integer, Double, Boolean."""

from __future__ import annotations

from typing import Any

import pytest

from wsgateway.templates.document import Number, decode
from wsgateway.templates.vtl.values import ArrayList, NoMethod, RenderError, Value, Work, call, text


def called(value: Value, name: str, *arguments: Value) -> Value:
    return call(value, name, list(arguments), Work())


def document(written: str) -> Any:
    return decode(written.encode())


@pytest.mark.parametrize(
    ("value", "name", "arguments", "found"),
    [
        ("abc", "charAt", [1], "b"),
        ("abc", "charAt", [Number("2")], "c"),
        ("abc", "compareTo", ["abd"], -1),
        ("abc", "compareTo", ["abcde"], -2),
        ("abc", "compareTo", ["abc"], 0),
        ("b", "compareTo", ["ab"], 1),
        ("\uff00", "compareTo", ["😀"], 0xFF00 - 0xD83D),  # by UTF-16 units, not by characters
        ("ABC", "compareToIgnoreCase", ["abd"], -1),
        ("ab", "concat", ["cd"], "abcd"),
        ("abc", "contains", ["bc"], True),
        ("abc", "contains", ["x"], False),
        ("abc", "contains", [""], True),
        ("abc", "contentEquals", ["abc"], True),
        ("abc", "endsWith", ["bc"], True),
        ("1", "equals", [1], False),
        ("a", "equals", ["a"], True),
        ("Straße", "equalsIgnoreCase", ["sTRAßE"], True),
        ("ß", "equalsIgnoreCase", ["SS"], False),
        ("a", "equalsIgnoreCase", [None], False),
        ("", "hashCode", [], 0),
        ("hello", "hashCode", [], 99162322),
        ("polygenelubricants", "hashCode", [], -(2**31)),
        ("😀", "hashCode", [], 1772899),
        ("banana", "indexOf", ["an"], 1),
        ("banana", "indexOf", ["an", 2], 3),
        ("banana", "indexOf", ["x"], -1),
        ("banana", "indexOf", [110], 2),
        ("banana", "indexOf", ["a", -5], 1),
        ("banana", "indexOf", ["", 99], 6),
        ("😀a", "indexOf", ["a"], 2),
        ("😀a😀a", "indexOf", ["a", 3], 5),
        (" \t", "isBlank", [], True),
        ("", "isEmpty", [], True),
        ("banana", "lastIndexOf", ["an"], 3),
        ("banana", "lastIndexOf", ["an", 2], 1),
        ("banana", "lastIndexOf", ["an", -1], -1),
        ("banana", "lastIndexOf", ["", 99], 6),
        ("a😀a", "lastIndexOf", ["a"], 3),
        ("abc", "length", [], 3),
        ("é€", "length", [], 2),
        ("a😀", "length", [], 3),
        ("ab", "repeat", [3], "ababab"),
        ("a.b.c", "replace", [".", "-"], "a-b-c"),
        ("ab", "replace", ["", "-"], "-a-b-"),
        ("abc", "startsWith", ["ab"], True),
        ("abc", "startsWith", ["bc", 1], True),
        ("abc", "startsWith", ["bc", 9], False),
        (" a ", "strip", [], "a"),
        (" a ", "stripLeading", [], "a "),
        (" a ", "stripTrailing", [], " a"),
        ("abcd", "subSequence", [1, 3], "bc"),
        ("abcd", "substring", [2], "cd"),
        ("abcd", "substring", [4], ""),
        ("abcd", "substring", [1, 1], ""),
        ("a😀b", "substring", [1, 3], "😀"),
        ("a😀b", "substring", [2], "\ufffdb"),
        ("a😀b", "substring", [0, 2], "a\ufffd"),
        ("ab", "toCharArray", [], ["a", "b"]),
        ("ABÇ", "toLowerCase", [], "abç"),
        ("straße", "toUpperCase", [], "STRASSE"),
        ("\u0000 a\u00a0", "trim", [], "a\u00a0"),
        ("a", "toString", [], "a"),
        ("a", "intern", [], "a"),
        ("", "valueOf", [7], "7"),
        ("", "valueOf", [None], "null"),
        ("", "join", [", ", ["a", None, True]], "a, null, true"),
    ],
)
def test_strings(value: Value, name: str, arguments: list[Value], found: Value) -> None:
    assert called(value, name, *arguments) == found


@pytest.mark.parametrize(
    ("value", "name", "arguments"),
    [
        pytest.param("abc", "charAt", [3], id="a position behind the end"),
        pytest.param("abc", "substring", [-1], id="a position before the beginning"),
        pytest.param("abc", "substring", [2, 1], id="an end before the beginning"),
        pytest.param("abc", "substring", ["1"], id="a text as position"),
        pytest.param("abc", "substring", [1.0], id="a fraction as position"),
        pytest.param("abc", "substring", [True], id="a boolean as position"),
        pytest.param("abc", "charAt", [2**31], id="what is no int in Java"),
        pytest.param("abc", "contains", [1], id="a number as text"),
        pytest.param("abc", "concat", [None], id="null as text"),
        pytest.param("abc", "replace", ["a", 1], id="a number as replacement"),
        pytest.param("abc", "repeat", [-1], id="less than no times"),
        pytest.param("abc", "indexOf", [0xD800], id="half a pair"),
        pytest.param("abc", "join", [",", "abc"], id="joining what is no list"),
        pytest.param("abc", "length", [1], id="too many arguments"),
        pytest.param("abc", "charAt", [], id="too few arguments"),
        pytest.param(["a"], "get", [1], id="an index behind the end"),
        pytest.param(["a"], "get", [-1], id="an index before the beginning"),
        pytest.param(["a"], "set", [1, "x"], id="setting behind the end"),
        pytest.param(["a"], "add", [2, "x"], id="adding behind the end"),
        pytest.param(["a"], "remove", [1], id="removing behind the end"),
        pytest.param(["a"], "addAll", ["x"], id="adding what is no list"),
        pytest.param(["a"], "subList", [1, 0], id="a list of less than none"),
        pytest.param({}, "put", [None, 1], id="null as key"),
        pytest.param({}, "putAll", [["a"]], id="putting what is no map"),
        pytest.param({}, "get", [{}], id="a map as key"),
        pytest.param(0, "parseInt", ["x"], id="no digits"),
        pytest.param(0, "parseInt", [""], id="nothing"),
        pytest.param(0, "parseInt", ["-"], id="a sign alone"),
        pytest.param(0, "parseInt", [" 1"], id="a blank before the digits"),
        pytest.param(0, "parseInt", ["1_0"], id="Python's underscore"),
        pytest.param(0, "parseInt", ["٣"], id="digits of another script"),
        pytest.param(0, "parseInt", ["2147483648"], id="too large for an int"),
        pytest.param(0, "parseInt", ["1" * 5000], id="thousands of digits"),
        pytest.param(0, "parseInt", ["1", 40], id="no such base"),
        pytest.param(0, "parseDouble", ["nan"], id="what only Python reads"),
        pytest.param(0, "max", [1, "2"], id="the larger of a number and a text"),
        pytest.param(True, "compareTo", [1], id="a boolean and a number in order"),
        pytest.param(None, "toString", [], id="a method of null"),
    ],
)
def test_what_java_throws_for_or_has_not(value: Value, name: str, arguments: list[Value]) -> None:
    with pytest.raises(NoMethod):
        called(value, name, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "found", "after"),
    [
        ("size", [], 3, "[a, b, a]"),
        ("isEmpty", [], False, "[a, b, a]"),
        ("get", [1], "b", "[a, b, a]"),
        ("set", [1, "x"], "b", "[a, x, a]"),
        ("add", ["x"], True, "[a, b, a, x]"),
        ("add", [0, "x"], None, "[x, a, b, a]"),
        ("add", [3, "x"], None, "[a, b, a, x]"),
        ("addAll", [["x", "y"]], True, "[a, b, a, x, y]"),
        ("addAll", [[]], False, "[a, b, a]"),
        ("addAll", [1, ["x", "y"]], True, "[a, x, y, b, a]"),
        ("remove", [1], "b", "[a, a]"),
        ("remove", ["a"], True, "[b, a]"),
        ("remove", ["x"], False, "[a, b, a]"),
        ("removeAll", [["a"]], True, "[b]"),
        ("retainAll", [["a"]], True, "[a, a]"),
        ("retainAll", [["a", "b"]], False, "[a, b, a]"),
        ("contains", ["b"], True, "[a, b, a]"),
        ("contains", [1], False, "[a, b, a]"),
        ("containsAll", [["b", "a"]], True, "[a, b, a]"),
        ("containsAll", [["b", "x"]], False, "[a, b, a]"),
        ("indexOf", ["a"], 0, "[a, b, a]"),
        ("lastIndexOf", ["a"], 2, "[a, b, a]"),
        ("indexOf", ["x"], -1, "[a, b, a]"),
        ("lastIndexOf", ["x"], -1, "[a, b, a]"),
        ("subList", [1, 3], ["b", "a"], "[a, b, a]"),
        ("toArray", [], ["a", "b", "a"], "[a, b, a]"),
        ("toString", [], "[a, b, a]", "[a, b, a]"),
        ("equals", [["a", "b", "a"]], True, "[a, b, a]"),
        ("clear", [], None, "[]"),
    ],
)
def test_lists(name: str, arguments: list[Value], found: Value, after: str) -> None:
    items = ArrayList(["a", "b", "a"])

    assert called(items, name, *arguments) == found
    assert text(items, Work()) == after


def test_a_part_of_a_documents_list_prints_as_one() -> None:
    assert text(called(document('["a", "b"]'), "subList", 0, 1), Work()) == '["a"]'
    assert text(called(ArrayList(["a", "b"]), "subList", 0, 1), Work()) == "[a]"


def test_numbers_are_found_by_value() -> None:
    items = document("[1.0, [2], {}]")

    assert called(items, "contains", 1) is True
    assert called(items, "indexOf", [2]) == 1
    assert called(items, "indexOf", document("{}")) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "printed", "after"),
    [
        ("size", [], "2", "{a=1, b=null}"),
        ("isEmpty", [], "false", "{a=1, b=null}"),
        ("get", ["a"], "1", "{a=1, b=null}"),
        ("get", ["x"], "", "{a=1, b=null}"),
        ("getOrDefault", ["a", "none"], "1", "{a=1, b=null}"),
        ("getOrDefault", ["x", "none"], "none", "{a=1, b=null}"),
        ("put", ["a", 2], "1", "{a=2, b=null}"),
        ("put", ["x", 2], "", "{a=1, b=null, x=2}"),
        ("put", [7, 2], "", "{a=1, b=null, 7=2}"),
        ("putAll", [{"b": 2, "c": 3}], "", "{a=1, b=2, c=3}"),
        ("putIfAbsent", ["a", 2], "1", "{a=1, b=null}"),
        ("putIfAbsent", ["b", 2], "", "{a=1, b=2}"),
        ("replace", ["a", 2], "1", "{a=2, b=null}"),
        ("replace", ["x", 2], "", "{a=1, b=null}"),
        ("remove", ["a"], "1", "{b=null}"),
        ("remove", ["x"], "", "{a=1, b=null}"),
        ("containsKey", ["b"], "true", "{a=1, b=null}"),
        ("containsKey", [None], "false", "{a=1, b=null}"),
        ("containsValue", [1], "true", "{a=1, b=null}"),
        ("containsValue", ["1"], "false", "{a=1, b=null}"),
        ("keySet", [], "[a, b]", "{a=1, b=null}"),
        ("values", [], "[1, null]", "{a=1, b=null}"),
        ("entrySet", [], "[a=1, b=null]", "{a=1, b=null}"),
        ("equals", [document('{"b": null, "a": 1}')], "true", "{a=1, b=null}"),
        ("toString", [], "{a=1, b=null}", "{a=1, b=null}"),
        ("clear", [], "", "{}"),
    ],
)
def test_maps(name: str, arguments: list[Value], printed: str, after: str) -> None:
    items: dict[str, Value] = {"a": Number("1"), "b": None}

    assert text(called(items, name, *arguments), Work()) == printed
    assert text(items, Work()) == after


def test_entries() -> None:
    entries = called({"a": 1}, "entrySet")
    entry = called(entries, "get", 0)

    assert called(entry, "getKey") == "a"
    assert called(entry, "getValue") == 1


def test_going_through_keys_may_change_the_map() -> None:
    items: dict[str, Value] = {"a": 1, "b": 2}
    keys = called(items, "keySet")
    assert isinstance(keys, list)

    for key in keys:
        called(items, "remove", key)

    assert items == {}
    assert keys == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "name", "arguments", "printed"),
    [
        (7, "toString", [], "7"),
        (Number("7.50"), "toString", [], "7.50"),
        (0, "toString", [8], "8"),
        (0, "parseInt", ["-12"], "-12"),
        (0, "parseInt", ["+12"], "12"),
        (0, "parseInt", ["ff", 16], "255"),
        (0, "parseInt", ["-2147483648"], "-2147483648"),
        (0, "parseLong", ["9223372036854775807"], "9223372036854775807"),
        (0, "valueOf", ["12"], "12"),
        (0, "valueOf", [Number("12")], "12"),
        (0.0, "valueOf", ["12"], "12.0"),
        (0.0, "parseDouble", [" 1.5e3 "], "1500.0"),
        (0.0, "parseDouble", ["1f"], "1.0"),
        (0, "parseFloat", [".5"], "0.5"),
        (Number("1.9"), "intValue", [], "1"),
        (Number("-1.9"), "intValue", [], "-1"),
        (Number("1e99"), "intValue", [], "2147483647"),
        (Number("1e999"), "longValue", [], "9223372036854775807"),
        (2**32 + 5, "intValue", [], "5"),
        (2**31, "intValue", [], "-2147483648"),
        (2**63, "longValue", [], "-9223372036854775808"),
        (float("nan"), "intValue", [], "0"),
        (Number("7"), "doubleValue", [], "7.0"),
        (10**400, "doubleValue", [], "Infinity"),
        (7, "equals", [Number("7")], "true"),
        (7, "equals", ["7"], "false"),
        (7, "compareTo", [8], "-1"),
        (0, "compare", [8, Number("7.5")], "1"),
        (0, "max", [8, Number("9.50")], "9.5"),
        (0, "min", [8, 9], "8"),
        (0, "sum", [8, 9], "17"),
        (0, "sum", [8, 0.5], "8.5"),
        (0, "signum", [-8], "-1"),
        (0, "toHexString", [255], "ff"),
        (0, "toHexString", [-1], "ffffffff"),
        (0, "toBinaryString", [5], "101"),
        (0, "toOctalString", [8], "10"),
        (1.0, "isNaN", [], "false"),
        (1.0, "isInfinite", [], "false"),
        (True, "toString", [], "true"),
        (True, "equals", [True], "true"),
        (True, "equals", ["true"], "false"),
        (True, "booleanValue", [], "true"),
        (True, "compareTo", [False], "1"),
        (False, "parseBoolean", ["TRUE"], "true"),
        (False, "parseBoolean", ["yes"], "false"),
        (False, "valueOf", [True], "true"),
    ],
)
def test_numbers_and_booleans(value: Value, name: str, arguments: list[Value], printed: str) -> None:
    assert text(called(value, name, *arguments), Work()) == printed


@pytest.mark.parametrize("name", ["compareTo", "compareToIgnoreCase"])
def test_what_a_string_is_compared_with_is_paid_for(name: str) -> None:
    with pytest.raises(RenderError, match="more steps"):
        call("a", name, ["b" * 128_000], Work(steps=900))
