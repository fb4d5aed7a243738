r"""Regular expressions with the meaning of Java's `Pattern` and the speed of RE2: time linear in the text.

API Gateway's selection patterns, `String.matches`, `replaceAll` and `split` in templates, and `=~` in JSONPath are all
Java's. Which of its constructs are taken is `regex.translation`'s to say. Texts are counted in characters, not in
UTF-16 units: an empty match never splits one. `\b` is at ASCII word characters, as in Java since 19.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import re2

from wsgateway.templates.regex.cursor import PatternError
from wsgateway.templates.regex.replacement import parse
from wsgateway.templates.regex.translation import END, translate

__all__ = ["Pattern", "PatternError", "PatternOverrun", "at_run_time", "compile"]

MAX_MEMORY: Final = 1 << 20
"""Bytes of RE2's program and what it remembers of it, per pattern."""

MAX_PROGRAM: Final = 5_000
"""Instructions of a pattern of a definition: a match takes at most about 6 ns for each, per character of the text."""

MAX_PROGRAM_AT_RUN_TIME: Final = 1_500
"""Of one made by a template, which may be made of what a client sent. `\\p{L}+` takes 1,200."""

MAX_LENGTH_AT_RUN_TIME: Final = 1_024

MAX_SECONDS: Final = 0.05
"""Of this thread, for all matches of one call, twice: each is linear in the text, but may look through all of it."""

SECONDS_PER_MATCH: Final = 1e-5
"""What each match adds to that: finding many is no fault."""

_TOO_LARGE: Final = "this pattern is too large; write + or * for a high count, or name fewer characters"

Spend: TypeAlias = Callable[[int], None]

_TERMINATORS: Final = tuple([character.encode() for character in "\n\r\x85\u2028\u2029"])
_AT_END: Final = {
    "": END,
    "\n": r"(?:\z|(?P<t{}>[\x{{a}}\x{{d}}\x{{85}}\x{{2028}}\x{{2029}}])\z)",
    "\r\n": r"(?:\z|(?P<t{}>\x{{d}}\x{{a}})\z)",
}
"""Java's `$` by how the text ends: it is before a last line terminator too, for which RE2 would need a look-ahead."""


class PatternOverrun(Exception):
    """Finding all matches of a pattern took longer than MAX_SECONDS."""


@dataclass(frozen=True, slots=True)
class _Program:
    """A pattern as RE2 runs it: where Java's groups are among RE2's, and those of what `$` looked at."""

    regexp: Any
    groups: tuple[int | None, ...]
    behind: tuple[int, ...]


class _Match(NamedTuple):
    """One match in `data`. A line terminator that `$` looked at ends the text, at `bound`, and is in no group."""

    data: bytes
    program: _Program
    found: Any
    bound: int

    def span(self) -> tuple[int, int]:
        start, stop = self.found.span()
        return (start, stop) if stop <= self.bound else (min(start, self.bound), self.bound)

    def group(self, group: int) -> bytes:
        """What Java's group holds; nothing where it took no part."""
        index = self.program.groups[group]
        start, stop = (-1, -1) if index is None else self.found.span(index)
        return self.data[start : min(stop, self.bound)] if 0 <= start < self.bound else b""


def _free(_: int) -> None:
    pass


def compile(text: str) -> Pattern:
    """`text`, a regular expression as Java reads it.

    *Raises* PatternError, an ExpressionError that names the position and what to write instead, for what is wrong and
    for what can't be run in linear time.
    """
    return Pattern(text, MAX_PROGRAM)


def at_run_time(text: str) -> Pattern:
    """As `compile`, for patterns that templates make at run time: bounded more tightly."""
    if len(text) > MAX_LENGTH_AT_RUN_TIME:
        problem = f"a pattern made at run time has at most {MAX_LENGTH_AT_RUN_TIME} characters"
        raise PatternError(problem, text[:40] + "…", 40)
    return Pattern(text, MAX_PROGRAM_AT_RUN_TIME)


class Pattern:
    """A compiled regular expression; equal patterns have equal texts."""

    def __init__(self, text: str, max_program: int) -> None:
        self.text = text
        self._translation = translate(text)
        program = _program(self._translation.text, self._translation.groups, text)
        if program.regexp.programsize > max_program:
            raise PatternError(f"{_TOO_LARGE}: it takes more than {max_program} steps", text)
        self._programs = {"": program}

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is a match."""
        return self._programs[""].regexp.fullmatch(_encoded(text)) is not None

    def find(self, text: str) -> bool:
        """Whether some part of `text` is a match. *Raises* PatternOverrun."""
        return next(self._matches(_encoded(text)), None) is not None

    def replace_all(self, text: str, replacement: str, spend: Spend = _free) -> str:
        r"""`text` with each match replaced; in `replacement`, `$1` and `${name}` are groups, a backslash escapes.

        `spend` hears how many characters are made, before they are; what it raises ends the work.
        *Raises* PatternError for a replacement Java refuses (where nothing matches, none is), PatternOverrun.
        """
        return self._replaced(text, replacement, spend, once=False)

    def replace_first(self, text: str, replacement: str, spend: Spend = _free) -> str:
        """As `replace_all`, for the first match alone."""
        return self._replaced(text, replacement, spend, once=True)

    def split(self, text: str, limit: int = 0, spend: Spend = _free) -> list[str]:
        """The parts of `text` between matches, as Java splits: with a positive `limit` at most so many, the last being
        the rest; with none, without the empty ones at the end; an empty match at the beginning splits nothing.

        `spend` is as for `replace_all`. *Raises* PatternOverrun.
        """
        data = _encoded(text)
        parts: list[bytes] = []
        end = 0
        for match in self._matches(data):
            if 0 < limit <= len(parts) + 1:
                break
            start, stop = match.span()
            if stop == 0:
                continue
            spend(1 + start - end)
            parts.append(data[end:start])
            end = stop
        if not parts:
            return [text]
        spend(1 + len(data) - end)
        parts.append(data[end:])
        while limit == 0 and parts and not parts[-1]:
            parts.pop()
        return [_decoded(part) for part in parts]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def _replaced(self, text: str, replacement: str, spend: Spend, *, once: bool) -> str:
        data = _encoded(text)
        parts: list[bytes] = []
        pieces: list[bytes | int] | None = None
        end = 0
        for match in self._matches(data):
            if pieces is None:
                pieces = parse(replacement, self._translation)
            start, stop = match.span()
            made = [match.group(piece) if isinstance(piece, int) else piece for piece in pieces]
            added = [data[end:start], *made]
            spend(1 + sum(map(len, added)))
            parts += added
            end = stop
            if once:
                break
        if pieces is None:
            return text
        spend(len(data) - end)
        return _decoded(b"".join([*parts, data[end:]]))

    def _matches(self, data: bytes) -> Iterator[_Match]:
        """All matches, as Java's `find` goes on. *Raises* PatternOverrun."""
        program = self._program_for(data)
        deadline = time.thread_time() + MAX_SECONDS
        forgiven = False
        position = 0
        while position <= len(data):
            found = program.regexp.search(data, position)
            if found is None:
                return
            bounds = [at for index in program.behind if (at := found.start(index)) >= 0]
            match = _Match(data, program, found, bounds[0] if bounds else len(data))
            start, stop = match.span()
            if start == stop and _inside_character(data, start):
                position = start + 1  # RE2 looks for an empty match between any two bytes
                continue
            yield match
            position = stop if stop > start else stop + 1
            while _inside_character(data, position):
                position += 1
            deadline += SECONDS_PER_MATCH
            now = time.thread_time()
            if now > deadline:
                if not forgiven:  # Python may have collected its garbage meanwhile, which is not the pattern's doing
                    forgiven, deadline = True, now + MAX_SECONDS
                    continue
                raise PatternOverrun(f"the matches of {self.text[:100]!r} take too long to find")

    def _program_for(self, data: bytes) -> _Program:
        """What finds matches in a text that ends as `data` does."""
        if not self._translation.ends:
            return self._programs[""]
        ending = "\r\n" if data.endswith(b"\r\n") else "\n" if data.endswith(_TERMINATORS) else ""
        if ending not in self._programs:
            pieces = self._translation.text.split(END)
            ends = [_AT_END[ending].format(at) for at in range(len(pieces) - 1)]
            text = "".join([piece + end for piece, end in zip(pieces, [*ends, ""], strict=True)])
            self._programs[ending] = _program(text, self._translation.groups, self.text)
        return self._programs[ending]


def _program(text: str, groups: int, pattern: str) -> _Program:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    options.encoding = re2.Options.Encoding.UTF8
    try:
        regexp = re2.compile(text.encode(), options)
    except re2.error as error:
        problem = error.args[0]
        told = problem.decode(errors="replace") if isinstance(problem, bytes) else problem
        raise PatternError(f"{_TOO_LARGE}: {told}", pattern) from error
    at = {name.decode(): index for name, index in regexp.groupindex.items()}
    return _Program(
        regexp,
        # RE2 forgets a group that {0} repeats.
        (0, *[at.get(f"g{group}") for group in range(1, groups + 1)]),
        tuple([index for name, index in at.items() if name[0] == "t"]),
    )


def _inside_character(data: bytes, position: int) -> bool:
    return position < len(data) and data[position] & 0xC0 == 0x80


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
