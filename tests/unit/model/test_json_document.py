"""JSON is read as the YAML that it is, faster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import DefinitionError
from wsgateway.model import json_document
from wsgateway.model.document import compose
from wsgateway.model.expansion import Expansion
from wsgateway.model.json_document import NotJson, read_json
from wsgateway.model.nodes import MAX_DEPTH, Document

KEYS = st.text(st.characters(exclude_characters="$", exclude_categories=["Cc", "Cs"], max_codepoint=0xFFFF), max_size=8)
"""YAML's keys are no pairs of surrogates."""
TEXTS = st.text(st.characters(exclude_characters="$", exclude_categories=["Cc", "Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def read(document: Document) -> tuple[object, object]:
    """The values and their lines."""
    assert document.root is not None
    assert not document.problems
    expansion = Expansion({})
    return expansion.value(document.root), expansion.lines


@given(value=st.dictionaries(KEYS, VALUES, max_size=4), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_values_and_lines_are_those_of_json_and_of_yaml(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found, lines = read(read_json(text))

    assert found == value
    yaml = compose("--- \n" + text)  # no longer JSON
    assert yaml.root is not None
    expansion = Expansion({})
    assert expansion.value(yaml.root) == value
    assert {path: line - 1 for path, line in expansion.lines.items()} == lines


def _no_constant(name: str) -> None:
    raise ValueError(name)


@given(text=st.text("{}[]:,\"'\\ \n\tatruenull0123-+.eE#/x", max_size=20))
def test_any_text_is_json_or_is_not(text: str) -> None:
    try:
        found: object = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        with pytest.raises(NotJson):
            read_json(text)
    else:
        document = read_json(text)
        if not document.problems:
            assert read(document)[0] == found


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": 1,}', "{a: 1}", "{'a': 1}", '{"a": 01}', '{"a": 1}}', '{"a": NaN}', '{"a": "\n"}', '{"a": "\\x"}',
     '{"a" 1}', '["a": 1]', '{"a": truex}', '{"a": 1 2}', '{"a": -}', '{"a": 1.}', '{"a": 1e}', '// x\n{"a": 1}', "{]"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(NotJson):
        read_json(text)


def test_a_key_that_stands_twice_is_told() -> None:
    (problem,) = compose('{"a": 1,\n"b": {"c": 1,\n"c": 2}}').problems
    assert (problem.path, problem.line) == (("b", "c"), 3)
    assert problem.text == "stands here and on line 2; a key may stand once"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('{"a":' * 65 + "1" + "}" * 65, f"nested deeper than {MAX_DEPTH}", id="deep"),
        pytest.param('{"a": [' + "1," * 20 + "1]}", "more than 20 values", id="many"),
        pytest.param("[" * 100_000, f"nested deeper than {MAX_DEPTH}", id="without an end"),
    ],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    if "20" in said:
        monkeypatch.setattr(json_document, "MAX_NODES", 20)
    with pytest.raises(DefinitionError) as caught:
        read_json(text)
    (problem,) = caught.value.problems
    assert problem.text == said


def test_what_is_nearly_json_is_read_as_yaml() -> None:
    assert read(compose('{"a": [1, 2,], # both\n b: c}'))[0] == {"a": [1, 2], "b": "c"}
