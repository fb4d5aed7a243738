"""`wsgateway schema`: the JSON Schema of `routes.yaml`, for editors, and its reference page."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated

import typer


class Format(Enum):
    """What the schema is printed as."""

    JSON = "json"
    MARKDOWN = "markdown"


def schema(
    form: Annotated[Format, typer.Option("--format", help="JSON Schema, or a page to read.")] = Format.JSON,
) -> None:
    """Print the JSON Schema of the definition file; editors complete and check by it."""
    if form is Format.MARKDOWN:
        from wsgateway.model.reference import reference

        print(reference())
        return
    from wsgateway.model.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
