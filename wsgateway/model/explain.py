"""What is wrong with a value, in a sentence that also says what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

from pydantic_core import ErrorDetails, PydanticCustomError

SHOWN = 80
PATH_SHOWN = 1000
"""At most this many characters of a value are repeated in a problem."""


def escaped(text: str) -> str:
    """`text` without anything a terminal would act on (controls, bidirectional marks, half surrogates)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_path(path: object) -> str:
    """A path as a problem repeats it: whole, for it says which file to mend."""
    return shown(str(path), PATH_SHOWN)


def shown(value: object, most: int = SHOWN) -> str:
    """A value as a problem repeats it: one line, escaped and clipped."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 10**SHOWN:
            return "a huge number"
        case str():
            text = escaped(value[: most + 1])
            text = text if re.fullmatch(r"[^\s'\"]+", text) else f'"{text}"'
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            text = escaped(str(value))
    return text if len(text) <= most else text[: most - 1] + "…"


def wrong_kind(expected: str, value: object) -> str:
    """`value` is not of the kind `expected` names ("a string")."""
    match value:
        case None | Mapping() | list() | tuple():
            return f"expected {expected}, got {shown(value)}"
        case str():
            return f"expected {expected}, got the string {shown(value)}"
    quote = "; write it in quotes" if expected.startswith("a string") else ""
    return f"expected {expected}, got {shown(value)}{quote}"


def none_of(value: object, known: Iterable[str]) -> str:
    return f"{shown(value)} is none of {', '.join(known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no known word is near.

    A word that ends in a known one means that rather than one which merely looks like it: `integrationHttpMethod` is
    `httpMethod`.
    """
    words = list(known)
    close = get_close_matches(word, words, 1, 0.85) or _last_part(word, words) or get_close_matches(word, words, 1)
    return f"; did you mean {shown(close[0])}?" if close else ""


def _last_part(word: str, known: Iterable[str]) -> list[str]:
    ends = [each for each in known if each and word.endswith(each[0].upper() + each[1:]) and len(each) < len(word)]
    return sorted(ends, key=len)[-1:]


def fault(text: str) -> PydanticCustomError:
    """A problem found by one of our own checks; `text` is the finished sentence."""
    return PydanticCustomError("definition", "{text}", {"text": text})


def sentence(error: ErrorDetails) -> str:
    """pydantic's finding in our words; those of our own checks as they are."""
    said = SENTENCES.get(error["type"])
    if said is not None:
        return said(error["input"], error.get("ctx", {}))
    return error["msg"][:1].lower() + escaped(error["msg"][1:])


def _number(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _entries(count: object) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


SENTENCES: dict[str, Callable[[object, Mapping[str, object]], str]] = {
    "definition": lambda _value, ctx: str(ctx["text"]),
    "string_type": lambda value, _: wrong_kind("a string", value),
    "int_type": lambda value, _: wrong_kind("a whole number", value),
    "int_from_float": lambda value, _: wrong_kind("a whole number", value),
    "float_type": lambda value, _: wrong_kind("a number", value),
    "bool_type": lambda value, _: wrong_kind("true or false", value),
    "dict_type": lambda value, _: wrong_kind("a mapping", value),
    "mapping_type": lambda value, _: wrong_kind("a mapping", value),
    "list_type": lambda value, _: wrong_kind("a list", value),
    "tuple_type": lambda value, _: wrong_kind("a list", value),
    "sequence_str": lambda value, _: wrong_kind("a list", value),
    "is_instance_of": lambda value, _: wrong_kind("a list", value),  # of Sequence, the only such type
    "finite_number": lambda value, _: wrong_kind("a finite number", value),
    "literal_error": lambda value, ctx: none_of(value, re.findall(r"'([^']*)'", str(ctx["expected"]))),
    "greater_than": lambda value, ctx: f"{shown(value)} is too small; it must be more than {_number(ctx['gt'])}",
    "greater_than_equal": lambda value, ctx: f"{shown(value)} is too small; it must be at least {_number(ctx['ge'])}",
    "less_than": lambda value, ctx: f"{shown(value)} is too large; it must be less than {_number(ctx['lt'])}",
    "less_than_equal": lambda value, ctx: f"{shown(value)} is too large; it must be at most {_number(ctx['le'])}",
    "string_too_short": lambda value, ctx: f"{shown(value)} is too short; at least {ctx['min_length']} characters",
    "string_too_long": lambda value, ctx: f"{shown(value)} is too long; at most {ctx['max_length']} characters",
    "too_short": lambda _value, ctx: f"needs at least {_entries(ctx['min_length'])}",
    "too_long": lambda _value, ctx: f"has more than {_entries(ctx['max_length'])}",
}


def in_words(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
