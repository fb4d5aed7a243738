"""Gateway responses: what clients of a REST API get where no integration answers.

API Gateway developer guide, "Gateway responses for REST APIs" and "Gateway response types for API Gateway".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import MaxLen
from pydantic import Field

from wsgateway.model.base import Among, Definition, Matches
from wsgateway.model.models import ContentType

TYPES = (
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
)

ResponseType = Annotated[
    Literal[
        "ACCESS_DENIED",
        "API_CONFIGURATION_ERROR",
        "AUTHORIZER_CONFIGURATION_ERROR",
        "AUTHORIZER_FAILURE",
        "BAD_REQUEST_BODY",
        "BAD_REQUEST_PARAMETERS",
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "EXPIRED_TOKEN",
        "INTEGRATION_FAILURE",
        "INTEGRATION_TIMEOUT",
        "INVALID_API_KEY",
        "INVALID_SIGNATURE",
        "MISSING_AUTHENTICATION_TOKEN",
        "QUOTA_EXCEEDED",
        "REQUEST_TOO_LARGE",
        "RESOURCE_NOT_FOUND",
        "THROTTLED",
        "UNAUTHORIZED",
        "UNSUPPORTED_MEDIA_TYPE",
        "WAF_FILTERED",
    ],
    Among(TYPES),
]

Header = Annotated[
    str, Matches(r"gatewayresponse\.header\.[A-Za-z0-9._$-]+", "a header is written gatewayresponse.header.NAME")
]


class GatewayResponse(Definition):
    """What is different from the usual about one type of gateway response."""

    status_code: (
        Annotated[str, Matches(r"[2-5][0-9][0-9]", "a status code is three digits in quotes, from '200' to '599'")]
        | None
    ) = None
    """The status: three digits in quotes. (AWS takes 1xx, too, which ends no request.)"""
    response_parameters: Mapping[Header, Annotated[str, MaxLen(512)]] = Field(default_factory=dict)
    """Headers: `gatewayresponse.header.NAME: "'text'"`, context.NAME, stageVariables.NAME or method.request….NAME."""
    response_templates: Mapping[ContentType, Annotated[str, MaxLen(300 * 1024)]] = Field(default_factory=dict)
    """The body by what the client accepts, such as `{"message":$context.error.messageString}`; variables alone."""
