"""Templates over what they speak of: no text raises anything unforeseen, and none takes more than its budget."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, message
from wsgateway.templates import vtl
from wsgateway.templates.mapping import request_names, request_overrides, response_overrides
from wsgateway.templates.vtl import RenderError, TemplateError

ROOTS = [
    "$input", "$context", "$util", "$stageVariables", "$x", "$m", "$l", "$e", "$foreach", "$input.body",
    "$input.path('$')", "$input.params()", "$context.identity", "$m.entrySet()",
]  # fmt: skip
STEPS = [
    ".size()", ".get(0)", ".get('a')", ".put('a',$m)", ".add($l)", ".body", ".json('$')", ".path('$.l')",
    ".path('$..*')", ".params()", ".keySet()", ".values()", ".entrySet()", ".key", ".value", "[0]", "['a']",
    ".length()", ".substring(1)", ".replaceAll('.','x')", ".split('')", ".toString()", ".escapeJavaScript($x)",
    ".urlEncode($x)", ".parseJson($x)", ".remove('a')", ".clear()", ".hasNext", ".parent", ".class", ".getClass()",
    "._values", ".equals($m)", ".contains($l)", ".requestOverride.header",
]  # fmt: skip
REFERENCES = st.builds(
    lambda root, steps: root + "".join(steps), st.sampled_from(ROOTS), st.lists(st.sampled_from(STEPS), max_size=3)
)
EXPRESSIONS = st.recursive(
    REFERENCES | st.sampled_from(["1", "'a'", '"$x"', "[$x, 1]", "{'a': $l}", "[1..3]", "1.5", "true"]),
    lambda inner: st.tuples(inner, st.sampled_from([" + ", " == ", " && ", " * ", " / ", " < "]), inner).map("".join),
    max_leaves=3,
)
STATEMENTS = (
    REFERENCES
    | st.builds("#set($x = {})".format, EXPRESSIONS)
    | st.builds("#set($m.a = {})".format, EXPRESSIONS)
    | st.builds("#set($l[0] = {})".format, EXPRESSIONS)
    | st.builds("#set({} = {})".format, REFERENCES, EXPRESSIONS)
)
TEMPLATES = st.recursive(
    st.lists(STATEMENTS, max_size=4).map("\n".join),
    lambda inner: (
        st.builds("#if({}){}#end".format, EXPRESSIONS, inner)
        | st.builds("#foreach($e in {}){}#end".format, EXPRESSIONS, inner)
    ),
    max_leaves=4,
)


@given(TEMPLATES)
def test_a_template_writes_a_text_or_is_stopped(text: str) -> None:
    try:
        template = vtl.compile(f"#set($m = {{'a': 1}})#set($l = [1, 'b'])#set($x = 'é😀')\n{text}")
    except TemplateError:
        return
    for invocation in (message('{"a": 1, "l": [1, {"b": null}], "s": "x"}', v="1"), connecting("/dev?a=1")):
        with suppress(RenderError):
            template.render(request_names(invocation)).encode()
            request_overrides(invocation)
            response_overrides(invocation)


LARGE = '{"s": "' + "a" * 200_000 + '", "l": [' + ",".join(["1"] * 20_000) + "]}"


def often(statement: str) -> str:
    """`statement`, a million times."""
    return f"#foreach($i in [1..1000])#foreach($j in [1..1000]){statement}#end#end"


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("#set($s = 'ab')" + often('#set($s = "$s$s")'), id="doubling in a string"),
        pytest.param("#set($s = 'ab')" + often("#set($s = $s + $s)"), id="doubling by adding"),
        pytest.param("#set($s = 'ab')" + often("#set($s = $s.concat($s))"), id="doubling by concat"),
        pytest.param("#set($s = 'ab')" + often("#set($s = $s.replaceAll('a', $s))"), id="replacing a text"),
        pytest.param("#set($s = 'ab')" + often("#set($s = $s.replaceAll('[ab]', $s))"), id="replacing a pattern"),
        pytest.param("#set($s = 'ab')" + often("#set($s = $s.replaceAll('.+', '$0$0'))"), id="replacing by groups"),
        pytest.param("#set($l = [1])" + often("#set($x = $l.addAll($l))"), id="doubling a list"),
        pytest.param("#set($l = [1])#foreach($i in [1..99])#set($l = [$l, $l])#end$l", id="printing one list often"),
        pytest.param("#set($l = [1])#set($x = $l.add($l))$l", id="printing a list in itself"),
        pytest.param("#set($m = $input.path('$'))#set($m.a = $m)$input.json('$')", id="a body in itself"),
        pytest.param("#set($context.me = $context)$context", id="$context in itself"),
        pytest.param("#set($s = $input.body)" + often("#set($s = $util.escapeJavaScript($s))"), id="escaping again"),
        pytest.param("#set($s = $input.body)" + often("#set($s = $util.urlEncode($s))"), id="encoding again"),
        pytest.param("#set($s = $input.body)" + often("#set($s = $util.base64Encode($s))"), id="base64 again"),
        pytest.param("#set($l = [])" + often("#set($x = $l.add($util.parseJson($input.body)))"), id="keeping bodies"),
        pytest.param("#set($l = [])" + often("#set($x = $l.add($input.body.split('')))"), id="keeping characters"),
        pytest.param(often("#set($x = $input.path('$..*'))"), id="looking through the body"),
        pytest.param(often("#set($x = $input.path('$.l').contains('x'))"), id="looking through a list"),
        pytest.param(often("#set($x = $input.body.contains('aaaab'))"), id="looking through a string"),
        pytest.param(often("#set($x = $input.json('$'))"), id="writing JSON"),
        pytest.param(often("$input.body"), id="writing the body"),
    ],
)
def test_what_would_take_too_much_is_stopped(template: str) -> None:
    with pytest.raises(RenderError):
        vtl.compile(template).render(request_names(message(LARGE)))
