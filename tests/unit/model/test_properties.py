"""Whatever a file holds, it is definitions or a DefinitionError."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import DefinitionError
from wsgateway.model import Loaded, parse, uri_fault
from wsgateway.model.expansion import typed

SAMPLE = Path(__file__).with_name("routes.yaml").read_text(encoding="utf-8")
WORDS = sorted({word for word in SAMPLE.split() if len(word) > 2})
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\n    ",
    "&a ",
    "*a",
    "!!int ",
    "? ",
    "|",
    ">",
    '"',
    "'",
    "#",
    "%",
    "${X}",
]

fragment = st.sampled_from(WORDS) | st.sampled_from(PIECES) | st.text(max_size=5)
yaml_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner),
    max_leaves=6,
)


def outcome(text: str) -> Loaded | None:
    try:
        return parse(text, "routes.yaml", {"X": "1"}, Path())
    except DefinitionError as error:
        problems = error.problems
    lines = [problem.line for problem in problems]
    assert lines
    assert lines == sorted(lines)
    assert all(str(problem).isprintable() for problem in problems), problems
    return None


@given(st.text())
def test_any_text(text: str) -> None:
    outcome(text)


@given(st.text(alphabet=st.characters(codec=None, categories=["Cs", "Cc", "Cf", "Lu", "Po"])))
def test_odd_characters(text: str) -> None:
    outcome(f'a: "{text}"')
    outcome(text)


@given(st.lists(fragment, max_size=30))
def test_pieces_of_yaml(pieces: list[str]) -> None:
    outcome("".join(pieces))


@given(st.data())
def test_a_valid_file_with_a_change(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SAMPLE)))
    end = data.draw(st.integers(start, min(len(SAMPLE), start + 40)))
    outcome(SAMPLE[:start] + data.draw(fragment) + SAMPLE[end:])


@given(st.data())
def test_a_valid_file_with_another_value(data: st.DataObject) -> None:
    lines = SAMPLE.splitlines()
    number = data.draw(st.sampled_from([n for n, line in enumerate(lines) if ": " in line]))
    value = data.draw(yaml_value)
    lines[number] = lines[number].split(": ", 1)[0] + ": " + flow(value)
    outcome("\n".join(lines))


def flow(value: object) -> str:
    """`value` in YAML's flow style."""
    match value:
        case dict():
            return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bool() | None:
            return {True: "true", False: "false", None: "~"}[value]
    return str(value)


@given(st.text())
def test_any_uri_is_judged(uri: str) -> None:
    uri_fault(uri)


@given(st.from_regex(r"[-+]?[0-9.]*([eE][-+]?[0-9]+)?|0[xo][0-9a-fA-F]*", fullmatch=True))
def test_anything_like_a_number_is_a_number_or_text(text: str) -> None:
    value = typed(text)

    assert value is None or isinstance(value, (int, float)) or value == text
