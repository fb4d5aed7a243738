"""An integration: the backend a route hands its messages to, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches
from wsgateway.model.explain import shown
from wsgateway.model.publish import PublishConfig, check_publish
from wsgateway.model.quotas import IntegrationMillis
from wsgateway.model.resilience import CircuitBreaker, DeadLetter, Retry
from wsgateway.model.tls import TlsConfig
from wsgateway.model.uri import hidden, uri_fault

IntegrationType = Annotated[
    Literal["AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK", "PUBLISH"],
    Among(("AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK", "PUBLISH")),
]

Method = Annotated[
    str, Matches(r"(?!CONNECT$)[A-Z][A-Z0-9_-]{0,63}", "an HTTP method in capitals, such as POST, or ANY; not CONNECT")
]

CredentialsArn = Annotated[
    str,
    # The caller of a WebSocket API has no credentials of AWS's that could be passed on.
    Matches(r"(?!.*:user/).{1,2048}", "calls are signed for a role, never for their caller; write a role's ARN"),
]

MappedValue = Annotated[str, Matches(r"[\s\S]{1,512}", "a mapped value has 1 to 512 characters")]

Template = Annotated[str, MaxLen(300 * 1024)]  # AWS quotas: mapping template size

Templates = Mapping[str, Template]

Expression = Annotated[str, Matches(r"[\s\S]{1,1024}", "a selection expression has 1 to 1024 characters")]

ContentHandling = Annotated[
    Literal["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"], Among(("CONVERT_TO_BINARY", "CONVERT_TO_TEXT"))
]

ResponseKey = Annotated[
    str,
    Matches(
        r"\\?\$default|/[\s\S]+/",
        "write a regular expression between slashes, such as /5\\d\\d/, or $default",
    ),
]

RESPONSE_EXPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "AWS": (
        "${integration.response.statuscode}",
        "$integration.response.statuscode",
        "${integration.response.body.errorMessage}",
        "$integration.response.body.errorMessage",
    ),
    "HTTP": ("${integration.response.statuscode}", "$integration.response.statuscode"),
    "MOCK": ("${integration.response.statuscode}", "$integration.response.statuscode"),
    "PUBLISH": ("${integration.response.statuscode}", "$integration.response.statuscode"),
}
"""What `integrationResponseSelectionExpression` is, by type: AWS fixes it."""


class IntegrationResponse(Definition):
    """What goes back to the client where the backend's answer matches the key that stands before it."""

    response_templates: Templates = Field(default_factory=dict)
    """Mapping templates of what is sent, by what templateSelectionExpression gives, else by `$default`."""
    template_selection_expression: Expression | None = None
    """Which template is used: such as `$request.body.kind` or `${integration.response.statuscode}`."""
    response_parameters: Mapping[str, MappedValue] = Field(default_factory=dict)
    """On $connect: `method.response.header.NAME: integration.response.header.NAME`. A frame has no headers."""
    content_handling_strategy: ContentHandling | None = None
    """CONVERT_TO_TEXT makes base64 of the backend's bytes, CONVERT_TO_BINARY bytes of base64; else they are text."""


class Integration(Definition):
    """A backend and how it is asked.

    AWS_PROXY hands each event to a Lambda function. HTTP_PROXY passes messages to a URL as they came, HTTP as mapping
    templates make them. AWS calls a service of AWS, or a Lambda function, with what templates make. MOCK answers by
    itself, from templates. PUBLISH hands messages to a broker. (Ours.)
    """

    integration_type: IntegrationType
    """The kind of backend: AWS, AWS_PROXY, HTTP, HTTP_PROXY, MOCK or PUBLISH."""
    integration_uri: Annotated[str, MaxLen(2048)] | None = None
    """The backend's URL, for AWS and AWS_PROXY `function:NAME` or an ARN, for PUBLISH a broker's stream or subject;
    `${stageVariables.NAME}` is a stage's value."""
    integration_method: Method = "POST"
    """The HTTP method used; POST. ANY is the client's own on $connect."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the integration is for."""
    connection_type: Annotated[Literal["INTERNET", "VPC_LINK"], Among(("INTERNET", "VPC_LINK"))] = "INTERNET"
    """How the backend is reached: INTERNET, that is directly, or VPC_LINK, by one of `vpcLinks`."""
    connection_id: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """With VPC_LINK: the link's name in `vpcLinks`; `${stageVariables.NAME}` is a stage's value."""
    request_parameters: Mapping[str, MappedValue] = Field(default_factory=dict)
    """What the backend is sent beside the body: `integration.request.header.NAME: context.connectionId`."""
    credentials_arn: CredentialsArn | None = None
    """Of AWS and AWS_PROXY: the role whose keys sign the calls, as `roles` says; the process's own."""
    timeout_in_millis: IntegrationMillis | None = None
    """How long the backend may take; 50 to 29000, in the open profile to 300000; 29000."""
    tls_config: TlsConfig | None = None
    """How an https backend is verified, and the certificate shown to it."""
    publish_config: PublishConfig | None = None
    """For PUBLISH: who we are at the broker, and how it takes messages. (Ours.)"""
    max_concurrency: Annotated[int, Ge(1)] | None = None
    """At most this many calls at a time; no limit. (Ours.)"""
    retry: Retry | None = None
    """Ask again where the backend failed; `{}` does where there was no connection. (Ours.)"""
    circuit_breaker: CircuitBreaker | None = None
    """Leave a backend in peace that failed several times in a row; `{}` has the usual settings. (Ours.)"""
    dead_letter: DeadLetter | None = None
    """Log messages whose integration failed in the end; `{}` logs them without their payload. (Ours.)"""
    payload_format_version: Annotated[Literal["1.0"], Among(("1.0",))] = "1.0"
    """AWS's version of the payload: 1.0, in quotes."""
    request_templates: Templates = Field(default_factory=dict)
    """Mapping templates of what is sent, by what templateSelectionExpression gives, else by `$default`."""
    template_selection_expression: Expression | None = None
    """Which request template is used: such as `$request.body.kind`; without it `application/json` or `$default`."""
    passthrough_behavior: Annotated[
        Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"], Among(("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"))
    ] = "WHEN_NO_MATCH"
    """When a message goes on as it came: where no template fits, only where there are none, or never."""
    content_handling_strategy: ContentHandling | None = None
    """CONVERT_TO_BINARY sends the bytes that a message is the base64 of, CONVERT_TO_TEXT a binary one as base64."""
    integration_responses: Mapping[ResponseKey, IntegrationResponse] = Field(default_factory=dict)
    """What goes back, by a pattern of the backend's status such as `/5\\d\\d/`, of a function's errorMessage such as
    `/.*not found.*/`, first come first, or by `$default`."""
    integration_response_selection_expression: str | None = None
    """What the patterns are matched with; AWS fixes it: `${integration.response.statuscode}`, of Lambda functions
    `${integration.response.body.errorMessage}`."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "integrationSubtype",
            "responseParameters",
        }
    )

    def check(self) -> Iterator[Problem]:
        yield from _check_connection(self)
        yield from _check_retry(self)
        match self.integration_type:
            case "AWS":
                yield from _check_aws(self)
            case "AWS_PROXY":
                yield from _check_aws_proxy(self)
            case "HTTP":
                yield from _check_http(self)
            case "HTTP_PROXY":
                yield from _check_http_proxy(self)
            case "MOCK":
                yield from _check_mock(self)
            case "PUBLISH":
                yield from _without_credentials(self)
                yield from check_publish(self)
                yield from _check_response_expression(self)
        if self.integration_type != "PUBLISH":
            yield from without("it is for PUBLISH", publishConfig=self.publish_config)


def _without_credentials(integration: Integration) -> Iterator[Problem]:
    yield from without("only calls to AWS are signed", credentialsArn=integration.credentials_arn)


def _check_aws(integration: Integration) -> Iterator[Problem]:
    if integration.integration_uri is None:
        what = "the service AWS calls, such as arn:aws:apigateway:us-east-1:dynamodb:action/PutItem, or function:NAME"
        yield Problem(("integrationUri",), f"is required: {what}")
    yield from without(
        "AWS's endpoints are verified as SDKs do, by AWS_CA_BUNDLE where that is set", tlsConfig=integration.tls_config
    )
    yield from _check_response_expression(integration)


def _check_aws_proxy(integration: Integration) -> Iterator[Problem]:
    if integration.integration_uri is None:
        yield Problem(("integrationUri",), "is required: the function AWS_PROXY calls, such as function:NAME")
    if integration.integration_method != "POST":
        yield Problem(("integrationMethod",), "Lambda functions are invoked by POST; write POST, or remove it")
    yield from without(
        "AWS_PROXY hands on the whole event and takes the whole result",
        requestParameters=integration.request_parameters,
        **_mapping_of(integration),
    )
    if integration.content_handling_strategy == "CONVERT_TO_BINARY":
        yield Problem(("contentHandlingStrategy",), "a Lambda event is text; write CONVERT_TO_TEXT, or remove it")
    yield from without(
        "Lambda's endpoint is verified as SDKs do, by AWS_CA_BUNDLE where that is set", tlsConfig=integration.tls_config
    )


def _check_http_proxy(integration: Integration) -> Iterator[Problem]:
    yield from _check_url(integration)
    yield from without(
        "HTTP_PROXY passes messages and answers on as they came",
        **_mapping_of(integration),
        contentHandlingStrategy=integration.content_handling_strategy,
    )


def _check_http(integration: Integration) -> Iterator[Problem]:
    yield from _check_url(integration)
    yield from _check_response_expression(integration)


def _check_url(integration: Integration) -> Iterator[Problem]:
    yield from _without_credentials(integration)
    uri = integration.integration_uri
    if uri is None:
        text = f"is required: the URL of the backend {integration.integration_type} calls"
        yield Problem(("integrationUri",), text)
    else:
        fault = uri_fault(uri)
        if fault:
            yield Problem(("integrationUri",), f"{shown(hidden(uri))}: {fault}")
        elif integration.tls_config is not None and not uri.startswith("https:"):
            yield Problem(("tlsConfig",), "has no effect: integrationUri is not https; remove it, or write https://")


def _check_mock(integration: Integration) -> Iterator[Problem]:
    yield from _without_credentials(integration)
    yield from without(
        "MOCK calls no backend",
        integrationUri=integration.integration_uri,
        requestParameters=integration.request_parameters,
        maxConcurrency=integration.max_concurrency,
        tlsConfig=integration.tls_config,
        retry=integration.retry,
        circuitBreaker=integration.circuit_breaker,
        deadLetter=integration.dead_letter,
    )
    yield from _check_response_expression(integration)


def _check_response_expression(integration: Integration) -> Iterator[Problem]:
    """It says what holds anyway, or it is wrong."""
    expression = integration.integration_response_selection_expression
    fixed = RESPONSE_EXPRESSIONS[integration.integration_type]
    if expression is not None and expression not in fixed:
        text = (
            f"{shown(expression)}: of {integration.integration_type} it is always {fixed[0]}; write that, or remove it"
        )
        yield Problem(("integrationResponseSelectionExpression",), text)


def _mapping_of(integration: Integration) -> dict[str, object]:
    """What says how messages and answers are mapped: proxies map nothing."""
    passthrough = integration.passthrough_behavior
    return {
        "requestTemplates": integration.request_templates,
        "templateSelectionExpression": integration.template_selection_expression,
        "passthroughBehavior": passthrough if passthrough != "WHEN_NO_MATCH" else None,
        "integrationResponses": integration.integration_responses,
        "integrationResponseSelectionExpression": integration.integration_response_selection_expression,
    }


def _check_connection(integration: Integration) -> Iterator[Problem]:
    if integration.connection_type == "INTERNET":
        if integration.connection_id is not None:
            yield Problem(("connectionId",), "has no effect without connectionType: VPC_LINK; add that, or remove it")
    elif integration.integration_type not in ("HTTP", "HTTP_PROXY"):
        yield Problem(("connectionType",), "only HTTP and HTTP_PROXY integrations go by a VPC link; remove it")
    elif integration.connection_id is None:
        yield Problem(("connectionId",), "is required with VPC_LINK: the name of one of vpcLinks")


def _check_retry(integration: Integration) -> Iterator[Problem]:
    retry = integration.retry
    if retry is not None and "function-error" in retry.on and integration.integration_type not in ("AWS", "AWS_PROXY"):
        yield Problem(("retry", "on"), "only Lambda functions end in function-error; remove it")


def without(why: str, **fields: object) -> Iterator[Problem]:
    """A problem for each of these keys that has a value."""
    for key, value in fields.items():
        if value:
            yield Problem((key,), f"has no effect: {why}; remove it")
