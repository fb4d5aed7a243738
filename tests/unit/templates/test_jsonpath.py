"""JSONPath, in Jayway JsonPath's dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates import jsonpath
from wsgateway.templates.document import MISSING, Json, Missing, Number, decode, to_json
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.steps import WORK, Scope

STORE = b"""{
  "store": {
    "book": [
      {"category": "reference", "author": "Rees", "title": "Sayings", "price": 8.95},
      {"category": "fiction", "author": "Waugh", "title": "Sword", "price": 12.99},
      {"category": "fiction", "author": "Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99},
      {"category": "fiction", "author": "Tolkien", "title": "Lord", "isbn": "0-395-19395-8", "price": 22.99}
    ],
    "bicycle": {"color": "red", "price": 19.95}
  },
  "expensive": 10,
  "odd name": {"it's": 1, "a.b": 2, "\\u00e9": 3},
  "none": null,
  "n": [0, 1, 2, 3],
  "text": "hello"
}"""


def found(path: str, data: bytes = STORE) -> str | Missing:
    document = decode(data)
    assert document is not MISSING
    value = jsonpath.compile(path)(document)
    return MISSING if value is MISSING else to_json(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("$.expensive", "10", id="a child"),
        pytest.param("expensive", "10", id="a child without the dollar"),
        pytest.param("store.bicycle.color", '"red"', id="children without the dollar"),
        pytest.param("$['expensive']", "10", id="a child in single quotes"),
        pytest.param('$["expensive"]', "10", id="a child in double quotes"),
        pytest.param("$.['expensive']", "10", id="a dot before a bracket, as Jayway has it"),
        pytest.param("['expensive']", "10", id="a bracket without the dollar"),
        pytest.param("$['odd name']['it\\'s']", "1", id="an escaped quote"),
        pytest.param("$['odd name']['a.b']", "2", id="a dot in a name"),
        pytest.param("$['odd name'].é", "3", id="a name that isn't ASCII"),
        pytest.param("$['odd name']['\\u00e9']", "3", id="a name with an escape"),
        pytest.param("$.none", "null", id="null is a value"),
        pytest.param("$.n[0]", "0", id="an index"),
        pytest.param("$.n[-1]", "3", id="a negative index"),
        pytest.param("$[ 'n' ][ 1 ]", "1", id="blanks in brackets"),
        pytest.param("$.n[*]", "[0,1,2,3]", id="all elements"),
        pytest.param("$.store.bicycle.*", '["red",19.95]', id="all members"),
        pytest.param("$.store.book[*].author", '["Rees","Waugh","Melville","Tolkien"]', id="behind a wildcard"),
        pytest.param("$.n[1:3]", "[1,2]", id="a slice"),
        pytest.param("$.n[:2]", "[0,1]", id="a slice from the beginning"),
        pytest.param("$.n[2:]", "[2,3]", id="a slice to the end"),
        pytest.param("$.n[-2:]", "[2,3]", id="a slice counted from the end"),
        pytest.param("$.n[:]", "[0,1,2,3]", id="a slice of everything"),
        pytest.param("$.n[3, 0]", "[3,0]", id="several indexes"),
        pytest.param("$.n[0,9]", "[0]", id="several indexes, one of them beyond the end"),
        pytest.param(
            "$.store.bicycle['color','price']", '{"color":"red","price":19.95}', id="several names at the end"
        ),
        pytest.param("$.store.bicycle['color','size']", '{"color":"red"}', id="several names, one of them missing"),
        pytest.param("$.store['bicycle','book'].color", '["red"]', id="several names on the way"),
        pytest.param("$..price", "[8.95,12.99,8.99,22.99,19.95]", id="a deep scan"),
        pytest.param("$..book[2].title", '["Moby Dick"]', id="steps behind a deep scan"),
        pytest.param(
            "$..[0]", '[{"category":"reference","author":"Rees","title":"Sayings","price":8.95},0]', id="a deep index"
        ),
        pytest.param(
            "$..['color','price']", '[{"color":"red","price":19.95}]', id="a deep scan for objects with all names"
        ),
        pytest.param("$.n.length()", "4", id="the length of an array"),
        pytest.param("$.store.length()", "2", id="the size of an object"),
        pytest.param("$.store.book[?(@.isbn)].title", '["Moby Dick","Lord"]', id="a filter: exists"),
        pytest.param("$.store.book[?(!@.isbn)].title", '["Sayings","Sword"]', id="a filter: exists not"),
        pytest.param("$.store.book[?(@.price < 10)].title", '["Sayings","Moby Dick"]', id="a filter: less"),
        pytest.param(
            "$.store.book[?(@.price < $.expensive)].title", '["Sayings","Moby Dick"]', id="a filter with the root"
        ),
        pytest.param("$.store.book[?(@.category=='fiction'&&@.price>20)].title", '["Lord"]', id="a filter: and"),
        pytest.param(
            "$.store.book[?(@.price > 20 || (@['author'] == \"Rees\"))].title", '["Sayings","Lord"]', id="a filter: or"
        ),
        pytest.param(
            "$.store.book[?('Rees' != @.author)].title", '["Sword","Moby Dick","Lord"]', id="a filter: unequal"
        ),
        pytest.param(
            "$.store.book[?(@.isbn != 'x')].price", "[8.95,12.99,8.99,22.99]", id="what is missing is unequal"
        ),
        pytest.param("$.store.book[?(@.price == 8.950)].title", '["Sayings"]', id="numbers are compared by value"),
        pytest.param("$.store.book[?(@.price == '8.95')].title", '["Sayings"]', id="a number equals its text"),
        pytest.param("$.store.book[?(@.price >= 'a')].title", "[]", id="kinds are not in order"),
        pytest.param("$.n[?(@ > 1)]", "[2,3]", id="a filter on the element itself"),
        pytest.param("$.store.bicycle[?(@.price > 1)].color", '["red"]', id="a filter tests an object itself"),
        pytest.param("$..[?(@.isbn)].title", '["Moby Dick","Lord"]', id="a deep filter finds each node once"),
        pytest.param("$[?(@.none == null)].text", '["hello"]', id="null equals null"),
        pytest.param("$.store[?(@.book[?(@.price > 20)])].bicycle.color", '["red"]', id="a filter in a filter"),
        pytest.param("$.text[*]", "[]", id="a wildcard on a string finds nothing"),
        pytest.param("$..nothing", "[]", id="a deep scan that finds nothing"),
        pytest.param("$.nothing[*]", "[]", id="an indefinite path behind what is missing"),
    ],
)
def test_paths(path: str, value: str) -> None:
    assert found(path) == value


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("$.nothing", id="no such member"),
        pytest.param("$.nothing.deeper", id="below what is missing"),
        pytest.param("$.text.length", id="a member of a string"),
        pytest.param("$.none.x", id="a member of null"),
        pytest.param("$.n.x", id="a member of an array"),
        pytest.param("$.n['0']", id="a name isn't an index"),
        pytest.param("$.n[4]", id="an index beyond the end"),
        pytest.param("$.n[-5]", id="an index before the beginning"),
        pytest.param("$.store[0]", id="an index of an object"),
        pytest.param("$.Expensive", id="another case"),
        pytest.param("$.text.length()", id="the length of a string"),
    ],
)
def test_a_definite_path_misses(path: str) -> None:
    assert found(path) is MISSING


def test_the_root_is_the_document_itself() -> None:
    document: Json = {"a": None}

    assert jsonpath.compile("$")(document) is document


@pytest.mark.parametrize(
    ("path", "position", "problem"),
    [
        pytest.param("", 0, "empty", id="nothing"),
        pytest.param("$.", 2, "behind the dot", id="a dot at the end"),
        pytest.param("$..", 3, "behind the dot", id="two dots at the end"),
        pytest.param("$a", 1, "expected . or [", id="no dot behind the dollar"),
        pytest.param("$.a b", 3, "expected . or [", id="a blank in a name"),
        pytest.param("$[", 2, "expected a quoted name", id="an open bracket"),
        pytest.param("$[a]", 2, "expected a quoted name", id="a name without quotes"),
        pytest.param("$['a]", 2, "no closing quote", id="an open string"),
        pytest.param("$['a'", 5, "expected ]", id="a bracket without end"),
        pytest.param("$['a',1]", 6, "quoted name behind the comma", id="names and indexes mixed"),
        pytest.param("$[1,'a']", 4, "index behind the comma", id="indexes and names mixed"),
        pytest.param("$[0:4:2]", 5, "without a step", id="a slice with a step"),
        pytest.param("$[12345678901]", 2, "expected a quoted name", id="an index out of all bounds"),
        pytest.param("$.a.nope()", 4, "there are length, size, min", id="no such function"),
        pytest.param("$..a.first()", 5, "not for what .. finds", id="the first of a deep scan"),
        pytest.param("$.a.index()", 4, "takes 1 argument(s), not 0", id="a function without its argument"),
        pytest.param("$.a.length(1)", 4, "takes 0 argument(s), not 1", id="a function with an argument too many"),
        pytest.param("$.a.concat('x' 'y')", 15, "expected , or )", id="arguments without a comma"),
        pytest.param("$.a.concat(b)", 11, "expected @, $", id="an argument without quotes"),
        pytest.param("$.a.length().b", 12, "expected . or [", id="something behind a function"),
        pytest.param("$.a[?(@.b =~ /x(?=y)/)]", 15, "look-ahead", id="a regular expression that may take forever"),
        pytest.param("$.a[?(@.b =~ /x/m)]", 16, "flag m", id="a flag that is refused"),
        pytest.param("$.a[?(@.b =~ /x/q)]", 16, "flags i and s", id="no such flag"),
        pytest.param("$.a[?(@.b =~ 'x')]", 13, "expected a regular expression", id="a string for one"),
        pytest.param("$.a[?(/x/ == @.b)]", 10, "expected =~", id="a regular expression compared"),
        pytest.param("$.a[?(@.b in 'x')]", 13, "in is followed by an array", id="in a string"),
        pytest.param("$.a[?(@.b size '1')]", 15, "followed by a number", id="a size that is a string"),
        pytest.param("$.a[?(@.b empty 1)]", 16, "true or false", id="empty and a number"),
        pytest.param("$.a[?(@.b like 'x')]", 10, "no operator like", id="no such operator"),
        pytest.param("$.a[?(@.b in ['x' 'y'])]", 18, "expected , or ]", id="an array without a comma"),
        pytest.param("$.a[?(@.b == {x: 1})]", 14, "quoted name", id="an object without quotes"),
        pytest.param("$.a[?(@ == " + "[" * 40 + "]" * 40 + ")]", 44, "nests at most", id="a literal that nests"),
        pytest.param("$.sum(" * 40 + "1" + ")" * 40, 205, "nest at most", id="functions that nest"),
        pytest.param("$" + "[?(@" * 40 + ")]" * 40, 69, "nest at most", id="filters that nest"),
        pytest.param("$.a[?(@.b == )]", 13, "expected @, $", id="a comparison with nothing"),
        pytest.param("$.a[?('x')]", 6, "a comparison or a path", id="a constant alone"),
        pytest.param("$.a[?(@.b]", 9, "closing )", id="an open filter"),
        pytest.param("$.a[?@.b]", 5, "[?(", id="a filter without parentheses"),
        pytest.param(
            "$.a[?(" + "(" * 40 + "@" + ")" * 41 + "]", 38, "nests at most", id="a filter that nests too deep"
        ),
        pytest.param("@.a", 0, "expected $", id="an at sign outside a filter"),
    ],
)
def test_errors_name_the_place(path: str, position: int, problem: str) -> None:
    """API Gateway rejects a wrong path at definition time; so do we, saying where."""
    with pytest.raises(ExpressionError) as caught:
        jsonpath.compile(path)

    assert (caught.value.expression, caught.value.position) == (path, position)
    assert problem in str(caught.value)


def test_work_is_bounded() -> None:
    """Scans within scans over a large message end, with nothing found."""
    document = decode(b'{"a":' * 300 + b"[" + b"0," * WORK + b"0]" + b"}" * 300)
    assert document is not MISSING

    assert jsonpath.compile("$..a..a..a")(document) is MISSING
    assert jsonpath.compile("$..*..*")(document) is MISSING
    assert jsonpath.compile("$..[?(@..a)]")(document) is MISSING


def test_a_small_message_does_not_print_as_a_huge_text() -> None:
    """`..*` finds a node and all below it, so that each would be printed once for every level above."""
    nested = decode(b'{"a":' * 500 + b'"' + b"x" * 100_000 + b'"' + b"}" * 500)
    named = decode(b'{"a":' * 500 + b'{"' + b"x" * 100_000 + b'": 1}' + b"}" * 500)
    assert nested is not MISSING
    assert named is not MISSING

    assert jsonpath.compile("$..*")(nested) is MISSING
    assert jsonpath.compile("$..*")(named) is MISSING
    assert isinstance(jsonpath.compile("$..a")({"a": "x" * 100_000}), list)


def test_a_document_appended_to_itself_is_no_huge_text() -> None:
    document: Json = {"a": ["x" * 20] * 5_000}
    twice = "$.a.append($.a, $.a)"
    often = "$.a.append(" + ", ".join([twice] * 16) + ")"

    assert len(jsonpath.compile(twice)(document)) == 5_002  # type: ignore[arg-type]
    assert jsonpath.compile(often)(document) is MISSING


def test_a_long_number_is_read_once() -> None:
    """A client's number of a hundred thousand digits costs no more when every element is compared with it."""
    limit = Number("9" * 100_000)
    rows: list[Json] = [{"n": Number("1")} for _ in range(20_000)]

    found = jsonpath.compile("$.rows[?(@.n < $.limit)].n")({"rows": rows, "limit": limit})

    assert isinstance(found, list)
    assert len(found) == 20_000
    assert limit.value() is limit.value()


def test_every_node_of_a_128_kib_message_can_be_looked_at() -> None:
    document = decode(b"[" + b"0," * 65_000 + b"0]")
    assert document is not MISSING

    found = jsonpath.compile("$..x")(document)

    assert found == []


def test_a_path_knows_its_member() -> None:
    """Route selection reads such a member without the rest of the message."""
    assert jsonpath.compile("$.action").member == "action"
    assert jsonpath.compile("$['ac tion']").member == "ac tion"
    assert jsonpath.compile("$.a.b").member is None
    assert jsonpath.compile("$..a").member is None
    assert jsonpath.compile("$[0]").member is None
    assert jsonpath.compile("$").member is None


DATA = b"""{
  "n": [3, 1, 2.5, "x", null],
  "big": [10000000, 1],
  "none": [],
  "words": ["a", "b", 1],
  "dashed": "-",
  "limit": 2,
  "text": "hello",
  "o": {"k": 1, "l": 2},
  "rows": [
    {"id": 1, "tags": ["x", "y"], "name": "Ann"},
    {"id": "2", "tags": [], "name": ""},
    {"id": 3.0, "tags": ["x", 7], "name": "bob\\nby", "o": {"p": [1]}},
    {"name": null, "ok": true}
  ]
}"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("$.n.length()", "5", id="length"),
        pytest.param("$.n.size()", "5", id="size"),
        pytest.param("$.o.length()", "2", id="length of an object"),
        pytest.param("$.n.sum()", "6.5", id="sum, of the numbers among the elements"),
        pytest.param("$.n.min()", "1.0", id="min"),
        pytest.param("$.n.max()", "3.0", id="max"),
        pytest.param("$.big.max()", "1.0E7", id="a large double as Java prints it"),
        pytest.param("$.n.avg()", "2.1666666666666665", id="avg"),
        pytest.param("$.n.stddev()", "0.8498365855987975", id="stddev"),
        pytest.param("$.sum($.limit, 3, $.big)", "1.0000006E7", id="numbers as arguments"),
        pytest.param("$..id.sum()", "4.0", id="sum of a deep scan"),
        pytest.param("$..tags.length()", "4", id="length of a deep scan: what all of them hold"),
        pytest.param("$..name.concat()", '"Annbob\\nby"', id="concat of a deep scan"),
        pytest.param("$.rows[*].tags.length()", "[2,0,2]", id="a function behind a wildcard: of each"),
        pytest.param("$.words.concat()", '"ab"', id="concat of an array's strings"),
        pytest.param("$.words.concat($.dashed, 'c', $.words)", '"ab-cab1"', id="concat with arguments"),
        pytest.param("$.o.keys()", '["k","l"]', id="keys"),
        pytest.param("$.n.first()", "3", id="first"),
        pytest.param("$.n.last()", "null", id="last"),
        pytest.param("$.big.index(-2)", "10000000", id="index"),
        pytest.param("$.n.index($.limit)", "2.5", id="index by a path"),
        pytest.param("$.none.append(1, $.dashed, $.nope)", '[1,"-"]', id="append"),
        pytest.param("$.dashed.append(1)", '"-"', id="append to what is no array"),
        pytest.param("$.rows[?(@.tags.length() > 1)].id", "[1,3.0]", id="a function in a filter"),
        pytest.param("$.rows[?(@.id == 2)].id", '["2"]', id="a string equals a number written like it"),
        pytest.param("$.rows[?(@.id == '3')].id", "[3.0]", id="a number equals a string that holds it"),
        pytest.param("$.rows[?('3' == @.id)].id", "[]", id="a string equals no number written otherwise"),
        pytest.param("$.rows[?(@.id === 1)].id", "[1]", id="of one kind"),
        pytest.param("$.rows[?(@.id !== '2')].id", "[1,3.0]", id="not of one kind"),
        pytest.param("$.rows[?(@.tags == ['x', 'y'])].id", "[1]", id="an array literal"),
        pytest.param("$.rows[?(@.o == {'p': [1.0]})].id", "[3.0]", id="an object literal"),
        pytest.param("$.rows[?(@.name == null)].ok", "[true]", id="null"),
        pytest.param("$.rows[?(@.ok == true)].ok", "[true]", id="true"),
        pytest.param("$.rows[?(@.name =~ /a.*/i)].id", "[1]", id="a regular expression that ignores case"),
        pytest.param("$.rows[?(@.name =~ /bob.by/)].id", "[]", id="a dot is no line terminator"),
        pytest.param("$.rows[?(@.name =~ /bob.by/s)].id", "[3.0]", id="a dot is any character"),
        pytest.param("$.rows[?(@.name =~ /nn/)].id", "[]", id="a regular expression matches the whole"),
        pytest.param("$.rows[?(/[A-Z]nn/ =~ @.name)].id", "[1]", id="a regular expression on the left"),
        pytest.param("$.rows[?(@.id =~ /\\d(\\.0)?/)].id", '[1,"2",3.0]', id="a regular expression and numbers"),
        pytest.param("$.rows[?(@.ok =~ /true/)].ok", "[true]", id="a regular expression and a boolean"),
        pytest.param("$.rows[?(@.tags =~ /\\d/)].id", "[3.0]", id="a regular expression and an array"),
        pytest.param("$.rows[?(@.name =~ /a\\/b|Ann/)].id", "[1]", id="a slash in a regular expression"),
        pytest.param("$.rows[?(@.id in [1, 2])].id", '[1,"2"]', id="in"),
        pytest.param("$.rows[?(@.id IN [1])].id", "[1]", id="an operator in capitals"),
        pytest.param("$.rows[?('x' in @.tags)].id", "[1,3.0]", id="in a path"),
        pytest.param("$.rows[?(@.id nin [1, '2'])].name", '["bob\\nby",null]', id="nin: what is missing is in nothing"),
        pytest.param("$.rows[?(@.tags contains 'y')].id", "[1]", id="contains"),
        pytest.param("$.rows[?(@.name contains 'nn')].id", "[1]", id="contains, of strings"),
        pytest.param("$.rows[?(@.tags all ['x', 7])].id", "[3.0]", id="all"),
        pytest.param("$.rows[?(@.tags subsetof ['x', 'y', 'z'])].id", '[1,"2"]', id="subsetof"),
        pytest.param("$.rows[?(@.tags anyof ['y', 7])].id", "[1,3.0]", id="anyof"),
        pytest.param("$.rows[?(@.tags noneof ['y', 'z'])].id", '["2",3.0]', id="noneof"),
        pytest.param("$.rows[?(@.tags size 2)].id", "[1,3.0]", id="size"),
        pytest.param("$.rows[?(@.name size 3)].id", "[1]", id="size of a string"),
        pytest.param("$.rows[?(@.tags empty true)].id", '["2"]', id="empty"),
        pytest.param("$.rows[?(@.name empty false)].id", "[1,3.0]", id="not empty"),
        pytest.param("$.rows[?($.limit == 2)].id", '[1,"2",3.0]', id="a filter that ignores the element"),
        pytest.param("$.rows[?($.limit == $.o.l)].id", '[1,"2",3.0]', id="two paths from the root"),
        pytest.param("$.n[?(@ > 1)]", "[3,2.5]", id="scalars"),
        pytest.param("$.n[?(@ =~ /[a-z]/)]", '["x"]', id="strings among scalars"),
        pytest.param("$.n[1:-1]", "[]", id="a slice from the front to the back is nothing, as in Jayway"),
        pytest.param("$.n[-1:2]", "[null,3,1]", id="a slice from the back to the front goes round, as in Jayway"),
        pytest.param("$.n[-3:-1]", '[2.5,"x"]', id="a slice counted from the end"),
        pytest.param("$.n[-99:2]", '[3,1,2.5,"x",null,3,1]', id="a slice from before the beginning"),
        pytest.param("$.n[:-3]", "[3,1]", id="a slice up to one counted from the end"),
    ],
)
def test_functions_and_operators(path: str, value: str) -> None:
    """JsonPath's README, "Functions" and "Filter Operators"."""
    assert found(path, DATA) == value


@pytest.mark.parametrize(
    "path",
    [
        "$.none.sum()", "$.none.min()", "$.words.nope.avg()", "$.text.max()", "$.none.first()", "$.n.index(9)",
        "$.n.index('0')", "$.text.keys()", "$.n.keys()", "$.huge.sum()", "$.text.first()", "$.n.index(1e999)",
    ],
)  # fmt: skip
def test_functions_with_nothing_to_say(path: str) -> None:
    assert found(path, DATA) is MISSING


def test_functions_and_operators_are_paid_for() -> None:
    """Rows that each compare much, or ask for much, end."""
    rows: list[Json] = [{"s": "x" * 100_000, "l": [Number("1")] * 1_000, "n": Number(str(n))} for n in range(2_000)]
    document: Json = {"rows": rows, "s": "x" * 100_000, "many": [Number("9" * 300)] * 20_000}

    for written in (
        "$.rows[?(@.s == $.s)]",
        "$.rows[?(@.s <= $.s)]",
        "$.rows[?(@.s contains 'y')]",
        "$.rows[?(@.s =~ /y/)]",
        "$.rows[?(@.l == $.rows[0].l)]",
        "$.rows[?(@.n in $.many)]",
        "$.rows[?(@.l subsetof $.many)]",
        "$.rows[?(@.l.sum() == 0)]",
        "$.rows[?(@.l.append(1) == @.l)]",
        "$.rows[?($..n.sum() == @..x.length())]",
        "$.rows[?(" + "1 == 2 || " * 200 + "1 == 2)]",
    ):
        path = jsonpath.compile(written)
        assert path(document) is MISSING, written


def test_a_path_is_not_longer_than_anyone_writes_one() -> None:
    jsonpath.compile("$" + ".a" * 4000)
    with pytest.raises(ExpressionError, match="at most 8192 characters"):
        jsonpath.compile("$" + ".a" * 5000)


def test_a_path_from_the_root_is_walked_once() -> None:
    document: Json = {"rows": [{"n": Number(str(n))} for n in range(20_000)], "limit": [Number("5")]}

    assert jsonpath.compile("$.rows[?(@.n in $.limit)].n")(document) == [Number("5")]
    assert jsonpath.compile("$.rows[?(@.n == $..limit[*].sum())].n")(document) == [Number("5")]


PIECES_WRITTEN = r"""
$ . .. * [ ] a 'a' "b" 0 -1 : , ?( ( ) @ @.a == < && || ! length() null 1.5 =~ /a+/i in nin size
empty contains .sum() .concat( .index(0) [ , {} === all 'x'
\ ' [*] ['a'] [0] .a [?(@.a)]
"""
PIECES = st.sampled_from([" ", "[?(@.a > 1)]", *PIECES_WRITTEN.split()])
DOCUMENT = decode(b'{"a": [{"a": 1, "b": "x"}, null, [2, "y", {"a": {"b": true}}]], "b": {"a": -0.5}, "": []}')


@given(st.text() | st.lists(PIECES).map("".join))
def test_any_text_is_a_path_or_an_expression_error(path: str) -> None:
    try:
        compiled = jsonpath.compile(path)
    except ExpressionError as error:
        assert 0 <= error.position <= len(path)  # noqa: PT017 -- a value is fine too
        return
    assert DOCUMENT is not MISSING
    value = compiled(DOCUMENT)
    if not compiled.definite:
        assert isinstance(value, list)


NODES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
)


@given(NODES, st.lists(st.sampled_from(["a", "b", 0, 1, -1, -3]), max_size=4))
def test_following_names_and_indexes_is_walking_them(document: Json, keys: list[str | int]) -> None:
    path = jsonpath.compile("$" + "".join(f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in keys))

    assert path.keys == tuple(keys)
    assert path(document) == path.within(document, Scope(document))
