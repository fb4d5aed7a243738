"""JSONPath in Jayway JsonPath's dialect, the one API Gateway evaluates (developer guide, "Data transformations").

`$.name`, `['name']`, `[n]`, `[-n]`, `[*]`, `.*`, `[a:b]`, `[0,2]`, `['a','b']`, `..name`, filters `[?(@.n > 1)]` and a
closing `.length()`. As Jayway does, a path without the leading `$` is read as if it had one.
"""

from __future__ import annotations

import re
from typing import Final

from wsgateway.templates import steps
from wsgateway.templates.expression import Cursor
from wsgateway.templates.filters import read_filter
from wsgateway.templates.steps import Path, Step

_BLANK = re.compile(r"[ \t]*")
_NAME = re.compile(r"""[^\s.,\[\](){}'"*?@]+""")
_NAME_IN_FILTER = re.compile(r"""[^\s.,\[\](){}'"*?@=!<>&|~]+""")
_INDEX = re.compile(r"-?[0-9]{1,9}(?![0-9])")
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def compile(path: str) -> Path:
    """`path`, ready to be called with a document.

    Raises ExpressionError naming the position and what would be right there, also for what isn't supported yet.
    """
    cursor = Cursor(path)
    if not path:
        raise cursor.error("a JSONPath may not be empty; $ is the whole document")
    rooted = cursor.take("$") or cursor.at("[") or cursor.at(".")
    found = _Reader(cursor, _NAME).path(0, bare=not rooted)
    if not cursor.at_end():
        raise cursor.error("expected . or [; a name with other characters is written ['…']")
    return found


def _read_path_in_filter(cursor: Cursor) -> Path:
    return _Reader(cursor, _NAME_IN_FILTER).path(cursor.position - 1, bare=False)


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


class _Reader:
    """Reads the steps of one path, as far as they go."""

    def __init__(self, cursor: Cursor, name: re.Pattern[str]) -> None:
        self.cursor = cursor
        self.name = name
        self.steps: list[Step] = []
        self.definite = True
        self.deep = False
        """Whether `..` stands before the step being read."""
        self.scans = False
        """Whether `..` stands anywhere."""
        self.names: list[str] | None = None
        """The names of the last step where it is `['a','b']`: what it means depends on whether a step follows."""
        self.member: str | None = None
        self.keys: list[str | int] | None = []
        """The path's names and indexes; None as soon as it has another step."""

    def path(self, start: int, *, bare: bool) -> Path:
        """The path written from `start`, read from here on; a `bare` one goes on with a name without its dot."""
        more = self.bare_step() if bare else self.next_step()
        while more:
            more = self.next_step()
        self.close_names(last=True)
        member = self.member if len(self.steps) == 1 else None
        text = self.cursor.text[start : self.cursor.position]
        keys = None if self.keys is None else tuple(self.keys)
        return Path(text, tuple(self.steps), self.definite, member, self.scans, keys)

    def next_step(self) -> bool:
        """Read one step; False where none follows."""
        cursor = self.cursor
        if cursor.at("["):
            self.close_names(last=False)
            self.bracket()
            return True
        if not cursor.take("."):
            return False
        self.close_names(last=False)
        self.deep = cursor.take(".")
        self.scans = self.scans or self.deep
        if cursor.at("["):
            self.bracket()
            return True
        return self.bare_step()

    def bare_step(self) -> bool:
        """Read a name, `*` or `length()`; False behind what ends a path."""
        cursor = self.cursor
        if cursor.take("*"):
            self.add(steps.children, definite=False)
            return True
        start = cursor.position
        name = cursor.match(self.name)
        if not name:
            raise cursor.error("expected a name, * or [ behind the dot" if start else "expected $, a name or *")
        if not cursor.at("("):
            self.member = name
            self.add(steps.member(name), key=name)
            return True
        if name != "length" or not cursor.take("()"):
            raise cursor.error(f"the function {name}() is not supported yet; length() is", start)
        if self.deep or not self.definite:
            raise cursor.error("length() behind a path that can find several values is not supported yet", start)
        self.add(steps.length)
        return False

    def bracket(self) -> None:
        """Read `[…]`."""
        cursor = self.cursor
        cursor.expect("[", "expected [")
        cursor.match(_BLANK)
        if cursor.take("*"):
            self.add(steps.children, definite=False)
        elif cursor.take("?"):
            cursor.match(_BLANK)
            predicate = read_filter(cursor, _read_path_in_filter, read_string)
            where, self.deep = steps.any_where if self.deep else steps.those_where, False
            self.add(where(predicate), definite=False)
        elif cursor.at("'") or cursor.at('"'):
            self.quoted_names()
        else:
            self.indexes()
        cursor.match(_BLANK)
        cursor.expect("]", "expected ]")

    def quoted_names(self) -> None:
        names = [read_string(self.cursor)]
        while self.comma():
            if not (self.cursor.at("'") or self.cursor.at('"')):
                raise self.cursor.error("expected a quoted name behind the comma")
            names.append(read_string(self.cursor))
        if len(names) == 1:
            self.member = names[0]
            self.add(steps.member(names[0]), key=names[0])
        else:
            self.names = names

    def close_names(self, *, last: bool) -> None:
        if self.names is not None:
            step = steps.some_members(self.names, every=self.deep) if last else steps.each_member(self.names)
            self.add(step, definite=last)
            self.names = None

    def indexes(self) -> None:
        cursor = self.cursor
        first = self.index()
        cursor.match(_BLANK)
        if cursor.take(":"):
            cursor.match(_BLANK)
            self.add(steps.piece(first, self.index()), definite=False)
            cursor.match(_BLANK)
            if cursor.at(":"):
                raise cursor.error("a slice is [from:to], without a step")
            return
        if first is None:
            raise cursor.error("expected a quoted name, an index, a slice, * or a filter ?(…)")
        indexes = [first]
        while self.comma():
            index = self.index()
            if index is None:
                raise cursor.error("expected an index behind the comma")
            indexes.append(index)
        key = indexes[0] if len(indexes) == 1 else None
        self.add(steps.elements(indexes), definite=key is not None, key=key)

    def index(self) -> int | None:
        text = self.cursor.match(_INDEX)
        return int(text) if text else None

    def comma(self) -> bool:
        self.cursor.match(_BLANK)
        found = self.cursor.take(",")
        self.cursor.match(_BLANK)
        return found

    def add(self, step: Step, *, definite: bool = True, key: str | int | None = None) -> None:
        if self.deep:
            self.steps.append(steps.branches)
        if self.deep or key is None:
            self.keys = None
        elif self.keys is not None:
            self.keys.append(key)
        self.steps.append(step)
        self.definite = self.definite and definite and not self.deep
        self.deep = False
