"""Whether a template may change lists and maps it is given: only then is a copy of them made."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest

from wsgateway.templates.vtl import compile
from wsgateway.templates.vtl.methods_lists import LISTS
from wsgateway.templates.vtl.methods_maps import MAPS
from wsgateway.templates.vtl.values import CHANGING, NoMethod, Value, Work


@pytest.mark.parametrize(
    ("template", "changes"),
    [
        pytest.param("$a.b $c.get('d')", False, id="reads"),
        pytest.param("#set($a = $b)", False, id="sets a variable"),
        pytest.param("#set($a.b = 1)", True, id="sets a member"),
        pytest.param("#set($a['b'] = 1)", True, id="sets an element"),
        pytest.param("#if($x)$a.put('b', 1)#end", True, id="changes a map"),
        pytest.param("#foreach($x in $a)#set($y = $a.remove($x))#end", True, id="changes a list"),
        pytest.param("#macro(m $x)$x.clear()#end#m($a)", True, id="changes in a macro"),
        pytest.param("#define($x)$a.addAll($b)#end", True, id="changes where it may be written"),
        pytest.param('"#set($q = "$a.putAll($b)")"', True, id="changes in a text"),
        pytest.param("#evaluate($a)", True, id="evaluates what may change anything"),
    ],
)
def test_whether_what_it_is_given_may_change(template: str, changes: bool) -> None:
    assert compile(template).changes is changes


def test_every_method_that_changes_a_value_is_known() -> None:
    """Of lists and maps: called with a list, a map, a text and a number each."""
    given: list[Value] = ["a", 0, ["a"], {"a": 1}]
    for methods, make in ((LISTS, lambda: ["a", "b"]), (MAPS, lambda: {"a": "b"})):
        for (name, count), method in methods.items():
            for arguments in product(given, repeat=count):
                value = make()
                with suppress(NoMethod):
                    method(value, Work(), *arguments)
                assert value == make() or name in CHANGING, name
