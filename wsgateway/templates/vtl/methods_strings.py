"""Methods of strings, as Java's `String` has them (Java SE API, java.lang.String).

Lengths and positions count UTF-16 units, as Java's do: `😀` is two. What would be half of such a pair is U+FFFD, so
that every string here can be encoded. What Java throws for (an index out of range) is NoMethod.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from wsgateway.templates.vtl.base import ArrayList, Methods, NoMethod, Value, Work, int_argument, text_argument
from wsgateway.templates.vtl.operators import same
from wsgateway.templates.vtl.printing import text

_TRIMMED: Final = "".join(map(chr, range(0x21)))
"""What `trim()` takes away: everything up to the blank."""


def length(value: str) -> int:
    """How many UTF-16 units `value` has."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le")) // 2


def cut(value: str, start: int, end: int) -> str:
    """The units from `start` to `end`. Raises NoMethod where they are not in order or not inside."""
    if value.isascii():
        if not 0 <= start <= end <= len(value):
            raise NoMethod("the index is out of range")
        return value[start:end]
    units = value.encode("utf-16-le")
    if not 0 <= start <= end <= len(units) // 2:
        raise NoMethod("the index is out of range")
    return units[2 * start : 2 * end].decode("utf-16-le", "replace")


def _char_at(value: str, work: Work, at: Value) -> Value:
    start = int_argument(at)
    return cut(value, start, start + 1)


def _substring(value: str, work: Work, start: Value) -> Value:
    return cut(value, int_argument(start), length(value))


def _substring_to(value: str, work: Work, start: Value, end: Value) -> Value:
    return cut(value, int_argument(start), int_argument(end))


def _sought(value: Value) -> str:
    """What is looked for: a string, or a character by its number."""
    if isinstance(value, str):
        return value
    code = int_argument(value)
    if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
        raise NoMethod("a character is expected")
    return chr(code)


def _index_of(value: str, work: Work, sought: Value, start: Value = 0) -> Value:
    units = min(max(int_argument(start), 0), length(value))
    found = value.find(_sought(sought), len(cut(value, 0, units)))
    return found if found < 0 else length(value[:found])


def _last_index_of(value: str, work: Work, sought: Value) -> Value:
    found = value.rfind(_sought(sought))
    return found if found < 0 else length(value[:found])


def _last_index_before(value: str, work: Work, sought: Value, start: Value) -> Value:
    units = min(int_argument(start), length(value))
    if units < 0:
        return -1
    wanted = _sought(sought)
    found = value.rfind(wanted, 0, len(cut(value, 0, units)) + len(wanted))
    return found if found < 0 else length(value[:found])


def _starts_with(value: str, work: Work, prefix: Value) -> Value:
    return value.startswith(text_argument(prefix))


def _starts_with_at(value: str, work: Work, prefix: Value, start: Value) -> Value:
    units = int_argument(start)
    return 0 <= units <= length(value) and cut(value, units, length(value)).startswith(text_argument(prefix))


def _equals_ignore_case(value: str, work: Work, other: Value) -> Value:
    if not isinstance(other, str) or len(value) != len(other):
        return False
    return value.upper() == other.upper() or value.lower() == other.lower()


def _compare_to(value: str, work: Work, other: Value) -> Value:
    work.characters(len(found := text_argument(other)))
    return _order(value, found)


def _compare_ignoring_case(value: str, work: Work, other: Value) -> Value:
    work.characters(len(found := text_argument(other)))
    return _order(value.upper().lower(), found.upper().lower())


def _order(left: str, right: str) -> int:
    first, second = left.encode("utf-16-be"), right.encode("utf-16-be")
    shorter = min(len(first), len(second)) // 2
    # The first unit up to which, itself included, they are not the same.
    at = bisect_left(range(shorter), True, key=lambda unit: first[: 2 * unit + 2] != second[: 2 * unit + 2])
    if at == shorter:
        return (len(first) - len(second)) // 2
    return int.from_bytes(first[2 * at : 2 * at + 2], "big") - int.from_bytes(second[2 * at : 2 * at + 2], "big")


def _hash_code(value: str, work: Work) -> Value:
    work.items(len(value))
    found = 0
    for unit in memoryview(value.encode("utf-16-le")).cast("H"):
        found = (31 * found + unit) & 0xFFFFFFFF
    return found - 2**32 if found >= 2**31 else found


def _concat(value: str, work: Work, other: Value) -> Value:
    added = text_argument(other)
    work.characters(len(value) + len(added))
    return value + added


def _repeat(value: str, work: Work, count: Value) -> Value:
    times = int_argument(count)
    if times < 0:
        raise NoMethod("the count is negative")
    work.characters(len(value) * times)
    return value * times


def replaced(value: str, old: str, new: str, work: Work) -> str:
    """`value` with each `old` replaced. Raises RenderError."""
    work.characters(len(value) + value.count(old) * len(new))
    return value.replace(old, new)


def _to_char_array(value: str, work: Work) -> Value:
    work.spend(len(value))
    return ArrayList([cut(value, at, at + 1) for at in range(len(value))] if value.isascii() else _units(value))


def _units(value: str) -> list[str]:
    units = value.encode("utf-16-le")
    return [units[at : at + 2].decode("utf-16-le", "replace") for at in range(0, len(units), 2)]


def _join(value: str, work: Work, between: Value, items: Value) -> Value:
    if not isinstance(items, list):
        raise NoMethod("a list is expected")
    separator = text_argument(between)
    work.items(len(items))
    texts: list[str] = []
    for item in items:
        texts.append("null" if item is None else text(item, work))
        work.characters(len(texts[-1]) + len(separator))
    return separator.join(texts)


def _value_of(value: str, work: Work, other: Value) -> Value:
    return "null" if other is None else text(other, work)


STRINGS: Final[Methods] = {
    ("charAt", 1): _char_at,
    ("compareTo", 1): _compare_to,
    ("compareToIgnoreCase", 1): _compare_ignoring_case,
    ("concat", 1): _concat,
    ("contains", 1): lambda value, work, sought: text_argument(sought) in value,
    ("contentEquals", 1): lambda value, work, other: same(value, other, work),
    ("endsWith", 1): lambda value, work, suffix: value.endswith(text_argument(suffix)),
    ("equals", 1): lambda value, work, other: same(value, other, work),
    ("equalsIgnoreCase", 1): _equals_ignore_case,
    ("hashCode", 0): _hash_code,
    ("indexOf", 1): _index_of,
    ("indexOf", 2): _index_of,
    ("intern", 0): lambda value, work: value,
    ("isBlank", 0): lambda value, work: not value.strip(),
    ("isEmpty", 0): lambda value, work: not value,
    ("join", 2): _join,
    ("lastIndexOf", 1): _last_index_of,
    ("lastIndexOf", 2): _last_index_before,
    ("length", 0): lambda value, work: length(value),
    ("repeat", 1): _repeat,
    ("replace", 2): lambda value, work, old, new: replaced(value, text_argument(old), text_argument(new), work),
    ("startsWith", 1): _starts_with,
    ("startsWith", 2): _starts_with_at,
    ("strip", 0): lambda value, work: value.strip(),
    ("stripLeading", 0): lambda value, work: value.lstrip(),
    ("stripTrailing", 0): lambda value, work: value.rstrip(),
    ("subSequence", 2): _substring_to,
    ("substring", 1): _substring,
    ("substring", 2): _substring_to,
    ("toCharArray", 0): _to_char_array,
    ("toLowerCase", 0): lambda value, work: value.lower(),
    ("toString", 0): lambda value, work: value,
    ("toUpperCase", 0): lambda value, work: value.upper(),
    ("trim", 0): lambda value, work: value.strip(_TRIMMED),
    ("valueOf", 1): _value_of,
}
