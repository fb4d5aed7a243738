"""An integration: the backend a route hands its messages to, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MaxLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model import mock
from wsgateway.model.base import NOT_YET, Among, Definition, Matches, Path
from wsgateway.model.explain import shown
from wsgateway.model.quotas import IntegrationMillis
from wsgateway.model.tls import TlsConfig
from wsgateway.model.uri import uri_fault

IntegrationType = Annotated[
    Literal["AWS_PROXY", "HTTP_PROXY", "MOCK"], Among(("AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"))
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

STATUS_KEY = re.compile(r"/[1-5][0-9][0-9]/")


class IntegrationResponse(Definition):
    """What goes back to the client for one status of the backend."""

    response_templates: Templates = Field(default_factory=dict)
    """The text sent, under `$default` or `application/json`."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {"contentHandlingStrategy", "responseParameters", "templateSelectionExpression"}
    )


class Integration(Definition):
    """A backend and how it is asked.

    AWS_PROXY hands each event to a Lambda function, HTTP_PROXY passes messages to a URL as they came, MOCK answers by
    itself.
    """

    integration_type: IntegrationType
    """The kind of backend: AWS_PROXY, HTTP_PROXY or MOCK."""
    integration_uri: Annotated[str, MaxLen(2048)] | None = None
    """The backend's URL, or for AWS_PROXY `function:NAME` or an ARN; `${stageVariables.NAME}` is a stage's value."""
    integration_method: Method = "POST"
    """The HTTP method used; POST. ANY is the client's own on $connect."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the integration is for."""
    connection_type: Annotated[Literal["INTERNET"], Among(("INTERNET", "VPC_LINK"))] = "INTERNET"
    """How the backend is reached: INTERNET, that is directly."""
    request_parameters: Mapping[str, MappedValue] = Field(default_factory=dict)
    """What the backend is sent beside the body: `integration.request.header.NAME: context.connectionId`."""
    credentials_arn: CredentialsArn | None = None
    """Of AWS and AWS_PROXY: the role whose keys sign the calls, as `roles` says; the process's own."""
    timeout_in_millis: IntegrationMillis | None = None
    """How long the backend may take; 50 to 29000, in the open profile to 300000; 29000."""
    tls_config: TlsConfig | None = None
    """How an https backend is verified, and the certificate shown to it."""
    max_concurrency: Annotated[int, Ge(1)] | None = None
    """At most this many calls at a time; no limit. (Ours.)"""
    payload_format_version: Annotated[Literal["1.0"], Among(("1.0",))] = "1.0"
    """AWS's version of the payload: 1.0, in quotes."""
    passthrough_behavior: Annotated[
        Literal["WHEN_NO_MATCH"], Among(("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"))
    ] = "WHEN_NO_MATCH"
    """What happens when no request template fits: WHEN_NO_MATCH passes the body on."""
    request_templates: Templates = Field(default_factory=dict)
    """For MOCK: the static JSON with its statusCode, under `$default` or `application/json`."""
    integration_responses: Mapping[str, IntegrationResponse] = Field(default_factory=dict)
    """For MOCK: what goes back, by `$default` or by a status such as `/200/`."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "connectionId",
            "contentHandlingStrategy",
            "integrationSubtype",
            "responseParameters",
            "templateSelectionExpression",
        }
    )

    def check(self) -> Iterator[Problem]:
        match self.integration_type:
            case "AWS_PROXY":
                yield from _check_aws_proxy(self)
            case "HTTP_PROXY":
                yield from _check_http_proxy(self)
            case "MOCK":
                yield from _check_mock(self)


def _without_credentials(integration: Integration) -> Iterator[Problem]:
    yield from _without("only calls to AWS are signed", credentialsArn=integration.credentials_arn)


def _check_aws_proxy(integration: Integration) -> Iterator[Problem]:
    if integration.integration_uri is None:
        yield Problem(("integrationUri",), "is required: the function AWS_PROXY calls, such as function:NAME")
    if integration.integration_method != "POST":
        yield Problem(("integrationMethod",), "Lambda functions are invoked by POST; write POST, or remove it")
    yield from _without(
        "AWS_PROXY hands on the whole event and takes the whole result",
        requestParameters=integration.request_parameters,
        requestTemplates=integration.request_templates,
        integrationResponses=integration.integration_responses,
    )
    yield from _without(
        "Lambda's endpoint is verified as SDKs do, by AWS_CA_BUNDLE where that is set", tlsConfig=integration.tls_config
    )


def _check_http_proxy(integration: Integration) -> Iterator[Problem]:
    uri = integration.integration_uri
    if uri is None:
        yield Problem(("integrationUri",), "is required: the URL of the backend HTTP_PROXY calls")
    else:
        fault = uri_fault(uri)
        if fault:
            yield Problem(("integrationUri",), f"{shown(uri)}: {fault}")
        elif integration.tls_config is not None and not uri.startswith("https:"):
            yield Problem(("tlsConfig",), "has no effect: integrationUri is not https; remove it, or write https://")
    yield from _without_credentials(integration)
    yield from _without(
        "HTTP_PROXY passes messages and answers on as they came",
        requestTemplates=integration.request_templates,
        integrationResponses=integration.integration_responses,
    )


def _check_mock(integration: Integration) -> Iterator[Problem]:
    yield from _without_credentials(integration)
    yield from _without(
        "MOCK calls no backend",
        integrationUri=integration.integration_uri,
        requestParameters=integration.request_parameters,
        maxConcurrency=integration.max_concurrency,
        tlsConfig=integration.tls_config,
    )
    yield from _under(("requestTemplates",), mock.check_request(integration.request_templates))
    for key, response in integration.integration_responses.items():
        path = ("integrationResponses", key)
        if re.fullmatch(r"/.+/", key) and not STATUS_KEY.fullmatch(key):
            yield Problem(path, f"patterns are {NOT_YET}; write one status, such as /200/, or $default")
        elif key != "$default" and not STATUS_KEY.fullmatch(key):
            yield Problem(path, "is neither $default nor a status between slashes, such as /200/")
        yield from _under((*path, "responseTemplates"), mock.check_templates(response.response_templates))


def _without(why: str, **fields: object) -> Iterator[Problem]:
    for key, value in fields.items():
        if value:
            yield Problem((key,), f"has no effect: {why}; remove it")


def _under(path: Path, problems: Iterator[Problem]) -> Iterator[Problem]:
    for problem in problems:
        yield Problem((*path, *problem.path), problem.text)
