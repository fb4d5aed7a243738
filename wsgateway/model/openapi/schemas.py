"""Schemas of a document as models: JSON Schema of draft 4, which refer to one another as AWS's models do.

API Gateway developer guide, "Data models for REST APIs", and "Amazon API Gateway important notes" for what of OpenAPI's
schemas is not held against bodies.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from wsgateway.model.base import Path
from wsgateway.model.explain import wrong_kind
from wsgateway.model.openapi.place import Document, Place, pointer
from wsgateway.model.openapi.sheet import Sheet

MODELS: Final = {2: ("definitions",), 3: ("components", "schemas")}
"""Where named schemas stand."""

FOR_PEOPLE: Final = frozenset({"example", "examples", "xml", "externalDocs", "deprecated"})
DIRECTIONS: Final = frozenset({"readOnly", "writeOnly", "discriminator"})
"""API Gateway developer guide, important notes: they are not held against bodies."""
NAMED: Final = frozenset({"properties", "patternProperties", "definitions", "dependencies"})
LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "items"})
SINGLE: Final = frozenset({"items", "not", "additionalProperties", "additionalItems"})
BESIDE_REF: Final = frozenset({"default", "description", "title"})


@dataclass(slots=True)
class Schemas:
    """The models of one API, made as they are used."""

    document: Document
    sheet: Sheet
    api_id: str
    _names: dict[str, str] = field(default_factory=dict)
    """Of schemas that have a name, the model's."""
    _taken: set[str] = field(default_factory=set)
    _made: dict[str, str] = field(default_factory=dict)
    """Of schemas that have no name, by their content."""
    _contents: dict[Path, str] = field(default_factory=dict)

    def put_named(self) -> None:
        """Every named schema as a model."""
        found = list(self.document.mapping(self._root()))
        for name, place in sorted(found, key=lambda each: clean(each[0]) != each[0]):  # a name that is one keeps it
            known = self._free(name)
            self._names[name] = known
            if known != name:
                self.document.remark(place, "is a model of another name: a model's has letters and digits alone")
        for name, place in found:
            self._put(self._names[name], place)

    def model(self, place: Place, hint: str) -> str | None:
        """The name of the model of a schema, which gets one like `hint` where it has none."""
        reference = place.get("$ref")
        if reference is not None and isinstance(reference.value, str):
            keys = pointer(reference.value.removeprefix("#/"))
            if tuple(keys[:-1]) == MODELS[self.document.version] and keys[-1] in self._names:
                return self._names[keys[-1]]
        if not isinstance(place.value, dict):
            self.document.wrong(place, wrong_kind("a schema, which is a mapping", place.value))
            return None
        if place.path not in self._contents:
            self._contents[place.path] = json.dumps(place.value, sort_keys=True, default=str)
        content = self._contents[place.path]
        if content not in self._made:
            self._made[content] = name = self._free(hint)
            self._put(name, place)
        return self._made[content]

    def _root(self) -> Place | None:
        found: Place | None = self.document.root
        for key in MODELS[self.document.version]:
            found = found and found.get(key)
        return found

    def _free(self, name: str) -> str:
        base = clean(name) or "Model"
        free, number = base, 1
        while free in self._taken:
            number += 1
            free = f"{base}{number}"
        self._taken.add(free)
        return free

    def _put(self, name: str, place: Place) -> None:
        if not isinstance(place.value, dict):
            self.document.wrong(place, wrong_kind("a schema, which is a mapping", place.value))
            return
        path = ("apis", self.api_id, "models", name)
        self.sheet.put((*path, "schema"), self._schema(place), place)
        self.sheet.origins[path] = place.path

    def _schema(self, place: Place) -> Any:
        """The schema in draft 4."""
        value = place.value
        if not isinstance(value, dict):
            return value
        reference = place.get("$ref")
        if reference is not None:
            beside = {key: text for key, text in value.items() if key in BESIDE_REF}
            return {"$ref": self._reference(reference)} | beside
        if "$ref" in value:
            self.document.wrong(Place((*place.path, "$ref"), None), "is empty; give it a value, or remove it")
        found: dict[str, Any] = {}
        for key, part in place.entries():
            if key in DIRECTIONS:
                self.document.remark(part, "is not held against bodies, as on AWS")
            elif key not in FOR_PEOPLE and key != "nullable" and not key.startswith("x-"):
                found[key] = self._part(key, part)
        return _nullable(found) if value.get("nullable") is True else found

    def _part(self, key: str, part: Place) -> Any:
        if key in NAMED and isinstance(part.value, dict):
            return {name: self._schema(each) for name, each in part.entries()}
        if key in LISTS and isinstance(part.value, list):
            return [self._schema(each) for each in part.items()]
        return self._schema(part) if key in SINGLE else part.value

    def _reference(self, reference: Place) -> Any:
        """`$ref` as models write it (API Gateway developer guide, "Data models")."""
        text = reference.value
        if self.document.resolve(reference) is None:
            return text
        root = MODELS[self.document.version]
        keys = pointer(text[2:])
        if tuple(keys[: len(root)]) != root or len(keys) == len(root):
            return text
        name = self._names.get(keys[len(root)])
        if name is None:
            return text
        below = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys[len(root) + 1 :])
        model = f"https://apigateway.amazonaws.com/restapis/{self.api_id}/models/{name}"
        return f"{model}#{below}" if below else model


def clean(name: str) -> str:
    """What of a name may be a model's."""
    return re.sub(r"[^A-Za-z0-9]", "", name)[:120]


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, and null beside what it takes (OpenAPI 3.0.3, "nullable": where a type is written)."""
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    return schema
