"""Sets of characters, as Java's regular expressions name and combine them (java.util.regex.Pattern, "Summary").

A set is ranges of code points and, beside them, Unicode properties whose members only RE2 knows; only sets of ranges
can be computed with. Written for RE2, a set holds nothing that RE2 could read in a sense of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import re2

Range: TypeAlias = tuple[int, int]

LAST: Final = 0x10FFFF
_ANY: Final = r"[\x{0}-\x{10ffff}]"
_CASE: Final = 0x20
"""What lies between an ASCII letter and its other case."""


class Incomputable(Exception):
    """Which characters a Unicode property holds is only RE2's to know."""


@dataclass(frozen=True, slots=True)
class Characters:
    """`ranges` in order, none touching another; `properties` as RE2 writes them; with `inverted`, all others."""

    ranges: tuple[Range, ...] = ()
    properties: frozenset[str] = frozenset()
    inverted: bool = False

    def complement(self) -> Characters:
        if self.properties:
            return Characters(self.ranges, self.properties, not self.inverted)
        edges = [-1, *(edge for low, high in self.ranges for edge in (low, high)), LAST + 1]
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return Characters(tuple([(before + 1, behind - 1) for before, behind in gaps if before + 1 < behind]))

    def intersection(self, other: Characters) -> Characters:
        """*Raises* Incomputable."""
        if self.properties or other.properties:
            raise Incomputable
        return joined([self.complement(), other.complement()]).complement()

    def in_any_case(self) -> Characters:
        """With the other case of each ASCII letter: Java's CASE_INSENSITIVE knows no other letters."""
        ranges = list(self.ranges)
        for first, shift in ((ord("A"), _CASE), (ord("a"), -_CASE)):
            for low, high in self.ranges:
                start, stop = max(low, first), min(high, first + 25)
                if start <= stop:
                    ranges.append((start + shift, stop + shift))
        return Characters(_merged(ranges), self.properties, self.inverted)

    def re2(self) -> str:
        """This set in RE2's syntax."""
        if self.ranges and self.ranges[0][0] == 0 and self.ranges[-1][1] == LAST and not self.properties:
            rest = self.complement()
            return f"[^{rest.re2()[1:]}" if rest.ranges else _ANY
        items = [written(low) if low == high else f"{written(low)}-{written(high)}" for low, high in self.ranges]
        items += sorted(self.properties)
        if not items:
            return f"[^{_ANY[1:]}"
        return f"[{'^' if self.inverted else ''}{''.join(items)}]"


def joined(parts: Iterable[Characters]) -> Characters:
    """The union of all `parts`; of many, in one go. *Raises* Incomputable."""
    parts = [part for part in parts if part != EMPTY]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    if any(part.inverted for part in parts):
        raise Incomputable
    ranges = [span for part in parts for span in part.ranges]
    return Characters(_merged(ranges), frozenset().union(*[part.properties for part in parts]))


def written(code: int) -> str:
    """The character as RE2 reads it anywhere, and never as something else."""
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:x}}}"


def of(ranges: Iterable[Range]) -> Characters:
    return Characters(_merged(ranges))


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def _chars(text: str) -> Characters:
    """The set of `text`'s characters; `a-z` is a range, as in a class."""
    ranges: list[Range] = []
    position = 0
    while position < len(text):
        wide = text[position + 1 : position + 2] == "-"
        ranges.append((ord(text[position]), ord(text[position + (2 if wide else 0)])))
        position += 3 if wide else 1
    return of(ranges)


EMPTY: Final = Characters()
ALL: Final = of([(0, LAST)])
TERMINATORS: Final = _chars("\n\r\x85\u2028\u2029")
"""Java's line terminators, which its `.` doesn't match."""
VERTICAL: Final = _chars("\n-\r\x85\u2028\u2029")

DIGITS: Final = _chars("0-9")
WORD: Final = _chars("a-zA-Z_0-9")
SPACE: Final = _chars("\t-\r ")
HORIZONTAL: Final = _chars("\t \xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000")
SHORT: Final = {
    "d": DIGITS,
    "h": HORIZONTAL,
    "s": SPACE,
    "v": VERTICAL,
    "w": WORD,
}
"""The sets with a letter of their own; its capital is the complement."""

_NAMED: Final = {
    "ASCII": _chars("\0-\x7f"),
    "Alnum": _chars("a-zA-Z0-9"),
    "Alpha": _chars("a-zA-Z"),
    "Blank": _chars(" \t"),
    "Cntrl": _chars("\0-\x1f\x7f"),
    "Digit": DIGITS,
    "Graph": _chars("!-~"),
    "L1": _chars("\0-\xff"),
    "Lower": _chars("a-z"),
    "Print": _chars(" -~"),
    "Punct": _chars("!-/:-@[-`{-~"),
    "Space": SPACE,
    "Upper": _chars("A-Z"),
    "XDigit": _chars("0-9a-fA-F"),
    "all": ALL,
    "javaISOControl": _chars("\0-\x1f\x7f-\x9f"),
    "javaWhitespace": _chars("\t-\r\x1c-\x20\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"),
    "IsWhite_Space": _chars("\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"),
}
_CATEGORIES: Final = frozenset(
    [
        *("L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No"),
        *("P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So"),
        *("Z", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"),
    ]
)
_UNIONS: Final = {
    "LC": ("Lu", "Ll", "Lt"),
    "LD": ("L", "Nd"),
    "IsControl": ("Cc",),
    "IsDigit": ("Nd",),
    "IsLetter": ("L",),
    "IsPunctuation": ("P",),
    "IsTitlecase": ("Lt",),
    "javaDigit": ("Nd",),
    "javaLetter": ("L",),
    "javaLetterOrDigit": ("L", "Nd"),
    "javaSpaceChar": ("Z",),
    "javaTitleCase": ("Lt",),
}
CASED: Final = frozenset({"Lower", "Upper", "Lu", "Ll", "Lt", "LC", "IsTitlecase", "javaTitleCase"})
"""What holds one case only. Versions of Java differ in what these are where case doesn't matter."""

_SUGGESTIONS: Final = {
    "IsAlphabetic": "\\p{L}",
    "IsLowercase": "\\p{Ll}",
    "IsUppercase": "\\p{Lu}",
    "javaLowerCase": "\\p{Ll}",
    "javaUpperCase": "\\p{Lu}",
    "javaAlphabetic": "\\p{L}",
    "IsIdeographic": "\\p{IsHan}",
    "javaIdeographic": "\\p{IsHan}",
    "IsHex_Digit": "\\p{XDigit}",
}
_KEYS: Final = {"gc": "", "general_category": "", "sc": "Is", "script": "Is"}


def named(name: str) -> Characters | str:
    r"""The set that Java calls `\p{name}`, or what to write instead of it."""
    key, equals, value = name.partition("=")
    if equals and key.lower() in _KEYS:
        prefix = _KEYS[key.lower()]
        found = _category(value) if not prefix else _script(value)
        return found or _unknown(name)
    if name in _NAMED:
        return _NAMED[name]
    if name in _UNIONS:
        return _properties(_UNIONS[name])
    plain = name.removeprefix("Is")
    return _category(plain) or (_script(plain) if plain != name else None) or _unknown(name)


def is_cased(name: str) -> bool:
    return name.partition("=")[2] in CASED or name in CASED or name.removeprefix("Is") in CASED


def _category(name: str) -> Characters | None:
    return _properties([name]) if name in _CATEGORIES else None


def _properties(names: Iterable[str]) -> Characters:
    return Characters((), frozenset([f"\\p{{{name}}}" for name in names]))


def _script(name: str) -> Characters | None:
    """The set of a script, in any case as Java has it, where RE2 knows it."""
    proper = "_".join([part.capitalize() for part in name.split("_")])
    return _properties([proper]) if _is_script(proper) else None


@lru_cache(maxsize=256)
def _is_script(name: str) -> bool:
    if not name.replace("_", "").isalpha() or not name.isascii() or name == "Any" or (len(name) < 3 and name != "Yi"):
        return False
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(f"\\p{{{name}}}", options)
    except re2.error:
        return False
    return True


def _unknown(name: str) -> str:
    if name in _SUGGESTIONS:
        return f"\\p{{{name}}} is not supported; {_SUGGESTIONS[name]} comes closest"
    if name.startswith("In") or name.partition("=")[0].lower() in ("blk", "block"):
        return f"the block \\p{{{name}}} is not supported; write its range, as in [\\u0370-\\u03ff]"
    return (
        f"\\p{{{name}}} is not supported; use a general category as in \\p{{Lu}}, a script as in \\p{{IsLatin}}, "
        "or one of \\p{Alpha}, \\p{Lower}, \\p{Upper}, \\p{Digit}, \\p{Alnum}, \\p{Punct}, \\p{Space}, \\p{XDigit}"
    )
