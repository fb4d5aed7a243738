"""Selection expressions and routes (API Gateway developer guide, "Route selection expressions")."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgateway.templates.document import MAX_DEPTH
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.selection import compile_selection, route_table, static

BODY = b'{"service":"chat","action":"join","n":7,"ok":true,"x":null,"a":["u","v"],"o":{"k":1}}'


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        pytest.param("$request.body.action", "join", id="a variable"),
        pytest.param("${request.body.action}", "join", id="a variable in braces"),
        pytest.param("${request.body.service}/${request.body.action}", "chat/join", id="variables and a literal"),
        pytest.param("${request.body.action}-${request.body.nope}", "join-", id="a missing variable is empty"),
        pytest.param("action", "action", id="a constant"),
        pytest.param("\\$default", "$default", id="an escaped dollar sign"),
        pytest.param("$request.body.a", "[u, v]", id="an array"),
        pytest.param("$request.body.a[0]", "u", id="an element"),
        pytest.param("$request.body.n", "7", id="a number"),
        pytest.param("$request.body.ok", "true", id="true"),
        pytest.param("$request.body.x", "", id="null is empty"),
        pytest.param("$request.body.o", "{k=1}", id="an object"),
        pytest.param(
            "$request.body",
            "{service=chat, action=join, n=7, ok=true, x=null, a=[u, v], o={k=1}}",
            id="the whole document",
        ),
        pytest.param("$request.body.service.action", "", id="a path through a string"),
        pytest.param("$request.body['action']", "join", id="a quoted name"),
        pytest.param("$request.body.a[*]", "[u, v]", id="all elements"),
        pytest.param("$request.body..k", "[1]", id="a deep scan"),
        pytest.param("$request.body.a[?(@ == 'v')]", "[v]", id="a filter"),
        pytest.param("$request.body.a.length()", "2", id="a length"),
        pytest.param("$request.body.service/$request.body.action", "chat/join", id="a slash ends a variable"),
        pytest.param("$request.body.service-$request.body.action", "chat-join", id="a hyphen ends a variable"),
        pytest.param("$request.body.service$request.body.action", "chatjoin", id="a dollar sign ends a variable"),
        pytest.param("$request.body.a[0, 1]!", "[u, v]!", id="brackets hold anything"),
        pytest.param("$request.body['}']${request.body['}']}", "", id="a brace in a quoted name"),
        pytest.param("\\$request.body.action", "$request.body.action", id="an escaped variable"),
        pytest.param("v\\1 {x} ${request.body.action}", "v\\1 {x} join", id="other backslashes and braces are literal"),
    ],
)
def test_worked_examples(expression: str, key: str) -> None:
    assert compile_selection(expression)(BODY) == key


@pytest.mark.parametrize(
    ("body", "key"),
    [
        pytest.param(b'{"action": 7.0}', "7.0", id="a fraction as written"),
        pytest.param(b'{"action": 1e3}', "1e3", id="an exponent as written"),
        pytest.param(b'{"action": -0}', "-0", id="minus zero as written"),
        pytest.param(
            b'{"action": 123456789012345678901234567890}', "123456789012345678901234567890", id="a big integer"
        ),
        pytest.param(b'{"action": "a", "action": "b"}', "b", id="the last of equal names"),
        pytest.param(
            b'{"action": "$request.body.x", "x": "y"}', "$request.body.x", id="a value is not evaluated again"
        ),
        pytest.param(b'{"action": " join "}', " join ", id="nothing is trimmed"),
        pytest.param(b'{"Action": "join"}', "", id="names are case sensitive"),
        pytest.param(b"{}", "", id="no such member"),
        pytest.param(b"[]", "", id="an array"),
        pytest.param(b'"join"', "", id="a string"),
        pytest.param(b"7", "", id="a number"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b'{"action": "\\ud800"}', "\ufffd", id="half a surrogate pair"),
        pytest.param(b"", None, id="an empty message isn't JSON"),
        pytest.param(b"join", None, id="a bare word isn't JSON"),
        pytest.param(b"\xff\xfe", None, id="other bytes are not JSON"),
        pytest.param(b'{"action": NaN}', None, id="NaN isn't JSON"),
    ],
)
def test_values(body: bytes, key: str | None) -> None:
    assert compile_selection("$request.body.action")(body) == key
    assert compile_selection("$request.body..action")(body) is None or key is not None


@pytest.mark.parametrize("expression", ["action", "\\$default"])
def test_a_constant_is_not_selected_by_what_is_not_json(expression: str) -> None:
    assert compile_selection(expression)(b"hello") is None
    assert compile_selection(expression)(b"{}") == expression.lstrip("\\")


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        pytest.param("jmespath:body.type || body.action", "join", id="the first that is there"),
        pytest.param("jmespath:body.a", "[u, v]", id="an array"),
        pytest.param("jmespath:body.a | [1]", "v", id="a pipe"),
        pytest.param("jmespath:body.nope", "", id="missing"),
        pytest.param("jmespath:length(body.a)", "2", id="a function"),
        pytest.param("jmespath:length(body.n)", "", id="a function on the wrong kind is empty"),
        pytest.param("jmespath:join('/', [body.service, body.action])", "chat/join", id="a join"),
        pytest.param("jmespath:body.{s: service, n: n}", "{s=chat, n=7}", id="an object"),
        pytest.param("jmespath:body.n > `5`", "true", id="a comparison"),
    ],
)
def test_jmespath(expression: str, key: str) -> None:
    assert compile_selection(expression)(BODY) == key
    assert compile_selection(expression)(b"hello") is None


@pytest.mark.parametrize("text", ["7", "7.0", "-0", "1e3", "1e999", "123456789012345678901234567890", "9" * 5000])
def test_jmespath_passes_numbers_on_as_written(text: str) -> None:
    assert compile_selection("jmespath:body.n[0]")(f'{{"n":[{text}]}}'.encode()) == text


@pytest.mark.parametrize(
    ("expression", "position", "problem"),
    [
        pytest.param("", 0, "may not be empty", id="nothing"),
        pytest.param("$", 0, "only $request.body is", id="a dollar sign alone"),
        pytest.param("$default", 0, "\\$ for a dollar sign", id="a dollar sign not escaped"),
        pytest.param("x$context.routeKey", 1, "$context.routeKey is not allowed", id="a context variable"),
        pytest.param("${stageVariables.x}", 0, "$stageVariables.x is not allowed", id="a stage variable"),
        pytest.param("$request.header.x", 0, "$request.header.x is not allowed", id="a header"),
        pytest.param("$request.bodyguard", 0, "only $request.body is", id="another variable that begins alike"),
        pytest.param("a${request.body.x", 1, "no closing }", id="an open brace"),
        pytest.param("$request.body.action.", 21, "braces", id="a full stop behind an unwrapped variable"),
        pytest.param("${request.body.}", 15, "behind the dot", id="no name behind the dot"),
        pytest.param("$request.body.a[b]", 16, "expected a quoted name", id="a name in brackets without quotes"),
        pytest.param("$request.body.a[", 16, "expected a quoted name", id="an open bracket"),
        pytest.param("jmespath:body.", 14, "not a JMESPath expression", id="a broken JMESPath"),
        pytest.param("jmespath:", 9, "not a JMESPath expression", id="an empty JMESPath"),
        pytest.param("jmespath:action", 9, "under body", id="a JMESPath that doesn't read the body"),
        pytest.param("jmespath:body.a && lower(body.b)", 19, "no function lower()", id="an unknown function"),
        pytest.param("jmespath:length(body.a, body.b)", 9, "takes 1 argument", id="too many arguments"),
    ],
)
def test_errors_name_the_place(expression: str, position: int, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_selection(expression)

    assert (caught.value.expression, caught.value.position) == (expression, position)
    assert str(caught.value).splitlines()[1:] == [expression, " " * position + "^"]
    assert problem in str(caught.value)
    with pytest.raises(ExpressionError):
        route_table(expression, {}, 0)


@pytest.mark.parametrize(
    ("expression", "position", "lines"),
    [
        pytest.param(r"4\d{2", 3, [r"4\d{2", "   ^"], id="as it is written in the file"),
        pytest.param("a\n\x1b[2Jb", 7, ["a  [2Jb", "       ^"], id="nothing that moves a terminal's cursor"),
        pytest.param("\tab", 2, ["\tab", "\t ^"], id="a tab is as wide above as below"),
        pytest.param("x" * 300, 150, ["…" + "x" * 100 + "…", " " * 51 + "^"], id="the part around the place"),
    ],
)
def test_errors_show_the_place(expression: str, position: int, lines: list[str]) -> None:
    error = ExpressionError("wrong", expression, position)

    assert str(error).split("\n") == [f"wrong (at character {position + 1})", *lines]
    assert error.in_one_line == f"wrong (at character {position + 1} of {expression!r})"


def test_static_expressions() -> None:
    assert static("\\$default") == "$default"
    assert static("action") == "action"
    assert static("$request.body.action") is None
    assert static("x$request.body.action") is None
    assert static("jmespath:body.action") is None


ROUTES = {
    "join": "join",
    "7": "seven",
    "7.0": "seven point oh",
    "true": "yes",
    "null": "the text null",
    "[u, v]": "the array",
    "{k=1}": "the object",
    "[]": "the empty array",
    "é": "e acute",
    'say "hi"': "quoted",
    "\ufffd": "half a pair",
    "$connect": "WRONG",
    "$disconnect": "WRONG",
    "$default": "WRONG",
}
EXPRESSIONS = (
    "$request.body.action",
    "${request.body['action']}",
    "jmespath:body.action",
    "$request.body.action$request.body.nope",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(
    ("body", "route"),
    [
        pytest.param(b'{"action": "join"}', "join", id="selected"),
        pytest.param(b'{"action": "\\u006aoin"}', "join", id="selected, written with an escape"),
        pytest.param(b'{"\\u0061ction": "join"}', "join", id="selected, the name written with an escape"),
        pytest.param(b' { "x" : [1] , "action" : "join" } ', "join", id="selected among blanks"),
        pytest.param(b'{"action": "leave", "action": "join"}', "join", id="the last of equal names"),
        pytest.param(b'{"action": "join", "text": "\\ud800"}', "join", id="half a surrogate pair elsewhere"),
        pytest.param(b'{"action": "join", "n": ' + b"9" * 5000 + b"}", "join", id="a huge integer elsewhere"),
        pytest.param(b'{"action": "\\ud800"}', "half a pair", id="half a surrogate pair"),
        pytest.param(b'{"action": 7}', "seven", id="a number"),
        pytest.param(b'{"action": 7.0}', "seven point oh", id="another number, as written"),
        pytest.param(b'{"action": "7"}', "seven", id="a string of digits"),
        pytest.param(b'{"action": true}', "yes", id="true"),
        pytest.param(b'{"action": "null"}', "the text null", id="the string null"),
        pytest.param(b'{"action": ["u","v"]}', "the array", id="an array"),
        pytest.param(b'{"action": "[u, v]"}', "the array", id="a string like an array"),
        pytest.param(b'{"action": {"k": 1}}', "the object", id="an object"),
        pytest.param(b'{"action": []}', "the empty array", id="an empty array"),
        pytest.param('{"action": "é"}'.encode(), "e acute", id="not ASCII"),
        pytest.param(b'{"action": "say \\"hi\\""}', "quoted", id="with quotes"),
        pytest.param(b'{"action": null}', "default", id="null"),
        pytest.param(b'{"action": "Join"}', "default", id="another case"),
        pytest.param(b'{"action": "join "}', "default", id="not trimmed"),
        pytest.param(b'{"action": 7.00}', "default", id="a number nobody named"),
        pytest.param(b'{"action": "$connect"}', "default", id="$connect"),
        pytest.param(b'{"action": "$disconnect"}', "default", id="$disconnect"),
        pytest.param(b'{"action": "\\u0024connect"}', "default", id="$connect written with an escape"),
        pytest.param(b'{"action": "$default"}', "default", id="$default"),
        pytest.param(b"{}", "default", id="no key"),
        pytest.param(b'["join"]', "default", id="an array"),
        pytest.param(b'"join"', "default", id="a string"),
        pytest.param(b"join", "default", id="not JSON"),
        pytest.param(b"", "default", id="empty"),
        pytest.param(b'{"action": "join"', "default", id="cut off"),
        pytest.param(b'{"action": "join"} {}', "default", id="two documents"),
        pytest.param(b'{"action": "join", "x": NaN}', "default", id="NaN elsewhere"),
        pytest.param(b'\xef\xbb\xbf{"action": "join"}', "default", id="a byte order mark"),
        pytest.param(b'{"action": "join", "x": "\xff"}', "default", id="not UTF-8 elsewhere"),
        pytest.param(b'{"action": "join", "\xed\xa0\x80": 1}', "default", id="a surrogate in UTF-8 in a name"),
        pytest.param(
            b'{"action": "join", "x": ' + b"[" * 511 + b"]" * 511 + b"}", "join", id="nested as deep as allowed"
        ),
        pytest.param(b'{"action": "join", "x": ' + b"[" * 512 + b"]" * 512 + b"}", "default", id="nested too deep"),
        pytest.param(b'{"action": ' + b"[" * 100_000, "default", id="nested without end"),
    ],
)
def test_routes(expression: str, body: bytes, route: str) -> None:
    """AWS: a message that selects no custom route goes to `$default`; data never selects a reserved route."""
    assert route_table(expression, ROUTES, "default")(body) == route


def test_depth_in_the_table_above_is_the_limit() -> None:
    assert MAX_DEPTH == 512


@pytest.mark.parametrize("body", [b"{}", b'{"action": null}', b'{"action": ""}', b"[]"])
def test_an_empty_key_is_a_key(body: bytes) -> None:
    assert route_table("$request.body.action", {"": 1}, 2)(body) == 1
    assert route_table("$request.body.action", {"null": 1}, 2)(body) == 2


@pytest.mark.parametrize(
    "name", ['it\\"s', "back\\\\slash", "tab\\u0009", "", "key", "type", "__class__", "é", "\\ud800"]
)
def test_any_name_can_be_the_routing_key(name: str) -> None:
    table = route_table(f'$request.body["{name}"]', {"join": 1}, 2)

    assert table(f'{{"{name}": "join"}}'.encode()) == 1
    assert table(b'{"action": "join"}') == 2


def test_a_route_may_be_none() -> None:
    assert route_table("$request.body.action", {"join": None, "leave": 1}, 2)(b'{"action": "join"}') is None


# An oracle that shares nothing with the package: Python's parser, its own printing, one member read by hand.


def cleaned(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def oracle_text(value: Any, top: bool = True) -> str:
    if value is None:
        return "" if top else "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(value[0])
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, list):
        return "[" + ", ".join(oracle_text(item, False) for item in value) + "]"
    return "{" + ", ".join(f"{name}={oracle_text(item, False)}" for name, item in value.items()) + "}"


def oracle(data: bytes) -> str | None:
    def number(text: str) -> tuple[str]:
        return (text,)

    def refuse(text: str) -> None:
        raise ValueError(text)

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        return {cleaned(name): value for name, value in found}

    try:
        document = json.loads(
            data.decode(), parse_int=number, parse_float=number, parse_constant=refuse, object_pairs_hook=pairs
        )
    except ValueError:
        return None
    return oracle_text(document.get("action")) if isinstance(document, dict) else ""


BLANKS = st.text(" \t\n\r", max_size=2)
CHARACTERS_WRITTEN = r"""
j o i n a $ 7 { [ ] , é 😀 � \\ \" \/ \n \u006a \u006F \u0000 \ud83d\ude00 \ud83d \uDE00 \uDBFF \ufffd \u0022 \u005c
"""
CHARACTERS = st.sampled_from([" ", *CHARACTERS_WRITTEN.split()])
STRINGS = st.one_of(
    st.sampled_from(['"join"', '"\\u006aoin"', '"$connect"', '"7"', '"é"', '"\\ud800"', '""', '"null"', '"true"']),
    st.lists(CHARACTERS, max_size=6).map(lambda characters: '"' + "".join(characters) + '"'),
)
NUMBERS = st.sampled_from(
    [
        "0",
        "7",
        "-0",
        "7.0",
        "-7",
        "1e3",
        "1E+400",
        "-0.0",
        "0.10",
        "18446744073709551616",
        "9" * 4400,
        "1e-999",
        "123e45",
    ]
)
NAMES = st.sampled_from(['"action"', '"\\u0061ction"', '"Action"', '"x"', '""', '"\\ud800"', '"é"']) | STRINGS


def _array(items: list[str], blanks: list[str]) -> str:
    return blanks[0] + "[" + blanks[1] + ",".join(items) + blanks[2] + "]"


def _object(members: list[tuple[str, str]], blanks: list[str]) -> str:
    inner = ",".join(f"{blanks[0]}{name}{blanks[1]}:{blanks[2]}{value}" for name, value in members)
    return "{" + inner + blanks[1] + "}" + blanks[2]


THREE_BLANKS = st.lists(BLANKS, min_size=3, max_size=3)
VALUES = st.recursive(
    STRINGS | NUMBERS | st.sampled_from(["true", "false", "null"]),
    lambda values: (
        st.builds(_array, st.lists(values, max_size=3), THREE_BLANKS)
        | st.builds(_object, st.lists(st.tuples(NAMES, values), max_size=3), THREE_BLANKS)
    ),
    max_leaves=6,
)
OBJECTS = st.builds(_object, st.lists(st.tuples(NAMES, VALUES), max_size=4), THREE_BLANKS)
WRONG = st.sampled_from(['"', "\\", ",", "}", "]", "NaN", "-", "\x00", "\ufeff", "'", "\\u12", "{", "[", ":", "1", " "])


def _damage(text: str, wrong: str, position: int, lost: int) -> str:
    position %= len(text) + 1
    return text[:position] + wrong + text[position + lost :]


JSON = OBJECTS | VALUES
DAMAGED = st.builds(_damage, JSON, WRONG, st.integers(0, 500), st.integers(0, 2))
MESSAGES = st.one_of(JSON.map(str.encode), DAMAGED.map(str.encode), st.binary(), st.text().map(str.encode))
MESSAGES |= st.builds(
    lambda data, byte, at: data[: at % (len(data) + 1)] + byte + data[at % (len(data) + 1) :],
    JSON.map(str.encode),
    st.binary(min_size=1, max_size=2),
    st.integers(0, 500),
)


@given(MESSAGES)
@example(b'{"action": "join", "action": {"k": 1}}')
@example(b'{"\\ud800": 1, "action": "join"}')
@example(b'{"\xff": 1, "action": "join"}')
def test_selection_agrees_with_an_oracle(data: bytes) -> None:
    assert compile_selection("$request.body.action")(data) == oracle(data)


@given(MESSAGES)
@example(b'{"action": "join", "x": "\\ud800\\u0041"}')
@example(b'{"action": "\xff"}')
def test_the_fast_path_agrees_with_the_general_one(data: bytes) -> None:
    """`$request.body.action` alone is read by other means than when something is joined to it."""
    key = oracle(data)
    custom = {name: route for name, route in ROUTES.items() if not name.startswith("$")}
    expected = "default" if key is None else custom.get(key, "default")

    assert [route_table(expression, ROUTES, "default")(data) for expression in (EXPRESSIONS[0], EXPRESSIONS[3])] == [
        expected
    ] * 2


@given(MESSAGES)
def test_every_key_is_found_by_both_paths(data: bytes) -> None:
    """As above, with a route that is just what the message names."""
    key = oracle(data)
    if key is None or key.startswith("$"):
        return
    for expression in (EXPRESSIONS[0], EXPRESSIONS[3]):
        assert route_table(expression, {key: 1}, 2)(data) == 1


@given(MESSAGES)
def test_jmespath_agrees_with_the_expression_it_stands_for(data: bytes) -> None:
    assert compile_selection("jmespath:body.action")(data) == oracle(data)


@given(st.binary(), st.sampled_from(["action", "$request.body..*", "jmespath:body.a || sort(body.b)", "$request.body"]))
def test_no_message_makes_selection_raise(data: bytes, expression: str) -> None:
    compile_selection(expression)(data)
    route_table(expression, {"a": 1}, 2)(data)


PIECES_WRITTEN = r"""
$ \$ \ { } ${ request.body $request.body .action [0] / - x jmespath: body .a || length( ) `1` & @ [? ] [ ' " context.x *
"""
PIECES = st.sampled_from([" ", "['a b']", *PIECES_WRITTEN.split()])


@given(st.text() | st.lists(PIECES).map("".join))
def test_any_text_is_an_expression_or_an_expression_error(expression: str) -> None:
    try:
        select = compile_selection(expression)
    except ExpressionError as error:
        assert error.expression == expression  # noqa: PT017 -- a value is fine too
        assert 0 <= error.position <= len(expression)  # noqa: PT017 -- a value is fine too
        return
    assert select(b"{") is None
    assert isinstance(select(BODY), str)
