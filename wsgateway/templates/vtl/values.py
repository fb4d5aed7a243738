"""What a reference does at run time: everything the compiled template asks of its values.

Each kind of value answers by a table (`methods_…`), as Java's classes of that kind do (Velocity user guide,
"References"). The caller accounts for a step per reference; what costs more is spent here, before it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from wsgateway.templates.document import Number
from wsgateway.templates.vtl.base import (
    ArrayList,
    Entry,
    Method,
    Methods,
    NoMethod,
    Tool,
    Value,
    Work,
    number,
)
from wsgateway.templates.vtl.errors import RenderError
from wsgateway.templates.vtl.methods_lists import LISTS
from wsgateway.templates.vtl.methods_maps import MAPS, key_text
from wsgateway.templates.vtl.methods_numbers import BOOLEANS, NUMBERS
from wsgateway.templates.vtl.methods_patterns import PATTERNS
from wsgateway.templates.vtl.methods_strings import STRINGS
from wsgateway.templates.vtl.operators import arithmetic, compare, equal, same, truth
from wsgateway.templates.vtl.printing import json_text, text

__all__ = [
    "CHANGING",
    "STRING_METHODS",
    "ArrayList",
    "Entry",
    "Method",
    "NoMethod",
    "RenderError",
    "Tool",
    "Value",
    "Work",
    "arithmetic",
    "call",
    "compare",
    "equal",
    "index",
    "iterate",
    "json_text",
    "member",
    "number",
    "same",
    "set_index",
    "set_member",
    "text",
    "truth",
]


def member(value: Value, name: str) -> Value:
    """`$value.name`: a map's value, what a tool offers, or one of the few properties of other kinds; else null."""
    if type(value) is dict:
        return value.get(name)
    if isinstance(value, Tool):
        return value.member(name)
    properties = _PROPERTIES.get(type(value))
    found = None if properties is None else properties.get(name)
    return None if found is None else found(value)


def index(value: Value, key: Value) -> Value:
    """`$value[key]`; a negative index of a list counts from its end. Null where nothing is there."""
    if isinstance(value, list):
        at = number(key)
        return value[at] if isinstance(at, int) and -len(value) <= at < len(value) else None
    name = key_text(key)
    return None if name is None or isinstance(value, str) else member(value, name)


def set_member(value: Value, name: str, new: Value) -> None:
    """`#set($value.name = new)`; ignored for what has no members to set."""
    if type(value) is dict:
        value[name] = new
    elif isinstance(value, Tool):
        value.set_member(name, new)


def set_index(value: Value, key: Value, new: Value) -> None:
    """`#set($value[key] = new)`; ignored where a list has no such place."""
    if isinstance(value, list):
        at = number(key)
        if isinstance(at, int) and -len(value) <= at < len(value):
            value[at] = new
        return
    name = key_text(key)
    if name is not None:
        set_member(value, name, new)


def call(value: Value, name: str, arguments: list[Value], work: Work) -> Value:
    """`$value.name(arguments)`. Raises NoMethod (the reference is null then) and RenderError."""
    methods = _METHODS.get(type(value))
    if methods is None:
        if isinstance(value, Tool):
            return value.call(name, arguments, work)
        raise NoMethod(name)
    method = methods.get((name, len(arguments)))
    if method is None:
        raise NoMethod(name)
    if type(value) is str:
        work.characters(len(value))
    return method(value, work, *arguments)


def iterate(value: Value, work: Work) -> list[Value]:
    """What `#foreach` goes through: a list's elements, a map's values; nothing for all else. Raises RenderError.

    A list is given as it is: what is added to it in the loop is gone through as well.
    """
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        work.items(len(value))
        return list(value.values())
    return value.elements() if isinstance(value, Tool) else []


STRING_METHODS: Final = STRINGS | PATTERNS
CHANGING: Final = frozenset(
    {
        "add",
        "addAll",
        "clear",
        "put",
        "putAll",
        "putIfAbsent",
        "remove",
        "removeAll",
        "replace",
        "retainAll",
        "set",
    }
)
"""Names of all methods that change a list or a map; some of them are strings' as well."""

_METHODS: Final[dict[type, Methods]] = {
    str: STRING_METHODS,
    list: LISTS,
    ArrayList: LISTS,
    dict: MAPS,
    int: NUMBERS,
    float: NUMBERS,
    Number: NUMBERS,
    bool: BOOLEANS,
}
_EMPTY: Final[dict[str, Callable[[Any], Value]]] = {"empty": lambda value: not value}
_PROPERTIES: Final[dict[type, dict[str, Callable[[Any], Value]]]] = {
    str: _EMPTY | {"blank": lambda value: not value.strip()},
    list: _EMPTY,
    ArrayList: _EMPTY,
}
"""What Java's `isName()` gives without its brackets."""
