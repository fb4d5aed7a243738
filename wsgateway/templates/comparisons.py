"""The operators of JSONPath filters, as Jayway JsonPath's EvaluatorFactory has them.

A number equals a string that holds it (`7 == '7.0'`), a string on the left a number written like it; other kinds are
unequal and not in order, and what is missing equals nothing. No operator raises but for OutOfWork.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from wsgateway.templates.document import MISSING, Json, Missing, Number, number_value
from wsgateway.templates.steps import CHARACTERS_PER_WORK, Scope, weigh

Side: TypeAlias = Json | Missing
Comparison: TypeAlias = Callable[[Side, Side, Scope], bool]

_decimal = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?").fullmatch


def equal(left: Side, right: Side, scope: Scope) -> bool:
    """`==`"""
    if left is MISSING or right is MISSING:
        return False
    if isinstance(left, dict | list):
        if type(left) is not type(right):
            return False
        weigh(left, scope)
        return left == right
    if isinstance(left, Number) and isinstance(right, str):
        _spend(right, scope)
        return _decimal(right) is not None and left.value() == number_value(right)
    if isinstance(left, str) and isinstance(right, Number):
        right = right.text
    if isinstance(left, str) and isinstance(right, str):
        _spend(left, scope)
    return left == right


def unequal(left: Side, right: Side, scope: Scope) -> bool:
    """`!=`"""
    return not equal(left, right, scope)


def same(left: Side, right: Side, scope: Scope) -> bool:
    """`===`: equal, and of one kind."""
    return type(left) is type(right) and equal(left, right, scope)


def not_same(left: Side, right: Side, scope: Scope) -> bool:
    """`!==`"""
    return not same(left, right, scope)


def _ordered(order: Callable[[Any, Any], bool]) -> Comparison:
    """`<` and its like: two numbers, or two strings."""

    def compare(left: Side, right: Side, scope: Scope) -> bool:
        if isinstance(left, Number) and isinstance(right, Number):
            return order(left.value(), right.value())
        if isinstance(left, str) and isinstance(right, str):
            _spend(left, scope)
            return order(left, right)
        return False

    return compare


def among(left: Side, right: Side, scope: Scope) -> bool:
    """`in`: an array on the right has an element equal to the left."""
    if not isinstance(right, list):
        return False
    scope.spend(len(right))
    return any(equal(left, item, scope) for item in right)


def not_among(left: Side, right: Side, scope: Scope) -> bool:
    """`nin`"""
    return not among(left, right, scope)


def contains(left: Side, right: Side, scope: Scope) -> bool:
    """`contains`: an array has the right as an element, a string as a part of it."""
    if isinstance(left, str):
        _spend(left, scope)
        return isinstance(right, str) and right in left
    if not isinstance(left, list):
        return False
    scope.spend(len(left))
    return any(equal(item, right, scope) for item in left)


def has_all(left: Side, right: Side, scope: Scope) -> bool:
    """`all`: the array on the left has every element of that on the right."""
    return subset(right, left, scope)


def subset(left: Side, right: Side, scope: Scope) -> bool:
    """`subsetof`: every element of the left is one of the right; both are arrays."""
    return isinstance(left, list) and isinstance(right, list) and all(among(item, right, scope) for item in left)


def any_of(left: Side, right: Side, scope: Scope) -> bool:
    """`anyof`: the arrays share an element."""
    return isinstance(left, list) and isinstance(right, list) and any(among(item, right, scope) for item in left)


def none_of(left: Side, right: Side, scope: Scope) -> bool:
    """`noneof`: the arrays share none."""
    return isinstance(left, list) and isinstance(right, list) and not any_of(left, right, scope)


def has_size(left: Side, right: Side, scope: Scope) -> bool:
    """`size`: the left, an array, an object or a string, has that many elements or characters."""
    return isinstance(left, dict | list | str) and isinstance(right, Number) and len(left) == right.value()


def is_empty(left: Side, right: Side, scope: Scope) -> bool:
    """`empty`: whether the left, an array, an object or a string, holds nothing is what the right says."""
    return isinstance(left, dict | list | str) and isinstance(right, bool) and (not left) is right


def _spend(text: str, scope: Scope) -> None:
    if len(text) >= CHARACTERS_PER_WORK:
        scope.spend(len(text) // CHARACTERS_PER_WORK)


SYMBOLS: Final[dict[str, Comparison]] = {
    "==": equal,
    "!=": unequal,
    "===": same,
    "!==": not_same,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}
WORDS: Final[dict[str, Comparison]] = {
    "in": among,
    "nin": not_among,
    "contains": contains,
    "all": has_all,
    "subsetof": subset,
    "anyof": any_of,
    "noneof": none_of,
    "size": has_size,
    "empty": is_empty,
}
"""Written in any case."""

RIGHT_SIDES: Final[dict[Comparison, tuple[type, str]]] = {
    among: (list, "an array, as in ['a', 'b']"),
    not_among: (list, "an array, as in ['a', 'b']"),
    has_all: (list, "an array, as in ['a', 'b']"),
    subset: (list, "an array, as in ['a', 'b']"),
    any_of: (list, "an array, as in ['a', 'b']"),
    none_of: (list, "an array, as in ['a', 'b']"),
    has_size: (Number, "a number"),
    is_empty: (bool, "true or false"),
}
"""What a literal on the right must be, for those operators that nothing else could satisfy."""
