"""Directives: what they do and where they end.

The expected texts are those of Velocity 1.7 (user guide, "Directives").
"""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("#if($yes)a#end|#if($no)b#end", "a|", id="one branch"),
        pytest.param("#if($no)a#{else}b#{end}c", "bc", id="in brackets, for text may follow"),
        pytest.param("#if($no)a#elseif($no)b#elseif($yes)c#else d#end", "c", id="the first that holds"),
        pytest.param("#if($no)a#elseif($no)b#{else}d#end", "d", id="none holds"),
        pytest.param("#if($no)a#elseif($no)b#end|", "|", id="none holds and there is no #else"),
        pytest.param("#if($yes)a#elseif($list.add('d'))b#end$list.size()", "a3", id="no condition behind it"),
        pytest.param("#if($empty)t#end#if([])t#end#if(0)t#end#if($u)f#end#if($u.x)f#end", "ttt", id="what is true"),
        pytest.param("#if ($yes)a#end#if\n(\n$yes\n)b#end", "ab", id="blanks and line ends"),
        pytest.param("#if($yes)#if($no)a#{else}b#end#end", "b", id="inside each other"),
        pytest.param("#if($yes)#end|", "|", id="an empty block"),
    ],
)
def test_if(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("#foreach($i in $list)$i#end", "abc", id="a list"),
        pytest.param("#foreach( ${i} in ['a',$x, 1])$i#end", "aX1", id="a literal list"),
        pytest.param("#foreach($!i in {'a':1,'b':2})$i#end", "12", id="the values of a map"),
        pytest.param("#foreach($k in $m.keySet())$k #end", "k l a-b ", id="the keys of a map"),
        pytest.param("#foreach($e in $m.entrySet())$e.key=$e.value;#end", "k=v;l=[1, 2];a-b=hyphen;", id="entries"),
        pytest.param("#foreach($i in [3..1])$i#end", "321", id="a range"),
        pytest.param("#foreach($i in $u)a#end#foreach($i in $x)b#end#foreach($i in [])c#end|", "|", id="nothing"),
        pytest.param("#foreach\n($i\nin\n$list)$i#end", "abc", id="over several lines"),
        pytest.param("#foreach($i in $list)$i#if($foreach.hasNext),#end#end", "a,b,c", id="hasNext"),
        pytest.param(
            "#foreach($i in $list)$foreach.index$foreach.count$foreach.first$foreach.last #end",
            "01truefalse 12falsefalse 23falsetrue ",
            id="index, count, first, last",
        ),
        pytest.param(
            "#foreach($i in $list)$foreach.hasNext()$foreach.getIndex()$foreach.isLast()#end",
            "true0falsetrue1falsefalse2true",
            id="as methods",
        ),
        pytest.param("#foreach($i in $list)$velocityCount$velocityHasNext#end", "1true2true3false", id="older names"),
        pytest.param(
            "#foreach($i in $list)#foreach($j in [1,2])"
            "$foreach.parent.index$foreach.topmost.index$foreach.index$velocityCount #end$velocityCount,#end",
            "0001 0012 1,1101 1112 2,2201 2212 3,",
            id="parent and topmost",
        ),
        pytest.param("#foreach($i in $list)$foreach#end", "{}{}{}", id="printed"),
        pytest.param("#set($i=7)#foreach($i in $list)$i#end$i", "abc7", id="the variable is as before"),
        pytest.param("#foreach($i in $list)#end$i$foreach$velocityCount", "$i$foreach$velocityCount", id="unset after"),
        pytest.param("#foreach($i in $list)#set($i='q')$i#end", "qqq", id="the variable may be set"),
        pytest.param("#foreach($i in $list)#set($s=\"$!s$i\")#end$s", "abc", id="what is set inside stays"),
        pytest.param("#foreach($i in $list)#if($list.add(1))#end#end$list.size()", "6", id="the list may grow"),
        pytest.param("#foreach($i in $list)$i#break z#end|", "a|", id="#break"),
        pytest.param("#foreach($i in $list)#if($i=='b')#break#end$i#end|", "a|", id="#break in an #if"),
        pytest.param("#foreach($i in $list)$i#{break}z#end#foreach($i in $list)$i#break()z#end", "aa", id="its forms"),
        pytest.param("#foreach($i in $list)#foreach($j in $list)$j#break#end$i#end|", "aaabac|", id="the inner loop"),
        pytest.param(
            "#foreach($i in $list)#foreach($j in $list)$j#break($foreach.parent)#end$i#end|", "a|", id="the outer loop"
        ),
        pytest.param(
            "#foreach($h in $list)#foreach($i in $list)#foreach($j in $list)"
            "$j#break($foreach.topmost)#end$i#end$h#end|",
            "a|",
            id="all loops",
        ),
        pytest.param(
            "#foreach($h in [1,2])#foreach($i in $list)#foreach($j in $list)$j#break($foreach.parent)#end$i#end$h#end|",
            "a1a2|",
            id="two loops of three",
        ),
        pytest.param("".join(f"#foreach($i{n} in [1,2])" for n in range(9)) + "$foreach.index" + "#end" * 9, "01" * 256,
                     id="nine loops"),
    ],
)  # fmt: skip
def test_foreach(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("a#stop b", "a", id="#stop"),
        pytest.param("a#{stop}b", "a", id="#{stop}"),
        pytest.param("#foreach($i in $list)#macro(m)$i#stop()z#end#m()#end|", "a", id="#stop deep inside"),
        pytest.param("a#break b", "a", id="#break outside of loops"),
    ],
)
def test_leaving(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("#macro(m $a $b)[$a|$b]#end#m(1 2)#m(1, 2)#m($x $u)", "[1|2][1|2][X|$u]", id="arguments"),
        pytest.param("#macro(m $a $b)[$a|$b]#end#m(1)#m()#m#m(1 2 3)", "[1|$b][$a|$b][$a|$b][1|2]", id="their number"),
        pytest.param("#m(1)#macro(m $a)[$a]#end", "[1]", id="called before it stands there"),
        pytest.param("#if($no)#macro(m)a#end#end#m()", "a", id="it is defined wherever it stands"),
        pytest.param("#macro(m)a#end#macro(m)b#end#m()", "a", id="the first counts"),
        pytest.param("#macro(m)a#end#{m}()#{m}b", "aab", id="in brackets"),
        pytest.param("#macro(m $a,$b)[$a$b]#end#m(1 2)", "[12]", id="parameters with a comma"),
        pytest.param("#macro(m $a)$a#end#m([1..2])#m({'a':1})#m(\"$x!\")#m('$x')#m(-1)", "[1, 2]{a=1}X!$x-1",
                     id="kinds of arguments"),
        pytest.param("#macro(m $a)#set($x=2)$a#end#m($x)", "2", id="an argument is looked at where it is used"),
        pytest.param("#macro(m $a)#set($a=5)$a#end#set($k=1)#m($k)$k|$a", "51|5", id="setting a parameter"),
        pytest.param("#macro(m)#set($q=5)#end#m()$q", "5", id="what is set inside stays"),
        pytest.param("#macro(m $x)$x#end#m($x)$x", "XX", id="a parameter of an argument's name"),
        pytest.param("#macro(m $a)#n($a.k)#end#macro(n $a)$a#end#m($m)", "v", id="passed on"),
        pytest.param("#macro(m $l)#foreach($i in $l)$i#end#end#m([1,2])", "12", id="a loop inside"),
        pytest.param("#macro(m $i)$i#end#foreach($i in $list)#m($i)#end", "abc", id="inside a loop"),
        pytest.param("#macro(m $a)#if($a>0)$a#set($b=$a - 1)#m($b)#end#end#m(3)", "321", id="recursion"),
        pytest.param("#macro(m)$foreach.index#end#foreach($i in $list)#m()#end", "012", id="the caller's loop"),
        pytest.param("#macro(m)b#break z#end#foreach($i in $list)$i#m()#end", "abbbcb", id="#break leaves the macro"),
        pytest.param("#macro(m $a)[$bodyContent$bodyContent]#end#@m(1)$a#set($a=2)#end.", "[12].", id="with a body"),
        pytest.param("#macro(m)[$bodyContent]#end#m()", "[$bodyContent]", id="without a body"),
        pytest.param("#macro(m $a)<$a>#end\"#m('q')\"", '"<q>"', id="between quotes"),
        pytest.param("#macro(m $a)$a|$!a|${a}#end#m($u)#m($m.zz)", "$u||${a}||", id="arguments without value"),
    ],
)  # fmt: skip
def test_macro(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("#define($d)<$x$q>#end$d#set($q=1)$d", "<X$q><X1>", id="rendered where it is used"),
        pytest.param("#define($d)$x#end#if($d)t#end#if($d=='X')e#end#set($y=\"$d$d\")$y", "teXX", id="as a value"),
        pytest.param("#define($d)$x#end$d.length() $d.concat('y')", "1 Xy", id="methods of its text"),
        pytest.param("#define($d)a#break b#end$d|", "a|", id="#break leaves it"),
        pytest.param("#define($d)#set($q=2)#end$d$q", "2", id="what is set inside stays"),
        pytest.param("#evaluate('$x')", "X", id="a text evaluated"),
        pytest.param("#evaluate(\"$x#set($q=1)\")$q", "X1", id="what is set there stays"),
        pytest.param("#evaluate($u)|", "|", id="null evaluated"),
        pytest.param("#evaluate(\"#evaluate('$x')\")", "X", id="evaluated in an evaluated text"),
        pytest.param("#evaluate('#macro(m)a#end')#m()", "a", id="a macro defined there"),
        pytest.param("#macro(m)a#end#evaluate('#m()')", "a", id="a macro called there"),
        pytest.param("#macro(m)<$bodyContent>#end#evaluate('#@m()a#end')", "<a>", id="one with a body called there"),
        pytest.param("#evaluate('#@m()a#end')|", "#@m()a#end|", id="no macro called there"),
        pytest.param("#foreach($i in $list)$i#evaluate('a#break b')#end|", "aabaca|", id="#break leaves the text"),
        pytest.param("#evaluate('a#stop b')c", "ac", id="so does #stop"),
        pytest.param("#foreach($i in $list)#evaluate('$foreach.index$velocityCount')#end", "011223", id="loops"),
        pytest.param("#set($q='$q')#evaluate($q)", "$q", id="once, not twice"),
    ],
)  # fmt: skip
def test_define_and_evaluate(template: str, written: str) -> None:
    assert render(template) == written
