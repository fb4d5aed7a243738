"""Nodes as plain values: aliases copied, variables of the environment put in, plain scalars typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.explain import shown
from wsgateway.model.nodes import MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Scalar, stop

VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}")
"""`${NAME}` or `${NAME:-default}`. Every other `${…}` is AWS's and left as written."""


@dataclass(slots=True)
class Expansion:
    """One file's expansion: the line of each path, what is wrong, and how much there is of it by now.

    `used` are the variables of the environment that were put in.
    """

    environ: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0
    size: int = 0

    def value(self, node: Node, path: Path = (), line: int = 0) -> object:
        """The value of `node`, standing at `path`."""
        self.lines[path] = line or node.line
        self._count(1, path)
        match node.value:
            case Scalar():
                return self._scalar(node.value, path)
            case list():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case dict():
                self._count(len(node.value), path)
                return {key: self.value(item, (*path, key), at) for key, (at, item) in node.value.items()}

    def _count(self, nodes: int, path: Path) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise stop(f"more than {MAX_NODES} values, aliases counted each time they are used", self.lines[path])
        if len(path) > MAX_DEPTH:
            raise stop(f"nested deeper than {MAX_DEPTH}", self.lines[path])

    def _scalar(self, scalar: Scalar, path: Path) -> object:
        text = self.expanded(scalar.text, path)
        self.size += len(text)
        if self.size > MAX_BYTES:
            raise stop(f"more than {MAX_BYTES} characters once variables are put in", self.lines[path])
        text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.problem(path, "holds half of a surrogate pair; write the character itself")
            return ""
        if not scalar.plain:
            return text
        try:
            return typed(text)
        except ValueError:
            self.problem(path, f"{shown(text)} has too many digits")
            return 0

    def expanded(self, text: str, path: Path) -> str:
        """`text`, which stands at `path`, with variables put in."""
        if "${" not in text:
            return text

        def put_in(found: re.Match[str]) -> str:
            name: str = found[1]
            default: str | None = found[2]
            value = self.environ.get(name)
            if value is not None:
                self.used[name] = value
            elif default is not None:
                value = default
            else:
                self.problem(path, f"${{{name}}} is not set in the environment; set it or write ${{{name}:-default}}")
                return ""
            self.size += len(value)
            if self.size > MAX_BYTES:
                raise stop(f"more than {MAX_BYTES} characters once variables are put in", self.lines[path])
            return value

        return VARIABLE.sub(put_in, text)

    def problem(self, path: Path, text: str) -> None:
        """Something wrong at `path`."""
        self.problems.append(Problem(path, text, line=self.lines[path]))


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""A character beyond the first 65,536 as JSON escapes it (RFC 8259 §7)."""
# YAML 1.2 §10.3.2, the core schema.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def typed(text: str) -> object:
    """What a plain scalar stands for. Raises ValueError on an integer beyond Python's own limit (4,300 digits)."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text
