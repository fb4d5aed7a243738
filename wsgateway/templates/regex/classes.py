"""Character classes of Java's regular expressions: `[a-z&&[^b]]`, `[a-c[x-z]]`, `[^\\s]`."""

from __future__ import annotations

from typing import Final

from wsgateway.templates.regex.characters import Characters, Incomputable, joined, of
from wsgateway.templates.regex.cursor import Cursor
from wsgateway.templates.regex.escapes import escape

MAX_NESTING: Final = 50

_APART: Final = "what isn't in a Unicode property can't be in one class with others; use (?:…|…)"


def character_class(cursor: Cursor, *, any_case: bool, depth: int = 0) -> Characters:
    """The set of the class whose `[` is at the cursor. *Raises* PatternError."""
    return _Reader(cursor, any_case, depth).whole()


class _Reader:
    def __init__(self, cursor: Cursor, any_case: bool, depth: int) -> None:
        self.cursor = cursor
        self.any_case = any_case
        self.depth = depth
        self.start = cursor.at

    def whole(self) -> Characters:
        cursor = self.cursor
        if self.depth > MAX_NESTING:
            cursor.fail(f"classes nest at most {MAX_NESTING} deep")
        cursor.at += 1
        if cursor.take("^"):
            found = self.inverted()
        else:
            found = self.union(first=True)
            while cursor.sees("&&"):
                found = self.intersected(found)
        if not cursor.take("]"):
            cursor.fail("this [ is never closed; write \\[ for the character", self.start)
        return found

    def inverted(self) -> Characters:
        found = self.union(first=True, nested=False)
        if self.cursor.sees("[") or self.cursor.sees("&&"):
            self.cursor.fail(
                "versions of Java differ in what [^…] means around this; write it as in [\\x00-\\x{10FFFF}&&[^…]]"
            )
        return found.complement()

    def union(self, *, first: bool = False, nested: bool = True) -> Characters:
        """What comes before `&&` or the closing bracket, which is itself a character where it comes `first`."""
        cursor = self.cursor
        members: list[Characters] = []
        while not cursor.at_end() and (first or not cursor.sees("]")) and not cursor.sees("&&"):
            start = cursor.at
            if not cursor.sees("["):
                member = self.member()
            elif nested:
                member = character_class(cursor, any_case=self.any_case, depth=self.depth + 1)
            else:
                break
            first = False
            members.append(member)
            if member.inverted and len(members) > 1:
                cursor.fail(_APART, start)
        try:
            return joined(members)
        except Incomputable:
            cursor.fail(_APART)

    def intersected(self, left: Characters) -> Characters:
        """`left` and what follows `&&`: one class, or plain characters."""
        cursor = self.cursor
        start = cursor.at
        cursor.at += 2
        if start == self.start + 1 or cursor.peek() in ("]", "&"):
            cursor.fail("&& stands between two sets of characters, as in [a-z&&[^b]]", start)
        if cursor.sees("["):
            right = character_class(cursor, any_case=self.any_case, depth=self.depth + 1)
            if not (cursor.sees("]") or cursor.sees("&&")):
                cursor.fail("put all that follows && into one pair of brackets, as in [a-z&&[^b]]")
        else:
            right = self.union(nested=False)
            if cursor.sees("["):
                cursor.fail("put all that follows && into one pair of brackets, as in [a-z&&[^b]]")
        try:
            return left.intersection(right)
        except Incomputable:
            cursor.fail("&& with a Unicode property is not supported; write the ranges of its characters", start)

    def member(self) -> Characters:
        """A character, a range, or a set behind a backslash."""
        cursor = self.cursor
        start = cursor.at
        low = self.one()
        if isinstance(low, Characters):
            return low
        high: int | Characters = low
        if cursor.sees("-") and not cursor.at + 1 >= len(cursor.units) and cursor.peek(1) not in ("[", "]"):
            cursor.at += 1
            high = self.one()
        if isinstance(high, Characters) or high < low:
            cursor.fail("a range goes from one character up to another, as in a-z", start)
        found = of([(low, high)])
        return found.in_any_case() if self.any_case else found

    def one(self) -> int | Characters:
        cursor = self.cursor
        start = cursor.at
        if not cursor.sees("\\"):
            return cursor.take_any()
        found = escape(cursor, any_case=self.any_case)
        if isinstance(found, str):
            cursor.fail(f"\\{found} is not allowed in a character class", start)
        return found
