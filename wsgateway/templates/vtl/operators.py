"""Comparison and arithmetic as Velocity 1.7 has them (Velocity user guide, "Conditionals" and "Math")."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import fmod, inf
from typing import Any, Final

from wsgateway.templates.vtl.base import ArrayList, Tool, Value, Work, number
from wsgateway.templates.vtl.printing import text

_LARGEST_BITS: Final = 1024
"""Integers beyond it become doubles: the time for computing with them would have no bound."""

_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def truth(value: Value) -> bool:
    """What `#if` makes of it: null and false are false, all else is true, the empty string too."""
    return value is not None and value is not False


def equal(left: Value, right: Value, work: Work) -> bool:
    """`==`: numbers by value, values of different kinds by what they print; a missing value is equal to `""`.

    That a path without result is equal to both null and `""` is what API Gateway has been seen to do; Velocity alone
    has it equal to null only. Raises RenderError.
    """
    if left is None or right is None:
        other = right if left is None else left
        return other is None or other == ""
    if _kind(left) is _kind(right):
        return same(left, right, work)
    return text(left, work) == text(right, work)


def same(left: Value, right: Value, work: Work) -> bool:
    """Java's `equals`: of the same kind and of the same content. Raises RenderError."""
    pairs = [(left, right)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        kind = _kind(left)
        if kind is not _kind(right):
            return False
        if isinstance(left, str) and isinstance(right, str):
            if len(left) != len(right):
                return False
            work.characters(len(left))
            if left != right:
                return False
        elif isinstance(left, dict) and isinstance(right, dict):
            work.spend(1 + len(left))
            if left.keys() != right.keys():
                return False
            pairs += [(value, right[key]) for key, value in left.items()]
        elif isinstance(left, list) and isinstance(right, list):
            work.spend(1 + len(left))
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif kind is not int or number(left) != number(right):  # tools are the same only as themselves
            return False
    return True


def compare(symbol: str, left: Value, right: Value) -> bool:
    """`<`, `<=`, `>`, `>=` of numbers; false where either is none, as in Velocity 1.7."""
    first, second = number(left), number(right)
    return first is not None and second is not None and _ORDER[symbol](first, second)


def arithmetic(symbol: str, left: Value, right: Value, work: Work) -> Value:
    """`+`, `-`, `*`, `/`, `%`: null where an operand is no number or the divisor is zero.

    Integers divide to integers, towards zero. `+` of a string and anything joins their texts. Raises RenderError.
    """
    if symbol == "+" and (isinstance(left, str) or isinstance(right, str)):
        first_text, second_text = text(left, work), text(right, work)
        work.characters(len(first_text) + len(second_text))
        return first_text + second_text
    first, second = number(left), number(right)
    if first is None or second is None:
        return None
    if isinstance(first, int) and isinstance(second, int):
        return _bounded(_INTEGERS[symbol](first, second))
    return _DOUBLES[symbol](as_double(first), as_double(second))


def as_double(value: int | float) -> float:
    """The double nearest to `value`; infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _kind(value: Value) -> type:
    """The kind of a value as far as equality goes: numbers are one, and so are lists."""
    kind = type(value)
    if kind is ArrayList:
        return list
    if isinstance(value, Tool) or kind is bool or number(value) is None:
        return kind
    return int


def _bounded(value: int | None) -> int | float | None:
    return value if value is None or value.bit_length() <= _LARGEST_BITS else as_double(value)


def _quotient(left: int, right: int) -> int | None:
    if not right:
        return None
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int | None:
    if not right:
        return None
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _double_remainder(left: float, right: float) -> float | None:
    if not right:
        return None
    return fmod(left, right) if abs(left) != inf else left - left  # infinite: NaN, as in Java


_INTEGERS: Final[dict[str, Callable[[int, int], int | None]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": _remainder,
}
_DOUBLES: Final[dict[str, Callable[[float, float], float | None]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else None,
    "%": _double_remainder,
}
