"""An integration as `x-amazon-apigateway-integration`.

API Gateway developer guide, "x-amazon-apigateway-integration object".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from wsgateway.model.rest_integration import PASSED

AWS: Final = (
    "uri",
    "httpMethod",
    "credentials",
    "connectionType",
    "connectionId",
    "requestParameters",
    "requestTemplates",
    "contentHandling",
    "cacheNamespace",
    "cacheKeyParameters",
    "timeoutInMillis",
    "responseTransferMode",
    "integrationTarget",
)
"""What API Gateway has under the same name; our own settings are in `x-wsgateway`."""


_function = re.compile(r"arn:([a-z-]+):lambda:([a-z0-9-]+):[^/]+").fullmatch


def integration(defined: Mapping[str, Any]) -> dict[str, Any]:
    """The extension for a plain integration."""
    said = {"type": defined["type"].lower()}
    said |= {key: defined[key] for key in AWS if key in defined}
    if "requestTemplates" in said:
        said["requestTemplates"] = _templates(said["requestTemplates"])
    if "uri" in said:
        said["uri"] = invocations(said["uri"])
    said["passthroughBehavior"] = defined.get("passthroughBehavior", "WHEN_NO_MATCH").lower()
    skips = defined.get("tlsConfig", {}).get("insecureSkipVerification")
    if skips is not None:
        said["tlsConfig"] = {"insecureSkipVerification": skips}
    responses = _responses(defined.get("integrationResponses", {}))
    return said | ({"responses": responses} if responses else {})


def invocations(uri: str) -> str:
    """The URI of a function's invocations, which API Gateway asks for, where the function's ARN is written alone."""
    found = _function(uri)
    if found is None:
        return uri
    return f"arn:{found[1]}:apigateway:{found[2]}:lambda:path/2015-03-31/functions/{uri}/invocations"


def _responses(defined: Mapping[str, Any]) -> dict[str, Any]:
    """By the pattern that selects each. Of several with one pattern only the first is ever used."""
    said: dict[str, Any] = {}
    for status, response in defined.items():
        rest = {
            key: _templates(value) if key == "responseTemplates" else value
            for key, value in response.items()
            if key != "selectionPattern"
        }
        said.setdefault(_key(response.get("selectionPattern")), {"statusCode": status, **rest})
    return said


def _templates(templates: Mapping[str, str | None]) -> dict[str, str]:
    return {media: PASSED if text is None else text for media, text in templates.items()}


def _key(pattern: str | None) -> str:
    """A pattern as the extension writes it, where `default` is none."""
    return "(?:default)" if pattern == "default" else pattern or "default"
