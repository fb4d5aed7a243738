"""Methods of numbers and booleans, as Java's `Integer`, `Long`, `Double` and `Boolean` have them.

Their static methods are here too: `#set($Integer = 0)` and then `$Integer.parseInt("7")` is how templates read numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isinf, isnan
from typing import Final

from wsgateway.templates.document import Number
from wsgateway.templates.vtl.base import Methods, NoMethod, Value, Work, int_argument, number, text_argument
from wsgateway.templates.vtl.operators import as_double, same
from wsgateway.templates.vtl.printing import text

Numeric = int | float | Number

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST: Final = 400
_DOUBLE: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[dDfF]?")


def _plain(value: Value) -> int | float:
    found = number(value)
    if found is None:
        raise NoMethod("a number is expected")
    return found


def _narrow(bits: int) -> Callable[[Numeric, Work], Value]:
    """As Java narrows: integers lose their upper bits, doubles stop at the largest and smallest value."""
    half = 1 << (bits - 1)

    def narrow(value: Numeric, work: Work) -> Value:
        found = _plain(value)
        if isinstance(found, int):
            return (found + half) % (2 * half) - half
        if isnan(found):
            return 0
        return int(max(-half, min(half - 1, found)))

    return narrow


def _parse(bits: int) -> Callable[..., Value]:
    half = 1 << (bits - 1)

    def parse(value: Numeric, work: Work, digits: Value, radix: Value = 10) -> Value:
        base = int_argument(radix)
        found = _parsed(text_argument(digits), base)
        if not -half <= found < half:
            raise NoMethod("the number is out of range")
        return found

    return parse


def _parsed(digits: str, base: int) -> int:
    allowed = _DIGITS[:base]
    bare = digits[1:] if digits[:1] in ("+", "-") else digits
    if not 2 <= base <= 36 or not 0 < len(bare) <= _LONGEST or bare.lower().strip(allowed):
        raise NoMethod("not an integer")
    try:
        return int(digits, base)
    except ValueError:
        raise NoMethod("not an integer") from None


def _parse_double(value: Numeric, work: Work, digits: Value) -> Value:
    written = text_argument(digits).strip()
    if len(written) > _LONGEST or _DOUBLE.fullmatch(written) is None:
        raise NoMethod("not a number")
    return float(written.rstrip("dDfF"))


def _value_of(value: Numeric, work: Work, other: Value) -> Value:
    if isinstance(other, str):
        return _parse(32)(value, work, other) if isinstance(_plain(value), int) else _parse_double(value, work, other)
    return _plain(other)


def _compare(value: Numeric, work: Work, left: Value, right: Value) -> Value:
    first, second = _plain(left), _plain(right)
    return (first > second) - (first < second)


def _sum(value: Numeric, work: Work, left: Value, right: Value) -> Value:
    first, second = _plain(left), _plain(right)
    if isinstance(first, int) and isinstance(second, int):
        return _narrow(64)(first + second, work)
    return as_double(first) + as_double(second)


def _in_base(letter: str) -> Callable[..., Value]:
    return lambda value, work, other: format(int_argument(other) & 0xFFFFFFFF, letter)


def _boolean_of(value: bool, work: Work, written: Value) -> Value:
    return written if isinstance(written, bool) else text_argument(written).lower() == "true"


NUMBERS: Final[Methods] = {
    ("compare", 2): _compare,
    ("compareTo", 1): lambda value, work, other: _compare(value, work, value, other),
    ("doubleValue", 0): lambda value, work: as_double(_plain(value)),
    ("equals", 1): lambda value, work, other: same(value, other, work),
    ("floatValue", 0): lambda value, work: as_double(_plain(value)),
    ("intValue", 0): _narrow(32),
    ("isInfinite", 0): lambda value, work: isinf(as_double(_plain(value))),
    ("isNaN", 0): lambda value, work: isnan(as_double(_plain(value))),
    ("longValue", 0): _narrow(64),
    ("max", 2): lambda value, work, left, right: max(_plain(left), _plain(right)),
    ("min", 2): lambda value, work, left, right: min(_plain(left), _plain(right)),
    ("parseDouble", 1): _parse_double,
    ("parseFloat", 1): _parse_double,
    ("parseInt", 1): _parse(32),
    ("parseInt", 2): _parse(32),
    ("parseLong", 1): _parse(64),
    ("parseLong", 2): _parse(64),
    ("signum", 1): lambda value, work, other: _compare(value, work, other, 0),
    ("sum", 2): _sum,
    ("toBinaryString", 1): _in_base("b"),
    ("toHexString", 1): _in_base("x"),
    ("toOctalString", 1): _in_base("o"),
    ("toString", 0): text,
    ("toString", 1): lambda value, work, other: text(_plain(other), work),
    ("valueOf", 1): _value_of,
}

BOOLEANS: Final[Methods] = {
    ("booleanValue", 0): lambda value, work: value,
    ("compareTo", 1): lambda value, work, other: _order(value, other),
    ("equals", 1): lambda value, work, other: same(value, other, work),
    ("parseBoolean", 1): _boolean_of,
    ("toString", 0): text,
    ("valueOf", 1): _boolean_of,
}


def _order(value: bool, other: Value) -> int:
    if not isinstance(other, bool):
        raise NoMethod("a boolean is expected")
    return value - other
