"""Reading an expression from left to right, and saying where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SHOWN: Final = 100
"""Characters of a line that are shown around the place."""

MAX_NESTING: Final = 32
"""Things within each other in one expression; Python's stack carries several times this."""


class ExpressionError(ValueError):
    """An expression in a definition is wrong.

    `position` counts characters from 0; `problem` says what is wrong there and what would be right. As text it is all
    of that, with the expression and a caret below the place on lines of their own.
    """

    def __init__(self, problem: str, expression: str, position: int = 0) -> None:
        super().__init__(f"{problem} (at character {position + 1})\n{snippet(expression, position)}")
        self.problem = problem
        self.expression = expression
        self.position = position

    @property
    def in_one_line(self) -> str:
        """The same for a line of a log, whatever is in the expression."""
        return f"{self.problem} (at character {self.position + 1} of {self.expression!r})"


def snippet(line: str, column: int) -> str:
    """The part of `line` around `column`, counted from 0, and a caret below it."""
    first = max(0, min(column - _SHOWN // 2, len(line) - _SHOWN))
    before, after = ("…" if first else ""), ("…" if first + _SHOWN < len(line) else "")
    shown = "".join(c if c.isprintable() or c == "\t" else " " for c in line[first : first + _SHOWN])
    # What stands before the caret keeps its tabs, so that the caret is below its place however wide a tab is.
    indent = "".join("\t" if character == "\t" else " " for character in before + shown[: column - first])
    return f"{before}{shown}{after}\n{indent}^"


class Cursor:
    """A place in an expression. What is taken is behind it."""

    __slots__ = ("depth", "position", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        """How many things that stand within each other are being read."""

    @contextmanager
    def nested(self, problem: str) -> Iterator[None]:
        """One more thing within another is read. Raises ExpressionError with `problem` where these are too many."""
        if self.depth > MAX_NESTING:
            raise self.error(problem)
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def at(self, literal: str) -> bool:
        """Whether `literal` comes next."""
        return self.text.startswith(literal, self.position)

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def take(self, literal: str) -> bool:
        """Step over `literal` if it comes next."""
        if not self.at(literal):
            return False
        self.position += len(literal)
        return True

    def match(self, pattern: re.Pattern[str]) -> str:
        """Step over what `pattern` matches here and return it; an empty string where it doesn't match."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return ""
        self.position = found.end()
        return found[0]

    def expect(self, literal: str, problem: str) -> None:
        """Step over `literal`.

        Raises ExpressionError with `problem` where something else comes next.
        """
        if not self.take(literal):
            raise self.error(problem)

    def error(self, problem: str, position: int | None = None) -> ExpressionError:
        """`problem` at `position`, or here; the caller raises it."""
        return ExpressionError(problem, self.text, self.position if position is None else position)
