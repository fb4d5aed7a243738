"""JSON documents whose numbers keep the text they were written in.

RFC 8259, strictly: UTF-8 (§8.1), no byte order mark, no NaN, no comments. What its grammar allows is taken: the last of
equal names wins (§4), half a surrogate pair (§8.2) stands for U+FFFD, so that every string here can be encoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from itertools import accumulate
from json.scanner import make_scanner
from math import isfinite, isnan
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

MAX_DEPTH: Final = 512
"""Deeper nesting is not JSON to us (RFC 8259 §9 leaves the limit to the parser); Python's stack carries twice this."""

_LONGEST_INT: Final = 400
"""Digits of an integer that is computed with exactly; Python refuses 4,300 and spends quadratic time before."""


class Missing(Enum):
    """The one value of "not there", which JSON's null is not."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class Number:
    """A JSON number as written: `7.0` is not `7` where text counts. Equality is that of the values."""

    __slots__ = ("_value", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._value: int | float | None = None

    def value(self) -> int | float:
        """What to compute with. Never raises: what is too large is infinite."""
        # Kept: a client may have thousands of comparisons made with one number of a hundred thousand digits.
        if self._value is None:
            self._value = number_value(self.text)
        return self._value

    def __eq__(self, other: object) -> bool:
        return self.value() == other.value() if isinstance(other, Number) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value())

    def __repr__(self) -> str:
        return f"Number({self.text!r})"


Scan: TypeAlias = Callable[[str, int], tuple[Any, int]]
Json: TypeAlias = None | bool | str | Number | list["Json"] | dict[str, "Json"]


def decode(data: bytes) -> Json | Missing:
    """The document in `data`, or MISSING where that is not JSON. Never raises."""
    return _decode(data, _SCAN)


def decode_with(data: bytes, number: Callable[[str], object]) -> Any | Missing:
    """As `decode`, each number being what `number` makes of its text."""
    return _decode(data, _scanner(number))


class Format(NamedTuple):
    """How messages are written: `decode` and `decode_with` of one way to write documents."""

    decode: Callable[[bytes], Json | Missing]
    decode_with: Callable[[bytes, Callable[[str], object]], Any | Missing]


JSON: Final = Format(decode, decode_with)


def number_value(text: str) -> int | float:
    """The value of a JSON number's text: an int where it is written as one and not huge. Never raises."""
    if len(text) > _LONGEST_INT or not text.lstrip("-").isdigit():
        return float(text)
    return int(text)


def double_text(value: float) -> str:
    """A double as Java's `Double.toString` writes it: `2.0`, `1.0E10`, `Infinity`."""
    if isnan(value):
        return "NaN"
    if not isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        # Python changes to an exponent only below 1e-4.
        return repr(value)
    mantissa, _, exponent = repr(value).partition("e")
    if exponent:
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"
    sign, digits = ("-", mantissa[1:]) if value < 0 else ("", mantissa)
    whole, _, fraction = digits.partition(".")
    if whole != "0":
        return f"{sign}{whole[0]}.{(whole[1:] + fraction).rstrip('0') or '0'}E{len(whole) - 1}"
    significant = fraction.lstrip("0")
    return f"{sign}{significant[0]}.{significant[1:] or '0'}E-{len(fraction) - len(significant) + 1}"


def too_deep(data: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether `data` nests deeper than `most`. Linear in its size, and next to nothing for a short message."""
    if len(data) <= most or data.count(b"[") + data.count(b"{") <= most:
        return False
    steps = _STRING.sub(b"", data).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > most


def to_json(value: Json) -> str:
    """`value` as JSON without blanks, numbers as written."""
    return _ENCODER.encode(value).decode()


def to_text(value: Any, number: Callable[[Any], str] = lambda number: number.text) -> str:
    """`value` as Java prints it: `{k=v, k2=v2}`, `[a, b]`, strings bare; null and MISSING alone are an empty string.

    AWS (API Gateway developer guide, "Route selection expressions") says `[a, b]` for arrays; it doesn't say the rest.
    `number` prints what is none of JSON's other kinds.
    """
    if value is None or value is MISSING:
        return ""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    _print(value, parts.append, number)
    return "".join(parts)


def _print(value: Any, out: Callable[[str], None], number: Callable[[Any], str]) -> None:
    # Plain loops: a comprehension would cost a second stack frame per level.
    match value:
        case str():
            out(value)
        case None:
            out("null")
        case True:
            out("true")
        case False:
            out("false")
        case dict():
            before = "{"
            for key, item in value.items():
                out(before)
                out(key)
                out("=")
                _print(item, out, number)
                before = ", "
            out("}" if value else "{}")
        case list():
            before = "["
            for item in value:
                out(before)
                _print(item, out, number)
                before = ", "
            out("]" if value else "[]")
        case _:
            out(number(value))


def _decode(data: bytes, scan: Scan) -> Any | Missing:
    if too_deep(data):
        return MISSING
    try:
        text = data.decode().strip(_BLANKS)
        if "\\ud" in text or "\\uD" in text:
            text = _ESCAPE.sub(_whole, text)
        value, end = scan(text, 0)
    # UnicodeDecodeError and JSONDecodeError are ValueErrors; where no value begins at all it is StopIteration.
    except (ValueError, StopIteration, RecursionError):
        return MISSING
    return value if end == len(text) else MISSING


def _scanner(number: Callable[[str], Any]) -> Scan:
    # Without JSONDecoder.decode around it, which costs as much as a small document.
    decoder = json.JSONDecoder(parse_int=number, parse_float=number, parse_constant=_refuse)
    return make_scanner(decoder)  # type: ignore[arg-type]  # typeshed takes the context for a scanner


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _whole(escape: re.Match[str]) -> str:
    return escape[0] if escape[1] is None else "\\ufffd"


def _raw_number(number: object) -> msgspec.Raw:
    if isinstance(number, Number):
        return msgspec.Raw(number.text.encode())
    raise TypeError(f"{type(number).__name__} is not JSON")


_BLANKS: Final = " \t\r\n"
_SCAN = _scanner(Number)
_ENCODER = msgspec.json.Encoder(enc_hook=_raw_number)
# Any escape, so that `\\ud800` is seen as a backslash and letters; only half a pair is captured.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# Possessive, and content with a missing end, hence linear whatever the message holds.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def head_with(member: str) -> type[msgspec.Struct] | None:
    """What msgspec decodes of an object: the raw bytes of `member` as `key`, empty where it has none, and nothing else.

    None for names msgspec doesn't know: with quotes, backslashes or control characters.
    """
    try:
        field = msgspec.field(default=msgspec.Raw(b""), name=member)
        return msgspec.defstruct("Head", [("key", msgspec.Raw, field)], frozen=True, gc=False)
    except ValueError:
        return None
