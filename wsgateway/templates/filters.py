"""JSONPath filters, `[?(@.price < 10 && @.name)]`, in Jayway JsonPath's syntax.

Built: == != < <= > >=, a path alone (it exists), && || ! and parentheses. Values of different kinds are unequal and
not in order; Jayway also compares a number with a string holding one. Regular expressions are left out: they would let
a client spend our time.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from wsgateway.templates.document import MISSING, Json, Missing, Number
from wsgateway.templates.expression import Cursor
from wsgateway.templates.steps import Path, Predicate, Scope

Operand: TypeAlias = Callable[[Json, Scope], Json | Missing]
PathReader: TypeAlias = Callable[[Cursor], Path]

MAX_NESTING: Final = 32

_BLANK = re.compile(r"[ \t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[a-zA-Z]+")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_OTHER_OPERATOR = re.compile(r"=~|[a-zA-Z]+")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def read_filter(cursor: Cursor, read_path: PathReader, read_string: Callable[[Cursor], str]) -> Predicate:
    """The filter that begins at the cursor, behind its `?`, up to and with its closing parenthesis.

    `read_path` reads a path from behind its `@` or `$`. Raises ExpressionError.
    """
    return _Reader(cursor, read_path, read_string).group(0)


class _Reader:
    def __init__(self, cursor: Cursor, read_path: PathReader, read_string: Callable[[Cursor], str]) -> None:
        self.cursor = cursor
        self.read_path = read_path
        self.read_string = read_string

    def group(self, depth: int) -> Predicate:
        if depth > MAX_NESTING:
            raise self.cursor.error(f"a filter nests at most {MAX_NESTING} deep")
        self.cursor.expect("(", "a filter is written [?(…)]")
        predicate = self.any_of(depth)
        self.cursor.expect(")", "expected && or || or the filter's closing )")
        return predicate

    def any_of(self, depth: int) -> Predicate:
        predicates = [self.all_of(depth)]
        while self.cursor.take("||"):
            predicates.append(self.all_of(depth))
        return predicates[0] if len(predicates) == 1 else lambda node, scope: any(p(node, scope) for p in predicates)

    def all_of(self, depth: int) -> Predicate:
        predicates = [self.one(depth)]
        while self.cursor.take("&&"):
            predicates.append(self.one(depth))
        return predicates[0] if len(predicates) == 1 else lambda node, scope: all(p(node, scope) for p in predicates)

    def one(self, depth: int) -> Predicate:
        cursor = self.cursor
        cursor.match(_BLANK)
        negated = False
        while cursor.take("!"):
            negated = not negated
            cursor.match(_BLANK)
        predicate = self.group(depth + 1) if cursor.at("(") else self.comparison()
        cursor.match(_BLANK)
        return (lambda node, scope: not predicate(node, scope)) if negated else predicate

    def comparison(self) -> Predicate:
        cursor = self.cursor
        start = cursor.position
        left, path = self.operand()
        cursor.match(_BLANK)
        symbol = cursor.match(_OPERATOR)
        if symbol:
            cursor.match(_BLANK)
            right, other_path = self.operand()
            # A client could make each of many comparisons long: nothing of the row bounds what lies elsewhere.
            if _absolute(path) and _absolute(other_path):
                raise cursor.error("comparing two paths from $ is not supported yet; one side must begin with @", start)
            return _compare(symbol, left, right)
        position = cursor.position
        other = cursor.match(_OTHER_OPERATOR)
        if other:
            raise cursor.error(f"the operator {other} is not supported yet; use == != < <= > >=", position)
        if path is None:
            raise cursor.error("expected a comparison or a path, as in @.name", start)
        return _exists(path, left)

    def operand(self) -> tuple[Operand, Path | None]:
        cursor = self.cursor
        if cursor.take("@"):
            relative = self.read_path(cursor)
            return relative.within, relative
        if cursor.take("$"):
            absolute = self.read_path(cursor)
            return (lambda _, scope: absolute.within(scope.root, scope)), absolute
        return _constant(self.literal()), None

    def literal(self) -> Json:
        cursor = self.cursor
        if cursor.at("'") or cursor.at('"'):
            return self.read_string(cursor)
        start = cursor.position
        number = cursor.match(_NUMBER)
        if number:
            return Number(number)
        word = cursor.match(_WORD)
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        raise cursor.error("expected @, $, a quoted string, a number, true, false or null", start)


def _absolute(path: Path | None) -> bool:
    return path is not None and path.text.startswith("$")


def _constant(value: Json) -> Operand:
    return lambda node, scope: value


def _exists(path: Path, operand: Operand) -> Predicate:
    if path.definite:
        return lambda node, scope: operand(node, scope) is not MISSING
    return lambda node, scope: bool(operand(node, scope))


def _compare(symbol: str, left: Operand, right: Operand) -> Predicate:
    match symbol:
        case "==":
            return lambda node, scope: _equal(left(node, scope), right(node, scope))
        case "!=":
            return lambda node, scope: not _equal(left(node, scope), right(node, scope))
        case _:
            order = _ORDER[symbol]
            return lambda node, scope: _ordered(order, left(node, scope), right(node, scope))


def _equal(left: Json | Missing, right: Json | Missing) -> bool:
    return left is not MISSING and left == right


def _ordered(order: Callable[[Any, Any], bool], left: Json | Missing, right: Json | Missing) -> bool:
    if isinstance(left, Number) and isinstance(right, Number):
        return order(left.value(), right.value())
    return isinstance(left, str) and isinstance(right, str) and order(left, right)
