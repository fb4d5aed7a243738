"""What filters compare and functions are given: paths and JSON literals, as Jayway JsonPath writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from wsgateway.templates.document import MISSING, Json, Missing, Number
from wsgateway.templates.expression import MAX_NESTING, Cursor
from wsgateway.templates.steps import Path, Scope

Operand: TypeAlias = Callable[[Json, Scope], Json | Missing]
PathReader: TypeAlias = Callable[[Cursor], Path]

BLANK: Final = re.compile(r"[ \t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[a-zA-Z]+")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Operands(NamedTuple):
    """What was read: how to evaluate it, and the path or the constant it is; MISSING where it is a path."""

    evaluate: Operand
    path: Path | None
    constant: Json | Missing


def read_operand(cursor: Cursor, read_path: PathReader) -> Operands:
    """The path or literal at the cursor; `read_path` reads one from behind its `@` or `$`. Raises ExpressionError."""
    if cursor.take("@"):
        relative = read_path(cursor)
        return Operands(relative.within, relative, MISSING)
    if cursor.take("$"):
        absolute = read_path(cursor)
        return Operands(lambda _, scope: scope.absolute(absolute), absolute, MISSING)
    constant = read_literal(cursor)
    return Operands(lambda node, scope: constant, None, constant)


def read_literal(cursor: Cursor) -> Json:
    """The JSON at the cursor; strings may be in single quotes. Raises ExpressionError."""
    start = cursor.position
    if cursor.at("'") or cursor.at('"'):
        return read_string(cursor)
    if cursor.take("["):
        return [item for _, item in _items(cursor, "]")]
    if cursor.take("{"):
        return dict(_items(cursor, "}"))
    number = cursor.match(_NUMBER)
    if number:
        return Number(number)
    word = cursor.match(_WORD)
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    raise cursor.error("expected @, $, a quoted string, a number, [, {, true, false or null", start)


def _items(cursor: Cursor, end: str) -> list[tuple[str, Json]]:
    """What is in brackets or braces, whose opening is taken; the names of an array's elements are empty."""
    items: list[tuple[str, Json]] = []
    cursor.match(BLANK)
    while not cursor.take(end):
        if items:
            cursor.expect(",", f"expected , or {end}")
            cursor.match(BLANK)
        name = ""
        if end == "}":
            if not (cursor.at("'") or cursor.at('"')):
                raise cursor.error("expected a quoted name")
            name = read_string(cursor)
            cursor.match(BLANK)
            cursor.expect(":", "expected : behind the name")
            cursor.match(BLANK)
        with cursor.nested(f"a literal nests at most {MAX_NESTING} deep"):
            items.append((name, read_literal(cursor)))
        cursor.match(BLANK)
    return items


def read_string(cursor: Cursor) -> str:
    """The quoted string at the cursor. Raises ExpressionError where it has no end."""
    quoted = cursor.match(_STRING)
    if not quoted:
        raise cursor.error("this string has no closing quote")
    # An escape of half a surrogate pair stands for U+FFFD, as it does in documents.
    return _ESCAPE.sub(_unescape, quoted[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 16))
    return _SHORT_ESCAPES.get(escape[2], escape[2])
