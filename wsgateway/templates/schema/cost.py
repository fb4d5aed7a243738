"""How much work a schema can make of a message, known before any of it is done.

What checks a message can't be interrupted, so the work is bounded beforehand: a schema of a few lines can ask for a
number of visits that doubles with each level of the message. What counts is one visit of one schema at one value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from wsgateway.templates.schema.graph import MAX_DEPTH, Node
from wsgateway.templates.schema.patterns import program_size

BUDGET: Final = 1_000_000
"""Visits for one message, about 50 ms."""

_COMPARISON: Final = 4.0
"""What finding equal items takes, for each value in them."""
_PER_INSTRUCTION: Final = 0.12
"""What one instruction of a pattern takes for one character."""
_LARGE_INTEGERS: Final = 200
"""So many integers beyond 2**53 may be in a message whose items must differ: jsonschema-rs compares each with each."""
_EXACT: Final = 1 << 53

_flat = chain.from_iterable

_Works = dict[Node, float]
_Own = Callable[[Mapping[str, Any]], float]
"""The work that the keywords of one schema make of one value, without the schemas within it."""


class Cost:
    """The most work of one schema at each level of a message, the whole message being level 0."""

    def __init__(self, root: Node) -> None:
        order = list(_reachable(root))
        self._compares = any(node.schema.get("uniqueItems") is True for node in order)
        compared = _COMPARISON if self._compares else 0.0
        # What must be unique is compared as a whole, by each such list around it.
        self._visits = [
            work + compared * level for level, work in enumerate(_levels(root, order, _keywords, compared > 0))
        ]
        self._instructions = _levels(root, order, _programs, False)
        safe = BUDGET / max(max(self._visits) + max(self._instructions) * _PER_INSTRUCTION, 1)
        self.safe_bytes = int(min(safe, _LARGE_INTEGERS * 16) if self._compares else safe)
        """A message of so many bytes can't go beyond the budget, whatever it holds."""

    def exceeds(self, document: object) -> bool:
        """Whether a document might take more than the budget. At most MAX_DEPTH levels are looked at."""
        left: float = BUDGET
        large = 0
        values: list[Any] = [document]
        for level, work in enumerate(self._visits):
            dicts = [value for value in values if type(value) is dict]
            left -= work * len(values)
            if level < len(self._instructions) and self._instructions[level]:
                characters = sum([len(value) for value in values if type(value) is str]) + sum(map(len, _flat(dicts)))
                left -= characters * self._instructions[level] * _PER_INSTRUCTION
            if self._compares:
                large += sum([not -_EXACT < value < _EXACT for value in values if type(value) is int])
            if left < 0 or large > _LARGE_INTEGERS:
                return True
            values = [*_flat(map(dict.values, dicts)), *_flat([value for value in values if type(value) is list])]
            if not values:
                return False
        return False


def _levels(root: Node, order: Sequence[Node], own: _Own, all: bool) -> list[float]:
    """At each level, the most work that all schemas of the level make of one value; `all` of them, or while there is
    any."""
    works: _Works = {}
    for node in order:
        _here(node, own, works)
    levels = [works[root]]
    for _ in range(MAX_DEPTH):
        inner: dict[Node, _Inner] = {}
        works = {node: min(_inner(node, works, inner).most, BUDGET + 1.0) for node in order}
        if not all and not any(works.values()):
            break
        levels.append(works[root])
    return levels


def _reachable(root: Node) -> Iterator[Node]:
    """Every schema that may be looked at because of `root`."""
    seen = {root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        inner = [node.target] if "$ref" in node.schema else list(node.parts.values())
        for each in inner:
            if each is not None and each not in seen:
                seen.add(each)
                waiting.append(each)


def _here(node: Node, own: _Own, found: _Works) -> float:
    """The work a schema makes of one value, without what is inside the value. Graphs are checked to have no circle."""
    work = found.get(node)
    if work is None:
        work = own(node.schema) + sum(_here(part, own, found) for part in node.in_place())
        found[node] = work
    return work


def _programs(schema: Mapping[str, Any]) -> float:
    """How many instructions the patterns of one schema have: each may be run for each character of a string."""
    if "$ref" in schema:
        return 0.0
    patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    named = schema.get("patternProperties")
    return float(sum(map(program_size, [*patterns, *(named if isinstance(named, dict) else ())])))


def _keywords(schema: Mapping[str, Any]) -> float:
    """What the keywords of one schema take, in visits."""
    if "$ref" in schema:
        return 1.0
    work = 1.0 + len(schema)
    for key in ("enum", "required", "properties", "dependencies"):
        held = schema.get(key)
        work += len(held) / 4 if isinstance(held, list | dict) else 0
    patterns = schema.get("patternProperties")
    return work + (4.0 * len(patterns) if isinstance(patterns, dict) else 0) + (4.0 if "pattern" in schema else 0)


class _Inner:
    """The work of a schema at the values right inside a value: by property name, of other properties, of items."""

    __slots__ = ("items", "named", "other")

    def __init__(self) -> None:
        self.named: dict[str, float] = {}
        self.other = 0.0
        self.items = 0.0

    @property
    def most(self) -> float:
        return max(self.other, self.items, *self.named.values(), 0.0)

    def add(self, more: _Inner) -> None:
        for name in self.named.keys() | more.named.keys():
            self.named[name] = self.named.get(name, self.other) + more.named.get(name, more.other)
        self.other += more.other
        self.items += more.items


def _inner(node: Node, works: _Works, found: dict[Node, _Inner]) -> _Inner:
    """What a schema and those that look at the same value make of what is inside it, one level down."""
    inner = found.get(node)
    if inner is None:
        inner = _own_inner(node, works)
        for part in node.in_place():
            inner.add(_inner(part, works, found))
        found[node] = inner
    return inner


def _own_inner(node: Node, works: _Works) -> _Inner:
    inner = _Inner()
    if "$ref" in node.schema:
        return inner
    additional = 0.0
    named: dict[str, float] = {}
    for path, part in node.parts.items():
        match path[0]:
            case "properties":
                named[str(path[1])] = works[part]
            case "patternProperties":
                inner.other += works[part]
            case "additionalProperties":
                additional = works[part]
            case "items" | "additionalItems":
                inner.items = max(inner.items, works[part])
    inner.named = {name: work + inner.other for name, work in named.items()}
    inner.other += additional
    return inner
