"""What a rendering may cost: each budget is kept, whatever the template. RenderError is all that ends one."""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render, variables
from wsgateway.templates.vtl import RenderError, TemplateError, compile
from wsgateway.templates.vtl.compile_expressions import NotOneFunction
from wsgateway.templates.vtl.compiler import Compiler
from wsgateway.templates.vtl.parser import parse


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param("#foreach($i in [1..1001])#end", "goes through 1001 elements", id="iterations"),
        pytest.param("#foreach($i in [1..999999999999])#end", "more steps", id="a huge range"),
        pytest.param("#foreach($i in [1..1000])" * 2 + "$i" + "#end" * 2, "more steps", id="loops in loops"),
        pytest.param(
            "#foreach($i in [1..1000])#foreach($j in [1..1000])#foreach($k in [1..1000])#end#end#end",
            "more steps",
            id="empty loops in loops",
        ),
        pytest.param("#set($s='0123456789')#foreach($i in [1..40])#set($s=\"$s$s\")#end", ".", id="a doubling string"),
        pytest.param("#set($s='0123456789')#foreach($i in [1..40])#set($s=$s+$s)#end", ".", id="a doubling sum"),
        pytest.param("#set($l=[1])#foreach($i in [1..40])#set($l=[$l,$l])#end$l", ".", id="a doubling list"),
        pytest.param("#set($l=[1])#set($_=$l.add($l))$l", ".", id="a list in itself"),
        pytest.param(
            "#set($s='0123456789')#foreach($i in [1..16])#set($s=\"$s$s\")#end#foreach($i in [1..9])$s#end",
            "writes more than 1048576 bytes",
            id="output",
        ),
        pytest.param(
            "#set($s='éééééééééé')#foreach($i in [1..15])#set($s=\"$s$s\")#end$s$s$s",
            "writes more than 1048576 bytes",
            id="output is counted in bytes",
        ),
        pytest.param("#macro(m)#m()#end#m()", "#m is inside more than 20 macros", id="a macro calls itself"),
        pytest.param("#macro(m)#n()#end#macro(n)#m()#end#m()", "inside more than 20 macros", id="macros in turn"),
        pytest.param("#macro(m $a)#m(\"$a$a\")$a#end#m('x')", ".", id="arguments of arguments"),
        pytest.param("#macro(m $a)$bodyContent#end#@m()#@m()$bodyContent#end#end", "more than 20", id="a body"),
        pytest.param("#define($d)$d#end$d", "more than 20 macros", id="a block uses itself"),
        pytest.param("#set($t='#evaluate($t)')#evaluate($t)", "#evaluate is inside more than 20", id="evaluated"),
        pytest.param(
            "#set($t='$x#set($t=\"$t$t\")#evaluate($t)')#evaluate($t)", ".", id="evaluated, and longer each time"
        ),
        pytest.param(f"#set($t='{'$x$y' * 2000}')#evaluate($t)", "more steps", id="a long text evaluated"),
        pytest.param("#evaluate('a#if(')", "is no template: expected a value: ", id="no template evaluated"),
        pytest.param("#set($n=7)#foreach($i in [1..1000])#set($n=$n*$n)#end" * 200, ".", id="a growing number"),
    ],
)
def test_a_rendering_is_stopped(template: str, problem: str) -> None:
    with pytest.raises(RenderError, match=problem):
        compile(template).render(variables())


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("#foreach($i in [1..1000])$i#end", id="iterations"),
        pytest.param("#set($s='0123456789')#foreach($i in [1..16])#set($s=\"$s$s\")#end$s", id="output"),
        pytest.param("#macro(m $n)#if($n>0)#set($o=$n - 1)#m($o)#end#end#m(19)", id="macros"),
        pytest.param("#foreach($i in [1..300])#foreach($j in [1..30])$j#end#end", id="steps"),
        pytest.param(
            "#foreach($i in [1..500])#foreach($j in [1..1000])$j#if($j >= 5)#break#end#end#end", id="rounds not made"
        ),
        pytest.param("#if($no)" + "$x" * 60_000 + "#else" + "$x" * 60_000 + "#end", id="branches aren't added up"),
    ],
)
def test_what_is_just_within_is_rendered(template: str) -> None:
    render(template)


@pytest.mark.parametrize(
    "opening",
    [
        "#if(", "#if(1)", "#foreach($i in [1])", "(", "[", "{", "$a.b(", "$a[", '"', "!", "#set($x=", "#define($x)",
        "#macro(a)", "#@a(", '$a.b("', "{1:", "1 == ", "not ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["{}", "#set($x={})", "#if({})a#end", "#macro(a)#end#a({})", '#set($x="{}")'])
def test_no_depth_overflows(opening: str, where: str) -> None:
    """Neither our parser, nor Python's, nor the stack at run time."""
    for count in (49, 2000):
        try:
            template = compile(where.replace("{}", opening * count + "1"))
        except TemplateError:
            continue
        try:
            template.render(variables())
        except RenderError:
            continue


@pytest.mark.parametrize(
    ("opening", "inner", "closing"),
    [
        pytest.param("#if($yes)", "$x", "#end", id="conditions"),
        pytest.param("#if($no)a#elseif($yes)", "$x", "#else b#end", id="conditions with several branches"),
        pytest.param("#foreach($i in [1])", "$x", "#end", id="loops"),
        pytest.param("#foreach($i in [1])#if($yes)", "$x#break", "#end#end", id="loops and conditions"),
        pytest.param("$x.replace($x, ", "'X'", ")", id="calls"),
    ],
)
def test_47_levels_are_fine(opening: str, inner: str, closing: str) -> None:
    levels = 23 if opening.count("#") > 1 and "else" not in opening else 47

    assert "X" in render(opening * levels + inner + closing * levels)


def test_conditions_inside_each_other_are_fine() -> None:
    assert render("#if(" + "(!$no && (" * 24 + "0 || $no" + "))" * 24 + ")X#end") == "X"
    assert render("#if($yes)" * 45 + "#if($n - 3)X#end#if($x == 'Y')Y#end" + "#end" * 45) == "X"


@pytest.mark.parametrize(
    "piece",
    [
        "$a", "$a.b()", "$a[0]", "$a.b.c", "\\\\$a", "#set($a=1)", "#set($a.b=$a+1)", "#if(1)#end",
        "#if(1)a#elseif($b)b#else c#end",
        "#foreach($i in $a)$i#end", "#foreach($i in $a)#break#end", "#evaluate($a)", "#foo($a)", "#foo(",
        "#", "\\", "$", '#a("',
        "#macro(m)$a.b()#end#m()", "#define($d)a#end", "a\n", "## a\n", "#*a*#", "#[[a]]#", "#break", "#stop",
    ],
)  # fmt: skip
def test_long_templates_take_no_more_than_their_share(piece: str) -> None:
    """Of lines of Python, which is what compiling takes time for; and no function gets long."""
    short, long = (program(piece * count) for count in (500, 4000))

    assert sum(map(len, long)) <= 10 * sum(map(len, short)) + 1000
    assert max(map(len, long)) < 5000


def program(text: str) -> list[list[str]]:
    """The lines of each function."""
    for alone in (True, False):
        compiler = Compiler(lambda *_: None, stops=True, alone=alone)
        try:
            compiler.template(parse(text))
        except NotOneFunction:
            continue
        return [[line for line in function.lines if line] for function in compiler.module.functions]
    raise AssertionError("whatever isn't alone compiles")


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("$x.length()" * 3000, "1" * 3000, id="calls"),
        pytest.param("#foreach($i in $list)" + "$i.length()" * 3000 + "#end", "1" * 9000, id="in a loop"),
        pytest.param("#foreach($i in $list)" + "$i.length()" * 3000 + "#break z#end", "1" * 3000, id="before #break"),
        pytest.param(
            "#foreach($i in [1])" + "#if($i==1)#set($y=$i)#break#end#set($y=$i)" * 500 + "#end$y", "1", id="with #break"
        ),
        pytest.param("#macro(m)" + "$x.length()" * 900 + "#if($yes)#break#end" + "$x.length()" * 900 + "#end#m()b",
                     "1" * 900 + "b", id="a macro with #break"),
        pytest.param("#set($n=0)" + "#set($n=$n+1)$n.length()" * 1000 + "$n", "1000", id="variables in all parts"),
        pytest.param("#if($no)a#else" + "#if($yes)$x.length()#end" * 1000 + "#end", "1" * 1000, id="in a branch"),
        pytest.param("#if($no)#elseif(" + ")$x#elseif(".join(["$no"] * 2000) + ")a#else b#end", " b", id="branches"),
        pytest.param("#set($l=[" + ",".join(["$x.length()"] * 3000) + "])$l.size()", "3000", id="a list"),
        pytest.param("#set($l=" + "+".join(["$x.length()"] * 3000) + ")$l", "3000", id="a sum"),
    ],
)  # fmt: skip
def test_long_templates_are_rendered(template: str, written: str) -> None:
    assert render(template) == written
