"""Expressions: literals, strings that are templates, operators.

The expected texts are those of Velocity 1.7 (user guide, "Literals", "Math", "Conditionals").
"""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render


def value(expression: str) -> str:
    return render(f"#set($y = {expression})$y")


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        pytest.param("'a''b$x'", "a'b$x", id="single quotes"),
        pytest.param('"a""b"', 'a"b', id="double quotes"),
        pytest.param('""', "", id="an empty string"),
        pytest.param('""""', '"', id="a quote alone"),
        pytest.param(r'"\u0041\\u0042\n\$x"', "A\\B\\n$x", id="escapes of double quotes"),
        pytest.param(r'"\ud83d\ude00 \ud83d"', "😀 \ufffd", id="escapes of surrogates"),
        pytest.param(r"'\u0041\n'", r"\u0041\n", id="no escapes in single quotes"),
        pytest.param(r'"\\\\"', r"\\\\", id="backslashes stay"),
        pytest.param('"$x-$u-${x}|$!u|$m.k"', "$x-$u-X||v", id="references"),
        pytest.param('"a\nb"', "a\nb", id="a line end"),
        pytest.param('"# $ $5 cost $"', "# $ $5 cost $", id="signs that are text"),
        pytest.param('"a ## b"', "a ", id="a comment"),
        pytest.param('"#if($yes)q#{else}r#end"', "q", id="a directive"),
        pytest.param('"#foreach($i in $list)$i #end"', "a b c ", id="a loop"),
        pytest.param('"#macro(q)1#end#q()"', "1", id="a macro"),
        pytest.param("\"$x.concat('a')$m['k']\"", "Xav", id="other quotes in quotes"),
        pytest.param("7", "7", id="an integer"),
        pytest.param("-7", "-7", id="a negative integer"),
        pytest.param("007", "7", id="leading zeros"),
        pytest.param("99999999999999999999999", "99999999999999999999999", id="a large integer"),
        pytest.param("1.5", "1.5", id="a double"),
        pytest.param(".5", "0.5", id="a double without whole part"),
        pytest.param("1.", "1.0", id="a double without fraction"),
        pytest.param("1.5e3", "1500.0", id="a double with exponent"),
        pytest.param("true", "true", id="true"),
        pytest.param("[]", "[]", id="an empty list"),
        pytest.param("[1, 'a', $x, [2]]", "[1, a, X, [2]]", id="a list"),
        pytest.param("{}", "{}", id="an empty map"),
        pytest.param("{'a': 1, \"b\": [1, 2], $x: {}}", "{a=1, b=[1, 2], X={}}", id="a map"),
        pytest.param("{1: 2}", "{1=2}", id="a map with a number as key"),
        pytest.param("[1..3]", "[1, 2, 3]", id="a range"),
        pytest.param("[ $n .. 1 ]", "[3, 2, 1]", id="a range downwards"),
        pytest.param("[-1..1]", "[-1, 0, 1]", id="a range from below zero"),
    ],
)
def test_literal(expression: str, printed: str) -> None:
    assert value(expression) == printed


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        pytest.param("$n + 1", "4", id="sum"),
        pytest.param("$n+1", "4", id="sum without blanks"),
        pytest.param("$n - 1", "2", id="difference"),
        pytest.param("$n -1", "2", id="difference with the minus at the number"),
        pytest.param("10 - 2 - 3", "5", id="from left to right"),
        pytest.param("10 - (2 - 3)", "11", id="brackets"),
        pytest.param("1 + 2 * 3", "7", id="products first"),
        pytest.param("(1 + 2) * 3 % 5", "4", id="remainder"),
        pytest.param("7 / 2", "3", id="integers divide to an integer"),
        pytest.param("1 - -1", "2", id="minus a negative number"),
        pytest.param("'a' + 1 + 'b'", "a1b", id="strings join"),
        pytest.param("$n == 3", "true", id="equal"),
        pytest.param("$n != 3", "false", id="not equal"),
        pytest.param("2 < $n && $n <= 3 && 4 > $n && $n >= 3", "true", id="order"),
        pytest.param("2 lt 3 and 3 le 3 and 4 gt 3 and 3 ge 3 and 3 eq 3 and not (3 ne 3)", "true", id="words"),
        pytest.param("$x == 'X' and 'X' == $x", "true", id="equal strings"),
        pytest.param("$u == '' && $u == $null", "true", id="null is equal to null and to an empty string"),
        pytest.param("!$yes || not $no", "true", id="negation"),
        pytest.param("!!$x", "true", id="twice negated"),
        pytest.param("$yes || $yes && $no", "true", id="&& binds more than ||"),
        pytest.param("1 + 1 == 2 && !($n > 3)", "true", id="all together"),
        pytest.param("$no && $list.add(1) || $list.size() == 3", "true", id="no further than needed: and"),
        pytest.param("($yes || $list.add(1)) && $list.size() == 3", "true", id="no further than needed: or"),
        pytest.param("1 < 2 == true", "true", id="comparisons before equality"),
    ],
)
def test_operator(expression: str, printed: str) -> None:
    assert value(expression) == printed


@pytest.mark.parametrize("count", [1, 2, 5000])
def test_chains_have_any_length(count: int) -> None:
    assert value("+".join(["1"] * count)) == str(count)
    assert value("||".join(["$no"] * count + ["$yes"])) == "true"
    assert value("&&".join(["$yes"] * count)) == "true"
    assert value(f"[{', '.join(['$n'] * count)}]").count("3") == count
