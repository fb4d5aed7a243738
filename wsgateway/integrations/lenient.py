"""The statusCode in what a MOCK's request template gives: JSON, or what API Gateway also takes for it.

Recorded of AWS: keys without quotes or in single ones, commas too many (`{"statusCode": 200 ,, }`) and braces astray
are let pass; quotes that don't match, a missing first brace, and a statusCode that is no integer (`"200"`) are not.
A text of more than 4,096 characters has to be JSON: a client may have written it, and reading it takes its time.
"""

from __future__ import annotations

import json
import re

# Possessive, hence linear whatever is rendered. What it can't take, a quote without its other, ends the reading.
_TOKEN = re.compile(
    r"""\s*+(?:("(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')|([{}\[\]:,])|([^\s{}\[\]:,'"]++))\s*+""", re.DOTALL
)
_MOST = 4096
_INTEGER = re.compile(r"-?[0-9]{1,18}").fullmatch
_NAME = "statusCode"


def status_code(text: str) -> int | None:
    """The integer under `statusCode`, the last where there are several; None where there is none. Never raises."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _lenient(text) if len(text) <= _MOST else None
    status = value.get(_NAME) if isinstance(value, dict) else None
    return status if type(status) is int else None


def _lenient(text: str) -> int | None:
    tokens = _tokens(text)
    if tokens is None or len(tokens) < 2 or tokens[0] != "{" or tokens[-1] != "}":
        return None
    status: int | None = None
    depth = 0
    for position in range(1, len(tokens) - 1):
        token, before = tokens[position], tokens[position - 1]
        if token in ("{", "["):
            depth += before == ":" or depth > 0  # where no value is expected it is astray
        elif token in ("}", "]"):
            depth -= depth > 0
        elif depth == 0 and before == ":" and position >= 2 and tokens[position - 2].strip("'\"") == _NAME:
            status = int(token) if _INTEGER(token) else None
    return status


def _tokens(text: str) -> list[str] | None:
    """The words, quoted texts and marks of `text`; None where a quote has no other."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            return None if text[position:].strip() else tokens
        tokens.append(found[1] or found[2] or found[3])
        position = found.end()
    return tokens
