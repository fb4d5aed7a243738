"""What clients of REST APIs get where no integration answers (API Gateway developer guide, "Gateway responses")."""

from __future__ import annotations

import pytest

from wsgateway.dataplane.gateway_responses import ERROR_TYPES, GatewayResponses, check_gateway_responses
from wsgateway.errors import (
    AccessDenied,
    ApiConfigurationError,
    BadGateway,
    BadRequestBody,
    GatewayError,
    IntegrationFailure,
    MalformedResult,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
)
from wsgateway.invocation import Client, EventType
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.method_request import MethodRequest
from wsgateway.model.gateway_response import TYPES, GatewayResponse


def request(*headers: tuple[bytes, bytes]) -> MethodRequest:
    client = Client(
        api_id="shop", stage="v1", connection_id="", connected_at=0, domain_name="h", source_ip="1.2.3.4",
        user_agent=None, callback_url="", forwarded=b"",
    )  # fmt: skip
    head = HttpRequest("GET", "/v1/a/7?q=1&q=2", "h", headers)
    return MethodRequest(
        client, EventType.REQUEST, "GET /a/{id}", {"tone": "warm"}, request=head, resource="/a/{id}", http_method="GET",
        path="/v1/a/7", tail="a/7", path_parameters={"id": "7"}, account_id="000000000000",
    )  # fmt: skip


def answer(fault: GatewayError, *headers: tuple[bytes, bytes], **defined: dict[str, object]) -> HttpResponse:
    parsed = {kind: GatewayResponse.model_validate(value) for kind, value in defined.items()}
    return GatewayResponses(parsed).answer(fault, request(*headers))  # type: ignore[arg-type]  # keys are checked types


def header(response: HttpResponse, name: bytes) -> bytes | None:
    return next((value for key, value in response.headers if key.lower() == name), None)


@pytest.mark.parametrize(
    ("fault", "status", "kind", "body"),
    [
        (Unauthorized(), 401, b"UnauthorizedException", b'{"message":"Unauthorized"}'),
        (AccessDenied(detail="no"), 403, b"AccessDeniedException", b'{"Message":"no"}'),
        (Throttled(), 429, b"TooManyRequestsException", b'{"message":"Too Many Requests"}'),
        (ApiConfigurationError("why"), 500, b"InternalServerErrorException", b'{"message":"Internal server error"}'),
        (MalformedResult("why"), 502, b"InternalServerErrorException", b'{"message": "Internal server error"}'),
        (UnsupportedMediaType(), 415, b"BadRequestException", b'{"message": "Unsupported Media Type"}'),
    ],
)
def test_as_they_always_are(fault: GatewayError, status: int, kind: bytes, body: bytes) -> None:
    response = answer(fault)

    assert (response.status, header(response, b"x-amzn-errortype"), response.body) == (status, kind, body)
    assert header(response, b"content-type") == b"application/json"
    assert header(response, b"x-amzn-requestid")
    assert header(response, b"x-amz-apigw-id")


def test_one_type_comes_before_the_default_of_its_class() -> None:
    defined = {
        "DEFAULT_4XX": {"statusCode": "418"},
        "THROTTLED": {"statusCode": "503", "responseTemplates": {"application/json": "slow"}},
    }

    assert answer(Throttled(), **defined).status == 503  # type: ignore[arg-type]
    assert answer(Unauthorized(), **defined).status == 418  # type: ignore[arg-type]
    assert answer(ApiConfigurationError(), **defined).status == 500  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "customised", "status"),
    [
        pytest.param(IntegrationFailure(), "INTEGRATION_FAILURE", 504, id="what AWS lists, once it is customised"),
        pytest.param(BadGateway(), "INTEGRATION_FAILURE", 504, id="whatever failed of it"),
        pytest.param(IntegrationFailure(), "DEFAULT_5XX", 500, id="its own without"),
        pytest.param(MalformedResult(), "INTEGRATION_FAILURE", 502, id="a malformed result has no type"),
    ],
)
def test_the_status_of_a_customised_type(fault: GatewayError, customised: str, status: int) -> None:
    defined = {customised: {"responseParameters": {"gatewayresponse.header.X": "'x'"}}}

    assert answer(fault, **defined).status == status  # type: ignore[arg-type]


def test_templates_put_variables_in_and_nothing_else() -> None:
    template = (
        "$context.error.messageString ${context.error.responseType} $context.error.validationErrorString|"
        "$stageVariables.tone $method.request.path.id $method.request.querystring.q $method.request.header.X|"
        "#set($a = 1) $input.body $context.none|$context.stage-$context.apiId."
    )
    response = answer(
        BadRequestBody(), (b"X", b"y"), BAD_REQUEST_BODY={"responseTemplates": {"application/json": template}}
    )

    assert response.body == b'"Bad request body" BAD_REQUEST_BODY |warm 7 2 y|#set($a = 1) $input.body |v1-shop.'


@pytest.mark.parametrize(
    ("accept", "body", "media"),
    [
        (b"text/plain", b"plain", b"text/plain"),
        (b"text/plain;q=0.5, application/json", b"plain", b"text/plain"),
        (b"image/png", b"json", b"application/json"),
        (None, b"json", b"application/json"),
    ],
)
def test_the_template_is_the_one_the_client_accepts(accept: bytes | None, body: bytes, media: bytes) -> None:
    headers = () if accept is None else ((b"Accept", accept),)
    templates = {"application/json": "json", "text/plain": "plain"}
    response = answer(Throttled(), *headers, THROTTLED={"responseTemplates": templates})

    assert (response.body, header(response, b"content-type")) == (body, media)


def test_headers_are_mapped_or_left_out() -> None:
    mapped = {
        "gatewayresponse.header.X-Static": "'text'",
        "gatewayresponse.header.X-Query": "method.request.querystring.q",
        "gatewayresponse.header.X-None": "method.request.header.None",
        "gatewayresponse.header.X-Broken": "method.request.header.B",
        "gatewayresponse.header.Content-Type": "'text/html'",
    }
    response = answer(Throttled(), (b"B", b"a\rb"), DEFAULT_4XX={"responseParameters": mapped})

    assert header(response, b"x-static") == b"text"
    assert header(response, b"x-query") == b"2"
    assert header(response, b"x-none") is None
    assert header(response, b"x-broken") is None
    assert [value for name, value in response.headers if name.lower() == b"content-type"] == [b"text/html"]


@pytest.mark.parametrize(
    ("written", "path", "text"),
    [
        pytest.param(
            {"responseParameters": {"gatewayresponse.header.X": "nonsense"}},
            ("responseParameters", "gatewayresponse.header.X"), "expected 'text' in single quotes", id="no expression",
        ),
        pytest.param(
            {"responseParameters": {"gatewayresponse.header.X": "context.error.mesage"}},
            ("responseParameters", "gatewayresponse.header.X"), "there is no $context.error.mesage", id="no variable",
        ),
        pytest.param(
            {"responseTemplates": {"text/plain": "$context.stage $context.requestID."}},
            ("responseTemplates", "text/plain"), "there is no $context.requestID", id="no variable of a template's",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(written: dict[str, object], path: tuple[str, str], text: str) -> None:
    (problem,) = check_gateway_responses({"DEFAULT_4XX": GatewayResponse.model_validate(written)})

    assert problem.path == ("gatewayResponses", "DEFAULT_4XX", *path)
    assert problem.text.startswith(text)


def test_what_aws_knows_is_taken_whether_or_not_it_has_a_value() -> None:
    template = (
        "$context.authorizer.reason $context.integrationErrorMessage $context.wafResponseCode $context.waf.status"
    )
    defined = GatewayResponse.model_validate({"responseTemplates": {"application/json": template}})

    assert not list(check_gateway_responses({"DEFAULT_5XX": defined}))


def test_every_type_of_a_client_fault_has_an_error_type() -> None:
    of_server = {"API_CONFIGURATION_ERROR", "DEFAULT_5XX", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"}
    assert set(TYPES) - ERROR_TYPES.keys() == of_server | {"WAF_FILTERED"}
