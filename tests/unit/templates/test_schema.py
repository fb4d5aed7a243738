"""Models: what of a schema is refused and where, what of a message is, and in which words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgateway.model.models import Model
from wsgateway.templates.schema import Models
from wsgateway.templates.schema.cost import BUDGET
from wsgateway.templates.schema.keywords import RULES

MODEL = "https://apigateway.amazonaws.com/restapis/chat/models/"


def models(*, strict: bool = True, **schemas: Any) -> Models:
    return Models(
        "chat", {name: Model.model_validate({"schema": schema}) for name, schema in schemas.items()}, strict=strict
    )


def problems(*, strict: bool = True, **schemas: Any) -> list[str]:
    return [str(problem) for problem in models(strict=strict, **schemas).problems]


def faults(schema: Any, message: object, **others: Any) -> str | None:
    """What is wrong with `message`, given as a value or as the bytes themselves."""
    found = models(M=schema, **others)
    assert not found.problems
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return found.validator("M")(data)


@pytest.mark.parametrize(
    ("schema", "message", "fault"),
    [
        pytest.param(
            {"required": ["name"]}, {}, 'object has missing required properties (["name"])', id="required, as AWS shows"
        ),
        pytest.param(
            {"required": ["b", "a", "c"]},
            {"c": 1},
            'object has missing required properties (["b","a"])',
            id="all that is missing in one message",
        ),
        pytest.param(
            {"type": "integer"},
            "7",
            'instance type (string) does not match any allowed primitive type (allowed: ["integer"])',
            id="type",
        ),
        pytest.param(
            {"type": ["integer", "null"]},
            1.5,
            'instance type (number) does not match any allowed primitive type (allowed: ["integer","null"])',
            id="one of several types",
        ),
        pytest.param(
            {"enum": ["a", 1, None]},
            {"b": 2},
            'instance value ({"b":2}) not found in enum (possible values: ["a",1,null])',
            id="enum",
        ),
        pytest.param(
            {"properties": {"a": {}}, "additionalProperties": False},
            {"a": 1, "b": 2, "c": 3},
            'object instance has properties which are not allowed by the schema: ["b","c"]',
            id="additionalProperties",
        ),
        pytest.param(
            {"minimum": 3},
            2,
            "numeric instance is lower than the required minimum (minimum: 3, found: 2)",
            id="minimum",
        ),
        pytest.param(
            {"maximum": 3.5},
            4,
            "numeric instance is greater than the required maximum (maximum: 3.5, found: 4)",
            id="maximum",
        ),
        pytest.param(
            {"minimum": 0, "exclusiveMinimum": True},
            0,
            "numeric instance is not strictly greater than the required minimum 0",
            id="exclusiveMinimum",
        ),
        pytest.param(
            {"maximum": 9, "exclusiveMaximum": True},
            9,
            "numeric instance is not strictly lower than the required maximum 9",
            id="exclusiveMaximum",
        ),
        pytest.param({"multipleOf": 2}, 5, "remainder of division is not zero (5 / 2)", id="multipleOf"),
        pytest.param(
            {"minLength": 3}, "ab", 'string "ab" is too short (length: 2, required minimum: 3)', id="minLength"
        ),
        pytest.param(
            {"maxLength": 2}, "äöü", 'string "äöü" is too long (length: 3, maximum allowed: 2)', id="maxLength"
        ),
        pytest.param(
            {"pattern": "^[a-z]+$"},
            "A",
            'ECMA 262 regex "^[a-z]+$" does not match input string "A"',
            id="pattern",
        ),
        pytest.param(
            {"format": "email"}, "nobody", 'string "nobody" is not a valid email address', id="format email"
        ),
        pytest.param(
            {"format": "date-time"},
            "today",
            'string "today" is invalid against requested date format(s) [yyyy-MM-dd\'T\'HH:mm:ssZ, '
            "yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]",
            id="format date-time",
        ),
        pytest.param(
            {"minItems": 1},
            [],
            "array is too short: must have at least 1 elements but instance has 0 elements",
            id="minItems",
        ),
        pytest.param(
            {"maxItems": 1},
            [1, 2],
            "array is too long: must have at most 1 elements but instance has 2 elements",
            id="maxItems",
        ),
        pytest.param({"uniqueItems": True}, [1, 1], "array must not contain duplicate elements", id="uniqueItems"),
        pytest.param(
            {"items": [{}], "additionalItems": False},
            [1, 2, 3],
            "array is not allowed to contain more than 1 elements but instance has 3 elements",
            id="additionalItems",
        ),
        pytest.param(
            {"minProperties": 2},
            {"a": 1},
            "object has too few properties (found 1 but schema requires at least 2)",
            id="minProperties",
        ),
        pytest.param(
            {"maxProperties": 1},
            {"a": 1, "b": 2},
            "object has too many properties (found 2 but schema requires at most 1)",
            id="maxProperties",
        ),
        pytest.param(
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            1,
            "instance failed to match at least one required schema among 2",
            id="anyOf",
        ),
        pytest.param(
            {"oneOf": [{"type": "string"}, {"type": "null"}]},
            1,
            "instance failed to match exactly one schema (matched 0 out of 2)",
            id="oneOf, none",
        ),
        pytest.param(
            {"oneOf": [{"type": "integer"}, {"minimum": 0}, {"type": "null"}]},
            1,
            "instance failed to match exactly one schema (matched 2 out of 3)",
            id="oneOf, two",
        ),
        pytest.param(
            {"not": {"type": "null"}}, None, "instance matched a schema which it should not have", id="not"
        ),
        pytest.param(
            {"properties": {"a": {"properties": {"b": {"items": {"type": "string"}}}}}},
            {"a": {"b": ["x", 1]}},
            'instance type (integer) does not match any allowed primitive type (allowed: ["string"])',
            id="deep inside",
        ),
    ],
)  # fmt: skip
def test_faults_are_told_in_the_words_of_aws(schema: Any, message: object, fault: str) -> None:
    """API Gateway developer guide, "Enable request validation", has `[object has missing required properties …]`."""
    assert faults(schema, message) == f"[{fault}]"


def test_several_faults_are_one_list_and_there_is_an_end_to_it() -> None:
    schema = {
        "type": "object",
        "required": ["x"],
        "properties": {"a": {"type": "string"}},
        "additionalProperties": False,
    }

    told = faults(schema, {"a": 1, "b": 2})

    assert told is not None
    assert 'required properties (["x"])' in told
    assert "instance type (integer)" in told
    assert 'not allowed by the schema: ["b"]' in told
    many = faults({"items": {"type": "string"}}, [1] * 1000)
    assert many is not None
    assert many.count("instance type") == 10
    long = faults({"maxLength": 1}, "x" * 10_000)
    assert long is not None
    assert len(long) < 300


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no JSON"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b'{"a": NaN}', id="not a number"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
    ],
)
def test_what_is_no_json_fits_no_model(message: bytes) -> None:
    assert faults({}, message) == "[instance is not valid JSON]"


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        pytest.param(b'{"n": 1e400}', True, id="beyond a double"),
        pytest.param(b'{"n": -1e400}', False, id="beyond a double, below 0"),
        pytest.param(b'{"n": 1' + b"0" * 5000 + b"}", True, id="5,000 digits"),
        pytest.param(b'{"n": 1' + b"0" * 100 + b"}", True, id="100 digits"),
        pytest.param(b'{"n": 18446744073709551616}', True, id="beyond 64 bits"),
        pytest.param(b'{"n": 1, "s": "\\ud800"}', True, id="half a surrogate pair"),
        pytest.param(b'{"n": -1, "n": 1}', True, id="the last of equal names counts"),
        pytest.param(b"[" * 64 + b"]" * 64, True, id="64 levels"),
        pytest.param(b"[" * 65 + b"]" * 65, False, id="65 levels"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, False, id="100,000 levels"),
    ],
)
def test_odd_json_is_taken_as_what_it_says(message: bytes, fits: bool) -> None:
    schema = {"properties": {"n": {"type": "number", "minimum": 0}}}

    assert (faults(schema, message) is None) is fits


@pytest.mark.parametrize("name", ["int32", "uuid", "date", "time", "idn-email", "datetime", 7])
def test_other_formats_say_nothing(name: Any) -> None:
    found = models(M={"format": name}, strict=False).validator("M")

    assert found(b'"x"') is None


# References


def test_models_refer_to_one_another_by_aws_url_and_to_their_own_parts() -> None:
    """API Gateway developer guide, "Data models": `{"$ref": "https://apigateway.amazonaws.com/restapis/…"}`."""
    person = {
        "definitions": {"na/me ~%": {"type": "string", "minLength": 1}},
        "properties": {"name": {"$ref": "#/definitions/na~1me%20~0%25"}},
        "required": ["name"],
    }
    schema = {"properties": {"owner": {"$ref": MODEL + "Person"}, "pets": {"items": {"$ref": MODEL + "Pet"}}}}
    others = {"Person": person, "Pet": {"properties": {"owner": {"$ref": MODEL + "Person"}}}}

    assert faults(schema, {"owner": {"name": "Ada"}, "pets": [{"owner": {"name": "Bob"}}]}, **others) is None
    assert (
        faults(schema, {"pets": [{}, {"owner": {}}]}, **others) == '[object has missing required properties (["name"])]'
    )
    assert faults(schema, {"owner": {"name": ""}}, **others) is not None


def test_references_may_be_circular() -> None:
    """Circular references are allowed on AWS."""
    tree = {"required": ["value"], "properties": {"left": {"$ref": "#"}, "right": {"$ref": MODEL + "M"}}}

    assert faults(tree, {"value": 1, "left": {"value": 2, "right": {"value": 3}}}) is None
    assert faults(tree, {"value": 1, "left": {"value": 2, "right": {}}}) is not None


def test_a_place_in_another_model_may_be_named() -> None:
    others = {"Parts": {"definitions": {"id": {"type": "integer"}}, "anyOf": [{"type": "string"}, {"type": "null"}]}}

    assert faults({"$ref": MODEL + "Parts#/definitions/id"}, 1, **others) is None
    assert faults({"$ref": MODEL + "Parts#/definitions/id"}, "x", **others) is not None
    assert faults({"$ref": MODEL + "Parts#/anyOf/1"}, None, **others) is None
    assert faults({"$ref": MODEL + "Parts#/anyOf/1"}, "x", **others) is not None


def test_the_models_every_api_has_are_there() -> None:
    assert faults({"$ref": MODEL + "Empty"}, {}) is None
    assert faults({"$ref": MODEL + "Empty"}, []) is not None
    assert faults({"$ref": MODEL + "Error"}, {"message": 1}) is not None
    assert models().validator("Empty")(b"[]") is not None


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        pytest.param("http://example.com/schema.json", "nothing else is ever read", id="a URL"),
        pytest.param("https://json-schema.org/draft-04/schema#", "nothing else is ever read", id="a known URL"),
        pytest.param("http://json-schema.org/draft-04/schema#", "nothing else is ever read", id="draft 4 itself"),
        pytest.param("file:///etc/passwd", "nothing else is ever read", id="a file"),
        pytest.param("//169.254.169.254/latest", "nothing else is ever read", id="a network path"),
        pytest.param("../other.json", "nothing else is ever read", id="a relative path"),
        pytest.param("Other", "nothing else is ever read", id="a bare name"),
        pytest.param("", "nothing else is ever read", id="nothing"),
        pytest.param("json-schema:///x", "nothing else is ever read", id="the library's own scheme"),
        pytest.param(
            "https://apigateway.amazonaws.com@evil.example/restapis/chat/models/Empty", "is refused", id="a user name"
        ),
        pytest.param(
            "https://apigateway.amazonaws.com/restapis/chat/models/../x/models/Empty", "is refused", id="dot segments"
        ),
        pytest.param(
            "https://apigateway.amazonaws.com/restapis/other/models/Empty", "is about another API", id="another API"
        ),
        pytest.param(MODEL + "Empyt", "no model is named Empyt; did you mean Empty?", id="no such model"),
        pytest.param(MODEL + "Empty?x=1", "is refused", id="a query"),
        pytest.param("#anchor", "names no schema of this model", id="an anchor"),
        pytest.param("#/definitions/b", "did you mean #/definitions/a?", id="no such place"),
        pytest.param("#/definitions", "names no schema of this model", id="a place that is no schema"),
        pytest.param("#/enum/0", "names no schema of this model", id="a value"),
        pytest.param(
            MODEL + "Empty#/type", "names no schema of model Empty", id="a place in another that is no schema"
        ),
    ],
)
def test_no_reference_leaves_the_api(reference: str, why: str) -> None:
    schema = {"definitions": {"a": {}}, "enum": [{"type": "string"}], "properties": {"x": {"$ref": reference}}}

    for strict in (True, False):
        (found,) = problems(M=schema, strict=strict)
        assert found.startswith("models.M.schema.properties.x.$ref: ")
        assert why in found


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="itself"),
        pytest.param({"allOf": [{"$ref": "#"}]}, id="itself among others"),
        pytest.param({"not": {"anyOf": [{}, {"oneOf": [{"$ref": "#/not"}]}]}}, id="by way of not"),
        pytest.param({"dependencies": {"a": {"$ref": "#"}}}, id="by way of dependencies"),
        pytest.param({"$ref": MODEL + "Other"}, id="by way of another model"),
    ],
)
def test_a_schema_that_would_never_end_is_refused(schema: Any) -> None:
    for strict in (True, False):
        found = problems(M=schema, Other={"allOf": [{"$ref": MODEL + "M"}]}, strict=strict)
        assert [problem for problem in found if "comes back to itself" in problem]


def test_names_do_not_move_what_references_mean() -> None:
    named = {"id": "http://evil.example/root.json", "definitions": {"a": {"type": "string"}}, "$ref": "#/definitions/a"}

    assert faults(named, "x") is None
    assert faults(named, 1) is not None
    (found,) = problems(M={"properties": {"x": {"id": "http://evil.example/", "properties": {"id": {}}}}})
    assert found.startswith("models.M.schema.properties.x.id: would change what $ref means")


# What is refused


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param({"type": "strin"}, "type: expected one of array, boolean", id="a type"),
        pytest.param({"type": "strin"}, "did you mean string?", id="a type, with a suggestion"),
        pytest.param({"requird": ["a"]}, "requird: is no keyword of JSON Schema draft 4, so it would do nothing; "
                     "did you mean required?", id="a typing mistake"),
        pytest.param({"const": 1}, "const: is not of JSON Schema draft 4, which models are written in; write enum: "
                     "[VALUE]", id="a later draft's keyword"),
        pytest.param({"exclusiveMinimum": 5}, "exclusiveMinimum: expected true or false", id="a later draft's form"),
        pytest.param({"required": True}, "required: expected a list of different strings", id="draft 3's required"),
        pytest.param({"required": []}, "required: expected a list of different strings, at least one", id="no name"),
        pytest.param({"minLength": -1}, "minLength: expected a whole number from 0 on, got -1", id="below 0"),
        pytest.param({"multipleOf": 0}, "multipleOf: expected a number above 0", id="multiples of 0"),
        pytest.param({"properties": {"a": []}}, "properties.a: expected a schema, which is a mapping", id="no schema"),
        pytest.param({"items": [1]}, "items.0: expected a schema, which is a mapping", id="no schema in a list"),
        pytest.param({"$ref": "#/definitions/a", "definitions": {"a": {}}, "type": "string"},
                     "type: has no effect beside $ref", id="a keyword beside $ref"),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema: models are of JSON Schema",
                     id="another draft"),
        pytest.param({"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}},
                     "properties.a.$schema: models are of", id="$schema inside"),
        pytest.param({"pattern": "a(?=b)"}, "pattern: a(?=b) looks ahead or behind", id="look-ahead"),
        pytest.param({"pattern": r"(a)\1"}, "refers back to a group", id="a back-reference"),
        pytest.param({"patternProperties": {"(?<!x)y": {}}}, "patternProperties.(?<!x)y: ", id="look-behind in a name"),
        pytest.param({"pattern": "a(b"}, "is no regular expression: missing )", id="no regular expression"),
        pytest.param({"pattern": "((a{1,1000}){1,1000}){1,1000}"}, "too large once compiled", id="a huge one"),
    ],
)  # fmt: skip
def test_a_schema_that_can_not_work_is_refused_where_it_stands(schema: Any, problem: str) -> None:
    found = problems(M=schema)

    assert [each for each in found if each.startswith("models.M.schema.") and problem in each], found


def test_a_caret_shows_the_place_in_a_pattern() -> None:
    (found,) = problems(M={"pattern": "^[a-z]+(?!x)$"})

    assert found.endswith("(at character 8)\n    ^[a-z]+(?!x)$\n           ^")


def test_every_problem_of_all_models_is_told_at_once() -> None:
    found = problems(A={"type": "x", "properties": {"a": {"$ref": "x"}}}, B={"pattern": "(?=a)", "minimum": "1"})

    assert len(found) == 4


def test_without_schema_validation_what_is_unknown_is_passed_over() -> None:
    """API Gateway v2 reference, CreateApi: `disableSchemaValidation` avoids validating models."""
    schema = {"type": "object", "example": {}, "const": 1, "required": ["a"]}
    found = models(M=schema, Broken={"type": "strin"}, strict=False)

    assert not found.problems
    assert found.validator("M")(b"{}") == '[object has missing required properties (["a"])]'
    with pytest.raises(ValueError, match="strin"):
        found.validator("Broken")


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(70):
        deep = {"items": deep}
    chain = {"definitions": {f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}]} for n in range(70)}}
    chain["definitions"]["d70"] = {}

    assert "nested deeper than 64" in problems(M=deep)[0]
    assert "more than 64 schemas and references stand behind one another" in problems(M=chain)[0]


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(
            {"anyOf": [{"properties": {"a": {"$ref": "#"}, "n": {"enum": [k]}}} for k in range(4)]},
            id="alternatives that each go on",
        ),
        pytest.param(
            {"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^a": {"$ref": "#"}, "a$": {"$ref": "#"}}},
            id="names that match several times",
        ),
        pytest.param(
            {
                "definitions": {
                    **{f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(30)},
                    "d30": {"type": "object"},
                },
                "properties": {"a": {"$ref": "#/definitions/d0"}},
            },
            id="a definition that doubles",
        ),
    ],
)
def test_work_that_would_multiply_is_refused_before_it_is_done(schema: Any) -> None:
    message: dict[str, Any] = {"n": "x"}
    for _ in range(60):
        message = {"a": message, "n": "x"}
    began = time.process_time()

    assert faults(schema, message) == "[instance is too large to be checked against model M]"

    assert time.process_time() - began < 2  # unbounded it would take longer than anyone waits


def test_large_integers_that_must_differ_are_few() -> None:
    """jsonschema-rs compares each of them with each other."""
    few, many = ([2**63 - n for n in range(count)] for count in (100, 50_000))

    assert faults({"uniqueItems": True}, few) is None
    assert faults({"uniqueItems": True}, [*few, few[0]]) == "[array must not contain duplicate elements]"
    assert faults({"uniqueItems": True}, many) == "[instance is too large to be checked against model M]"
    assert faults({"uniqueItems": True}, list(range(50_000))) is None


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_pattern_that_takes_long_is_matched_with_short_strings_only(size: int) -> None:
    """Linear time is a long time, too, for a large pattern and a large string."""
    told = faults({"pattern": "(a|b)*a(a|b){300}c"}, "ab" * (size // 2))

    assert told is not None
    assert ("does not match input string" if size == 1_000 else "too large") in told
    assert faults({"pattern": "^[a-z]+$"}, "a" * size) is None


def test_a_grammar_with_a_name_for_each_kind_is_no_work_at_all() -> None:
    """What goes down by different names looks at each value once."""
    node = {"oneOf": [
        {"type": "string"},
        {"type": "object", "required": ["and"], "properties": {"and": {"items": {"$ref": "#"}}}},
        {"type": "object", "required": ["or"], "properties": {"or": {"items": {"$ref": "#"}}}},
        {"type": "object", "required": ["not"], "properties": {"not": {"$ref": "#"}}},
    ]}  # fmt: skip
    message: Any = "x"
    for _ in range(20):
        message = {"not": {"and": [message, "y"]}}

    assert faults(node, message) is None


@pytest.mark.parametrize("size", [10, 1_000, 20_000])
def test_many_values_are_checked_however_many_they_are(size: int) -> None:
    schema = {"items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}

    assert faults(schema, [{"id": n} for n in range(size)]) is None
    assert faults(schema, [{"id": n} for n in range(size)] + [{}]) is not None


# Whatever comes

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_REFERENCES = st.sampled_from(
    [
        "#",
        "#/definitions/a",
        "#/properties/a",
        MODEL + "M",
        MODEL + "Empty",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
    ]
)
_PATTERNS = st.sampled_from(["^a+$", "(?=a)", "[", "(a+)+$", r"\d{1,3}", r"(.)\1", ".*.*.*=.*", r"\p{L}", "(?i)a"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    several = st.lists(inner, max_size=2)
    values: dict[str, st.SearchStrategy[Any]] = {
        "$ref": _REFERENCES,
        "pattern": _PATTERNS,
        "type": st.sampled_from(["object", "array", "string", "number", "nothing"]),
        "patternProperties": st.dictionaries(_PATTERNS, inner, max_size=2),
        "required": st.lists(st.sampled_from("abc"), max_size=2),
        "enum": st.lists(_JSON, max_size=3),
        "format": st.sampled_from(["email", "uri", "regex", "date-time", "hostname", "ipv4", "ipv6", "int32"]),
        **dict.fromkeys(("properties", "definitions", "dependencies"), named),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "items"), several),
        **dict.fromkeys(("not", "additionalProperties", "additionalItems"), inner),
    }
    pairs = [st.tuples(st.just(key), values.get(key, _JSON)) for key in (*RULES, "const", "x-note", "if")]
    likely = [st.tuples(st.just(key), value) for key, value in values.items()]
    return st.lists(st.one_of(likely) | st.one_of(pairs), max_size=4).map(dict)


_ANY_SCHEMA = st.recursive(st.just({}) | st.dictionaries(st.sampled_from(sorted(RULES)), _JSON, max_size=3), _schemas)


@settings(max_examples=60)
@given(_ANY_SCHEMA, st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_any_schema_works_or_is_refused_and_no_message_makes_it_raise(
    schema: Any, message: bytes, strict: bool
) -> None:
    if not isinstance(schema, dict):
        return
    found = models(M=schema, strict=strict)
    if found.problems:
        assert all(problem.path[:3] == ("models", "M", "schema") for problem in found.problems)
        return
    try:
        validator = found.validator("M")
    except ValueError:
        assert not strict
        return
    told = validator(message)
    assert told is None or (told.startswith("[") and told.endswith("]"))


@given(st.binary(max_size=200))
def test_no_bytes_make_a_model_raise(message: bytes) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": {"type": "string"}}
    faults(schema, message)


def test_the_budget_is_about_what_it_says() -> None:
    """The heaviest message that is let through is done in well under a second, however slow the machine is."""
    schema = {"items": {"anyOf": [{"enum": [f"{k}{n}" for n in range(40)]} for k in range(4)]}}
    validator = models(M=schema).validator("M")
    low, high = 1, BUDGET
    while low + 1 < high:
        middle = (low + high) // 2
        told = validator(json.dumps(["zz"] * middle).encode())
        assert told is not None
        low, high = (low, middle) if "too large" in told else (middle, high)
    data = json.dumps(["zz"] * low).encode()
    began = time.process_time()
    validator(data)

    assert time.process_time() - began < 1
