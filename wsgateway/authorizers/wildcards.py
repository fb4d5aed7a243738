"""Wildcards of IAM policies: `*` stands for any text, also an empty one, `?` for one character.

IAM user guide, "IAM JSON policy elements: Resource". A star goes on over colons and slashes. What lies between two
stars is looked for once, from left to right, in a time that grows with the text and not with how often it nearly fits:
a policy may be asked about whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

Matcher = Callable[[str], bool]


class Wild(Enum):
    """A wildcard of a pattern."""

    MANY = "*"
    ONE = "?"


Part = str | Wild
"""A pattern is a list of these: texts that stand for themselves, and wildcards."""


def parts_of(text: str) -> list[Part]:
    """The pattern that a text is, every `*` and `?` in it a wildcard."""
    parts: list[Part] = []
    for star, between in enumerate(text.split("*")):
        parts += [Wild.MANY] if star else []
        for hole, piece in enumerate(between.split("?")):
            parts += [Wild.ONE] if hole else []
            parts += [piece] if piece else []
    return parts


class Glob:
    """A compiled pattern."""

    __slots__ = ("_pieces",)

    def __init__(self, parts: Iterable[Part]) -> None:
        pieces: list[list[Part]] = [[]]
        for part in parts:
            if part is Wild.MANY:
                pieces.append([])
            else:
                pieces[-1].append(part)
        ends = (0, len(pieces) - 1)
        self._pieces = tuple([_piece(piece) for number, piece in enumerate(pieces) if piece or number in ends])

    def matches(self, text: str) -> bool:
        """Whether the whole text is as the pattern says."""
        first, last = self._pieces[0], self._pieces[-1]
        if len(self._pieces) == 1:
            return len(text) == len(first) and _is_at(first, text, 0)
        at, end = len(first), len(text) - len(last)
        if at > end or not _is_at(first, text, 0) or not _is_at(last, text, end):
            return False
        for piece in self._pieces[1:-1]:
            found = text.find(piece, at, end) if isinstance(piece, str) else piece.find(text, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


class _Holed:
    """What stands between two stars, where it has a `?`."""

    __slots__ = ("_holes", "_text")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._text = "".join([part.value if isinstance(part, Wild) else part for part in parts])
        self._holes = 0
        """The places that every character may have, as bits."""
        at = 0
        for part in parts:
            if isinstance(part, Wild):
                self._holes |= 1 << at
            at += 1 if isinstance(part, Wild) else len(part)

    def __len__(self) -> int:
        return len(self._text)

    def is_at(self, text: str, start: int) -> bool:
        holes = self._holes
        return all(holes >> at & 1 or text[start + at] == character for at, character in enumerate(self._text))

    def find(self, text: str, start: int, end: int) -> int:
        """Where it first stands between `start` and `end`; -1 where it does not."""
        # All places where it may have begun are followed at once, one bit each (Baeza-Yates and Gonnet, "A New
        # Approach to Text Searching").
        places: dict[str, int] = {}
        for at, character in enumerate(self._text):
            places[character] = places.get(character, self._holes) | 1 << at
        last, begun = 1 << len(self._text) - 1, 0
        for at in range(start, end):
            begun = (begun << 1 | 1) & places.get(text[at], self._holes)
            if begun & last:
                return at + 1 - len(self._text)
        return -1


def _piece(parts: Sequence[Part]) -> str | _Holed:
    return _Holed(parts) if Wild.ONE in parts else "".join([part for part in parts if isinstance(part, str)])


def _is_at(piece: str | _Holed, text: str, start: int) -> bool:
    return text.startswith(piece, start) if isinstance(piece, str) else piece.is_at(text, start)


def any_of(patterns: Iterable[str]) -> Matcher:
    """Whether a text is as one of `patterns`, wildcards included."""
    return one_of(map(parts_of, patterns))


def one_of(patterns: Iterable[Sequence[Part]]) -> Matcher:
    """The same of patterns that were read."""
    plain, globs = set[str](), []
    for parts in patterns:
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            plain.add("".join(texts))
        elif list(parts) == [Wild.MANY]:
            return lambda text: True
        else:
            globs.append(Glob(parts))
    if not globs:
        return frozenset(plain).__contains__
    if len(globs) == 1 and not plain:
        return globs[0].matches
    every = tuple(globs)
    return lambda text: text in plain or any(glob.matches(text) for glob in every)
