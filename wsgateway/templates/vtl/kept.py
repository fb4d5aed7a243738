"""What is compiled of texts while templates are rendered: paid for, and the short ones kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from wsgateway.templates.vtl.base import Work

T = TypeVar("T")


class Kept(Generic[T]):
    """`compile` of a text, which costs so many `steps` a character where it has to be done.

    Of texts no longer than `longest` the last are kept, `most` of them: it must not grow by what clients send.
    """

    __slots__ = ("_compile", "_kept", "_longest", "_most", "_steps")

    def __init__(self, compile: Callable[[str], T], *, steps: int, most: int, longest: int) -> None:
        self._compile = compile
        self._steps = steps
        self._most = most
        self._longest = longest
        self._kept: dict[str, T] = {}

    def __call__(self, text: str, work: Work) -> T:
        """Raises RenderError, and what `compile` does."""
        found = self._kept.get(text)
        if found is not None:
            return found
        work.spend(1 + self._steps * len(text))
        found = self._compile(text)
        if len(text) <= self._longest:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[text] = found
        return found
