r"""Java's regular expressions written for RE2, which takes time linear in the text and shares most of their syntax.

What RE2 reads otherwise than Java (`.`, `$`, `\s`, `\h`, `(?i)`, `[a&&b]`, …) is spelled out; what it can't do at all
(look-around, back-references, …) or Java's versions disagree on is refused: nothing is taken with another meaning.
Source: java.util.regex.Pattern, "Summary of regular-expression constructs", all flags at their defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from wsgateway.templates.regex import characters
from wsgateway.templates.regex.characters import TERMINATORS, VERTICAL, Characters, written
from wsgateway.templates.regex.classes import character_class
from wsgateway.templates.regex.cursor import DIGITS, Cursor, PatternError
from wsgateway.templates.regex.escapes import escape

MAX_LENGTH: Final = 4096
"""Characters of a pattern."""

MAX_NESTING: Final = 50
MAX_REPEAT: Final = 1000
"""RE2's bound for the n of {n}."""

END: Final = "$"
"""Where Java's `$` stands in what is written; a dollar sign is never written so."""

_NOTHING: Final = "there is nothing before this that could be repeated"
_ANY: Final = characters.ALL.re2()
_NOT_A_TERMINATOR: Final = TERMINATORS.complement().re2()
_LINE_BREAK: Final = rf"(?:\x{{d}}\x{{a}}|{VERTICAL.re2()})"
_ASSERTIONS: Final = {"b": r"\b", "B": r"\B", "A": r"\A", "z": r"\z", "Z": END}
_GROUP_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9]*")
_FLAGS: Final = frozenset("is-dmuUx")

_REFUSED_GROUPS: Final = {
    "(?=": "look-ahead can't be done in linear time; match what follows too, and keep what you need in a group",
    "(?!": "look-ahead can't be done in linear time; use a second pattern for what must not be there",
    "(?<=": "look-behind can't be done in linear time; match what goes before too, and keep what you need in a group",
    "(?<!": "look-behind can't be done in linear time; use a second pattern for what must not be there",
    "(?>": "an atomic group is not supported, and nothing is ever tried twice here; write (?:…)",
    "(?P": "Java writes a named group as (?<name>…)",
    "(?#": "Java has no (?#…) comments",
}
_REFUSED_FLAGS: Final = {
    "d": "the flag d is not supported; write [^\\n] for its dot",
    "m": "the flag m is not supported; split the text into lines first",
    "u": "the flag u is not supported; name both cases of letters beyond ASCII, as in [éÉ]",
    "U": "the flag U is not supported; write \\p{L}, \\p{Nd} and the like",
    "x": "the flag x is not supported; write the pattern without blanks and comments",
}
_REFUSED_ESCAPES: Final = {
    "E": "there is no \\Q before this \\E",
    "G": "\\G is not supported; write the pattern of one match, the next begins where it ends",
    "N": "\\N{…} is not supported; write the character itself or \\x{…}",
    "X": "\\X is not supported; write . for one character",
    "k": "a back-reference can't be done in linear time; compare two groups in the template",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """A pattern for RE2: its groups are named g1, g2, …; `names` are Java's. END, if it `ends`, is at the very end of
    what is matched: nothing follows it.
    """

    text: str
    groups: int
    names: dict[str, int]
    ends: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of what is written: whether END is in it, whether it matches nothing at all, and would rather do so."""

    text: str
    ends: bool = False
    empty: bool = False
    shy: bool = False
    unrepeatable: str = ""
    """Why no quantifier may follow, if none may."""


def translate(pattern: str) -> Translation:
    """`pattern`, a Java regular expression, for RE2.

    *Raises* PatternError naming the position and what to write instead.
    """
    if len(pattern) > MAX_LENGTH:
        raise PatternError(f"a pattern has at most {MAX_LENGTH} characters", pattern[:40] + "…", 40)
    return _Translator(pattern).whole()


class _Translator:
    def __init__(self, pattern: str) -> None:
        self.cursor = Cursor(pattern)
        self.groups = 0
        self.names: dict[str, int] = {}
        self.any_case = False
        self.dot_all = False

    def whole(self) -> Translation:
        found = self.alternatives(0)
        if not self.cursor.at_end():
            self.cursor.fail("this ) closes nothing; write \\) for the character")
        return Translation(found.text, self.groups, self.names, found.ends)

    def alternatives(self, depth: int) -> _Piece:
        """What stands between two parentheses. Flags set in it hold up to its end, in later alternatives too."""
        if depth > MAX_NESTING:
            self.cursor.fail(f"groups nest at most {MAX_NESTING} deep")
        pieces = [self.sequence(depth)]
        while self.cursor.take("|"):
            pieces.append(self.sequence(depth))
        return _Piece(
            "|".join([piece.text for piece in pieces]),
            ends=any(piece.ends for piece in pieces),
            empty=any(piece.empty for piece in pieces),
            shy=any(piece.shy for piece in pieces) or any(piece.empty for piece in pieces[:-1]),
        )

    def sequence(self, depth: int) -> _Piece:
        cursor = self.cursor
        pieces: list[_Piece] = []
        while not cursor.at_end() and cursor.peek() not in ("|", ")"):
            start = cursor.at
            piece = self.quantified(depth)
            if piece.text and any(before.ends for before in pieces):
                cursor.fail("nothing but ) and | may follow $ and \\Z, which stand for the end of the text", start)
            pieces.append(piece)
        return _Piece(
            "".join([piece.text for piece in pieces]),
            ends=any(piece.ends for piece in pieces),
            empty=all(piece.empty for piece in pieces),
            shy=any(piece.shy for piece in pieces),
        )

    def quantified(self, depth: int) -> _Piece:
        cursor = self.cursor
        piece = self.atom(depth)
        start = cursor.at
        quantifier = self.quantifier()
        if not quantifier:
            return piece
        if piece.unrepeatable or piece.ends:
            cursor.fail(piece.unrepeatable or "the end of the text can't be repeated", start)
        if piece.empty and quantifier[0] != "?" and (piece.shy or "(?P<" in piece.text):
            # Engines differ in which of the empty rounds they take, and in what their groups hold.
            cursor.fail(
                "what this repeats can be empty, and engines differ in how; let it match at least one character", start
            )
        if cursor.peek() in ("*", "+", "?", "{"):
            cursor.fail("one quantifier follows another; put what the first repeats into a group (?:…)")
        return _Piece(
            piece.text + quantifier,
            empty=piece.empty or quantifier[0] in "*?" or quantifier.startswith(("{0}", "{0,")),
            shy=piece.shy or (quantifier.endswith("?") and len(quantifier) > 1),
        )

    def quantifier(self) -> str:
        cursor = self.cursor
        if cursor.sees("{"):
            text = self.counts()
        elif cursor.peek() in ("*", "+", "?"):
            text = chr(cursor.take_any())
        else:
            return ""
        if cursor.sees("+"):
            cursor.fail(
                "a possessive quantifier is not supported, and nothing is ever tried twice here; leave out the +"
            )
        return text + "?" if cursor.take("?") else text

    def counts(self) -> str:
        cursor = self.cursor
        start = cursor.at
        cursor.at += 1
        low = cursor.take_while(DIGITS)
        high = low
        if cursor.take(","):
            high = cursor.take_while(DIGITS)
        if not low or not cursor.take("}"):
            cursor.fail("expected {n}, {n,} or {n,m}; write \\{ for the character", start)
        if any(len(count) > 4 or int(count or 0) > MAX_REPEAT for count in (low, high)):
            cursor.fail(f"a count is at most {MAX_REPEAT}", start)
        if high and int(high) < int(low):
            cursor.fail("{n,m} counts upwards", start)
        return f"{{{int(low)}}}" if high == low else f"{{{int(low)},{high and int(high)}}}"

    def atom(self, depth: int) -> _Piece:
        cursor = self.cursor
        match cursor.peek():
            case "(":
                return self.group(depth)
            case "[":
                return _Piece(character_class(cursor, any_case=self.any_case).re2())
            case "\\":
                return self.escaped()
            case "*" | "+" | "?" | "{" as mark:
                cursor.fail(f"there is nothing before this {mark} to repeat; write \\{mark} for the character")
        match cursor.peek(), cursor.take_any():
            case ".", _:
                return _Piece(_ANY if self.dot_all else _NOT_A_TERMINATOR)
            case "^", _:
                return _Piece("\\A", empty=True, unrepeatable=_NOTHING)
            case "$", _:
                return _Piece(END, ends=True, empty=True)
            case _, code:
                return self.literal(code)

    def literal(self, code: int) -> _Piece:
        if self.any_case and chr(code).isascii() and chr(code).isalpha():
            return _Piece(characters.of([(code, code)]).in_any_case().re2())
        return _Piece(written(code))

    def escaped(self) -> _Piece:
        cursor = self.cursor
        start = cursor.at
        found = escape(cursor, any_case=self.any_case)
        if isinstance(found, int):
            return self.literal(found)
        if isinstance(found, Characters):
            return _Piece(found.re2())
        if found == "R":
            return _Piece(
                _LINE_BREAK, unrepeatable="\\R can't be repeated; write [\\r\\n] for any part of a line break"
            )
        if found == "b" and cursor.sees("{"):
            cursor.fail("\\b{g} is not supported; write . for one character", start)
        if found not in _ASSERTIONS:
            cursor.fail(_REFUSED_ESCAPES.get(found, f"Java has no \\{found}"), start)
        return _Piece(_ASSERTIONS[found], ends=found == "Z", empty=True, unrepeatable=_NOTHING)

    def group(self, depth: int) -> _Piece:
        cursor = self.cursor
        start = cursor.at
        for opening, problem in _REFUSED_GROUPS.items():
            if cursor.sees(opening):
                cursor.fail(problem, start)
        cursor.at += 1
        flags = self.any_case, self.dot_all
        opening = "(?:"
        if cursor.take("?<"):
            opening = self.capture(self.name())
        elif not cursor.take("?"):
            opening = self.capture("")
        elif not self.opens(start):
            return _Piece("", empty=True, unrepeatable=_NOTHING)
        inner = self.alternatives(depth + 1)
        self.any_case, self.dot_all = flags
        if not cursor.take(")"):
            cursor.fail("this ( is never closed; write \\( for the character", start)
        return replace(inner, text=f"{opening}{inner.text})")

    def capture(self, name: str) -> str:
        self.groups += 1
        if name:
            self.names[name] = self.groups
        return f"(?P<g{self.groups}>"

    def name(self) -> str:
        start = self.cursor.at
        name = self.cursor.take_until(">")
        if name is None or _GROUP_NAME.fullmatch(name) is None:
            self.cursor.fail("a group's name is made of ASCII letters and digits, as in (?<name>…)", start)
        if name in self.names:
            self.cursor.fail(f"there is a group {name} already", start)
        return name

    def opens(self, start: int) -> bool:
        """Read `i-s:` and the like; False for `i-s)`, which sets flags from here to the end of the group around it."""
        cursor = self.cursor
        at = cursor.at
        on, _, off = cursor.take_while(_FLAGS).partition("-")
        for flag in on:
            if flag in _REFUSED_FLAGS:
                cursor.fail(_REFUSED_FLAGS[flag], at)
        if "-" in off or not (cursor.sees(":") or cursor.sees(")")):
            cursor.fail("expected (?:…), (?<name>…) or flags i and s, as in (?i)", start)
        self.any_case = (self.any_case or "i" in on) and "i" not in off
        self.dot_all = (self.dot_all or "s" in on) and "s" not in off
        return chr(cursor.take_any()) == ":"
