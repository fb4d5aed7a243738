"""The regular expressions of schemas: linear in time whatever they are matched with, or refused with the reason."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import re2
from jsonschema_rs import Draft4Validator, RegexOptions, ValidationError

from wsgateway.model.explain import shown
from wsgateway.templates.expression import snippet

LINEAR: Final = RegexOptions(size_limit=1 << 18)
"""An engine that never goes back in the text; a pattern may take 256 KiB once it is compiled."""

_UNKNOWN_SIZE: Final = 1_000

_NOT_LINEAR = re.compile(r"\\(?P<reference>[1-9])|\\.|(?P<look>\(\?<?[=!])|.", re.DOTALL)


@lru_cache(maxsize=1024)
def pattern_problem(pattern: str) -> str | None:
    """Why `pattern` can't be run, with a caret beneath the place; None where it can."""
    try:
        Draft4Validator({"pattern": pattern}, pattern_options=LINEAR, offline=True)
    except (ValidationError, ValueError):
        problem, position = _why(pattern)
        return f"{shown(pattern)} {problem} (at character {position + 1})\n{snippet(pattern, position)}"
    return None


@lru_cache(maxsize=1024)
def program_size(pattern: str) -> int:
    """About how many steps a pattern can take for one character: RE2's count, where it takes the pattern, too."""
    options = re2.Options()
    options.log_errors = False
    try:
        return int(re2.compile(pattern, options=options).programsize)
    except re2.error:
        return _UNKNOWN_SIZE


def _why(pattern: str) -> tuple[str, int]:
    for token in _NOT_LINEAR.finditer(pattern):
        if token["look"]:
            return "looks ahead or behind, which can't be done in linear time; write it without", token.start()
        if token["reference"]:
            return "refers back to a group, which can't be done in linear time; write it without", token.start()
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error.msg}", error.pos or 0
    except (RecursionError, OverflowError):
        return "is nested too deeply", 0
    return "can't be run: it is too large once compiled (nested repetitions), or not of ECMA 262", 0
