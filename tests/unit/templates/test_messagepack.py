"""MessagePack is read like the JSON it stands for, or not at all."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgateway.templates import document, messagepack
from wsgateway.templates.document import MAX_DEPTH, MISSING, to_json
from wsgateway.templates.messagepack import MAX_BYTES, MESSAGEPACK
from wsgateway.templates.selection import compile_selection, route_table

pack = msgspec.msgpack.encode

ROUTES = {"join": 1, "7": 2, "7.5": 3, "true": 4, "{k=v}": 5, "[join, null]": 6, "-0.0": 7, "é": 8, "1e+16": 9}
EXPRESSIONS = [
    "$request.body.action",
    "${request.body.action}",
    "$request.body.x/$request.body.action",
    "$request.body..action",
    "$request.body.x[0]",
    "$request.body",
    "$request.body[?(@.x > 1)]",
    "jmespath:body.action || body.x",
    "jmespath:body",
    r"\$default",
]


def nested(depth: int) -> bytes:
    return b"\x91" * (depth - 1) + b"\x90"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param({"action": "join"}, "join", id="a string"),
        pytest.param({"action": 7}, "7", id="a whole number"),
        pytest.param({"action": 7.5}, "7.5", id="a number"),
        pytest.param({"action": 2**64 - 1}, "18446744073709551615", id="the largest number"),
        pytest.param({"action": True}, "true", id="true"),
        pytest.param({"action": None}, "", id="null"),
        pytest.param({"action": b"join"}, "", id="binary data is null"),
        pytest.param({"action": ["join", b""]}, "[join, null]", id="also inside"),
        pytest.param({"action": {"k": "v"}}, "{k=v}", id="an object"),
        pytest.param({"x": 1}, "", id="nothing of that name"),
        pytest.param(["action"], "", id="no object"),
        pytest.param(1, "", id="a number alone"),
    ],
)
def test_what_is_selected(value: object, key: str) -> None:
    assert compile_selection("$request.body.action", MESSAGEPACK)(pack(value)) == key
    assert compile_selection("jmespath:body.action", MESSAGEPACK)(pack(value)) == key
    assert route_table("$request.body.action", {key: 1}, 2, MESSAGEPACK)(pack(value)) == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"action":"join"}', id="JSON: a number and more behind it"),
        pytest.param(pack({"action": "join"}) + b"\xc0", id="something behind it"),
        pytest.param(pack({"action": "join"})[:-1], id="cut off"),
        pytest.param(b"\xc1", id="the byte that is never used"),
        pytest.param(pack({"action": "join", "at": datetime(2026, 1, 1, tzinfo=UTC)}), id="a timestamp"),
        pytest.param(pack({"action": "join", "x": [msgspec.msgpack.Ext(5, b"x")]}), id="an extension"),
        pytest.param(pack({"action": "join", "x": {7: 1}}), id="a number as a key"),
        pytest.param(pack({"action": "join", None: 1}), id="null as a key"),
        pytest.param(pack({"action": "join", b"x": 1}), id="binary data as a key"),
        pytest.param(b"\x82\xa6action\xa4join\x90\x01", id="an array as a key"),
        pytest.param(b"\x82\xa6action\xa4join\x80\x01", id="a map as a key"),
        pytest.param(b"\x82\xa6action\xa4join\xcb" + struct.pack(">d", float("nan")) + b"\x01", id="NaN as a key"),
        pytest.param(pack({"action": "join", "x": float("nan")}), id="NaN"),
        pytest.param(pack({"action": "join", "x": [float("-inf")]}), id="infinity"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x\xa1\xff", id="no UTF-8"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x\xa3\xed\xa0\x80", id="half a surrogate pair"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x" + nested(MAX_DEPTH), id="nested too deep"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x" + nested(1_000_000), id="nested endlessly"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x\xdd\xff\xff\xff\xff", id="four thousand million elements"),
        pytest.param(b"\xdf\xff\xff\xff\xff\xa6action\xa4join", id="four thousand million members"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x\xdb\xff\xff\xff\xff", id="a string of 4 GiB"),
        pytest.param(b"\x82\xa6action\xa4join\xa1x\xc6\xff\xff\xff\xff", id="binary data of 4 GiB"),
    ],
)
def test_what_is_no_document(data: bytes) -> None:
    """As a message that is not JSON: `$default`."""
    assert messagepack.decode(data) is MISSING
    assert messagepack.plain(data) is MISSING
    for expression in EXPRESSIONS:
        assert compile_selection(expression, MESSAGEPACK)(data) is None
        assert route_table(expression, {"join": 1, "": 1}, 2, MESSAGEPACK)(data) == 2


def test_the_deepest_document_is_as_deep_as_json() -> None:
    for depth, read in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        assert (messagepack.decode(nested(depth)) is not MISSING) is read
        assert (document.decode(b"[" * depth + b"]" * depth) is not MISSING) is read


def test_of_equal_names_the_last_wins() -> None:
    data = b"\x82\xa6action\xa5leave\xa6action\xa4join"

    assert route_table("$request.body.action", ROUTES, 0, MESSAGEPACK)(data) == 1


def test_only_custom_routes_are_selected() -> None:
    routes = {"$connect": 1, "$disconnect": 2, "$default": 3}
    for key in routes:
        assert route_table("$request.body.action", routes, 0, MESSAGEPACK)(pack({"action": key})) == 0


def test_a_message_of_a_million_values_is_stepped_over() -> None:
    for value in ([1] * 1_000_000, [[]] * 500_000, [{"a": b""}] * 100_000):
        choose = route_table("$request.body.action", {"": 1}, 0, MESSAGEPACK)
        assert choose(pack({"x": value})) == 1
        assert choose(pack(value)) == 0, "it would have to be read whole"


words = st.text(max_size=5) | st.sampled_from(["join", "action", "x", "7", "$default"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
documents = values | st.fixed_dictionaries({}, optional={"action": values, "x": values, "y": values})


@given(documents)
@example({"action": -0.0})
@example({"action": 1e16})
@example({"action": [1e300, {"k": [None, True]}]})
def test_a_json_value_is_routed_alike_in_either_format(value: Any) -> None:
    text, packed = json.dumps(value).encode(), pack(value)
    for expression in EXPRESSIONS:
        key = compile_selection(expression)(text)
        assert compile_selection(expression, MESSAGEPACK)(packed) == key
        for routes in (ROUTES, {key: 1}):
            assert route_table(expression, routes, 0, MESSAGEPACK)(packed) == route_table(expression, routes, 0)(text)


@given(documents)
def test_a_json_value_is_the_same_document(value: Any) -> None:
    packed = messagepack.decode(pack(value))

    assert packed is not MISSING
    assert to_json(packed) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert messagepack.plain(pack(value)) == value


@given(
    st.binary()
    | st.builds(lambda value, cut, junk: pack(value)[:cut] + junk, documents, st.integers(0, 40), st.binary(max_size=9))
)
def test_no_bytes_make_it_raise_and_both_ways_agree(data: bytes) -> None:
    """The member alone, the whole document, and its plain form tell the same messages from what is none."""
    read = messagepack.decode(data) is not MISSING
    assert (messagepack.plain(data) is not MISSING) is read
    for expression in EXPRESSIONS:
        key = compile_selection(expression, MESSAGEPACK)(data)
        assert (key is not None) is read
        assert route_table(expression, {key: 1} if key is not None else {}, 2, MESSAGEPACK)(data) == (
            1 if read and key not in ("$connect", "$disconnect", "$default") else 2
        )


# Large ones


@pytest.mark.parametrize(
    ("value", "route"),
    [
        pytest.param({"action": "join", "x": b"a" * MAX_BYTES}, 1, id="behind is much"),
        pytest.param({"x": b"a" * MAX_BYTES, "action": "join"}, 1, id="before is much"),
        pytest.param({"x": b"a" * MAX_BYTES}, 0, id="nothing of that name"),
        pytest.param({"action": "a" * MAX_BYTES}, 0, id="the member itself"),
        pytest.param(["join"] * MAX_BYTES, 0, id="no object"),
        pytest.param({"action": 7, "x": [[]] * MAX_BYTES}, 2, id="many values beside it"),
    ],
)
def test_a_member_is_found_however_large_the_message(value: object, route: int) -> None:
    assert route_table("$request.body.action", ROUTES, 0, MESSAGEPACK)(pack(value)) == route


def test_what_must_be_read_whole_is_not_when_it_is_large() -> None:
    data = pack({"action": "join", "x": "a" * MAX_BYTES})

    assert MESSAGEPACK.decode(data) is MISSING
    assert messagepack.plain(data) is MISSING
    assert route_table("jmespath:body.action", ROUTES, 0, MESSAGEPACK)(data) == 0


@given(st.binary(max_size=200))
def test_no_large_message_makes_a_reader_raise(data: bytes) -> None:
    messagepack.member_reader("action")(data + b"\0" * MAX_BYTES)
    messagepack.member_reader("action")(data * (MAX_BYTES // max(1, len(data)) + 1))
