"""What template values are made of: their kinds, the budget of one rendering, and what can go wrong.

A template sees these kinds alone: null, booleans, strings, numbers, lists, maps with string keys, and tools. What can
be done with each is written in tables; no attribute of a Python object is ever looked up by a name from a template.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Final, TypeAlias, Union

from wsgateway.templates.document import Number
from wsgateway.templates.vtl.errors import RenderError

STEPS: Final = 100_000
"""What one rendering may cost. A step is some microseconds at most, whatever it works on."""

SECONDS: Final = 0.05
"""How long one rendering may keep the processor, looked at every `_BLOCK` steps."""

_BLOCK: Final = 1000
_CHARACTERS_PER_STEP: Final = 128
_ITEMS_PER_STEP: Final = 8


class NoMethod(Exception):
    """The value has no such method for these arguments, or Java's would have thrown: the reference is null."""


class Work:
    """The budget of one rendering, spent before the work is done."""

    __slots__ = ("_clock", "_end", "_left", "_rest")

    def __init__(self, steps: int = STEPS, clock: Callable[[], float] = thread_time) -> None:
        self._left = steps if steps < _BLOCK else _BLOCK  # noqa: FURB136  # min() takes three times as long
        self._rest = steps - self._left
        self._clock = clock
        self._end = 0.0

    def spend(self, steps: int = 1) -> None:
        """Account for `steps`. Raises RenderError."""
        self._left -= steps
        if self._left < 0:
            self._next_block()

    def characters(self, count: int) -> None:
        """Account for looking at, or making, a string of `count` characters. Raises RenderError."""
        self._left -= 1 + count // _CHARACTERS_PER_STEP
        if self._left < 0:
            self._next_block()

    def items(self, count: int) -> None:
        """Account for visiting, or copying, `count` elements of a list or map. Raises RenderError."""
        self._left -= 1 + count // _ITEMS_PER_STEP
        if self._left < 0:
            self._next_block()

    def _next_block(self) -> None:
        total = self._left + self._rest
        if total < 0:
            raise RenderError("the template takes more steps than one rendering may")
        now = self._clock()
        if not self._end:
            self._end = now + SECONDS  # short renderings never look at the clock
        elif now > self._end:
            raise RenderError(f"the template takes longer than {SECONDS * 1000:.0f} ms")
        self._left = min(total, _BLOCK)
        self._rest = total - self._left


class Tool:
    """`$input`, `$util`, …: what it offers is listed here, nothing else is reachable."""

    __slots__ = ()

    def member(self, name: str) -> Value:
        """`$tool.name` and `$tool['name']`; null where there is none."""
        return None

    def set_member(self, name: str, value: Value) -> None:
        """`#set($tool.name = …)`; ignored where the tool can't be changed."""

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        """`$tool.name(…)`. Raises NoMethod and RenderError."""
        raise NoMethod(name)

    def elements(self) -> list[Value]:
        """What `#foreach` goes through."""
        return []

    def printed(self) -> Value:
        """What is printed for it: a string, a map or a list."""
        return ""


Value: TypeAlias = Union[None, bool, str, int, float, Number, list["Value"], dict[str, "Value"], Tool]  # noqa: UP007

Method: TypeAlias = Callable[..., Value]
"""Called with the value, the Work and the arguments; raises NoMethod and RenderError."""

Methods: TypeAlias = dict[tuple[str, int], Method]
"""By name and number of arguments."""


class ArrayList(list[Value]):
    """A list made by a template, which prints as Java's `[a, b]`; a list of a document prints as JSON."""

    __slots__ = ()


class Entry(Tool):
    """One key of a map and its value, as `entrySet()` gives them."""

    __slots__ = ("key", "value")

    def __init__(self, key: str, value: Value) -> None:
        self.key = key
        self.value = value

    def member(self, name: str) -> Value:
        return self.key if name == "key" else self.value if name == "value" else None

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        match name, arguments:
            case "getKey", []:
                return self.key
            case "getValue", []:
                return self.value
            case _:
                raise NoMethod(name)

    def printed(self) -> Value:
        return {self.key: self.value}


def number(value: Value) -> int | float | None:
    """What to compute with; None for what is no number. Booleans are none."""
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[return-value]  # mypy doesn't narrow by `kind`
    return value.value() if isinstance(value, Number) else None


def text_argument(value: Value) -> str:
    """An argument that Java declares as a String. Raises NoMethod."""
    if isinstance(value, str):
        return value
    raise NoMethod("a string is expected")


def int_argument(value: Value) -> int:
    """An argument that Java declares as an int. Raises NoMethod."""
    found = number(value)
    if isinstance(found, int) and -(2**31) <= found < 2**31:
        return found
    raise NoMethod("an integer is expected")
