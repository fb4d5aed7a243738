r"""What of a template is written as it stands: text, blanks, comments, escapes, unknown words.

The expected texts are those that Velocity 1.7 itself writes. Its user guide: "Whitespace", "Comments", "Escaping".
"""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("a\r\n\tb é 😀", "a\r\n\tb é 😀", id="any text"),
        pytest.param("a\n#set($y=1)\nb", "a\nb", id="a line with #set alone leaves nothing"),
        pytest.param("#set($y=1)\n\nb", "\nb", id="one line end belongs to #set"),
        pytest.param("#set($y=1) \t\r\nb", "b", id="blanks and a Windows line end behind #set"),
        pytest.param("#set($y=1) b", " b", id="blanks behind #set stay where the line goes on"),
        pytest.param("  #set($y=1)\nb", "b", id="blanks before #set at the beginning"),
        pytest.param("#set($a=1)\n  #set($b=2)\nx", "x", id="blanks before #set behind a directive's line"),
        pytest.param("$x  #set($y=1)b", "Xb", id="blanks between a reference and #set"),
        pytest.param("#* c *#  #set($y=1)b", "b", id="blanks between a comment and #set"),
        pytest.param("a  #set($y=1)b", "a  b", id="blanks between text and #set are text"),
        pytest.param("{\n  #set($y=1)\n}", "{\n  }", id="and so are those on the line behind text"),
        pytest.param("$x\n  #set($y=1)b", "X\n  b", id="and those on the line behind a reference"),
        pytest.param("#if($yes)  \n a\n#else  \n b\n#end  \nc", " a\nc", id="lines of #if and #end"),
        pytest.param("#if($no)\n a\n#else  \n b\n#end  \nc", " b\nc", id="lines of #else"),
        pytest.param("#if($no)\n a\n  #else\n b\n  #end\nc", " b\n  c", id="blanks before #else and #end stay"),
        pytest.param("#if($no)\na\n#elseif($yes)  \nb\n#end\nc", "b\nc", id="lines of #elseif"),
        pytest.param("#foreach($i in [1..3])\n  $i\n#end\n.", "  1\n  2\n  3\n.", id="lines of #foreach"),
        pytest.param("#macro(m)\n q\n#end\n#m()\nz", " q\nz", id="lines of a macro and of its call"),
        pytest.param("#macro(m)q#end#m\nz", "q\nz", id="no line end belongs to a call without brackets"),
        pytest.param("#define($d)\n a\n#end\n[$d]", "[ a\n]", id="lines of #define"),
        pytest.param("#evaluate('a')\nb", "ab", id="the line of #evaluate"),
        pytest.param("#if($yes)  #set($y=1)  #end b", "   b", id="directives on one line"),
    ],
)
def test_blanks(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("a## c\nb", "ab", id="a line comment takes its line end along"),
        pytest.param("a## c", "a", id="a line comment at the end"),
        pytest.param("## c\r\nb", "b", id="a line comment with a Windows line end"),
        pytest.param("a #* c\n $x #if *#\nb", "a \nb", id="a block comment leaves its line end"),
        pytest.param("a#**#b", "ab", id="an empty block comment"),
        pytest.param("a#** doc *# b", "a b", id="a documentation comment"),
        pytest.param("a#*#b*#c", "ac", id="a comment that begins with a #"),
        pytest.param("#[[ $x #if ## \\$ ]]#b", " $x #if ## \\$ b", id="unparsed text"),
        pytest.param("#[[a]]#\nb", "a\nb", id="the line end behind unparsed text stays"),
        pytest.param("#[[]]#", "", id="no unparsed text"),
        pytest.param("#literal()$x#end|", "$x|", id="#literal"),
    ],
)
def test_comments_and_unparsed_text(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param(r"\$x \\$x \\\$x \\\\$x", r"$x \X \$x \\X", id="before a reference that has a value"),
        pytest.param(r"\$u \\$u \\\$u \\\\$u", r"\$u \\$u \\$u \\\\$u", id="before one that has none"),
        pytest.param(r"\${x} \$!x \$!{x}", "${x} $!x $!{x}", id="before each form of reference"),
        pytest.param(r"\$!u \\$!u \${u}", r"\$!u \\ \${u}", id="before each form without value"),
        pytest.param(r"\$m.k", "$m.k", id="before a property"),
        pytest.param(r"\$5 \\$5", r"\$5 \\$5", id="before a dollar that is text"),
        pytest.param(r"\#if($x)", "#if(X)", id="one before a directive makes it text"),
        pytest.param(r"\\#if($yes)a#end", r"\a", id="two are one, and the directive"),
        pytest.param(r"\\\#if($x)", r"\#if(X)", id="three are one, and text"),
        pytest.param(r"\#set($y=1) \\#set($y=1)$y", r"#set($y=1) \\1", id="before #set"),
        pytest.param(r"\#end \\\#end \#else \#{if}", r"#end \#end #else #{if}", id="before other directives"),
        pytest.param(r"#macro(m)a#end\#m() \\#m() \\\#m()", r"#m() \a \#m()", id="before a macro"),
        pytest.param(r"\#foo \\#foo \#5 \# \\", r"\#foo \\#foo \#5 \# \\", id="before what means nothing"),
        pytest.param(r"\## c", "\\", id="before a comment"),
        pytest.param(r"\a \\b \n", r"\a \\b \n", id="elsewhere a backslash is text"),
    ],
)
def test_backslashes(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("#foo #foo($x) #foo ( $x ) #foo(bar)", id="unknown words, arguments too"),
        pytest.param("#fff; #123 #_a #{foo} #{foo #", id="colours, numbers, half a bracket"),
        pytest.param("#foo(1 + 2) #foo('", id="brackets that are no arguments"),
        pytest.param("#elsewhere #endless #ifs #settings", id="words that begin like a directive"),
        pytest.param("#set x #include <stdio.h> #parse", id="names of directives in prose"),
        pytest.param("$5 $ $$ $-a $é ${ ${} ${5} $!{ $!", id="dollars"),
        pytest.param("a@b.c {\"a\": [1, '2']}", id="JSON"),
    ],
)
def test_what_means_nothing_is_text(text: str) -> None:
    assert render(text) == text
