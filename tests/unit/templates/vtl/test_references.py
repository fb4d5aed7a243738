"""References: their forms, what they find, and what is written where they find nothing.

The expected texts are those of Velocity 1.7 (user guide, "References"), but for null: API Gateway writes nothing for
a missing property of something that exists, where Velocity writes the reference.
"""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("$x ${x} $!x $!{x}", "X X X X", id="the four forms"),
        pytest.param("$u ${u} $!u|$!{u}|", "$u ${u} ||", id="the four forms of one that isn't set"),
        pytest.param("$u.a.b $u.f('x') $u[0]", "$u.a.b $u.f('x') $u[0]", id="what follows one that isn't set"),
        pytest.param("$m.zz|${m.zz.y}|$m.get('zz')|$x.nosuch()|", "||||", id="missing in what exists"),
        pytest.param("$x. $x.. $x.1 $x)", "X. X.. X.1 X)", id="punctuation behind"),
        pytest.param("${x}y $x-y $x_y", "Xy $x-y $x_y", id="names hold hyphens and underscores"),
        pytest.param("$$x $!$x #$x", "$X $!X #X", id="signs before"),
        pytest.param("$m.k ${m.k} $m['k'] $m[\"k\"] $m.get('k')", "v v v v v", id="members of maps"),
        pytest.param("$m.a-b", "hyphen", id="a member with a hyphen"),
        pytest.param("$list[0] $list[ 1 ] $list[-1] ${list[2]} $list.get(0)", "a b c c a", id="elements of lists"),
        pytest.param("$m.l[1] $m['l'][0] $m.l.size()", "2 1 2", id="chains"),
        pytest.param("$x.concat(\"a\") $x.concat( 'b' ) $x.substring(0,\n1)", "Xa Xb X", id="methods"),
        pytest.param("$x.concat($x.concat($m.k))", "XXv", id="references in arguments"),
        pytest.param("$list[$m.l[0]]", "b", id="references in brackets"),
        pytest.param("$list.contains('a') $list.size()", "true 3", id="methods of lists"),
        pytest.param("$m|$list", "{k=v, l=[1, 2], a-b=hyphen}|[a, b, c]", id="maps and lists"),
        pytest.param("$n $yes $no", "3 true false", id="numbers and booleans"),
        pytest.param("$x.length() $x.length( )", "1 1", id="a method without arguments"),
        pytest.param("#set($v = $u.f($list.add('d')))$list", "[a, b, c]", id="no arguments are looked at for nothing"),
    ],
)
def test_reference(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param("#set($y = 1)$y #set( ${y} = 2 )$y #set($!y=3)$y", "123", id="a variable"),
        pytest.param("#set\n($y=1)#{set}($z=2)$y$z", "12", id="the forms of #set"),
        pytest.param("#set($_ = $m.put('k', 1))$m.k", "1", id="a variable for what isn't wanted"),
        pytest.param("#set($m.k = 1)#set($m['q'] = 2)#set($m.r=3)$m.k$m.q$m.r", "123", id="members"),
        pytest.param("#set($key = 'q')#set($m[$key] = 2)$m.q", "2", id="a member by a variable"),
        pytest.param("#set($list[0] = 'z')$list", "[z, b, c]", id="an element"),
        pytest.param("#set($m.o = {})#set($m.o.p = [])#set($m.o.p = [1])$m.o", "{p=[1]}", id="a member of a member"),
        pytest.param("#set($u.k = 1)$u.k|#set($x.k = 1)$x", "$u.k|X", id="nothing can be set in these"),
        pytest.param("#set($x = $u)$x|$!x|#if($x)t#end", "||", id="what is set to null is known"),
        pytest.param("#set($x = $x.concat($x))$x", "XX", id="from itself"),
    ],
)
def test_set(template: str, written: str) -> None:
    assert render(template) == written


@pytest.mark.parametrize(
    "name",
    [
        "__class__", "__dict__", "__init__", "__globals__", "class", "getClass()", "__getitem__('k')", "mro()",
        "_left", "spend(1)", "printed()", "format_map($m)", "__reduce__()", "call('a',[],1)", "member('x')", "run",
    ],
)  # fmt: skip
def test_nothing_of_python_is_reachable(name: str) -> None:
    """Neither from values nor from what the language itself offers."""
    roots = "#define($d)a#end#foreach($i in [1])" + "".join(
        f"${{{root}.{name}}}" for root in ("x", "n", "yes", "list", "m", "d", "foreach")
    )

    assert render(f"{roots}#end") == ""


def test_data_of_that_name_is_reachable() -> None:
    assert render("#set($m.__class__ = 1)$m.__class__") == "1"
