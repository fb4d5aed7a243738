"""What references do at run time: members, indexes, printing, truth, equality and arithmetic.

Printing: API Gateway developer guide, "API Gateway mapping template and access logging variable reference"; the rest:
Velocity user guide, "References", "Conditionals" and "Math".
"""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates.document import Number, decode
from wsgateway.templates.vtl.base import STEPS, Methods
from wsgateway.templates.vtl.methods_lists import LISTS
from wsgateway.templates.vtl.methods_maps import MAPS
from wsgateway.templates.vtl.methods_numbers import BOOLEANS, NUMBERS
from wsgateway.templates.vtl.values import (
    STRING_METHODS,
    ArrayList,
    Entry,
    NoMethod,
    RenderError,
    Tool,
    Value,
    Work,
    arithmetic,
    call,
    compare,
    equal,
    index,
    iterate,
    json_text,
    member,
    set_index,
    set_member,
    text,
    truth,
)


def document(written: str) -> Any:
    return decode(written.encode())


class Fixed(Tool):
    """A tool with one member, which prints as a map."""

    def member(self, name: str) -> Value:
        return "here" if name == "there" else None

    def printed(self) -> Value:
        return {"there": "here"}


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        pytest.param(None, "", id="null alone"),
        pytest.param("it's", "it's", id="a string"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(7, "7", id="an integer"),
        pytest.param(Number("1.50"), "1.50", id="a number as written"),
        pytest.param(Number("1e3"), "1e3", id="a number with an exponent as written"),
        pytest.param(document('{"a": "b", "c": "d"}'), "{a=b, c=d}", id="a map as Java prints it"),
        pytest.param(document("{}"), "{}", id="an empty map"),
        pytest.param(document('{"a": {"b": null}}'), "{a={b=null}}", id="a map in a map, and null within"),
        pytest.param(document('[{"foo": "bar"}]'), '[{"foo":"bar"}]', id="a list as compact JSON"),
        pytest.param(document("[]"), "[]", id="an empty list"),
        pytest.param(document('{"l": [{"foo": "b\\"r"}]}'), '{l=[{"foo":"b\\"r"}]}', id="a list within a map"),
        pytest.param(ArrayList(["a", Number("1"), None]), "[a, 1, null]", id="a template's list as Java prints it"),
        pytest.param(ArrayList([document('{"a": ["b"]}')]), '[{a=["b"]}]', id="a document in a template's list"),
        pytest.param([ArrayList(["a"]), {"b": 1.0}], '[["a"],{"b":1.0}]', id="a template's values in a document"),
        pytest.param(Entry("a", ["b"]), 'a=["b"]', id="an entry"),
        pytest.param([Entry("a", "b")], '[{"a":"b"}]', id="an entry as JSON"),
        pytest.param(Fixed(), "{there=here}", id="a tool"),
        pytest.param([Fixed()], '[{"there":"here"}]', id="a tool as JSON"),
        pytest.param({"a": Tool()}, "{a=}", id="a tool that prints nothing"),
    ],
)
def test_printing(value: Value, printed: str) -> None:
    assert text(value, Work()) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        # Java SE API, Double.toString.
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (2.0, "2.0"),
        (-123456.789, "-123456.789"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-12345678.9, "-1.23456789E7"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (-0.0001, "-1.0E-4"),
        (1.5e300, "1.5E300"),
        (2e-9, "2.0E-9"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_doubles_print_as_in_java(value: float, printed: str) -> None:
    assert text(value, Work()) == printed


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_double_is_read_as_the_same(value: float) -> None:
    printed = text(value, Work())
    digits = printed.lstrip("-").partition("E")[0]

    assert struct.pack("d", float(printed)) == struct.pack("d", value)
    assert "." in digits
    assert "E" not in printed or (len(digits.partition(".")[0]) == 1 and digits[0] != "0")


JSONS = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers().map(lambda number: Number(str(number))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSONS)
def test_json_is_read_as_the_same(value: Any) -> None:
    assert decode(json_text(value, Work()).encode()) == value


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        pytest.param({"a": 1}, "a", 1, id="a map's value"),
        pytest.param({"a": 1}, "b", None, id="a key the map hasn't"),
        pytest.param({"a": 1}, "empty", None, id="a map's keys alone, not Java's properties"),
        pytest.param(Fixed(), "there", "here", id="what a tool offers"),
        pytest.param(Fixed(), "member", None, id="nothing else of a tool"),
        pytest.param(Entry("k", 1), "key", "k", id="an entry's key"),
        pytest.param(Entry("k", 1), "value", 1, id="an entry's value"),
        pytest.param("", "empty", True, id="isEmpty() of a string as a property"),
        pytest.param([1], "empty", False, id="isEmpty() of a list as a property"),
        pytest.param("x", "class", None, id="no class"),
        pytest.param("x", "__class__", None, id="no Python"),
        pytest.param([], "append", None, id="no Python method"),
        pytest.param(None, "x", None, id="of null"),
        pytest.param(7, "real", None, id="of a number"),
    ],
)
def test_members(value: Value, name: str, found: Value) -> None:
    assert member(value, name) == found


@pytest.mark.parametrize(
    ("value", "key", "found"),
    [
        (["a", "b"], 1, "b"),
        (["a", "b"], Number("0"), "a"),
        (["a", "b"], -1, "b"),
        (["a", "b"], 2, None),
        (["a", "b"], -3, None),
        (["a", "b"], "0", None),
        (["a", "b"], True, None),
        (["a", "b"], 0.0, None),
        ({"a": 1}, "a", 1),
        ({"1": "one"}, 1, "one"),
        ({"a": 1}, None, None),
        ({"a": 1}, [], None),
        (Fixed(), "there", "here"),
        ("abc", 0, None),
        ("", "empty", None),
        (None, 0, None),
    ],
)
def test_indexes(value: Value, key: Value, found: Value) -> None:
    assert index(value, key) == found


def test_setting() -> None:
    items: list[Value] = ["a", "b"]
    names: dict[str, Value] = {}

    set_index(items, 0, "x")
    set_index(items, -1, "y")
    set_index(items, 2, "no such place")
    set_member(names, "k", 1)
    set_index(names, "l", 2)
    set_index(names, 3, 3)
    set_member("a string", "k", 1)
    set_index(None, "k", 1)

    assert items == ["x", "y"]
    assert names == {"k": 1, "l": 2, "3": 3}


@pytest.mark.parametrize(
    ("value", "true"),
    [(None, False), (False, False), (True, True), ("", True), (0, True), ([], True), ({}, True), ("false", True)],
)
def test_truth(value: Value, true: bool) -> None:
    assert truth(value) is true


@pytest.mark.parametrize(
    ("left", "right", "are"),
    [
        pytest.param(None, None, True, id="null and null"),
        pytest.param(None, "", True, id="a missing path and an empty string"),
        pytest.param(None, "x", False, id="null and a string"),
        pytest.param(None, False, False, id="null and false"),
        pytest.param(1, Number("1.0"), True, id="numbers by value"),
        pytest.param(Number("1"), Number("1.0"), True, id="numbers of a document by value"),
        pytest.param(1, "1", True, id="a number and what it prints"),
        pytest.param(Number("1.0"), "1", False, id="a number and what it doesn't print"),
        pytest.param(True, "true", True, id="a boolean and what it prints"),
        pytest.param(True, 1, False, id="true and 1"),
        pytest.param("a", "a", True, id="strings"),
        pytest.param({"a": [1]}, {"a": [Number("1")]}, True, id="maps by content"),
        pytest.param({"a": 1}, {"b": 1}, False, id="maps with other keys"),
        pytest.param(["a"], ArrayList(["a"]), True, id="lists of both kinds by content"),
        pytest.param(["a"], ["a", "b"], False, id="lists of other length"),
        pytest.param(["1"], [1], False, id="elements of other kinds"),
        pytest.param({"a": "b"}, "{a=b}", True, id="a map and what it prints"),
        pytest.param(Fixed(), Fixed(), False, id="two tools"),
    ],
)
def test_equality(left: Value, right: Value, are: bool) -> None:
    assert equal(left, right, Work()) is are
    assert equal(right, left, Work()) is are


@pytest.mark.parametrize(
    ("symbol", "left", "right", "holds"),
    [
        ("<", 1, 2, True),
        ("<", Number("1.5"), 2, True),
        ("<=", 2, Number("2.0"), True),
        (">", 2, 2, False),
        (">=", 2, 2, True),
        (">", "b", "a", False),
        (">", "2", 1, False),
        ("<", None, 1, False),
        (">", True, 0, False),
    ],
)
def test_order(symbol: str, left: Value, right: Value, holds: bool) -> None:
    assert compare(symbol, left, right) is holds


@pytest.mark.parametrize(
    ("symbol", "left", "right", "printed"),
    [
        ("+", 1, 2, "3"),
        ("+", Number("1"), 2, "3"),
        ("+", 1, 2.0, "3.0"),
        ("+", "a", 1, "a1"),
        ("+", 1, "a", "1a"),
        ("+", "a", document('{"b": "c"}'), "a{b=c}"),
        ("-", 1, 2, "-1"),
        ("*", 3, Number("1.5"), "4.5"),
        ("/", 7, 2, "3"),
        ("/", -7, 2, "-3"),
        ("/", 7, -2, "-3"),
        ("/", 7.0, 2, "3.5"),
        ("%", 7, 3, "1"),
        ("%", -7, 3, "-1"),
        ("%", 7, -3, "1"),
        ("%", -7.5, 2, "-1.5"),
        ("%", float("inf"), 2, "NaN"),
        pytest.param("*", 10**300, -(10**300), "-Infinity", id="a huge product is infinite"),
        ("*", 2**40, 2**40, str(2**80)),
    ],
)
def test_arithmetic(symbol: str, left: Value, right: Value, printed: str) -> None:
    assert text(arithmetic(symbol, left, right, Work()), Work()) == printed


@pytest.mark.parametrize(
    ("symbol", "left", "right"),
    [
        ("/", 1, 0),
        ("%", 1, 0),
        ("/", 1.0, 0),
        ("%", 1, 0.0),
        ("+", 1, None),
        ("-", "a", 1),
        ("+", [], []),
        ("*", True, 2),
    ],
)
def test_what_has_no_result_is_null(symbol: str, left: Value, right: Value) -> None:
    assert arithmetic(symbol, left, right, Work()) is None


def test_loops_go_through_lists_and_maps() -> None:
    assert iterate(["a"], Work()) == ["a"]
    assert iterate({"k": "v"}, Work()) == ["v"]
    assert [iterate(value, Work()) for value in ("abc", 7, None, True)] == [[], [], [], []]


# Budgets


def doubled(times: int) -> Value:
    value: Value = "x"
    for _ in range(times):
        value = ArrayList([value, value])
    return value


def holding_itself() -> tuple[Value, Value]:
    made: list[Value] = ArrayList()
    made.append(made)
    names: dict[str, Value] = {}
    names["e"] = Entry("e", names)
    return made, names


@pytest.mark.parametrize("value", [*holding_itself(), doubled(60)], ids=["a list", "a map", "doubled"])
def test_what_has_no_end_can_neither_be_printed_nor_compared(value: Value) -> None:
    with pytest.raises(RenderError):
        text(value, Work())
    with pytest.raises(RenderError):
        json_text(value, Work())
    with pytest.raises(RenderError):
        equal(value, "x", Work())


def test_two_that_hold_themselves_are_not_compared_for_ever() -> None:
    (first, _), (second, _) = holding_itself(), holding_itself()

    with pytest.raises(RenderError):
        equal(first, second, Work())


def test_what_is_nested_deep_is_printed() -> None:
    value: Value = []
    for _ in range(20_000):
        value = [value]

    assert text(value, Work()) == "[" * 20_001 + "]" * 20_001


def test_doubling_a_string_ends() -> None:
    def double() -> None:
        work, value = Work(), cast("Value", "x")
        for _ in range(64):
            value = arithmetic("+", value, value, work)

    with pytest.raises(RenderError):
        double()


@pytest.mark.parametrize(
    ("value", "name", "arguments"),
    [
        ("x" * 1000, "repeat", [2**31 - 1]),
        ("x" * 100_000, "replace", ["x", "y" * 100_000]),
        ("x", "join", ["y" * 1000, ["z"] * 50_000]),
    ],
    ids=["repeat", "replace", "join"],
)
def test_a_method_that_makes_too_much_is_not_run(value: Value, name: str, arguments: list[Value]) -> None:
    with pytest.raises(RenderError):
        call(value, name, arguments, Work())


def test_a_list_added_to_itself_ends() -> None:
    def double() -> None:
        work, made = Work(), ArrayList(["x"])
        for _ in range(64):
            call(made, "addAll", [made], work)

    with pytest.raises(RenderError):
        double()


def test_steps_are_counted_to_the_last() -> None:
    work = Work(steps=2500, clock=lambda: 1.0)
    for _ in range(2500):
        work.spend()

    with pytest.raises(RenderError, match="more steps"):
        work.spend()


def test_a_long_rendering_is_stopped_by_the_clock() -> None:
    now = iter([10.0, 10.01, 10.2])
    work = Work(clock=lambda: next(now))
    work.spend(1001)
    work.spend(1001)

    with pytest.raises(RenderError, match="50 ms"):
        work.spend(1001)


# No method call on any value with any arguments raises anything else.

TABLES: dict[str, Methods] = {
    "string": STRING_METHODS,
    "list": LISTS,
    "map": MAPS,
    "number": NUMBERS,
    "boolean": BOOLEANS,
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 12)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["a", "aé😀", "(", "[a-", "$1", "\\", "0x1", "12", "-"])
    | st.integers().map(lambda number: Number(str(number)))
    | st.builds(Fixed)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(ArrayList)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        | st.builds(Entry, st.just("k"), inner)
    ),
    max_leaves=8,
)
METHODS = st.sampled_from(sorted({key for table in TABLES.values() for key in table}))


@given(VALUES, METHODS, st.data())
def test_no_call_raises_anything_else(value: Value, method: tuple[str, int], data: st.DataObject) -> None:
    name, count = method
    arguments: list[Value] = data.draw(st.lists(VALUES, min_size=count, max_size=count))
    try:
        found = call(value, name, arguments, Work())
        text(found, Work()).encode()
        text(value, Work()).encode()
        json_text(value, Work()).encode()
    except (NoMethod, RenderError):
        pass


@given(VALUES, VALUES, VALUES, st.sampled_from("+-*/%"), st.sampled_from(["<", "<=", ">", ">="]))
def test_no_operation_raises_anything_else(left: Value, right: Value, new: Value, symbol: str, order: str) -> None:
    text(arithmetic(symbol, left, right, Work()), Work()).encode()
    compare(order, left, right)
    assert equal(left, right, Work()) == equal(right, left, Work())
    index(left, right)
    set_index(left, right, new)
    iterate(left, Work())


@pytest.mark.parametrize("name", ["getClass", "__len__", "format_map", "encode", "append", "__init__", "wait"])
@pytest.mark.parametrize(
    "value", ["x", 1, 1.5, True, None, [], {}, Number("1"), Tool()], ids=lambda value: str(type(value))
)
def test_nothing_of_python_or_of_reflection_can_be_called(value: Value, name: str) -> None:
    for arguments in ([], ["x"], ["x", "y"]):
        with pytest.raises(NoMethod):
            call(value, name, list(arguments), Work())


def test_every_budget_is_the_documented_one() -> None:
    assert STEPS == 100_000
