"""`wsgateway schema`: the JSON Schema of `routes.yaml`, for editors."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON Schema of the definition file; editors complete and check by it."""
    from wsgateway.model.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
