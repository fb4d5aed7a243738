"""Variables of the environment, and those that are AWS's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.model.document import compose
from wsgateway.model.expansion import Expansion
from wsgateway.model.nodes import MAX_BYTES

ProblemsIn = Callable[..., list[str]]

ENVIRON = {"PORT": "8000", "HOST": "a.example", "EMPTY": "", "ON": "true", "NESTED": "${HOST}", "_X1": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${PORT}", 8000, id="a plain scalar is typed afterwards"),
        pytest.param('"${PORT}"', "8000", id="a quoted one stays text"),
        pytest.param("${ON}", True, id="booleans as well"),
        pytest.param("${IDLE:-600}", 600, id="a default"),
        pytest.param("${PORT:-600}", 8000, id="a value goes before its default"),
        pytest.param("${NOPE:-}", None, id="an empty default, plain, is nothing"),
        pytest.param('"${NOPE:-}"', "", id="an empty default, quoted, is empty"),
        pytest.param('"${EMPTY:-x}"', "", id="a variable that is set to nothing is set"),
        pytest.param("http://${HOST}:${PORT}/${_X1}", "http://a.example:8000/x", id="several"),
        pytest.param("${NOPE:-http://b:1/c}", "http://b:1/c", id="a default may hold colons"),
        pytest.param("${NESTED}", "${HOST}", id="a value is not expanded again"),
        pytest.param("http://${stageVariables.HOST}/", "http://${stageVariables.HOST}/", id="AWS's own"),
        pytest.param("${request.body.action}", "${request.body.action}", id="a selection expression"),
        pytest.param("${port}", "${port}", id="lower case"),
        pytest.param("$HOST", "$HOST", id="without braces"),
        pytest.param("${HOST", "${HOST", id="unclosed"),
        pytest.param("[{a: '${HOST}'}]", [{"a": "a.example"}], id="anywhere in the file"),
        pytest.param("{'${HOST}': 1}", {"${HOST}": 1}, id="but not in keys"),
    ],
)
def test_expansion(text: str, value: object) -> None:
    root = compose(text).root
    assert root is not None
    expansion = Expansion(ENVIRON)

    assert expansion.value(root) == value
    assert not expansion.problems


def test_each_unset_variable_is_a_problem(problems_in: ProblemsIn) -> None:
    assert problems_in("apis: {}\ndefaultApi: ${A}${B}\n")[1:] == [
        "routes.yaml:2: defaultApi: ${A} is not set in the environment; set it or write ${A:-default}",
        "routes.yaml:2: defaultApi: ${B} is not set in the environment; set it or write ${B:-default}",
    ]


def test_a_large_variable_used_often_is_refused(problems_in: ProblemsIn) -> None:
    big = "x" * (MAX_BYTES // 4)

    (problem,) = problems_in("a: ['" + "${BIG}" * 2 + "',\n '" + "${BIG}" * 3 + "']\n", BIG=big)

    assert problem == f"routes.yaml:2: more than {MAX_BYTES} characters once variables are put in"


def test_a_variable_that_is_not_utf_8_is_refused(problems_in: ProblemsIn) -> None:
    problems = problems_in("defaultApi: ${RAW}\n", RAW="\udcff")

    assert "routes.yaml:1: defaultApi: holds half of a surrogate pair; write the character itself" in problems
