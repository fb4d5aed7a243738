"""JSON text as nodes, with the line of each. It is YAML, too, but large exports of API Gateway are read in a twentieth
of the time (RFC 8259)."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from typing import Final

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.nodes import MAX_DEPTH, MAX_NODES, Document, Node, Scalar, stop, twice

_TOKEN: Final = re.compile(
    r'[ \t\r\n]*+(?:(?P<mark>[{}\[\]:,])|"(?P<text>(?:[^"\\\x00-\x1f]|\\.)*+)"'
    r"|(?P<plain>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?(?![-+.\w])|(?:true|false|null)(?!\w)))"
)
_blank = re.compile(r"[ \t\r\n]*+").fullmatch


class NotJson(Exception):
    """The text is none: what is wrong with it is told by who reads YAML."""


def read_json(text: str) -> Document:
    """Read one JSON document. *Raises* NotJson, and DefinitionError where it is over a bound."""
    reader = _Reader(text)
    return Document(reader.document(), reader.problems)


class _Reader:
    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._at = 0
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._left = MAX_NODES

    def document(self) -> Node:
        root = self._node(self._next(), (), 0)
        if _blank(self._text, self._at) is None:
            raise NotJson
        return root

    def _next(self) -> re.Match[str]:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise NotJson
        self._at = found.end()
        return found

    def _line(self, found: re.Match[str]) -> int:
        return bisect_left(self._breaks, found.end()) + 1  # no token holds a line break

    def _count(self, line: int, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise stop(f"more than {MAX_NODES} values", line)
        if depth > MAX_DEPTH:
            raise stop(f"nested deeper than {MAX_DEPTH}", line)

    def _node(self, found: re.Match[str], path: Path, depth: int) -> Node:
        line = self._line(found)
        self._count(line, depth)
        match found["mark"]:
            case None if found["plain"] is None:
                return Node(line, Scalar(_decoded(found["text"]), plain=False))
            case None:
                return Node(line, Scalar(found["plain"], plain=True))
            case "[":
                return Node(line, self._items(path, depth + 1))
            case "{":
                return Node(line, self._entries(path, depth + 1))
            case _:
                raise NotJson

    def _items(self, path: Path, depth: int) -> list[Node]:
        items: list[Node] = []
        found = self._next()
        if found["mark"] == "]":
            return items
        while True:
            items.append(self._node(found, (*path, len(items)), depth))
            if self._ends("]"):
                return items
            found = self._next()

    def _entries(self, path: Path, depth: int) -> dict[str, tuple[int, Node]]:
        entries: dict[str, tuple[int, Node]] = {}
        found = self._next()
        if found["mark"] == "}":
            return entries
        while True:
            if found["text"] is None:
                raise NotJson
            line, key = self._line(found), _decoded(found["text"])
            self._count(line, depth)
            if self._next()["mark"] != ":":
                raise NotJson
            value = self._node(self._next(), (*path, key), depth)
            if key in entries:
                self.problems.append(Problem((*path, key), twice(key, entries[key][0]), line=line))
            else:
                entries[key] = (line, value)
            if self._ends("}"):
                return entries
            found = self._next()

    def _ends(self, mark: str) -> bool:
        """Whether a collection ends here, rather than goes on behind a comma."""
        found = self._next()["mark"]
        if found not in (mark, ","):
            raise NotJson
        return bool(found == mark)


def _decoded(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        raise NotJson from None
