"""Gateway responses: what clients of a REST API get where no integration answers.

API Gateway developer guide, "Gateway responses for REST APIs": a type that is not customised is as DEFAULT_4XX or
DEFAULT_5XX say, and else as it always is. Templates are no Velocity: variables are put in, and nothing else. Of the
media types a client accepts the first counts; `application/json` is for all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from wsgateway.dataplane.access_log import is_variable
from wsgateway.dataplane.reply import retry_after
from wsgateway.errors import GatewayError, MalformedResult, NoRoom, Problem, UnrecognizedClient
from wsgateway.integrations.mapping.media import accepted
from wsgateway.messages import HttpResponse
from wsgateway.method_request import MethodRequest, told
from wsgateway.model.gateway_response import GatewayResponse, ResponseType
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.parameters import GATEWAY_RESPONSE, compile_source, parse_source, parse_target
from wsgateway.templates.sources import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgateway.messages import Header
    from wsgateway.templates.sources import Value, Values

JSON: Final = "application/json"

ERROR_TYPES: Final[Mapping[str, str]] = {
    "ACCESS_DENIED": "AccessDeniedException",
    "AUTHORIZER_CONFIGURATION_ERROR": "AuthorizerConfigurationException",
    "AUTHORIZER_FAILURE": "AuthorizerFailureException",
    "BAD_REQUEST_BODY": "BadRequestException",
    "BAD_REQUEST_PARAMETERS": "BadRequestException",
    "EXPIRED_TOKEN": "ExpiredTokenException",
    "INVALID_API_KEY": "ForbiddenException",
    "INVALID_SIGNATURE": "InvalidSignatureException",
    "MISSING_AUTHENTICATION_TOKEN": "MissingAuthenticationTokenException",
    "QUOTA_EXCEEDED": "LimitExceededException",
    "REQUEST_TOO_LARGE": "RequestEntityTooLargeException",
    "RESOURCE_NOT_FOUND": "NotFoundException",
    "THROTTLED": "TooManyRequestsException",
    "UNAUTHORIZED": "UnauthorizedException",
    "UNSUPPORTED_MEDIA_TYPE": "BadRequestException",
    "DEFAULT_4XX": "BadRequestException",
}
"""What `x-amzn-ErrorType` says of a type; `InternalServerErrorException` of all others."""

IF_CUSTOM: Final[Mapping[str, int]] = {"INTEGRATION_FAILURE": 504}
"""The status of types that have their own once they are customised, though that gives none: as listed by AWS."""

SPACED: Final = frozenset({"BAD_REQUEST_BODY", "BAD_REQUEST_PARAMETERS", "UNSUPPORTED_MEDIA_TYPE"})
"""Types whose usual bodies AWS writes with a blank behind the colon, as it does of malformed results of functions."""

_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z]+(?:\.[A-Za-z0-9_-]+)+)\}|(?P<plain>[A-Za-z]+(?:\.[A-Za-z0-9_-]*[A-Za-z0-9_])+))"
)


def check_gateway_responses(defined: Mapping[ResponseType, GatewayResponse]) -> Iterator[Problem]:
    """What can't be read of them; paths start at the API."""
    for kind, response in defined.items():
        for key, text in response.response_parameters.items():
            at = ("gatewayResponses", kind, "responseParameters", key)
            try:
                parse_target(key, GATEWAY_RESPONSE)
                source = parse_source(text, GATEWAY_RESPONSE)
            except ExpressionError as error:
                yield Problem(at, str(error))
                continue
            if isinstance(source, Context) and not is_variable(source.name, MethodRequest.variables):
                yield Problem(at, f"there is no $context.{source.name}")
        for media, template in response.response_templates.items():
            for name in dict.fromkeys(_context_in(template)):
                if not is_variable(name, MethodRequest.variables):
                    at = ("gatewayResponses", kind, "responseTemplates", media)
                    yield Problem(at, f"there is no $context.{name}")


def _context_in(template: str) -> Iterator[str]:
    for found in _VARIABLE.finditer(template):
        root, _, name = (found["braced"] or found["plain"]).partition(".")
        if root == "context":
            yield name


class GatewayResponses:
    """The gateway responses of one API."""

    def __init__(self, defined: Mapping[ResponseType, GatewayResponse]) -> None:
        """Only for what `check_gateway_responses` found nothing wrong with."""
        self._custom: dict[str, _Custom] = {kind: _Custom(response) for kind, response in defined.items()}

    def answer(self, fault: GatewayError, request: MethodRequest, show_reason: bool = False) -> HttpResponse:
        """What the client gets for `fault`; `show_reason` tells it why, too, where no template says what it is told."""
        request.failure = fault
        kind = fault.response_type
        status = fault.status
        custom = self._custom.get(kind)
        if custom is None:
            custom = self._custom.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX")
        else:
            status = IF_CUSTOM.get(kind, status)
        error_type = ERROR_TYPES.get(kind, "InternalServerErrorException")
        if isinstance(fault, UnrecognizedClient):
            error_type = "UnrecognizedClientException"
        headers: list[Header] = [
            (b"x-amzn-RequestId", request.request_id.encode()),
            (b"x-amz-apigw-id", request.extended_request_id.encode()),
            (b"x-amzn-ErrorType", error_type.encode()),
        ]
        if isinstance(fault, NoRoom) and fault.again:
            headers.append(retry_after())
        if custom is None:
            return HttpResponse(fault.status, (_TYPE, *headers), _plain(fault, show_reason))
        media, body = custom.body(request) or (JSON, _plain(fault, show_reason))
        set_by = custom.headers(request)
        taken = {name.lower() for name, _ in set_by}
        headers = [(b"Content-Type", media.encode()), *headers]
        kept = [header for header in headers if header[0].lower() not in taken]
        return HttpResponse(custom.status or status, (*kept, *set_by), body)


def _plain(fault: GatewayError, show_reason: bool) -> bytes:
    body = {"Message" if fault.response_type == "ACCESS_DENIED" else "message": told(fault)}
    if show_reason and fault.reason:
        body["reason"] = fault.reason
    colon = ": " if fault.response_type in SPACED or isinstance(fault, MalformedResult) else ":"
    return json.dumps(body, separators=(",", colon)).encode()


_TYPE: Final[Header] = (b"Content-Type", b"application/json")


class _Custom:
    """One customised type."""

    def __init__(self, response: GatewayResponse) -> None:
        self.status = None if response.status_code is None else int(response.status_code)
        self._templates = response.response_templates
        self._headers: list[tuple[str, Callable[[Values], Value]]] = [
            (parse_target(key, GATEWAY_RESPONSE).name, compile_source(parse_source(text, GATEWAY_RESPONSE)))
            for key, text in response.response_parameters.items()
        ]

    def body(self, request: MethodRequest) -> tuple[str, bytes] | None:
        """The media type and the body; None where no template is for this client."""
        media = accepted(request)
        media = media if media in self._templates else JSON
        template = self._templates.get(media)
        return (
            None
            if template is None
            else (media, _VARIABLE.sub(lambda found: _value(found, request), template).encode())
        )

    def headers(self, request: MethodRequest) -> list[Header]:
        """The headers that are set, without those that have no value, or one that no header can have."""
        found = ((name, read(request)) for name, read in self._headers)
        return [
            (name.encode(), value.encode())
            for name, value in found
            if isinstance(value, str) and not any(mark in value for mark in "\r\n\0")
        ]


def _value(found: re.Match[str], request: MethodRequest) -> str:
    root, _, name = (found["braced"] or found["plain"]).partition(".")
    match root:
        case "context":
            return request.context(name) or ""
        case "stageVariables":
            return request.stage_variable(name) or ""
        case "method" if name.startswith("request."):
            place, _, parameter = name.removeprefix("request.").partition(".")
            values = {"header": request.header, "querystring": request.querystring}.get(place)
            if values is not None:
                return (values(parameter) or [""])[-1]
            return request.path_parameter(parameter) or "" if place == "path" else found[0]
        case _:
            return found[0]
