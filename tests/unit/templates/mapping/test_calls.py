"""What a template calls and can't work is refused where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates import mapping
from wsgateway.templates.vtl import TemplateError


@pytest.mark.parametrize(
    ("template", "line", "column", "problem"),
    [
        pytest.param("""a\n{"x": $input.json('$.a[')}""", 2, 24, "expected a quoted name", id="a path"),
        pytest.param("#set($x = $input.path('$['))", 1, 26, "expected a quoted name", id="a path in #set"),
        pytest.param("#if($input.path('$..') == 1)x#end", 1, 21, "expected a name", id="a path in a condition"),
        pytest.param("""$x.matches("(")""", 1, 13, "never closed", id="a regular expression"),
        pytest.param("""$x.trim().replaceAll("(?<=a)b", "")""", 1, 23, "look", id="one that takes too long"),
        pytest.param("""$input.body.split('[a')""", 1, 20, "never closed", id="behind $input.body"),
        pytest.param("""#macro(m $a)$a.split("*")#end""", 1, 23, "nothing before", id="in a macro"),
        pytest.param("""#set($x = "a $b.split('*') c")$x""", 1, 24, "nothing before", id="in a string"),
        pytest.param("a $x.split('a''(')", 1, 6, "never closed", id="with a quote in it"),
        pytest.param("a $util.toJson($x)", 1, 9, r"\$util has no method toJson\(\); it has base64Decode, ", id="$util"),
        pytest.param("#if($input.get('a'))#end", 1, 12, "it has json, params and path", id="$input"),
        pytest.param("""$x.split(',') $x.split('*')""", 1, 25, "nothing before", id="behind a good one"),
    ],
)
def test_what_can_not_work_is_refused(template: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem) as refused:
        mapping.compile(template)

    assert (refused.value.line, refused.value.column) == (line, column)
    assert refused.value.snippet.endswith("^")


@pytest.mark.parametrize(
    "template",
    [
        "$input.json('$.a[0]')",
        "$input.path($x)",
        "$input.params('[')",
        "$input.params().get('a')",
        "$context.get('a')$x.toJson()",
        "$x.replace('(', ')')",
        "$x.replaceAll('(')",
        "$x.json('[')",
        "$input.body",
        '$x.replaceAll("\\\\\'", "\'")',
        "#[[$x.matches('(')]]#",
        "## $x.matches('(')",
    ],
)
def test_all_else_is_taken(template: str) -> None:
    mapping.compile(template)


@given(st.text(alphabet="$xinput.jso(')\"[]{}*? #if(end)set="))
def test_any_text_is_a_template_or_an_error_with_a_place(text: str) -> None:
    found: TemplateError | None = None
    try:
        mapping.compile(text)
    except TemplateError as error:
        found = error
    assert found is None or (found.line >= 1 and found.column >= 1)
