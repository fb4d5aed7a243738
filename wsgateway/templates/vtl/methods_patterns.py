"""Methods of strings that take a regular expression, as Java's `String` has them (Java SE API, java.util.regex).

Most patterns in templates are plain texts, such as the `\\\\'` of `escapeJavaScript`'s idiom: these are looked for as
such, which takes a tenth of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.pattern import Pattern, PatternOverrun, at_run_time
from wsgateway.templates.vtl.base import ArrayList, Methods, Value, Work, int_argument, text_argument
from wsgateway.templates.vtl.errors import RenderError
from wsgateway.templates.vtl.kept import Kept
from wsgateway.templates.vtl.methods_strings import replaced

_Result = TypeVar("_Result")

_LONGEST_KEPT: Final = 256
"""Longer patterns are compiled each time: what is kept must not grow by what clients send."""

_PLAIN: Final = re.compile(r"(?:[^\\.^$|?*+()\[\]{}]|\\[!-/:-@\[-`{-~])+")
"""Patterns without operators; a backslash may stand before ASCII's punctuation."""


def _matches(value: str, work: Work, regex: Value) -> Value:
    return _pattern(text_argument(regex), work).matches(value)


def _replace_all(value: str, work: Work, regex: Value, replacement: Value) -> Value:
    old, new = text_argument(regex), text_argument(replacement)
    plain = _plain(old)
    if plain is not None and "$" not in new and "\\" not in new:
        return replaced(value, plain, new, work)
    pattern = _pattern(old, work)
    work.items(len(new))
    return _run(lambda: pattern.replace_all(value, new, work.characters))


def _replace_first(value: str, work: Work, regex: Value, replacement: Value) -> Value:
    pattern, new = _pattern(text_argument(regex), work), text_argument(replacement)
    work.items(len(new))
    return _run(lambda: pattern.replace_first(value, new, work.characters))


def _split(value: str, work: Work, regex: Value, limit: Value = 0) -> Value:
    separator, most = text_argument(regex), int_argument(limit)
    plain = _plain(separator)
    if plain is not None and most == 0:
        return ArrayList(_split_at(value, plain, work))
    pattern = _pattern(separator, work)
    return ArrayList(_run(lambda: pattern.split(value, most, work.characters)))


def _split_at(value: str, separator: str, work: Work) -> list[str]:
    work.spend(value.count(separator))
    if separator not in value:
        return [value]
    parts = value.split(separator)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _plain(regex: str) -> str | None:
    """The text that `regex` alone matches, where it has no operators."""
    return _kept_plain(regex) if len(regex) <= _LONGEST_KEPT else None


@lru_cache(maxsize=256)
def _kept_plain(regex: str) -> str | None:
    return re.sub(r"\\(.)", r"\1", regex) if _PLAIN.fullmatch(regex) is not None else None


def _pattern(regex: str, work: Work) -> Pattern:
    return _run(lambda: _compiled(regex, work))


_compiled: Final = Kept(at_run_time, steps=4, most=64, longest=_LONGEST_KEPT)


def _run(use: Callable[[], _Result]) -> _Result:
    """What `use` gives. Raises RenderError for a pattern or replacement that can't be run."""
    try:
        return use()
    except ExpressionError as error:
        raise RenderError(f"not a regular expression that can be run: {error.in_one_line}") from error
    except PatternOverrun as error:
        raise RenderError(str(error)) from error


PATTERNS: Final[Methods] = {
    ("matches", 1): _matches,
    ("replaceAll", 2): _replace_all,
    ("replaceFirst", 2): _replace_first,
    ("split", 1): _split,
    ("split", 2): _split,
}
