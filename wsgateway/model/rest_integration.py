"""An integration of a REST API, by AWS's names of the v1 API; it is the integration of WebSocket APIs all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches, Path
from wsgateway.model.integration import (
    ContentHandling,
    CredentialsArn,
    Integration,
    IntegrationResponse,
    MappedValue,
    Template,
)
from wsgateway.model.integration import Method as HttpMethod
from wsgateway.model.quotas import IntegrationMillis
from wsgateway.model.resilience import CircuitBreaker, DeadLetter, Retry
from wsgateway.model.tls import TlsConfig

StatusCode = Annotated[str, Matches(r"[1-5][0-9][0-9]", "a status code is three digits in quotes, such as '200'")]

Templates = Mapping[str, Template | None]
"""By media type; None, or an empty one, is none: a body of that type goes on as it came."""

PASSED = "__passthrough__"
"""What OpenAPI documents write for none, as API Gateway's exports do."""

CacheKeyParameter = Annotated[
    str,
    Matches(
        r"(?:method|integration)\.request\.(?:path|querystring|header)\.[A-Za-z0-9._$-]+",
        "a parameter is written method.request.querystring.NAME (or .path, .header), or integration.request.….NAME",
    ),
]

WIRE_NAMES: Mapping[str, str] = {
    "integrationType": "type",
    "integrationUri": "uri",
    "integrationMethod": "httpMethod",
    "credentialsArn": "credentials",
    "contentHandlingStrategy": "contentHandling",
}
"""What the v1 API calls what WebSocket APIs call otherwise."""


class RestIntegrationResponse(Definition):
    """What goes back to the client, with the status that stands before it."""

    selection_pattern: Annotated[str, MaxLen(1024)] | None = None
    """A regular expression that the backend's status, or a function's errorMessage, must match as a whole; else, or
    where it is empty, this is the default."""
    response_parameters: Mapping[str, MappedValue] = Field(default_factory=dict)
    """Headers: `method.response.header.NAME: integration.response.header.NAME`."""
    response_templates: Templates = Field(default_factory=dict)
    """Mapping templates of the body by the media type that the client accepts; null passes it on as it came."""
    content_handling: ContentHandling | None = None
    """CONVERT_TO_TEXT makes base64 of the backend's bytes, CONVERT_TO_BINARY bytes of base64."""


class Selectable(IntegrationResponse):
    """An integration response that has a status of its own."""

    status_code: int
    """The status clients get."""


class RestIntegration(Definition):
    """A backend and how it is asked: AWS_PROXY, AWS, HTTP_PROXY, HTTP or MOCK, as for WebSocket APIs."""

    type: Annotated[
        Literal["AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"],
        Among(("AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK")),
    ]
    """The kind of backend: AWS, AWS_PROXY, HTTP, HTTP_PROXY or MOCK."""
    uri: Annotated[str, MaxLen(2048)] | None = None
    """The backend's URL; `integration.request.path.NAME` fills `{NAME}`, the stage `${stageVariables.NAME}`."""
    credentials: CredentialsArn | None = None
    """Of AWS and AWS_PROXY: the role whose keys sign the calls, as `roles` says; the process's own."""
    http_method: HttpMethod | None = None
    """The HTTP method used; ANY is the client's own."""
    connection_type: Annotated[Literal["INTERNET", "VPC_LINK"], Among(("INTERNET", "VPC_LINK"))] = "INTERNET"
    """How the backend is reached: INTERNET, that is directly, or VPC_LINK, by one of `vpcLinks`."""
    connection_id: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """With VPC_LINK: the link's name in `vpcLinks`; `${stageVariables.NAME}` is a stage's value."""
    request_parameters: Mapping[str, MappedValue] = Field(default_factory=dict)
    """What the backend is sent: `integration.request.header.NAME: method.request.header.NAME`."""
    request_templates: Templates = Field(default_factory=dict)
    """Mapping templates of what is sent, by the request's content type, or `$default`; null passes it on as it came."""
    passthrough_behavior: Annotated[
        Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"], Among(("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"))
    ] = "WHEN_NO_MATCH"
    """When a body goes on as it came: where no template fits, only where there are none, or never."""
    content_handling: ContentHandling | None = None
    """CONVERT_TO_BINARY sends the bytes that a text is the base64 of, CONVERT_TO_TEXT bytes as base64."""
    timeout_in_millis: IntegrationMillis | None = None
    """How long the backend may take; 50 to 29000, in the open profile to 300000; 29000."""
    tls_config: TlsConfig | None = None
    """How an https backend is verified, and the certificate shown to it."""
    integration_responses: Mapping[StatusCode, RestIntegrationResponse] = Field(default_factory=dict)
    """What goes back, by the status clients get; the first whose selectionPattern matches, else the default one."""
    response_transfer_mode: Annotated[Literal["BUFFERED", "STREAM"], Among(("BUFFERED", "STREAM"))] = "BUFFERED"
    """STREAM gives the answer of a proxy on as it comes, of any size; BUFFERED once it is whole, up to 10 MiB."""
    cache_namespace: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """Whose kept answers are its own: methods with one namespace share them; the resource's path."""
    cache_key_parameters: list[CacheKeyParameter] = Field(default_factory=list)
    """What tells requests apart whose answers are kept, such as method.request.querystring.q."""
    max_concurrency: Annotated[int, Ge(1)] | None = None
    """At most this many calls at a time; no limit. (Ours.)"""
    retry: Retry | None = None
    """Ask again where the backend failed; `{}` does where there was no connection. (Ours.)"""
    circuit_breaker: CircuitBreaker | None = None
    """Leave a backend in peace that failed several times in a row; `{}` has the usual settings. (Ours.)"""
    dead_letter: DeadLetter | None = None
    """Log requests whose integration failed in the end; `{}` logs them without their payload. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset({"integrationTarget"})

    def check(self) -> Iterator[Problem]:
        if self.http_method is None and self.type != "MOCK":
            yield Problem(("httpMethod",), "is required: the method the backend is called by, such as GET, or ANY")
        if self.http_method is not None and self.type == "MOCK":
            yield Problem(("httpMethod",), "has no effect: MOCK calls no backend; remove it")
        if self.response_transfer_mode == "STREAM":
            if self.type not in ("HTTP_PROXY", "AWS_PROXY"):
                yield Problem(("responseTransferMode",), f"STREAM is for HTTP_PROXY and AWS_PROXY, not for {self.type}")
            if self.retry is not None:
                yield Problem(("retry",), "has no effect with responseTransferMode STREAM; remove one of the two")
        for problem in self.common.check():
            yield self.renamed(problem)

    @cached_property
    def common(self) -> Integration:
        """This integration as integration types know it."""
        responses: dict[str, IntegrationResponse] = {}
        for status, response in self.integration_responses.items():
            pattern = response.selection_pattern
            responses.setdefault(
                f"/{pattern}/" if pattern else "$default",
                Selectable.model_construct(
                    status_code=int(status),
                    response_parameters=response.response_parameters,
                    response_templates=_texts(response.response_templates),
                    template_selection_expression=None,
                    content_handling_strategy=response.content_handling,
                ),
            )
        return Integration.model_construct(
            integration_type=self.type,
            integration_uri=self.uri,
            integration_method=self.http_method or "POST",
            credentials_arn=self.credentials,
            connection_type=self.connection_type,
            connection_id=self.connection_id,
            request_parameters=self.request_parameters,
            request_templates=_texts(self.request_templates),
            passthrough_behavior=self.passthrough_behavior,
            content_handling_strategy=self.content_handling,
            timeout_in_millis=self.timeout_in_millis,
            tls_config=self.tls_config,
            integration_responses=responses,
            max_concurrency=self.max_concurrency,
            retry=self.retry,
            circuit_breaker=self.circuit_breaker,
            dead_letter=self.dead_letter,
        )

    def renamed(self, problem: Problem) -> Problem:
        """A problem of `common`, as this integration is written."""
        path = problem.path
        if path[:1] == ("integrationResponses",) and len(path) > 1:
            path = ("integrationResponses", self._status_of(str(path[1])), *path[2:])
        elif path:
            path = (WIRE_NAMES.get(str(path[0]), path[0]), *path[1:])
        text = problem.text
        for theirs, ours in WIRE_NAMES.items():
            text = text.replace(theirs, ours)
        return Problem(_as_written(path), text.replace("add it to its stageVariables", "add it to its variables"))

    def _status_of(self, key: str) -> str:
        """The status under which the response stands that `common` has under this key."""
        for status, response in self.integration_responses.items():
            if key == (f"/{response.selection_pattern}/" if response.selection_pattern else "$default"):
                return status
        return key


def _texts(templates: Templates) -> Mapping[str, str]:
    return {media: text or "" for media, text in templates.items()}


def _as_written(path: Path) -> Path:
    return tuple(WIRE_NAMES.get(part, part) if isinstance(part, str) else part for part in path)
