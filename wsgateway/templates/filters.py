"""JSONPath filters, `[?(@.price < 10 && @.name =~ /a.*/i)]`, in Jayway JsonPath's syntax.

Two operands and an operator of `comparisons`, `=~` and a regular expression (Java's, see `pattern`; the whole of a
string, number or boolean must match, or of one element of an array), a path alone (it exists), && || ! and parentheses.
"""

from __future__ import annotations

import re
from typing import Final

from wsgateway.templates import pattern
from wsgateway.templates.comparisons import RIGHT_SIDES, SYMBOLS, WORDS, Comparison
from wsgateway.templates.document import MISSING, Json, Missing, Number
from wsgateway.templates.expression import MAX_NESTING, Cursor, ExpressionError
from wsgateway.templates.operands import BLANK, Operand, Operands, PathReader, read_operand
from wsgateway.templates.pattern import Pattern
from wsgateway.templates.steps import CHARACTERS_PER_WORK, Path, Predicate, Scope

_SYMBOL = re.compile(r"===|!==|==|!=|<=|>=|=~|<|>")
_WORD = re.compile(r"[a-zA-Z]+")
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/([a-zA-Z]*)", re.DOTALL)
_OPERATORS: Final = " ".join([*SYMBOLS, "=~", *WORDS])


def read_filter(cursor: Cursor, read_path: PathReader) -> Predicate:
    """The filter that begins at the cursor, behind its `?`, up to and with its closing parenthesis.

    `read_path` reads a path from behind its `@` or `$`. Raises ExpressionError.
    """
    return _Reader(cursor, read_path).group()


class _Reader:
    def __init__(self, cursor: Cursor, read_path: PathReader) -> None:
        self.cursor = cursor
        self.read_path = read_path

    def group(self) -> Predicate:
        with self.cursor.nested(f"a filter nests at most {MAX_NESTING} deep"):
            self.cursor.expect("(", "a filter is written [?(…)]")
            predicate = self.any_of()
            self.cursor.expect(")", "expected && or || or the filter's closing )")
        return predicate

    def any_of(self) -> Predicate:
        predicates = [self.all_of()]
        while self.cursor.take("||"):
            predicates.append(self.all_of())
        return predicates[0] if len(predicates) == 1 else lambda node, scope: any(p(node, scope) for p in predicates)

    def all_of(self) -> Predicate:
        predicates = [self.one()]
        while self.cursor.take("&&"):
            predicates.append(self.one())
        return predicates[0] if len(predicates) == 1 else lambda node, scope: all(p(node, scope) for p in predicates)

    def one(self) -> Predicate:
        cursor = self.cursor
        cursor.match(BLANK)
        negated = False
        while cursor.take("!"):
            negated = not negated
            cursor.match(BLANK)
        predicate = self.group() if cursor.at("(") else self.comparison()
        cursor.match(BLANK)
        return (lambda node, scope: not predicate(node, scope)) if negated else predicate

    def comparison(self) -> Predicate:
        cursor = self.cursor
        start = cursor.position
        if cursor.at("/"):
            return self.matched_by_regex()
        left = read_operand(cursor, self.read_path)
        cursor.match(BLANK)
        position = cursor.position
        symbol = cursor.match(_SYMBOL) or cursor.match(_WORD)
        cursor.match(BLANK)
        if symbol == "=~":
            return _matches(self.regex(), left.evaluate)
        comparison = SYMBOLS.get(symbol) or WORDS.get(symbol.lower())
        if comparison is not None:
            return self.compared(comparison, symbol, left)
        if symbol:
            raise cursor.error(f"there is no operator {symbol}; use one of {_OPERATORS}", position)
        if left.path is None:
            raise cursor.error("expected a comparison or a path, as in @.name", start)
        return _exists(left.path, left.evaluate)

    def compared(self, comparison: Comparison, symbol: str, left: Operands) -> Predicate:
        start = self.cursor.position
        right = read_operand(self.cursor, self.read_path)
        kind, wanted = RIGHT_SIDES.get(comparison, (object, ""))
        if right.path is None and not isinstance(right.constant, kind):
            raise self.cursor.error(f"{symbol} is followed by {wanted}", start)
        one, other = left.evaluate, right.evaluate

        def predicate(node: Json, scope: Scope) -> bool:
            scope.spend(1)
            return comparison(one(node, scope), other(node, scope), scope)

        return predicate

    def matched_by_regex(self) -> Predicate:
        """`/…/ =~ @.name`"""
        regex = self.regex()
        self.cursor.match(BLANK)
        self.cursor.expect("=~", "expected =~ behind the regular expression")
        self.cursor.match(BLANK)
        return _matches(regex, read_operand(self.cursor, self.read_path).evaluate)

    def regex(self) -> Pattern:
        cursor = self.cursor
        start = cursor.position
        written = _REGEX.match(cursor.text, start)
        if written is None:
            raise cursor.error("expected a regular expression, as in /a.*/i")
        cursor.position = written.end()
        flags = f"(?{written[2]})" if written[2] else ""
        try:
            return pattern.compile(flags + written[1])
        except ExpressionError as error:
            at = error.position - len(flags)
            raise cursor.error(error.problem, start + 1 + at if at >= 0 else written.start(2)) from error


def _exists(path: Path, operand: Operand) -> Predicate:
    if path.definite:
        return lambda node, scope: operand(node, scope) is not MISSING
    return lambda node, scope: bool(operand(node, scope))


def _matches(regex: Pattern, operand: Operand) -> Predicate:
    def predicate(node: Json, scope: Scope) -> bool:
        value = operand(node, scope)
        candidates = value if isinstance(value, list) else [value]
        scope.spend(len(candidates))
        return any(_match(regex, candidate, scope) for candidate in candidates)

    return predicate


def _match(regex: Pattern, value: Json | Missing, scope: Scope) -> bool:
    """As Jayway JsonPath has it, what is none of the kinds with a text has an empty one."""
    match value:
        case str():
            text = value
        case Number():
            text = value.text
        case True | False:
            text = str(value).lower()
        case _:
            text = ""
    scope.spend(1 + len(text) // CHARACTERS_PER_WORK)
    return regex.matches(text)
