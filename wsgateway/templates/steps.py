"""What a JSONPath does, step by step: each takes one node to those it selects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from wsgateway.templates.document import MISSING, Json, Missing, Number

WORK: Final = 200_000
"""Nodes one evaluation may look at: each of a 128 KiB message three times; what needs more is MISSING."""

CHARACTERS_PER_WORK: Final = 32


class OutOfWork(Exception):
    """The evaluation has looked at WORK nodes."""


class Scope:
    """One evaluation: its document, which filters may refer to, and the work left."""

    __slots__ = ("_absolute", "left", "root")

    def __init__(self, root: Json) -> None:
        self.root = root
        self.left = WORK
        self._absolute: dict[int, Json | Missing] | None = None

    def spend(self, nodes: int) -> None:
        """Account for `nodes`. Raises OutOfWork."""
        self.left -= nodes
        if self.left < 0:
            raise OutOfWork

    def absolute(self, path: Path) -> Json | Missing:
        """What a path from `$` finds, walked once however many rows ask. Raises OutOfWork."""
        if self._absolute is None:
            self._absolute = {}
        if id(path) not in self._absolute:
            self._absolute[id(path)] = path.within(self.root, self)
        return self._absolute[id(path)]


Step: TypeAlias = Callable[[Json, Scope], Iterator[Json]]
Predicate: TypeAlias = Callable[[Json, Scope], bool]


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled JSONPath, called with a document.

    A definite path (one that can name one value only) gives that value or MISSING; any other gives the list of what it
    found, as Jayway JsonPath does. Evaluation never raises; one that would look at more than WORK nodes is MISSING.
    `member` is the name where the path is just one name at the top level; `deep` says that what it finds may hold a
    value several times, as with `..`; `keys` are its names and indexes where it is made of these alone.
    """

    text: str
    steps: tuple[Step, ...] = field(compare=False, repr=False)
    definite: bool = field(compare=False, repr=False)
    member: str | None = field(compare=False, repr=False)
    deep: bool = field(compare=False, repr=False)
    keys: tuple[str | int, ...] | None = field(default=None, compare=False, repr=False)

    def __call__(self, document: Json) -> Json | Missing:
        if self.keys is not None:
            return follow(self.keys, document)
        return self.evaluate(Scope(document))

    def evaluate(self, scope: Scope) -> Json | Missing:
        """As a call with the document of `scope`, which tells afterwards how much work is left."""
        try:
            found = self.within(scope.root, scope)
            if self.deep:
                weigh(found, scope)
        except OutOfWork:
            return MISSING
        return found

    def within(self, node: Json, scope: Scope) -> Json | Missing:
        """As a call, `node` being the start and the work `scope`'s. Raises OutOfWork."""
        nodes = walk(self.steps, node, scope)
        if self.definite:
            return nodes[0] if nodes else MISSING
        return nodes


def follow(keys: Sequence[str | int], node: Json) -> Json | Missing:
    """What lies behind `keys`, one after the other: what `walk` finds, in a third of the time."""
    for key in keys:
        if isinstance(key, str):
            if not isinstance(node, dict) or key not in node:
                return MISSING
            node = node[key]
        else:
            if not isinstance(node, list) or not -len(node) <= key < len(node):
                return MISSING
            node = node[key]
    return node


def walk(steps: Sequence[Step], node: Json, scope: Scope) -> list[Json]:
    """What `steps` select from `node`, in document order. Raises OutOfWork."""
    nodes = [node]
    for step in steps:
        scope.spend(len(nodes))
        nodes = [found for start in nodes for found in step(start, scope)]
    return nodes


def weigh(found: Json | Missing, scope: Scope) -> None:
    """Account for what `..` found: where it holds a node and those below, a small message would print as a huge text.

    Raises OutOfWork.
    """
    waiting = [found]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            scope.spend(len(node))
            waiting.extend(node.values() if isinstance(node, dict) else node)
            if isinstance(node, dict):
                scope.spend(sum(map(len, node)) // CHARACTERS_PER_WORK)
        elif isinstance(node, str | Number):
            scope.spend(len(node if isinstance(node, str) else node.text) // CHARACTERS_PER_WORK)


def member(name: str) -> Step:
    """`.name`, `['name']`"""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        if isinstance(node, dict) and name in node:
            yield node[name]

    return step


def each_member(names: Sequence[str]) -> Step:
    """`['a','b']` on the way: the value of each."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        if isinstance(node, dict):
            scope.spend(len(names))
            for name in names:
                if name in node:
                    yield node[name]

    return step


def some_members(names: Sequence[str], *, every: bool) -> Step:
    """`['a','b']` at the end: one object of those, as Jayway JsonPath has it; with `every`, only if it has all."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        if isinstance(node, dict):
            scope.spend(len(names))
            found = {name: node[name] for name in names if name in node}
            if not every or len(found) == len(set(names)):
                yield found

    return step


def elements(indexes: Sequence[int]) -> Step:
    """`[n]`, `[0,2]`; a negative index counts from the end."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        if isinstance(node, list):
            scope.spend(len(indexes))
            for index in indexes:
                if -len(node) <= index < len(node):
                    yield node[index]

    return step


def piece(start: int | None, stop: int | None) -> Step:
    """`[a:b]`. With both, elements a up to b are taken one by one, each counted from the end where it is negative: as
    Jayway JsonPath has it, `[1:-1]` is nothing, and `[-1:2]` the last, the first and the second.
    """

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        if not isinstance(node, list):
            return
        if start is None or stop is None:
            indexes = range(len(node))[start:stop]
        else:
            indexes = range(max(start, -len(node)), min(stop, len(node)))
        scope.spend(len(indexes))
        for index in indexes:
            yield node[index]

    return step


def children(node: Json, scope: Scope) -> Iterator[Json]:
    """`.*`, `[*]`"""
    if isinstance(node, dict | list):
        scope.spend(len(node))
        yield from node.values() if isinstance(node, dict) else node


def descendants(node: Json, scope: Scope) -> Iterator[Json]:
    """The node itself, then all below it, parents before children."""
    waiting: list[Json] = [node]
    while waiting:
        found = waiting.pop()
        yield found
        if isinstance(found, dict | list):
            scope.spend(len(found))
            waiting.extend(reversed(found.values() if isinstance(found, dict) else found))


def branches(node: Json, scope: Scope) -> Iterator[Json]:
    """`..`: as `descendants`, but only objects and arrays: the next step takes something out of them."""
    return (found for found in descendants(node, scope) if isinstance(found, dict | list))


def those_where(predicate: Predicate) -> Step:
    """`[?(…)]`: elements of an array, or an object itself, as Jayway JsonPath has it."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        candidates = node if isinstance(node, list) else [node] if isinstance(node, dict) else []
        scope.spend(len(candidates))
        for candidate in candidates:
            if predicate(candidate, scope):
                yield candidate

    return step


def any_where(predicate: Predicate) -> Step:
    """`..[?(…)]`: every node for which it holds, once."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        for found in descendants(node, scope):
            if predicate(found, scope):
                yield found

    return step


def together(steps: Sequence[Step]) -> Step:
    """All that `steps` find, as one array."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        yield walk(steps, node, scope)

    return step
