"""YAML, and only as much of it as a definition needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.document import compose
from wsgateway.model.expansion import Expansion

ProblemsIn = Callable[..., list[str]]

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def values(text: str) -> object:
    document = compose(text)
    assert document.root is not None
    assert not document.problems
    return Expansion({}).value(document.root)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("8", 8, id="an integer"),
        pytest.param("-0o17", "-0o17", id="a signed octal is text"),
        pytest.param("0o17", 15, id="an octal"),
        pytest.param("017", 17, id="a leading zero means nothing"),
        pytest.param("0x1F", 31, id="a hexadecimal"),
        pytest.param("1.5e3", 1500.0, id="a float"),
        pytest.param("-.inf", float("-inf"), id="infinity"),
        pytest.param("1_000", "1_000", id="no underscores in numbers"),
        pytest.param("12:30:00", "12:30:00", id="no sexagesimals"),
        pytest.param("2024-01-01", "2024-01-01", id="no dates"),
        pytest.param("True", True, id="true"),
        pytest.param("yes", "yes", id="yes is text"),
        pytest.param("off", "off", id="off is text"),
        pytest.param("~", None, id="null"),
        pytest.param("'8'", "8", id="quotes make text"),
        pytest.param("|\n  8\n", "8\n", id="a block is text"),
        pytest.param("[a, {b: c}]", ["a", {"b": "c"}], id="collections"),
        pytest.param("{200: a, true: b, : c}", {"200": "a", "true": "b", "": "c"}, id="keys are text"),
        pytest.param("{a: &x {b: 1}, c: *x}", {"a": {"b": 1}, "c": {"b": 1}}, id="an alias is a copy"),
    ],
)
def test_yaml_1_2(text: str, value: object) -> None:
    assert values(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "1: not valid YAML: ", id="an open bracket"),
        pytest.param("a: 1\n\tb: 2", "2: not valid YAML: ", id="a tab"),
        pytest.param('a: "\\U99999999"', "not valid YAML: ", id="an escape beyond Unicode"),
        pytest.param("a: \x00", "not valid YAML: ", id="a NUL"),
        pytest.param("a: 1\n---\nb: 2\n", "2: a second document begins", id="two documents"),
        pytest.param("%YAML 1.1\n---\na: 1\n", "2: YAML 1.2 is read here", id="YAML 1.1"),
        pytest.param("a: 1\nb: *nope\n", "2: *nope stands for nothing written before it", id="an unknown alias"),
        pytest.param("a: &a [*a]\n", "1: *a stands for nothing written before it", id="an alias of itself"),
        pytest.param("? [a]\n: b\n", "1: a key must be text", id="a list as a key"),
        pytest.param("a: !!python/object:os.system x\n", "1: a: tags such as ", id="a Python object"),
        pytest.param("a: !!int '5'\n", "1: a: tags such as ", id="a standard tag"),
        pytest.param("a: 1\n<<: {b: 1}\n", "2: <<: merge keys are not read", id="a merge key"),
        pytest.param("a: 1\nb: 2\na: 3\n", "3: a: stands here and on line 1; a key may stand once", id="the same key"),
        pytest.param('a: "\\ud800"\n', "1: a: holds half of a surrogate pair", id="half a surrogate pair"),
        pytest.param("a: " + "9" * 5000, "1: a: 9999", id="more digits than Python reads"),
        pytest.param("[" * 100, "1: nested deeper than 64", id="deep nesting"),
        pytest.param("- a\n" * 50_001, "50000: more than 50000 values", id="too many values"),
        pytest.param(BOMB, "1: more than 300000 values, aliases counted", id="an alias bomb"),
    ],
)
def test_what_is_refused(text: str, said: str, problems_in: ProblemsIn) -> None:
    assert any(problem.removeprefix("routes.yaml:").strip().startswith(said) for problem in problems_in(text))


def test_deep_nesting_by_aliases_is_refused() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 80))

    with pytest.raises(DefinitionError, match="nested deeper than 64"):
        values(text)
