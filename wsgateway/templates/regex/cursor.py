r"""A place in a Java regular expression whose `\Q…\E` is resolved: what they quote is no syntax."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple, NoReturn

from wsgateway.templates.expression import ExpressionError

DIGITS: Final = frozenset("0123456789")


class PatternError(ExpressionError):
    """A regular expression, or a text to replace with, is wrong, or can't be run in linear time."""


class Unit(NamedTuple):
    r"""A character of a pattern; `literal` where `\Q…\E` quotes it."""

    text: str
    literal: bool
    position: int


class Cursor:
    """What is taken is behind it; `at` counts units."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.units = _units(pattern)
        self.at = 0

    def at_end(self) -> bool:
        return self.at >= len(self.units)

    def peek(self, ahead: int = 0) -> str:
        """The next character where it is syntax; an empty string for a quoted one and at the end."""
        at = self.at + ahead
        return "" if at >= len(self.units) or self.units[at].literal else self.units[at].text

    def sees(self, text: str) -> bool:
        """Whether `text` comes next, and is syntax."""
        return all(self.peek(ahead) == character for ahead, character in enumerate(text))

    def take(self, text: str) -> bool:
        """Step over `text` if `sees` it."""
        if not self.sees(text):
            return False
        self.at += len(text)
        return True

    def take_while(self, characters: Container[str]) -> str:
        """Step over the syntax made of `characters` and return it."""
        taken = ""
        while (character := self.peek()) and character in characters:
            taken += character
            self.at += 1
        return taken

    def take_until(self, end: str) -> str | None:
        """Step over what is before the next `end`, and over `end`; None where there is none."""
        taken = ""
        while self.peek() not in ("", end):
            taken += self.peek()
            self.at += 1
        return taken if self.take(end) else None

    def take_any(self) -> int:
        """Step over one character, quoted or not, and return its code point."""
        self.at += 1
        return ord(self.units[self.at - 1].text)

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """*Raises* PatternError with `problem` at the unit `at`, or here."""
        at = self.at if at is None else at
        position = self.units[at].position if at < len(self.units) else len(self.pattern)
        raise PatternError(problem, self.pattern, position)


def _units(pattern: str) -> list[Unit]:
    units: list[Unit] = []
    position, quoted = 0, False
    while position < len(pattern):
        pair = pattern[position : position + 2]
        if pair == ("\\E" if quoted else "\\Q"):
            quoted = not quoted
            position += 2
        elif quoted or pair[0] != "\\":
            units.append(Unit(pair[0], quoted, position))
            position += 1
        else:
            units += [Unit(text, False, position + at) for at, text in enumerate(pair)]
            position += 2
    return units
