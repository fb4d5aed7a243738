"""A REST API's resources: which method answers a path.

API Gateway developer guide, "Set up API methods" and "Important notes". Segments are matched together with the verb: of
each segment a resource of that name comes first, then `{name}`, then `{name+}`, and a resource counts only where it has
the verb or ANY. `{name+}` takes one segment or more. What variables take is handed on as it came, not decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from wsgateway.method_request import OF_ANY

T = TypeVar("T")

ANY = "ANY"


@dataclass(slots=True)
class _Resource(Generic[T]):
    methods: Mapping[str, T] = field(default_factory=dict)
    named: dict[str, _Resource[T]] = field(default_factory=dict)
    variable: tuple[str, _Resource[T]] | None = None
    greedy: tuple[str, _Resource[T]] | None = None

    def method(self, verb: str) -> T | None:
        found = self.methods.get(verb)
        return self.methods.get(ANY) if found is None and verb in OF_ANY else found


class Resources(Generic[T]):
    """The tree of an API's paths; each path has methods by verb."""

    def __init__(self, paths: Mapping[str, Mapping[str, T]]) -> None:
        self._root = _Resource[T]()
        for path, methods in paths.items():
            self._at(segments_of(path)).methods = methods

    def find(self, verb: str, segments: Sequence[str]) -> tuple[T, dict[str, str]] | None:
        """The method that answers `verb` at these segments of a path, as they came, with its path parameters."""
        parameters: dict[str, str] = {}
        if verb == ANY:
            return None  # clients have no such verb
        found = _straight(self._root, verb, segments, parameters)
        if found is None:
            parameters.clear()
            found = _find(self._root, verb, segments, 0, parameters)
        return None if found is None else (found, parameters)

    def _at(self, segments: Sequence[str]) -> _Resource[T]:
        resource = self._root
        for segment in segments:
            if segment.endswith("+}"):
                resource.greedy = resource.greedy or (segment[1:-2], _Resource())
                resource = resource.greedy[1]
            elif segment.startswith("{"):
                resource.variable = resource.variable or (segment[1:-1], _Resource())
                resource = resource.variable[1]
            else:
                resource = resource.named.setdefault(segment, _Resource())
        return resource


def segments_of(path: str) -> list[str]:
    """The segments of a resource's path; none of `/`."""
    return path.split("/")[1:] if path != "/" else []


def _straight(resource: _Resource[T], verb: str, segments: Sequence[str], parameters: dict[str, str]) -> T | None:
    """As `_find` where it never has to turn back; None elsewhere."""
    for segment in segments:
        if "%" in segment:
            return None
        below = resource.named.get(segment)
        if below is None:
            if resource.variable is None or not segment:
                return None
            name, below = resource.variable
            parameters[name] = segment
        resource = below
    return resource.method(verb)


def _find(resource: _Resource[T], verb: str, segments: Sequence[str], at: int, parameters: dict[str, str]) -> T | None:
    """The tree is as deep as its longest path is, and siblings are three at most: this ends soon."""
    if at == len(segments):
        return resource.method(verb)
    segment = segments[at]
    below = resource.named.get(segment if "%" not in segment else unquote(segment))
    found = None if below is None else _find(below, verb, segments, at + 1, parameters)
    if found is None and resource.variable is not None and segment:
        name, below = resource.variable
        found = _find(below, verb, segments, at + 1, parameters)
        if found is not None:
            parameters[name] = segment
    if found is None and resource.greedy is not None:
        name, below = resource.greedy
        found = below.method(verb)
        if found is not None:
            parameters[name] = "/".join(segments[at:])
    return found
