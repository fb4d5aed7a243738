"""The keywords of JSON Schema draft 4: what each may hold, and where schemas stand within schemas.

JSON Schema: core definitions and terminology, and interactive and non-interactive validation (draft-zyp-json-schema-04,
draft-fge-json-schema-validation-00).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from wsgateway.model.explain import did_you_mean, shown

TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")

Part = tuple[tuple[str | int, ...], dict[str, Any]]
"""A schema within a schema, and the keys that lead to it."""

Rule = tuple[Callable[[Any], bool], str]
"""Whether a value is right, and what would be right, in words."""


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _different(values: list[Any]) -> bool:
    return all(value not in values[:index] for index, value in enumerate(values)) if len(values) <= 1000 else True


def _names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value) and _different(value)


_STRING: Rule = (lambda v: isinstance(v, str), "a string")
_BOOLEAN: Rule = (lambda v: isinstance(v, bool), "true or false")
_NUMBER: Rule = (_number, "a number")
_COUNT: Rule = (lambda v: type(v) is int and v >= 0, "a whole number from 0 on")
_NAMES: Rule = (_names, "a list of different strings, at least one")
_ANYTHING: Rule = (lambda v: True, "anything")
_SCHEMA: Rule = (lambda v: isinstance(v, dict), "a schema, which is a mapping")
_OPEN: Rule = (lambda v: isinstance(v, dict | bool), "a schema, true or false")
_SCHEMAS: Rule = (lambda v: isinstance(v, list) and bool(v), "a list of schemas, at least one")
_NAMED: Rule = (lambda v: isinstance(v, dict), "a mapping of names to schemas")
_ITEMS: Rule = (lambda v: isinstance(v, dict) or (isinstance(v, list) and bool(v)), "a schema, or a list of schemas")
_LIMIT: Rule = (_BOOLEAN[0], "true or false beside minimum or maximum, as draft 4 has it")

RULES: Final[Mapping[str, Rule]] = {
    "$ref": _STRING,
    "$schema": _STRING,
    "additionalItems": _OPEN,
    "additionalProperties": _OPEN,
    "allOf": _SCHEMAS,
    "anyOf": _SCHEMAS,
    "default": _ANYTHING,
    "definitions": _NAMED,
    "dependencies": _NAMED,
    "description": _STRING,
    "enum": (lambda v: isinstance(v, list) and bool(v) and _different(v), "a list of different values, at least one"),
    "exclusiveMaximum": _LIMIT,
    "exclusiveMinimum": _LIMIT,
    "format": _STRING,
    "id": _STRING,
    "items": _ITEMS,
    "maxItems": _COUNT,
    "maxLength": _COUNT,
    "maxProperties": _COUNT,
    "maximum": _NUMBER,
    "minItems": _COUNT,
    "minLength": _COUNT,
    "minProperties": _COUNT,
    "minimum": _NUMBER,
    "multipleOf": (lambda v: _number(v) and v > 0, "a number above 0"),
    "not": _SCHEMA,
    "oneOf": _SCHEMAS,
    "pattern": _STRING,
    "patternProperties": _NAMED,
    "properties": _NAMED,
    "required": _NAMES,
    "title": _STRING,
    "type": (
        lambda v: v in TYPES if isinstance(v, str) else _names(v) and set(v) <= set(TYPES),
        f"one of {', '.join(TYPES)}, or a list of these",
    ),
    "uniqueItems": _BOOLEAN,
}

FORMATS: Final = frozenset({"date-time", "email", "hostname", "ipv4", "ipv6", "regex", "uri"})
"""The formats that are checked; any other says nothing (validation, §7.1, leaves it free)."""

ANNOTATIONS: Final = frozenset({"default", "definitions", "description", "id", "title", "$schema"})
"""Keywords that validate nothing, hence may stand beside `$ref` (draft 4 reads nothing else there)."""

NEWER: Final = {
    "$anchor": "refer by #/definitions/NAME",
    "$defs": "write definitions",
    "$id": "write id, or remove it",
    "const": "write enum: [VALUE]",
    "contains": "write not: {items: {not: …}}",
    "dependentRequired": "write dependencies",
    "dependentSchemas": "write dependencies",
    "else": "write anyOf",
    "if": "write anyOf",
    "nullable": 'write type: [TYPE, "null"]',
    "prefixItems": "write items: [SCHEMA, …]",
    "propertyNames": "write patternProperties and additionalProperties: false",
    "then": "write anyOf",
}
"""Keywords of later drafts and of OpenAPI, and what says the same here."""


def keyword_problem(key: str, value: Any) -> str | None:
    """Why `key: value` can't stand in a schema of draft 4."""
    rule = RULES.get(key)
    if rule is None:
        if key.startswith("x-"):
            return None
        if key in NEWER:
            return f"is not of JSON Schema draft 4, which models are written in; {NEWER[key]}"
        near = did_you_mean(key, RULES)
        return f"is no keyword of JSON Schema draft 4, so it would do nothing{near or '; remove it'}"
    right, words = rule
    if right(value):
        return None
    near = did_you_mean(value, TYPES) if key == "type" and isinstance(value, str) else ""
    return f"expected {words}, got {shown(value)}{near}"


def parts(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """What stands where `schema` has room for schemas, be it one or not, with the keys that lead there."""
    for key in ("additionalItems", "additionalProperties", "items", "not"):
        if isinstance(schema.get(key), dict):
            yield (key,), schema[key]
    for key in ("allOf", "anyOf", "items", "oneOf"):
        if isinstance(schema.get(key), list):
            yield from (((key, index), value) for index, value in enumerate(schema[key]))
    for key in ("definitions", "patternProperties", "properties"):
        if isinstance(schema.get(key), dict):
            yield from (((key, name), value) for name, value in schema[key].items())
    if isinstance(schema.get("dependencies"), dict):
        for name, value in schema["dependencies"].items():
            if not _names(value):
                yield ("dependencies", name), value
