"""JSONPath in Jayway JsonPath's dialect, the one API Gateway evaluates (developer guide, "Data transformations").

`$.name`, `['name']`, `[n]`, `[-n]`, `[*]`, `.*`, `[a:b]`, `[0,2]`, `['a','b']`, `..name`, filters `[?(@.n > 1)]` and a
closing function as in `.length()`. As Jayway does, a path without the leading `$` is read as if it had one.
"""

from __future__ import annotations

import re
from typing import Final

from wsgateway.templates import steps
from wsgateway.templates.expression import MAX_NESTING, Cursor, ExpressionError
from wsgateway.templates.filters import read_filter
from wsgateway.templates.functions import FUNCTIONS, Function, call, sizes
from wsgateway.templates.operands import BLANK, Operand, read_operand, read_string
from wsgateway.templates.steps import Path, Step

_NAME = re.compile(r"""[^\s.,\[\](){}'"*?@]+""")
_NAME_IN_FILTER = re.compile(r"""[^\s.,\[\](){}'"*?@=!<>&|~]+""")
_INDEX = re.compile(r"-?[0-9]{1,9}(?![0-9])")


MAX_LENGTH: Final = 8192
"""Characters of a path."""


def compile(path: str) -> Path:
    """`path`, ready to be called with a document.

    Raises ExpressionError naming the position and what would be right there, also for what isn't supported yet.
    """
    cursor = Cursor(path)
    if len(path) > MAX_LENGTH:
        raise ExpressionError(f"a JSONPath has at most {MAX_LENGTH} characters", path[:40] + "…", 40)
    if not path:
        raise cursor.error("a JSONPath may not be empty; $ is the whole document")
    rooted = cursor.take("$") or cursor.at("[") or cursor.at(".")
    found = _Reader(cursor, _NAME).path(0, bare=not rooted)
    if not cursor.at_end():
        raise cursor.error("expected . or [; a name with other characters is written ['…']")
    return found


def _read_path_in_filter(cursor: Cursor) -> Path:
    with cursor.nested(f"paths nest at most {MAX_NESTING} deep"):
        return _Reader(cursor, _NAME_IN_FILTER).path(cursor.position - 1, bare=False)


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
        self.appends = False
        """Whether append() ends the path: what is found may hold a value several times, as with `..`."""
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
        return Path(text, tuple(self.steps), self.definite, member, self.scans or self.appends, keys)

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
        """Read a name, `*` or a function; False behind what ends a path."""
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
        self.function(name, start)
        return False

    def function(self, name: str, start: int) -> None:
        """Read the arguments of the function `name`, which ends the path."""
        cursor = self.cursor
        function = FUNCTIONS.get(name)
        if function is None:
            raise cursor.error(f"there is no function {name}(); there are {', '.join(FUNCTIONS)}", start)
        if self.scans and not function.scans:
            raise cursor.error(f"{name}() is not for what .. finds; use it behind a path to one value", start)
        arguments = self.arguments(name, function, start)
        self.appends = name == "append"
        if self.scans:
            if self.deep:
                self.steps.append(steps.branches)
            self.steps = [steps.together(self.steps)]
            self.definite, self.deep = True, False
        self.add(sizes if self.scans and name in ("length", "size") else call(function, arguments))

    def arguments(self, name: str, function: Function, start: int) -> list[Operand]:
        cursor = self.cursor
        cursor.expect("(", "expected (")
        arguments: list[Operand] = []
        cursor.match(BLANK)
        while not cursor.take(")"):
            if arguments:
                cursor.expect(",", "expected , or )")
                cursor.match(BLANK)
            arguments.append(read_operand(cursor, _read_path_in_filter).evaluate)
            cursor.match(BLANK)
        fewest, most = function.arguments
        if not fewest <= len(arguments) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise cursor.error(f"{name}() takes {wanted} argument(s), not {len(arguments)}", start)
        return arguments

    def bracket(self) -> None:
        """Read `[…]`."""
        cursor = self.cursor
        cursor.expect("[", "expected [")
        cursor.match(BLANK)
        if cursor.take("*"):
            self.add(steps.children, definite=False)
        elif cursor.take("?"):
            cursor.match(BLANK)
            predicate = read_filter(cursor, _read_path_in_filter)
            where, self.deep = steps.any_where if self.deep else steps.those_where, False
            self.add(where(predicate), definite=False)
        elif cursor.at("'") or cursor.at('"'):
            self.quoted_names()
        else:
            self.indexes()
        cursor.match(BLANK)
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
        cursor.match(BLANK)
        if cursor.take(":"):
            cursor.match(BLANK)
            self.add(steps.piece(first, self.index()), definite=False)
            cursor.match(BLANK)
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
        self.cursor.match(BLANK)
        found = self.cursor.take(",")
        self.cursor.match(BLANK)
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
