"""The JSON Schema of `routes.yaml`, for editors. It is made of the model, so it holds what works and nothing else."""

from __future__ import annotations

from typing import Any

from wsgateway.model.definitions import Definitions

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FROM_ENVIRONMENT = {
    "type": "string",
    "pattern": r"\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}",
    "description": "A variable of the environment: ${NAME} or ${NAME:-default}.",
}

_REFERENCE = {"$ref": "#/$defs/FromEnvironment"}


def json_schema() -> dict[str, Any]:
    """The schema, in draft 2020-12."""
    schema = Definitions.model_json_schema()
    definitions = {name: _opened(part) for name, part in schema.pop("$defs").items()}
    return {"$schema": DIALECT, **_opened(schema), "$defs": {**definitions, "FromEnvironment": FROM_ENVIRONMENT}}


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    """One object's schema, as files may be written: its values may come from the environment, and none may be null.

    An object without a required key may be left out behind its key (`dev:`).
    """
    properties = {name: _value(part) for name, part in schema.get("properties", {}).items()}
    kind = schema["type"] if schema.get("required") else [schema["type"], "null"]
    return {**schema, "type": kind, "properties": properties}


def _value(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: schema[key] for key in ("default", "description") if schema.get(key) is not None}
    what = {key: value for key, value in schema.items() if key not in ("default", "description", "title")}
    if "anyOf" in what:
        given = [_value(branch) for branch in what["anyOf"] if branch != {"type": "null"}]
        return {**about, **(given[0] if len(given) == 1 else {"anyOf": given})}
    if "patternProperties" in what:
        ((pattern, value),) = what.pop("patternProperties").items()
        return {**about, **what, "propertyNames": {"pattern": pattern}, "additionalProperties": _value(value)}
    if isinstance(what.get("additionalProperties"), dict):
        return {**about, **what, "additionalProperties": _value(what["additionalProperties"])}
    if what.get("type") in ("integer", "number", "boolean") or {"enum", "const", "pattern"} & what.keys():
        return {**about, "anyOf": [what, _REFERENCE]}
    return {**about, **what}
