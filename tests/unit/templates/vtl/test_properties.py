"""Any text compiles or is refused with its place; whatever compiles renders, or is stopped by a budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.templates.vtl.rendered import variables
from wsgateway.templates.vtl import RenderError, TemplateError, compile
from wsgateway.templates.vtl.runtime import MAX_OUTPUT

PIECES = st.sampled_from(
    [
        "$x", "$u", "$!u", "${x}", "$m.k", "$m[", "$list[0]", "$list", "$m", "$n", "$x.length()", "$list.add(",
        "$foreach.index", "$foreach", "$velocityCount", "$d", "$a", "$bodyContent", "#set($y = ", "#set($m.k=",
        "#set($list[0]=", "#if(", "#if($x)", "#elseif(", "#else", "#{else}", "#end", "#foreach($i in ",
        "#foreach($i in $list)", "#break", "#break($foreach.parent)", "#stop", "#macro(q $a)", "#q(", "#q($x)",
        "#@q($x)", "#define($d)", "#evaluate(", "#evaluate('$x#q(1)')", "#literal()", "#foo", "##", "#*", "*#",
        "#[[", "]]#", "(", ")", "[", "]", "{", "}", ",", ":", "..", "'", '"', "'a'", '"$x"', '""', "1", "-1",
        "1.5", "true", "null", " + ", " - ", "*", "/", "%", " == ", "!=", "<", ">=", " && ", "||", "!", " and ",
        " not ", "\n", " ", "\t", "\r\n", "\\", "\\\\", "$", "#", "a", "é", "😀", "\\u0041", ".", ".k",
        ".size()",
    ]
)  # fmt: skip

PAIRS = st.sampled_from(
    [
        ("#if($yes)", "#end"), ("#if($no)a#{else}", "#end"), ("#foreach($i in $list)", "#end"),
        ("#define($d)", "#end$d$d"), ("#macro(q $a)", "#end#q($x)#q($u)"), ("#set($y=\"", "\")$y"),
        ("#evaluate('", "')"), ("#@q(1)", "#end"), ("#foreach($i in [1..30])", "#break($foreach.parent)#end"),
        ("#if($n > 1 && $x)", "#elseif($list)b#end"),
    ]
)  # fmt: skip

ANYTHING = st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join)
NESTED = st.recursive(
    ANYTHING | PIECES,
    lambda inner: st.tuples(PAIRS, st.lists(inner, max_size=4)).map(lambda made: "".join(made[1]).join(made[0])),
    max_leaves=12,
)


def refusal(text: str) -> TemplateError | None:
    try:
        compile(text)
    except TemplateError as error:
        return error
    return None


@given(ANYTHING | NESTED | st.text())
def test_any_text_compiles_or_is_refused_with_its_place(text: str) -> None:
    error = refusal(text)
    if error is None:
        return
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert str(error).startswith(f"{error.problem} (line {error.line}, column {error.column})\n")


@given(ANYTHING | NESTED)
def test_whatever_compiles_renders_or_is_stopped(text: str) -> None:
    try:
        template = compile(text)
    except TemplateError:
        return
    given_names = variables()
    try:
        written = template.render(given_names)
    except RenderError:
        return
    assert len(written.encode()) <= MAX_OUTPUT
    assert given_names.keys() == variables().keys()
    if template.static is not None:
        assert written == template.static


@given(st.text(alphabet=st.characters(exclude_characters="$#\\", exclude_categories=["Cs"])))
def test_text_without_signs_is_written_as_it_is(text: str) -> None:
    template = compile(text)

    assert template.static == template.render({}) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])).filter(lambda text: "]]#" not in text))
def test_unparsed_text_is_written_as_it_is(text: str) -> None:
    assert compile(f"#[[{text}]]#").static == text


@given(st.lists(st.text()), st.text(max_size=3))
def test_values_are_never_read_as_templates(items: list[str], name: str) -> None:
    assert compile("#foreach($i in $items)$i#end").render({"items": list(items)}) == "".join(items)


@given(ANYTHING | NESTED)
def test_a_macro_that_is_never_called_changes_nothing(text: str) -> None:
    """A template that is one function keeps its variables in Python's locals; one with a macro doesn't."""
    assert outcome(f"{text}\n") == outcome(f"{text}\n#macro(never)#end")


def outcome(text: str) -> str | type[Exception]:
    try:
        return compile(text).render(variables())
    except (TemplateError, RenderError) as error:
        return type(error)
