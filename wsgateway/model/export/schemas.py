"""Models as schemas of a document: JSON Schema of draft 4 in what OpenAPI has of it.

OpenAPI Specification 3.0.3 and 2.0, "Schema Object". What a document can't say is left out, so that its schemas let in
all that the models do: a document is for those who write requests, the gateway holds bodies against the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

from wsgateway.model.models import BUILT_IN

Form = Literal["oas30", "swagger"]

WHERE: Final[Mapping[Form, str]] = {"oas30": "#/components/schemas/", "swagger": "#/definitions/"}

_BOTH: Final = frozenset(
    [
        *("additionalProperties", "allOf", "default", "description", "enum", "exclusiveMaximum", "exclusiveMinimum"),
        *("format", "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"),
        *("minProperties", "minimum", "multipleOf", "pattern", "properties", "required", "title", "type"),
        "uniqueItems",
    ]
)
KEYWORDS: Final[Mapping[Form, frozenset[str]]] = {
    "oas30": _BOTH | {"anyOf", "oneOf", "not"},
    "swagger": _BOTH,
}
"""What both draft 4 and a document have, with the same meaning."""

_SINGLE: Final = frozenset({"additionalProperties", "items", "not"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_model = re.compile(r"https://apigateway\.amazonaws\.com/restapis/[^/#]+/models/([A-Za-z0-9]+)(?:#(.*))?").fullmatch


class Schemas:
    """The models of one API, plain definitions: those it defines, and the built-in ones that something names."""

    def __init__(self, models: Mapping[str, Any], form: Form) -> None:
        self._models = dict(models)
        self._form = form
        self._names: dict[tuple[str, ...], str] = {}
        """Of models, and of their parts, in the document."""
        for name in models:
            self._name(name, models[name]["schema"])

    def reference(self, name: str) -> dict[str, Any]:
        """The schema that means the model `name`."""
        self.name((name,))
        return {"$ref": WHERE[self._form] + name}

    def name(self, part: tuple[str, ...]) -> str | None:
        """The name of a model, or of a part of one; None where there is no such thing."""
        model = part[0]
        if model not in self._models and model in BUILT_IN:
            self._models[model] = {"schema": BUILT_IN[model].schema_}
            self._name(model, BUILT_IN[model].schema_)
        return self._names.get(part)

    def components(self) -> dict[str, Any]:
        """Every schema by name."""
        found: dict[str, Any] = {}
        while len(found) < len(self._names):  # a built-in one may be named by another
            for part, name in sorted(self._names.items()):
                schema = self._models[part[0]]["schema"]
                said = schema if len(part) == 1 else schema["definitions"][part[1]]
                found[name] = _Conversion(part[0], self._form, self.name).convert(said)
        return _resolved(dict(sorted(found.items())), WHERE[self._form])

    def _name(self, model: str, schema: Mapping[str, Any]) -> None:
        self._names[model,] = model
        parts = schema.get("definitions")
        taken = {model}
        for part in parts if isinstance(parts, dict) else ():
            name = base = f"{model}.{re.sub(r'[^A-Za-z0-9._-]', '_', part)}"
            numbers = count(2)
            while name in taken:
                name = f"{base}_{next(numbers)}"
            taken.add(name)
            self._names[model, part] = name


class _Conversion:
    def __init__(self, model: str, form: Form, name: Callable[[tuple[str, ...]], str | None]) -> None:
        self._model = model
        self._form = form
        self._name = name

    def convert(self, schema: Any) -> Any:
        """A schema of draft 4 as this kind of document writes it."""
        if not isinstance(schema, dict):
            return schema
        if isinstance(schema.get("$ref"), str):
            return {"$ref": self._reference(schema["$ref"])}
        said = {key: self._keyword(key, value) for key, value in schema.items() if key in KEYWORDS[self._form]}
        if "patternProperties" in schema:
            said.pop("additionalProperties", None)  # it is about other names than those
        if said.get("required") == []:
            del said["required"]
        if isinstance(said.get("items"), list):
            said["items"] = {}
        return self._typed(said)

    def _keyword(self, key: str, value: Any) -> Any:
        if key == "properties" and isinstance(value, dict):
            return {name: self.convert(each) for name, each in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.convert(each) for each in value]
        return self.convert(value) if key in _SINGLE else value

    def _typed(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Documents have one type where draft 4 may have several, and none is null (OpenAPI 3.0.3, "nullable")."""
        written = schema.get("type")
        kinds = [written] if isinstance(written, str) else list(written or ())
        null = "null" in kinds
        kinds = [kind for kind in kinds if kind != "null"]
        if len(kinds) == 1:
            schema["type"] = kinds[0]
        elif "type" in schema:
            del schema["type"]
            null = self._any_of(schema, kinds, null)
        if null:
            schema["nullable" if self._form == "oas30" else "x-nullable"] = True
        if schema.get("type") == "array":
            schema.setdefault("items", {})
        return schema

    def _any_of(self, schema: dict[str, Any], kinds: list[str], null: bool) -> bool:
        """Say that one of several types is meant; gives whether null is still to be said."""
        if self._form == "oas30" and kinds and "anyOf" not in schema:
            options: list[dict[str, Any]] = [{"type": kind} for kind in kinds]
            schema["anyOf"] = [{**each, "items": {}} if each["type"] == "array" else each for each in options]
            if null:
                schema["anyOf"][0]["nullable"] = True
        return False

    def _reference(self, text: str) -> str:
        """Where the document has what a model's `$ref` names."""
        found = _model(text)
        model, fragment = (found[1], found[2] or "") if found is not None else (self._model, text[1:])
        keys = [unquote(key).replace("~1", "/").replace("~0", "~") for key in fragment.split("/")[1:]]
        part: tuple[str, ...] = (model,)
        if keys[:1] == ["definitions"] and len(keys) > 1:
            part, keys = (model, keys[1]), keys[2:]
        return WHERE[self._form] + "/".join(_escaped(key) for key in (self._name(part) or "", *keys))


def _escaped(key: str) -> str:
    return quote(key.replace("~", "~0").replace("/", "~1"), safe="~$.")


def _resolved(schemas: dict[str, Any], where: str) -> dict[str, Any]:
    """The schemas, where those that name a part which the document leaves out take everything."""

    def there(reference: str) -> bool:
        value: Any = schemas
        for key in reference.removeprefix(where).split("/"):
            name = unquote(key).replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            else:
                return False
        return True

    def look(value: Any) -> Any:
        if isinstance(value, list):
            return [look(each) for each in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            return value if there(value["$ref"]) else {}
        return {key: each if key == "enum" and isinstance(each, list) else look(each) for key, each in value.items()}

    return {name: look(schema) for name, schema in schemas.items()}
