"""Whatever a document holds: definitions that read back as the same when written, or problems with lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from wsgateway.errors import DefinitionError
from wsgateway.model import parse
from wsgateway.model.document import compose
from wsgateway.model.expansion import VARIABLE, Expansion
from wsgateway.model.openapi.importing import import_text
from wsgateway.model.openapi.reading import Reading
from wsgateway.model.openapi.words import ANY, EXTENSIONS, OPERATION, PARAMETER, PATH_ITEM, ROOT, SECURITY_SCHEME
from wsgateway.model.writer import to_yaml

HERE = Path(__file__).parent
ENVIRON = {"AWS_REGION": "eu-west-1"}


def sample(name: str) -> dict[str, Any]:
    """A document as plain values."""
    found: dict[str, Any] = YAML(typ="safe", pure=True).load((HERE / name).read_text(encoding="utf-8"))
    return found


SAMPLES = [sample("petstore.yaml"), sample("items.json")]
WORDS = sorted(
    {
        *EXTENSIONS, *ROOT[2].read, *ROOT[3].read, *PATH_ITEM.read, *PATH_ITEM.refused, *OPERATION[2].read,
        *OPERATION[3].read, *PARAMETER.read, *SECURITY_SCHEME.read, ANY, "$ref", "/", "/{a+}", "200", "default", "type",
        "#/paths", "#/components/schemas/Pet", "#/definitions/Items", "query", "path", "body", "mock", "uri", "${X}",
        "x-wsgateway", "apis", "stages", "Fn::Sub", "statusCode", "responses", "application/json",
    }
)  # fmt: skip
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner),
    max_leaves=8,
)  # fmt: skip
base_paths = st.sampled_from(["ignore", "prepend", "split"])
readings = st.builds(Reading, base_path=base_paths, lenient=st.booleans(), stage=st.none() | st.just("s"))


def places(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return [path, *(place for key in _keys(found) for place in places(found[key], (*path, key)))]


def _keys(found: Any) -> list[Any]:
    return list(found) if isinstance(found, dict) else list(range(len(found))) if isinstance(found, list) else []


PLACES = [places(each) for each in SAMPLES]


def holds(text: str, reading: Reading) -> None:
    """Definitions that read back, or problems with lines."""
    try:
        imported = import_text(text, "shop.yaml", ENVIRON, HERE, reading)
    except DefinitionError as error:
        problems = error.problems
    else:
        assert all(note.line for note in imported.loaded.notes)
        again = parse(imported.text, "routes.yaml", ENVIRON, HERE)
        assert again.definitions == imported.loaded.definitions
        return
    lines = [problem.line for problem in problems]
    assert lines
    assert lines == sorted(lines)
    assert all(lines), problems
    assert all(problem.file == "shop.yaml" for problem in problems)


@given(st.dictionaries(st.sampled_from(WORDS), value), st.sampled_from(["openapi", "swagger"]), readings)
def test_any_document(content: dict[str, Any], kind: str, reading: Reading) -> None:
    holds(json.dumps(content | {kind: "2.0" if kind == "swagger" else "3.0.3"}), reading)


@settings(max_examples=30)
@given(st.data(), readings)
def test_a_document_with_changes(data: st.DataObject, reading: Reading) -> None:
    number = data.draw(st.sampled_from(range(len(SAMPLES))))
    changed = json.loads(json.dumps(SAMPLES[number]))
    for place in data.draw(st.lists(st.sampled_from(PLACES[number][1:]), min_size=1, max_size=3)):
        above = changed
        for key in place[:-1]:
            above = above[key] if isinstance(above, list) == isinstance(key, int) and key in _keys(above) else None
        if isinstance(above, dict):
            if data.draw(st.booleans()):
                above[data.draw(st.sampled_from(WORDS))] = data.draw(value)
            else:
                above[place[-1]] = data.draw(value)
    holds(json.dumps(changed), reading)


numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_what_is_written_reads_back(content: Any) -> None:
    if VARIABLE.search(json.dumps(content, ensure_ascii=False)):
        return
    document = compose(to_yaml({"x": content}))
    assert document.root is not None
    assert not document.problems
    assert Expansion({}).value(document.root) == {"x": content}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"a": "two\nlines"}, "a: |-\n  two\n  lines\n"),
        ({"a": " two\nlines"}, 'a: " two\\nlines"\n'),
        ({"200": "true", "a": ["1", 1, None]}, '"200": "true"\na: ["1", 1, null]\n'),
        ({"a": "x" * 200}, f"a: {'x' * 200}\n"),
        ({"a": [{"b": {}}]}, "a:\n  - b: {}\n"),
    ],
)
def test_what_is_written_is_as_people_write_it(content: Any, text: str) -> None:
    assert to_yaml(content) == text
