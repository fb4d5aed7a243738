"""The schemas of an API's models as one graph: what stands in what, and what refers to what.

`$ref` is resolved here, once, and never leaves the API: it names another model by the URL AWS gives it
(`https://apigateway.amazonaws.com/restapis/{apiId}/models/{Name}`, API Gateway developer guide, "Data models") or a
place of its own document (`#/definitions/…`). Nothing is ever fetched, and `id` moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.model.models import DRAFT_4
from wsgateway.templates.schema.keywords import ANNOTATIONS, FORMATS, keyword_problem, parts

MAX_DEPTH: Final = 64
"""Schemas within schemas, and references behind references, before anything of a message is looked at."""

IN_PLACE: Final = frozenset({"allOf", "anyOf", "dependencies", "not", "oneOf"})
"""Keywords whose schemas look at the very value that the schema around them looks at."""

_MODEL = re.compile(r"https://apigateway\.amazonaws\.com/restapis/([^/#?]+)/models/([^/#?]+)(?:#(.*))?", re.DOTALL)


@dataclass(slots=True, eq=False)
class Node:
    """One schema: of the model `model`, at `path` in it."""

    model: str
    path: Path
    schema: Mapping[str, Any]
    parts: dict[Path, Node] = field(default_factory=dict)
    """The schemas right within it, by the keys that lead there."""
    target: Node | None = None
    """What its `$ref` names."""

    def in_place(self) -> Iterator[Node]:
        """The schemas that look at the same value: of several alternatives, all."""
        if "$ref" in self.schema:
            if self.target is not None:
                yield self.target
            return
        for path, part in self.parts.items():
            if path[0] in IN_PLACE:
                yield part

    def everything(self) -> Iterator[Node]:
        """This schema, and every one within it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.parts.values())

    def problem(self, *keys: str | int, text: str) -> Problem:
        """A problem at `keys` of this schema; its path starts at the API."""
        return Problem(("models", self.model, "schema", *self.path, *keys), text)


class Graph:
    """The schemas of one API's models, by model. `problems` is what is wrong with them; paths start at the API.

    `strict` holds them against draft 4 as well (AWS's `disableSchemaValidation` turns that off); what would leave the
    API or never end is refused anyway.
    """

    def __init__(self, api_id: str, schemas: Mapping[str, Mapping[str, Any]], *, strict: bool = True) -> None:
        self.roots: dict[str, Node] = {}
        self.problems: list[Problem] = []
        self._api_id = api_id
        self._strict = strict
        self._places: dict[tuple[str, tuple[str, ...]], Node] = {}
        """By model and place; the number of an item is text, as in a JSON pointer."""
        for name, schema in schemas.items():
            self.roots[name] = self._read(Node(name, (), schema))
        for node in list(self._places.values()):
            self._resolve(node)
        self._check_circles()

    def composed(self, name: str) -> dict[str, Any]:
        """One document for the model and all it refers to, which refers to nothing outside itself."""
        needed = [self.roots[name]]
        for root in needed:  # grows while it is read
            for node in root.everything():
                if node.target is not None and self.roots[node.target.model] not in needed:
                    needed.append(self.roots[node.target.model])
        definitions = {root.model: _rewritten(root) for root in needed}
        return {"$schema": DRAFT_4, "$ref": f"#/definitions/{name}", "definitions": definitions}

    def _read(self, root: Node) -> Node:
        waiting = [(root, 0)]
        while waiting:
            node, depth = waiting.pop()
            self._places[node.model, tuple(map(str, node.path))] = node
            if depth > MAX_DEPTH:
                self.problems.append(node.problem(text=f"schemas are nested deeper than {MAX_DEPTH}"))
                continue
            self.problems += self._wrong(node)
            for path, value in parts(node.schema):
                if isinstance(value, dict):
                    part = node.parts[path] = Node(node.model, (*node.path, *path), value)
                    waiting.append((part, depth + 1))
                elif self._strict:
                    text = f"expected a schema, which is a mapping, got {shown(value)}"
                    self.problems.append(node.problem(*path, text=text))
        return root

    def _wrong(self, node: Node) -> Iterator[Problem]:
        schema = node.schema
        if node.path and "id" in schema and isinstance(schema["id"], str):
            yield node.problem("id", text="would change what $ref means beneath it; only a whole model may have an id")
        said = schema.get("$schema")
        if "$schema" in schema and (node.path or not isinstance(said, str) or said.rstrip("#") != DRAFT_4.rstrip("#")):
            text = f"models are of JSON Schema draft 4; write {DRAFT_4}, once at the top, or remove it"
            yield node.problem("$schema", text=text)
        if not self._strict:
            return
        for key, value in schema.items():
            wrong = keyword_problem(key, value)
            if wrong is not None:
                yield node.problem(key, text=wrong)
        if "$ref" in schema:
            for key in schema.keys() - ANNOTATIONS - {"$ref"}:
                if not key.startswith("x-"):
                    yield node.problem(
                        key, text="has no effect beside $ref (draft 4); put both into a list under allOf"
                    )

    def _resolve(self, node: Node) -> None:
        """Find what the schema's `$ref` names."""
        if "$ref" not in node.schema:
            return
        reference = node.schema["$ref"]
        if not isinstance(reference, str):
            if not self._strict:
                self.problems.append(node.problem("$ref", text="expected a string"))
            return
        found = self._named(node, reference)
        if isinstance(found, Node):
            node.target = found
        else:
            self.problems.append(node.problem("$ref", text=found))

    def _named(self, node: Node, reference: str) -> Node | str:
        """What `reference` names, or why it can't."""
        base = f"https://apigateway.amazonaws.com/restapis/{self._api_id}/models/"
        model, pointer = node.model, reference[1:]
        if not reference.startswith("#"):
            match = _MODEL.fullmatch(reference)
            if match is None:
                return (
                    f"{shown(reference)} is refused: a model refers to another by {base}NAME, or to a part of itself "
                    "by #/definitions/NAME; nothing else is ever read"
                )
            if match[1] != self._api_id:
                return f"is about another API, {shown(match[1])}; models of this one are {base}NAME"
            model, pointer = match[2], match[3] or ""
            if model not in self.roots:
                near = did_you_mean(model, self.roots) or "; define it under models"
                return f"no model is named {shown(model)}{near}"
        path = _path(pointer)
        found = None if path is None else self._places.get((model, path))
        if found is None:
            there = [f"#{_pointer(path)}" for of, path in self._places if of == model and path[:1] == ("definitions",)]
            known = f"; there are {', '.join(there[:10])}" if there else ""
            whose = "this model" if model == node.model else f"model {model}"
            return f"{shown(reference)} names no schema of {whose}{did_you_mean(reference, there) or known}"
        return found

    def _check_circles(self) -> None:
        """Refuse references that come back to where they began without having gone into the message."""
        depths: dict[Node, int] = {}
        for root in self._places.values():
            self._measure(root, depths)

    def _measure(self, root: Node, depths: dict[Node, int]) -> None:
        """Note how many schemas deep each is before the message's own nesting counts. Without recursion."""
        trail: list[tuple[Node, Iterator[Node]]] = []
        entered: set[Node] = set()

        def enter(node: Node) -> None:
            depths[node] = 1
            entered.add(node)
            trail.append((node, node.in_place()))

        if root not in depths:
            enter(root)
        while trail:
            node, following = trail[-1]
            inner = next(following, None)
            if inner is None:
                trail.pop()
                entered.discard(node)
                if trail:
                    outer = trail[-1][0]
                    depths[outer] = max(depths[outer], depths[node] + 1)
                if depths[node] == MAX_DEPTH + 1:
                    text = f"more than {MAX_DEPTH} schemas and references stand behind one another here"
                    self.problems.append(node.problem(text=text))
            elif inner in entered:
                text = "comes back to itself without going into the message: no message could ever be checked"
                self.problems.append(node.problem("$ref", text=text))
            elif inner in depths:
                depths[node] = max(depths[node], depths[inner] + 1)
            else:
                enter(inner)


def _path(pointer: str) -> tuple[str, ...] | None:
    """A JSON pointer in a fragment (RFC 6901 §6) as keys; None for what is none."""
    text = unquote(pointer, errors="replace")
    if not text:
        return ()
    if not text.startswith("/"):
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def _pointer(path: Path) -> str:
    """Keys as a JSON pointer in a fragment."""
    return "".join(f"/{quote(str(part).replace('~', '~0').replace('/', '~1'), safe='~')}" for part in path)


def _rewritten(node: Node) -> dict[str, Any]:
    """A schema whose references are places of the composed document, without what names it."""
    if node.target is not None:
        return {"$ref": f"#/definitions/{node.target.model}{_pointer(node.target.path)}", **_within(node)}
    kept = {key: value for key, value in node.schema.items() if key not in ("$ref", "$schema", "id")}
    if kept.get("format") not in (None, *FORMATS):
        del kept["format"]  # jsonschema-rs knows more of them
    return {**kept, **_within(node)}


def _within(node: Node) -> dict[str, Any]:
    """The keywords of a schema that hold schemas, with these rewritten."""
    found: dict[str, Any] = {}
    for path, part in node.parts.items():
        rewritten = _rewritten(part)
        if len(path) == 1:
            found[str(path[0])] = rewritten
            continue
        key, name = str(path[0]), path[1]
        if key not in found:
            held = node.schema[key]
            found[key] = list(held) if isinstance(held, list) else dict(held)
        found[key][name] = rewritten
    return found
