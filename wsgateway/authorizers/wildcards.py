"""Wildcards of IAM policies: `*` stands for any text, `?` for one character."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Matcher = Callable[[str], bool]


def any_of(patterns: Sequence[str]) -> Matcher:
    """Whether a text is as one of `patterns`, wildcards included.

    What lies between two stars is looked for once, from left to right: at most text times pattern, never more.
    """
    if "*" in patterns:
        return lambda text: True
    plain = frozenset(pattern for pattern in patterns if "*" not in pattern and "?" not in pattern)
    globs = [_glob(pattern) for pattern in patterns if pattern not in plain]
    return lambda text: text in plain or any(glob(text) for glob in globs)


def _glob(pattern: str) -> Matcher:
    """A pattern with wildcards. Atomic groups: the first place where a piece fits is as good as any later one."""
    first, *rest = [re.escape(piece).replace(r"\?", ".") for piece in pattern.split("*")]
    if not rest:
        return _whole(re.compile(first, re.DOTALL))
    *middle, last = rest
    # The last piece has to fit at the end, so it is compared there alone.
    head = re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle if piece), re.DOTALL).match
    tail = re.compile(last, re.DOTALL)
    size = len(pattern.rpartition("*")[2])

    def matches(text: str) -> bool:
        found = head(text)
        return (
            found is not None and len(text) - size >= found.end() and tail.fullmatch(text, len(text) - size) is not None
        )

    return matches


def _whole(pattern: re.Pattern[str]) -> Matcher:
    return lambda text: pattern.fullmatch(text) is not None
