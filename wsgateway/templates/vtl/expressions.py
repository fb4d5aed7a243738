"""Reading expressions and references of Velocity 1.7 (its user guide, "References" and "Directives").

More is taken than there: an argument of a method, an item of a list and a key may be any expression, and a minus may
stand right before a digit.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from math import isinf
from typing import Final, cast

from wsgateway.templates.vtl.errors import Wrong
from wsgateway.templates.vtl.nodes import (
    Arithmetic,
    ArithmeticOperator,
    Block,
    Constant,
    Equality,
    Expression,
    Index,
    Interpolated,
    ListOf,
    Logic,
    MapOf,
    Member,
    Method,
    Not,
    Order,
    OrderOperator,
    Range,
    Reference,
    Step,
    Text,
)

MAX_DEPTH: Final = 50
"""Blocks, brackets and strings inside each other."""

# Velocity's identifiers hold hyphens, so `$a-1` is one name; a difference is written `$a - 1`.
NAME: Final = r"[a-zA-Z_][a-zA-Z0-9_-]*"
_REFERENCE = re.compile(rf"\$(!?)(\{{?)({NAME})")
_STEP = re.compile(rf"\.({NAME})(\(?)")
_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:[0-9]+(\.(?!\.)[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_WORD = re.compile(NAME)
_OPERATOR = re.compile(r"&&|\|\||[=!<>]=|[<>+*/%-]|(?:and|or|eq|ne|lt|le|gt|ge)(?![a-zA-Z0-9_-])")
_NOT = re.compile(r"!|not(?![a-zA-Z0-9_-])")
_STRING = re.compile(r""""([^"]*+(?:""[^"]*+)*+)"|'([^']*+(?:''[^']*+)*+)'""")
_ESCAPED = re.compile(r'""|\\u([0-9a-fA-F]{4})')
_BEGIN_NUMBER: Final = "-.0123456789"
_MOST_DIGITS: Final = 400

_SPELLINGS: Final = {
    "and": "&&", "or": "||", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_PRECEDENCE: Final = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip


class ExpressionReader(ABC):
    """A place in a template's text; what is read is behind it. Every method raises Wrong."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self.text = text
        self.position = 0
        self.depth = depth
        self.slashed = -1
        """Where a string ended with a backslash before its closing quote."""

    @abstractmethod
    def template_in(self, content: str) -> Block:
        """What a string in double quotes holds. Positions of its errors are those in `content`."""

    # Places

    def error(self, problem: str, position: int | None = None) -> Wrong:
        """`problem` at `position`, or here; the caller raises it."""
        return Wrong(problem, self.position if position is None else position)

    def deeper(self) -> None:
        """Go one level down; whoever calls takes one off `depth` on the way back."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"this is nested more than {MAX_DEPTH} levels deep")

    def at(self, literal: str) -> bool:
        """Whether `literal` comes next."""
        return self.text.startswith(literal, self.position)

    def take(self, literal: str) -> bool:
        """Step over `literal` if it comes next."""
        if not self.text.startswith(literal, self.position):
            return False
        self.position += len(literal)
        return True

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Step over what `pattern` matches here."""
        found = pattern.match(self.text, self.position)
        if found is not None:
            self.position = found.end()
        return found

    def blank(self) -> None:
        """Step over blanks and line ends."""
        found = _BLANK.match(self.text, self.position)
        assert found is not None  # it matches nothing, too
        self.position = found.end()

    def word(self) -> str:
        """Step over a word; an empty string where none is."""
        found = self.match(_WORD)
        return "" if found is None else found[0]

    # Expressions

    def expression(self) -> Expression:
        """An expression and the blanks around it."""
        self.deeper()
        found = self.operation(1)
        self.depth -= 1
        return found

    def operation(self, weakest: int) -> Expression:
        """Operands joined by operators that bind at least as strongly as `weakest`."""
        left = self.operand()
        chain = 0
        while True:
            operator = self.operator(weakest)
            if not operator:
                return left
            precedence = _PRECEDENCE[operator]
            if precedence <= 2:
                left = self.logic(left, operator, precedence)
            elif precedence >= 5:
                left = self.arithmetic(left, operator, precedence)
            else:
                chain += 1
                if self.depth + chain > MAX_DEPTH:
                    raise self.error(f"more than {MAX_DEPTH} comparisons follow each other")
                right = self.operation(precedence + 1)
                left = _comparison(operator, left, right)

    def operator(self, weakest: int) -> str:
        """Step over an operator, in its spelling of signs, and blanks; an empty string where none is strong enough."""
        found = _OPERATOR.match(self.text, self.position)
        if found is None:
            return ""
        sign = _SPELLINGS.get(found[0], found[0])
        if _PRECEDENCE[sign] < weakest:
            return ""
        self.position = found.end()
        return sign

    def logic(self, first: Expression, operator: str, precedence: int) -> Logic:
        operands = [first, self.operation(precedence + 1)]
        while self.operator(precedence):
            operands.append(self.operation(precedence + 1))
        return Logic(operator == "&&", tuple(operands))

    def arithmetic(self, first: Expression, operator: str, precedence: int) -> Arithmetic:
        rest: list[tuple[ArithmeticOperator, Expression]] = []
        while operator:
            rest.append((cast("ArithmeticOperator", operator), self.operation(precedence + 1)))
            operator = self.operator(precedence)
        return Arithmetic(first, tuple(rest))

    def operand(self) -> Expression:
        """A value with its negations, and the blanks around it."""
        self.blank()
        negations = 0
        while self.match(_NOT):
            negations += 1
            self.blank()
        found = self.primary()
        self.blank()
        if negations:
            found = Not(found) if negations % 2 else Not(Not(found))
        return found

    def primary(self) -> Expression:
        """A value without operators."""
        character = self.text[self.position : self.position + 1]
        match character:
            case "$":
                return self.reference()
            case '"' | "'":
                return self.string()
            case "[":
                return self.list_or_range()
            case "{":
                return self.map()
            case "(":
                self.position += 1
                found = self.expression()
                self.close(")", "this ( has no )")
                return found
        if character in _BEGIN_NUMBER and character:
            return self.number()
        return self.boolean()

    def boolean(self) -> Constant:
        start = self.position
        match self.word():
            case "true":
                return Constant(True)
            case "false":
                return Constant(False)
            case "null":
                raise self.error("there is no null here; a reference that is never set, such as $null, is one", start)
            case "":
                raise self.error("expected a value: $name, a string, a number, true, false, [list], {map} or (…)")
            case word:
                raise self.error(f"expected a value; a reference is written ${word}, a string '{word}'", start)

    def number(self) -> Constant:
        start = self.position
        found = self.match(_NUMBER)
        if found is None:
            raise self.error("expected a number; 0 - $x negates a reference")
        if found.end() - start > _MOST_DIGITS:
            raise self.error(f"this number has more than {_MOST_DIGITS} digits", start)
        if not any(found.groups()):
            return Constant(int(found[0]))
        value = float(found[0])
        if isinf(value):
            raise self.error("this number is too large", start)
        return Constant(value)

    def string(self) -> Constant | Interpolated:
        start = self.position
        found = self.match(_STRING)
        if found is None:
            quote = self.text[start]
            raise self.error(f"this string has no closing {quote}; inside it, {quote} is written {quote}{quote}")
        if found[1] is None:
            return Constant(found[2].replace("''", "'"))
        if found[1].endswith("\\"):
            self.slashed = self.position
        content = _ESCAPED.sub(_unescaped, found[1])
        if "\\u" in found[1]:
            content = _whole(content)
        if "$" not in content and "#" not in content:
            return Constant(content)
        try:
            block = self.template_in(content)
        except Wrong as wrong:
            raise self.error(wrong.problem, start + 1 + _written_at(found[1], wrong.position)) from wrong
        if len(block) == 1 and isinstance(text := block[0], Text):
            return Constant(text.text)
        return Interpolated(block)

    def list_or_range(self) -> ListOf | Range:
        start = self.position
        self.position += 1
        self.blank()
        if self.take("]"):
            return ListOf(())
        first = self.expression()
        if self.take(".."):
            last = self.expression()
            self.close("]", "this range has no ]", start)
            return Range(first, last)
        items = [first]
        while self.take(","):
            items.append(self.expression())
        self.close("]", "expected a comma or the ] of this list", start)
        return ListOf(tuple(items))

    def map(self) -> MapOf:
        start = self.position
        self.position += 1
        self.blank()
        pairs: list[tuple[Expression, Expression]] = []
        while not self.at("}"):
            if pairs and not self.take(","):
                break
            key = self.expression()
            if not self.take(":"):
                raise self.error("expected a colon behind the key of a map")
            pairs.append((key, self.expression()))
        self.close("}", "expected a comma or the } of this map", start)
        return MapOf(tuple(pairs))

    def close(self, bracket: str, problem: str, opened: int | None = None) -> None:
        """Step over `bracket`. `opened` is where its partner is, which is told where the text just ends."""
        if self.take(bracket):
            return
        if self.position == len(self.text) and opened is not None:
            raise self.error(problem, opened)
        if self.position == self.slashed:
            raise self.error('inside a string, " is written ""; a backslash is just a backslash', self.position - 2)
        if self.at("="):
            raise self.error(f"expected {bracket} or an operator; == compares")
        raise self.error(f"expected {bracket} or an operator" if bracket == ")" else problem)

    # References

    def reference(self, backslashes: int = 0) -> Reference:
        """The reference at the dollar here; an error where none is."""
        found = self.try_reference(backslashes)
        if found is None:
            raise self.error("expected a name behind the dollar; a text is written in quotes")
        return found

    def try_reference(self, backslashes: int = 0) -> Reference | None:
        """The reference at the dollar here, or None where the dollar is just text."""
        start = self.position
        found = self.match(_REFERENCE)
        if found is None:
            return None
        steps = tuple(self.steps()) if self.text[self.position : self.position + 1] in (".", "[") else ()
        if found[2]:
            if not self.at("}"):
                raise self.error(f"expected the }} of {found[0]}")
            self.position += 1
        source = self.text[start : self.position]
        return Reference(found[3], steps, bool(found[1]), source, backslashes)

    def steps(self) -> list[Step]:
        """`.name`, `.name(…)` and `[…]`, as far as they go."""
        steps: list[Step] = []
        while True:
            found = self.match(_STEP)
            if found is None:
                if not self.at("["):
                    return steps
                steps.append(self.index())
            elif found[2]:
                steps.append(Method(found[1], self.arguments()))
            else:
                steps.append(Member(found[1]))

    def index(self) -> Index:
        start = self.position
        self.position += 1
        key = self.expression()
        self.close(
            "]", "this [ has no ]; a [ that is text can be kept apart from a reference by writing ${name}", start
        )
        return Index(key)

    def arguments(self) -> tuple[Expression, ...]:
        """What stands behind the parenthesis just read, and the closing one."""
        start = self.position - 1
        self.blank()
        if self.take(")"):
            return ()
        if self.position == len(self.text):
            raise self.error("this ( has no )", start)
        found = [self.expression()]
        while self.take(","):
            found.append(self.expression())
        self.close(")", "this ( has no )", start)
        return tuple(found)


def _comparison(operator: str, left: Expression, right: Expression) -> Equality | Order:
    if operator in ("==", "!="):
        return Equality(operator == "!=", left, right)
    return Order(cast("OrderOperator", operator), left, right)


def _unescaped(escape: re.Match[str]) -> str:
    return '"' if escape[1] is None else chr(int(escape[1], 16))


def _whole(text: str) -> str:
    """Two escapes of a surrogate pair are one character; half a pair is U+FFFD, for it can't be sent."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _written_at(written: str, offset: int) -> int:
    """Where the character at `offset` of the unescaped string stands in what was `written`."""
    for escape in _ESCAPED.finditer(written):
        if escape.start() >= offset:
            break
        offset += len(escape[0]) - 1
    return offset
