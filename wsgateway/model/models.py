"""Models: JSON Schemas (draft 4) that an API's messages are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, NoReturn

from annotated_types import MaxLen
from pydantic import Field, PlainValidator

from wsgateway.model.base import Definition, Matches
from wsgateway.model.explain import fault, shown, wrong_kind

MAX_BYTES: Final = 32_768
"""Of one schema as text (API Gateway v2 reference, CreateModel)."""

DRAFT_4: Final = "http://json-schema.org/draft-04/schema#"

ModelName = Annotated[
    str, Matches(r"[A-Za-z0-9]{1,128}", "a model's name is 1 to 128 letters and digits, as in Join or Join2")
]

ContentType = Annotated[
    str, Matches(r"[^\s/;]{1,127}/[^\s/;]{1,127}", "a content type is a media type, such as application/json")
]


def _schema(value: object) -> dict[str, Any]:
    """The schema as JSON has it, whether it was written as a mapping or as JSON text."""
    match value:
        case str():
            schema = _from_text(value)
            size = len(value.encode())
        case dict():
            schema = value
            size = _size(value)
        case _:
            raise fault(wrong_kind("a JSON Schema: a mapping, or JSON text", value))
    if size > MAX_BYTES:
        raise fault(f"is larger than {MAX_BYTES} bytes; move parts of it into models of their own and refer to them")
    return schema


def _from_text(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_mapping)
    except json.JSONDecodeError as error:
        raise fault(f"is no JSON: {_located(error)}") from error
    except RecursionError as error:
        raise fault("is nested too deeply") from error
    except ValueError as error:
        raise fault(f"is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise fault(
            f"is no JSON Schema: the text holds {shown(value)}; a schema is a mapping, such as {{type: object}}"
        )
    return value


def _located(error: json.JSONDecodeError) -> str:
    """What is wrong, with the line and a caret beneath the place."""
    line = error.doc.splitlines()[error.lineno - 1] if error.doc.strip() else ""
    what = error.msg[:1].lower() + error.msg[1:]
    start = max(0, error.colno - 60)
    caret = " " * (error.colno - 1 - start) + "^"
    return f"{what} (line {error.lineno}, column {error.colno})\n{line[start : start + 100]}\n{caret}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} stands twice in one object")
        found[key] = value
    return found


def _size(value: Mapping[str, Any]) -> int:
    try:
        return len(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())
    except ValueError as error:
        raise fault("holds an infinite number or a NaN, which JSON has not") from error


class Model(Definition):
    """What messages may look like."""

    schema_: Annotated[
        dict[str, Any], PlainValidator(_schema, json_schema_input_type=dict[str, Any] | str), Field(alias="schema")
    ]
    """The JSON Schema, of draft 4: a mapping, or JSON text."""
    content_type: ContentType = "application/json"
    """The media type of what it describes: application/json."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the model is for."""


BUILT_IN: Final[Mapping[str, Model]] = {
    "Empty": Model.model_validate(
        {
            "contentType": "application/json",
            "description": "This is a default empty schema model",
            "schema": {"$schema": DRAFT_4, "title": "Empty Schema", "type": "object"},
        }
    ),
    "Error": Model.model_validate(
        {
            "contentType": "application/json",
            "description": "This is a default error schema model",
            "schema": {
                "$schema": DRAFT_4,
                "title": "Error Schema",
                "type": "object",
                "properties": {"message": {"type": "string"}},
            },
        }
    ),
}
"""The models every API has (API Gateway developer guide, "Data models for REST APIs"), unless it defines its own."""
