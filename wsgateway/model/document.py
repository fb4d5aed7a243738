"""YAML text, or JSON, as nodes with their lines: one document, no tags, no merge keys, bounded in size and depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.explain import shown
from wsgateway.model.json_document import NotJson, read_json
from wsgateway.model.nodes import MAX_DEPTH, Document, Node, Scalar, stop, twice

MAX_YAML_NODES: Final = 50_000
"""Of YAML, which takes 50 microseconds each."""


def compose(text: str) -> Document:
    """Read one YAML document, or JSON.

    Raises DefinitionError where reading can't go on: bad syntax, several documents, over a bound.
    """
    if text.lstrip(" \t\r\n").startswith("{"):
        try:
            return read_json(text)
        except NotJson:
            pass  # YAML has braces, too, and says what is wrong
    composer = _Composer(_events(text))
    return Document(composer.document(), composer.problems)


def _events(text: str) -> Iterator[Event]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise stop(f"not valid YAML: {_one_line(said)}", mark.line + 1 if mark else 0) from error
    except YAMLError as error:
        raise stop(f"not valid YAML: {_one_line(str(error))}") from error
    # ruamel.yaml lets these out on escapes beyond Unicode and the like ("\U99999999").
    except (ValueError, OverflowError, LookupError, AttributeError, TypeError, AssertionError) as error:
        raise stop(f"not valid YAML: {_one_line(str(error)) or type(error).__name__}") from error


def _one_line(text: str) -> str:
    return shown(" ".join(text.split())).strip('"')


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


class _Composer:
    """Events to nodes. An alias is the very node of its anchor: copies are made, and counted, only when expanded."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.problems: list[Problem] = []
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._left = MAX_YAML_NODES

    def document(self) -> Node | None:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            return None
        assert isinstance(start, DocumentStartEvent)
        if start.version not in (None, (1, 2)):
            raise stop("YAML 1.2 is read here; remove the %YAML line", _line(start))
        root = self._node(next(self._events), (), 0)
        end = next(self._events)
        assert isinstance(end, DocumentEndEvent)
        more = next(self._events)
        if not isinstance(more, StreamEndEvent):
            raise stop("a second document begins; one file holds one document", _line(more))
        return root

    def _node(self, event: Event, path: Path, depth: int) -> Node:
        line = _line(event)
        self._left -= 1
        if self._left < 0:
            raise stop(f"more than {MAX_YAML_NODES} values", line)
        if depth > MAX_DEPTH:
            raise stop(f"nested deeper than {MAX_DEPTH}", line)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise stop(f"*{shown(event.anchor)} stands for nothing written before it", line)
            return self._anchors[event.anchor]
        assert isinstance(event, (ScalarEvent, CollectionStartEvent))
        if event.tag is not None and event.tag != "!":
            self.problems.append(Problem(path, f"tags such as {shown(event.tag)} are not read; remove it", line=line))
        node = Node(line, self._value(event, path, depth))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _value(self, event: Event, path: Path, depth: int) -> Scalar | list[Node] | dict[str, tuple[int, Node]]:
        if isinstance(event, ScalarEvent):
            return Scalar(event.value, bool(event.implicit[0]))
        if isinstance(event, SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(item := next(self._events), SequenceEndEvent):
                items.append(self._node(item, (*path, len(items)), depth + 1))
            return items
        entries: dict[str, tuple[int, Node]] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            line = _line(event)
            key = self._key(event, path, depth + 1)
            value = self._node(next(self._events), (*path, key), depth + 1)
            if key in entries:
                self.problems.append(Problem((*path, key), twice(key, entries[key][0]), line=line))
            else:
                entries[key] = (line, value)
        return entries

    def _key(self, event: Event, path: Path, depth: int) -> str:
        """A key is text, whatever it looks like: `200:` is "200"."""
        node = self._node(event, path, depth)
        if not isinstance(node.value, Scalar):
            raise stop("a key must be text, not a list or a mapping", _line(event))
        if node.value == Scalar("<<", plain=True):
            text = "merge keys are not read; write the entries out, or use an alias for the whole value"
            self.problems.append(Problem((*path, "<<"), text, line=_line(event)))
        return node.value.text
