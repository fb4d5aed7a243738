"""What can't be compiled: each error says where it is, and what would be right."""

from __future__ import annotations

import pytest

from wsgateway.templates.vtl import MAX_TEMPLATE, TemplateError, compile


@pytest.mark.parametrize(
    ("template", "problem", "line", "column"),
    [
        pytest.param("a\n #if($x)b", "this #if has no #end", 2, 2, id="no end of #if"),
        pytest.param("#if($x)a#else b", "this #if has no #end", 1, 1, id="no end of #else"),
        pytest.param("#foreach($i in $x)a", "this #foreach has no #end", 1, 1, id="no end of #foreach"),
        pytest.param("#foreach($i in $x)a#else b#end", "this #else belongs to no #if", 1, 20, id="#else in a loop"),
        pytest.param("a#end", "this #end belongs to no directive", 1, 2, id="an end of nothing"),
        pytest.param("a\n#elseif($x)b#end", "this #elseif belongs to no directive", 2, 1, id="#elseif of nothing"),
        pytest.param("#if($x)a#else b#else c#end", "this #else stands behind an #else", 1, 16, id="two #else"),
        pytest.param("#if $x a#end", r"expected ( behind #if; as plain text it is written \#if", 1, 1, id="no bracket"),
        pytest.param("#if()a#end", "expected a value", 1, 5, id="no condition"),
        pytest.param("#if($x = 1)a#end", "== compares", 1, 8, id="= for =="),
        pytest.param("#if($x\n && )a#end", "expected a value", 2, 5, id="no operand"),
        pytest.param("#if($x & $y)a#end", "expected ) or an operator", 1, 8, id="& for &&"),
        pytest.param("#set($x)", "expected = and a value behind $x", 1, 8, id="#set without value"),
        pytest.param("#set($x == 1)", "expected = and a value", 1, 10, id="#set with =="),
        pytest.param("#set($x=)", "expected a value", 1, 9, id="#set with nothing"),
        pytest.param("#set($x=1", "this #set has no )", 1, 1, id="#set without end"),
        pytest.param("#set(x=1)", "expected a name behind the dollar", 1, 6, id="#set without dollar"),
        pytest.param("#set($x.f()=1)", "the result of a method can't be set", 1, 6, id="#set of a result"),
        pytest.param("#set($x=null)", "there is no null here", 1, 9, id="null"),
        pytest.param("#set($x=abc)", "a reference is written $abc, a string 'abc'", 1, 9, id="a bare word"),
        pytest.param("#set($x='abc)", "this string has no closing '", 1, 9, id="no closing quote"),
        pytest.param('#set($x="a\\"b")', 'inside a string, " is written ""', 1, 11, id="a backslash before a quote"),
        pytest.param("#set($x=[1, 2)", "expected a comma or the ] of this list", 1, 14, id="no end of a list"),
        pytest.param("#set($x=[1, 2", "expected a comma or the ] of this list", 1, 9, id="no end of a list at the end"),
        pytest.param("#set($x=[1..2)", "this range has no ]", 1, 14, id="no end of a range"),
        pytest.param("#set($x={1, 2})", "expected a colon behind the key", 1, 11, id="no value of a key"),
        pytest.param("#set($x={1: 2)", "expected a comma or the } of this map", 1, 14, id="no end of a map"),
        pytest.param("#set($x=-$y)", "0 - $x negates a reference", 1, 9, id="a minus before a reference"),
        pytest.param(f"#set($x={'1' * 401})", "more than 400 digits", 1, 9, id="a huge integer"),
        pytest.param("#set($x=1e999)", "this number is too large", 1, 9, id="a huge double"),
        pytest.param("$x.f('a'", "this ( has no )", 1, 5, id="no end of arguments"),
        pytest.param("$x.f('a' 'b')", "expected ) or an operator", 1, 10, id="no comma"),
        pytest.param("$x[0", "this [ has no ]", 1, 3, id="no end of an index"),
        pytest.param("$x[a]", "a reference is written $a", 1, 4, id="an index that is a word"),
        pytest.param("${x", "expected the } of ${x", 1, 4, id="no end of a formal reference"),
        pytest.param("${x y}", "expected the } of ${x", 1, 4, id="a blank in a formal reference"),
        pytest.param("#foreach(i in $x)#end", "expected $NAME in VALUE", 1, 10, id="a loop without dollar"),
        pytest.param("#foreach($i of $x)#end", "expected `in` and a value behind $i", 1, 13, id="a loop without in"),
        pytest.param("#break($x)", "expected the loop to leave", 1, 8, id="no loop to leave"),
        pytest.param("#macro($m)#end", "expected the macro's name", 1, 8, id="a macro without name"),
        pytest.param("#macro(m a)#end", "expected $NAME of a parameter", 1, 10, id="a parameter without dollar"),
        pytest.param("#macro(if)#end", "#if is a directive; a macro needs another name", 1, 8, id="a macro named if"),
        pytest.param("#macro(m)#end#m(1 + 2)", "expected a value", 1, 19, id="operators in a macro's arguments"),
        pytest.param("#macro(m)#end#m(1", "these arguments have no )", 1, 16, id="no end of a macro's arguments"),
        pytest.param("#macro(m)#end#@m()a", "this #@m has no #end", 1, 14, id="no end of a macro's body"),
        pytest.param("#define(d)#end", "expected $NAME, which will be the block's", 1, 9, id="a block without dollar"),
        pytest.param("#evaluate()", "expected a value", 1, 11, id="#evaluate of nothing"),
        pytest.param("a #* b", "this comment has no closing *#", 1, 3, id="no end of a comment"),
        pytest.param("a #[[ b", "this #[[ has no closing ]]#", 1, 3, id="no end of unparsed text"),
        pytest.param("#include('a')", "there are no files to #include here", 1, 1, id="#include"),
        pytest.param("#parse('a')", "there are no files to #parse here", 1, 1, id="#parse"),
        pytest.param('\n#set($x="a $y.f(")', "this ( has no )", 2, 16, id="in a string"),
        pytest.param('#set($x=""" ""$y.f(")', "this ( has no )", 1, 19, id="in a string behind quotes"),
        pytest.param('#set($x="\\u0041#if(1)")', "this #if has no #end", 1, 16, id="in a string behind an escape"),
        pytest.param('#set($x="a#end")', "this #end belongs to no directive before it", 1, 11, id="an end in a string"),
        pytest.param("#if(" * 51, "expected a value", 1, 5, id="conditions in conditions"),
        pytest.param("#if(1)" * 60, "this is nested more than 50 levels deep", 1, 299, id="blocks too deep"),
        pytest.param("#set($x=" + "(" * 60, "this is nested more than 50 levels deep", 1, 58, id="brackets too deep"),
        pytest.param("$a.b(" * 60, "this is nested more than 50 levels deep", 1, 251, id="calls too deep"),
    ],
)
def test_error(template: str, problem: str, line: int, column: int) -> None:
    with pytest.raises(TemplateError) as caught:
        compile(template)

    assert problem in caught.value.problem
    assert (caught.value.line, caught.value.column) == (line, column)


def test_an_error_shows_the_line_and_a_caret() -> None:
    with pytest.raises(TemplateError) as caught:
        compile('{\n\t"a": $x.f(1,),\r\n}')

    assert str(caught.value).splitlines() == [
        f"{caught.value.problem} (line 2, column 14)",
        '\t"a": $x.f(1,),',
        "\t            ^",
    ]
    assert caught.value.snippet == '\t"a": $x.f(1,),\n\t            ^'


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    with pytest.raises(TemplateError) as caught:
        compile("a" * 1000 + "#end " + "b" * 1000)

    line, caret = caught.value.snippet.split("\n")
    assert len(line) < 110
    assert line[caret.index("^") :].startswith("#end")
    assert caught.value.column == 1001


def test_a_template_that_is_too_long_is_refused() -> None:
    compile("a" * MAX_TEMPLATE)
    with pytest.raises(TemplateError, match=f"at most {MAX_TEMPLATE} characters, this has {MAX_TEMPLATE + 1}"):
        compile("a" * (MAX_TEMPLATE + 1))
