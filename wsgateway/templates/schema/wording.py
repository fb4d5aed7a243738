"""What is wrong with a message, in the words of AWS's validator.

API Gateway developer guide, "Enable request validation", shows `[object has missing required properties (["name"])]`
as `$context.error.validationErrorString`: these are the words of json-schema-validator, a Java library, whose other
messages are kept to here; one list, one message a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

MOST_FAULTS: Final = 10
MOST_CHARACTERS: Final = 100
"""Shown of one value."""

Words = Callable[[Any, Any], str]
"""What is wrong, by the fault's kind and the value it is about."""


def in_words(errors: Iterable[ValidationError]) -> str:
    """The faults as one text; of more than MOST_FAULTS the first."""
    found: dict[tuple[object, ...], list[str]] = {}
    for error in errors:
        kind = error.kind
        place = tuple(error.instance_path)
        if isinstance(kind, Kind.Required):
            schema = tuple(error.schema_path)
            found.setdefault(("required", place, schema), []).append(kind.property)
        else:
            found[len(found), place] = [_words(kind, error.instance)]
        if len(found) > MOST_FAULTS:
            break
    return listed(
        f"object has missing required properties ({_json(told)})" if key[0] == "required" else told[0]
        for key, told in list(found.items())[:MOST_FAULTS]
    )


def listed(faults: Iterable[str]) -> str:
    """Faults as Java prints a list."""
    return f"[{', '.join(faults)}]"


def _words(kind: Kind, value: Any) -> str:
    words = WORDS.get(type(kind))
    return f"instance does not match the schema ({kind.name})" if words is None else words(kind, value)


def _json(value: Any) -> str:
    """A value as JSON, clipped."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        text = str(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


FORMATS: Final = {
    "date-time": "string {} is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, "
    "yyyy-MM-dd'T'HH:mm:ss.[0-9]{{1,12}}Z]",
    "email": "string {} is not a valid email address",
    "hostname": "string {} is not a valid hostname",
    "ipv4": "string {} is not a valid IPv4 address",
    "ipv6": "string {} is not a valid IPv6 address",
    "regex": "string {} is not a valid ECMA 262 regular expression",
    "uri": "string {} is not a valid URI",
}
"""What is said of the formats that are checked."""

WORDS: Final[dict[type[Kind], Words]] = {
    Kind.Type: lambda kind, value: (
        f"instance type ({_type(value)}) does not match any allowed primitive type "
        f"(allowed: {_json(sorted(kind.types))})"
    ),
    Kind.Enum: lambda kind, value: (
        f"instance value ({_json(value)}) not found in enum (possible values: {_json(kind.options)})"
    ),
    Kind.AdditionalProperties: lambda kind, value: (
        f"object instance has properties which are not allowed by the schema: {_json(kind.unexpected)}"
    ),
    Kind.MinProperties: lambda kind, value: (
        f"object has too few properties (found {len(value)} but schema requires at least {kind.limit})"
    ),
    Kind.MaxProperties: lambda kind, value: (
        f"object has too many properties (found {len(value)} but schema requires at most {kind.limit})"
    ),
    Kind.Minimum: lambda kind, value: (
        f"numeric instance is lower than the required minimum (minimum: {kind.limit}, found: {_json(value)})"
    ),
    Kind.Maximum: lambda kind, value: (
        f"numeric instance is greater than the required maximum (maximum: {kind.limit}, found: {_json(value)})"
    ),
    Kind.ExclusiveMinimum: lambda kind, value: (
        f"numeric instance is not strictly greater than the required minimum {kind.limit}"
    ),
    Kind.ExclusiveMaximum: lambda kind, value: (
        f"numeric instance is not strictly lower than the required maximum {kind.limit}"
    ),
    Kind.MultipleOf: lambda kind, value: f"remainder of division is not zero ({_json(value)} / {kind.multiple_of})",
    Kind.MinLength: lambda kind, value: (
        f"string {_json(value)} is too short (length: {len(value)}, required minimum: {kind.limit})"
    ),
    Kind.MaxLength: lambda kind, value: (
        f"string {_json(value)} is too long (length: {len(value)}, maximum allowed: {kind.limit})"
    ),
    Kind.Pattern: lambda kind, value: (
        f"ECMA 262 regex {_json(kind.pattern)} does not match input string {_json(value)}"
    ),
    Kind.Format: lambda kind, value: FORMATS.get(kind.format, "string {} is no " + kind.format).format(_json(value)),
    Kind.MinItems: lambda kind, value: (
        f"array is too short: must have at least {kind.limit} elements but instance has {len(value)} elements"
    ),
    Kind.MaxItems: lambda kind, value: (
        f"array is too long: must have at most {kind.limit} elements but instance has {len(value)} elements"
    ),
    Kind.UniqueItems: lambda kind, value: "array must not contain duplicate elements",
    Kind.AdditionalItems: lambda kind, value: (
        f"array is not allowed to contain more than {kind.limit} elements but instance has {len(value)} elements"
    ),
    Kind.AnyOf: lambda kind, value: f"instance failed to match at least one required schema among {len(kind.context)}",
    Kind.OneOfNotValid: lambda kind, value: (
        f"instance failed to match exactly one schema (matched 0 out of {len(kind.context)})"
    ),
    Kind.OneOfMultipleValid: lambda kind, value: (
        "instance failed to match exactly one schema "
        f"(matched {sum(not errors for errors in kind.context)} out of {len(kind.context)})"
    ),
    Kind.Not: lambda kind, value: "instance matched a schema which it should not have",
}
