"""Text of a definition as nodes, each with its line, whatever it is written in; bounded in size, number and depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsgateway.errors import DefinitionError, Problem

MAX_BYTES: Final = 6 * 1024 * 1024
"""Of a file, and of its values with variables put in (API Gateway quotas, "Import document size")."""
MAX_NODES: Final = 300_000
"""An API of 300 resources, which is what AWS allows, has some 130,000 where it is exported."""
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written; `plain` when it stands without quotes, so that `8` may be a number."""

    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its line. A mapping's keys come with their own lines."""

    line: int
    value: Scalar | list[Node] | dict[str, tuple[int, Node]]


@dataclass(slots=True)
class Document:
    """A file's values before expansion, and what is wrong with its structure."""

    root: Node | None
    problems: list[Problem]


def stop(text: str, line: int = 0) -> DefinitionError:
    """The one problem behind which nothing can be read."""
    return DefinitionError([Problem((), text, line=line)])


def twice(key: str, before: int) -> str:
    """What is said of a key that stood on the line `before`, too."""
    return f"stands here and on line {before}; a key may stand once"
