"""One request of a REST API on its way to an integration, and its `$context`.

API Gateway developer guide, "API Gateway mapping template and access logging variable reference". Names of headers and
of query parameters are compared as they are written, as API Gateway does in mappings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote

from wsgateway.bodies import Hold
from wsgateway.errors import GatewayError
from wsgateway.headers import REMOVED_ON_ARRIVAL, RESTATED
from wsgateway.ids import new_parent, new_request_id, new_root, new_trace, new_uuid
from wsgateway.invocation import (
    IDENTITY,
    Invocation,
    Variable,
    Variables,
    header_text,
    request_time,
)
from wsgateway.messages import Header, HttpRequest, Upload
from wsgateway.templates.document import to_json

OF_ANY = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""The verbs that ANY stands for."""


def _nothing_more(action: str) -> None:
    return None


class MethodRequest(Invocation, kw_only=True, eq=False):
    """One request, routed: `request` is its head, `payload` its whole body.

    `resource` is the path of the resource that answers, `path_parameters` what its variables took of the path, as it
    came. `path` is the request's path as clients wrote it, without the query, `tail` what of it is below the stage, its
    segments perhaps. `trace_header` is the client's X-Amzn-Trace-Id.
    """

    variables: ClassVar[Variables]

    resource: str
    http_method: str
    path: str
    tail: str | Sequence[str]
    path_parameters: Mapping[str, str]
    account_id: str
    of_binary_type: bool = False
    trace_header: bytes = b""
    deployment_id: str = ""
    payload: bytes = b""
    upload: Upload | None = None
    """The body, where it is still arriving; `payload` is empty then."""
    hold: Hold | None = None
    """Counts its body, where that is done, for most bodies are small."""
    signed: HttpRequest | None = None
    """The request as it came, where its body was compressed: what a signature stands for."""
    failure: GatewayError | None = None
    """What a gateway response is about."""
    identified: bool = False
    """Whether its method's authorizer, or its signature, has said who sends it."""
    granted: bool = False
    """Whether the API's own policy lets in whom its authorizer's says nothing of."""
    kept: bool = False
    """Whether its answer was made for another request."""
    permits: Callable[[str], bool | None] = _nothing_more
    """Whether what let the client in allows another action on what it asks for, such as execute-api:Invoke; None where
    it says nothing of it."""
    canary: bool | None = None
    """Whether its stage's canary answers it; None where there is none."""
    _extended_id: str = ""
    _trace_id: bytes = b""

    @property
    def request_id(self) -> str:
        """A UUID."""
        value = self._request_id
        if not value:
            value = self._request_id = new_uuid()
        return value

    @property
    def extended_request_id(self) -> str:
        """What `x-amz-apigw-id` says."""
        value = self._extended_id
        if not value:
            value = self._extended_id = new_request_id()
        return value

    @property
    def trace_id(self) -> bytes:
        """The value of `X-Amzn-Trace-Id` in what is asked for this request, and in its answer.

        The client's trace goes on (AWS X-Ray developer guide, "Tracing header").
        """
        mark = None if self.trace is None else self.trace.mark
        if mark is not None:
            return mark.amzn
        value = self._trace_id
        if not value:
            value = self._trace_id = trace_of(self.trace_header)
        return value

    @property
    def below(self) -> str:
        """What of the path is below the stage."""
        return self.tail if isinstance(self.tail, str) else "/".join(self.tail)

    @property
    def binary(self) -> bool:
        """Whether the body's media type is among the API's `binaryMediaTypes`."""
        return self.of_binary_type

    def body(self) -> bytes:
        return self.payload

    def header(self, name: str) -> list[str]:
        """All values of a header, in order; names as written."""
        wanted = name.encode("latin-1", "replace")
        return [header_text(value) for key, value in self._headers_like(wanted.lower()) if key == wanted]

    def field(self, name: str) -> list[str]:
        return [header_text(value) for value in self.values(name.lower().encode("latin-1", "replace"))]

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header, in order; `name` is in lower case, and stands for any."""
        return [value for key, value in self._headers_like(name) if key.lower() == name]

    def headers(self) -> Sequence[Header]:
        """Without those that are removed when a request arrives, and with those that the gateway states itself: on AWS
        a mapping finds the whole `X-Forwarded-For`, whatever the client wrote."""
        assert self.request is not None  # it is one
        sent = [header for header in self.request.headers if header[0].lower() not in _NOT_THE_CLIENTS]
        return [*sent, *self._stated()]

    def _headers_like(self, name: bytes) -> Sequence[Header]:
        """Those among which all of this name are."""
        assert self.request is not None  # it is one
        if name in REMOVED_ON_ARRIVAL:
            return ()
        return self._stated() if name in RESTATED else self.request.headers

    def _stated(self) -> list[Header]:
        lines = (line.partition(b": ") for line in self.client.forwarded.splitlines())
        return [(b"X-Amzn-Trace-Id", self.trace_id), *((name, value) for name, _, value in lines)]

    def _query_text(self) -> str:
        assert self.request is not None  # it is one
        return separated(self.request.target.partition("?")[2])

    def all_path_parameters(self) -> dict[str, str]:
        return {name: self.path_parameter(name) or "" for name in self.path_parameters}

    def path_parameter(self, name: str) -> str | None:
        """What the variable took of the path: decoded, but of `{name+}` as it came."""
        taken = self.path_parameters.get(name)
        return taken if taken is None or f"{{{name}+}}" in self.resource else unquote(taken)


def separated(query: str) -> str:
    """A query with `&` for every `;`, which ends a parameter of REST APIs, too (developer guide, "Important notes")."""
    return query.replace(";", "&")


_NOT_THE_CLIENTS = REMOVED_ON_ARRIVAL | RESTATED


def trace_of(header: bytes) -> bytes:
    """`Root=…;Parent=…;Sampled=…` as `header` begins it; what it lacks, or has in no form that is known, is made here.

    Where it names a parent and does not say whether it is sampled, it is.
    """
    if not header:
        return new_trace()
    given: dict[bytes, bytes] = {}
    for part in header.split(b";"):
        name, _, value = part.strip().partition(b"=")
        fits = _TRACE.get(name.lower())
        if fits is not None and fits(value):
            given[name.lower()] = value
    parent = given.get(b"parent")
    root = b"Root=" + given[b"root"] if b"root" in given else new_root()
    sampled = given.get(b"sampled", b"0" if parent is None else b"1")
    return b"%b;Parent=%b;Sampled=%b" % (root, parent or new_parent(), sampled)


_TRACE = {
    b"root": re.compile(rb"[0-9A-Za-z-]{1,64}").fullmatch,
    b"parent": re.compile(rb"[0-9A-Fa-f]{16}").fullmatch,
    b"sampled": re.compile(rb"[01]").fullmatch,
}


def _of_canary(invocation: Invocation) -> str | None:
    canary = _of(invocation).canary
    return None if canary is None else "true" if canary else "false"


def _of_identity(name: str) -> Variable:
    return lambda i: i.client.identity.get(name)


def told(failure: GatewayError) -> str | None:
    """What a client is told: of authorizers that fail nothing, as on AWS."""
    return None if failure.response_type in _SILENT else failure.detail


_SILENT = frozenset({"AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE"})


def _of_failure(name: str) -> Variable:
    def read(invocation: Invocation) -> str | None:
        failure = _of(invocation).failure
        if failure is None:
            return None
        match name:
            case "message":
                return told(failure)
            case "messageString":
                return to_json(told(failure))
            case _:
                return failure.response_type

    return read


def _of(invocation: Invocation) -> MethodRequest:
    assert isinstance(invocation, MethodRequest)
    return invocation


MethodRequest.variables = Variables(
    {
        "resourceId": lambda i: _of(i).resource,
        "resourcePath": lambda i: _of(i).resource,
        "httpMethod": lambda i: _of(i).http_method,
        "extendedRequestId": lambda i: _of(i).extended_request_id,
        "requestTime": lambda i: request_time(i.epoch),
        "path": lambda i: _of(i).path,
        "accountId": lambda i: _of(i).account_id,
        "deploymentId": lambda i: _of(i).deployment_id,
        "isCanaryRequest": _of_canary,
        "protocol": lambda i: "HTTP/1.1",
        "stage": lambda i: i.client.stage,
        "domainPrefix": lambda i: i.client.domain_name.partition(".")[0],
        "requestTimeEpoch": lambda i: i.epoch,
        "requestId": lambda i: i.request_id,
        "identity.sourceIp": lambda i: i.client.source_ip,
        "identity.userAgent": lambda i: i.client.user_agent,
        "domainName": lambda i: i.client.domain_name,
        "apiId": lambda i: i.client.api_id,
        "error.message": _of_failure("message"),
        "error.messageString": _of_failure("messageString"),
        "error.responseType": _of_failure("responseType"),
        "error.validationErrorString": lambda i: i.validation_error,
    }
    | {f"identity.{name}": _of_identity(name) for name in (*IDENTITY, "vpcId", "vpceId")},
    first=(
        "resourceId",
        "resourcePath",
        "httpMethod",
        "extendedRequestId",
        "requestTime",
        "path",
        "accountId",
        "protocol",
        "requestOverride",
        "stage",
        "domainPrefix",
        "requestTimeEpoch",
        "requestId",
        "identity",
        "domainName",
        "deploymentId",
        "responseOverride",
        "apiId",
    ),  # as AWS lists them
)
