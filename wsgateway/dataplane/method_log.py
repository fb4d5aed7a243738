"""The execution log of a request of a REST API, in the lines that AWS writes of one.

API Gateway developer guide, "Set up CloudWatch logging for REST APIs in API Gateway".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsgateway.dataplane.execution_log import ExecutionLog, java
from wsgateway.dataplane.traces import headers_of
from wsgateway.messages import EndpointResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsgateway.dataplane.execution_log import Logging
    from wsgateway.dataplane.gateway import Log
    from wsgateway.method_request import MethodRequest

TOLD_OTHERWISE: Final = frozenset({"request template", "response template"})
"""Steps whose outcome the request's and the answer's own lines show."""


class MethodLog(ExecutionLog):
    """The Trace of one request that writes lines."""

    __slots__ = ("_request",)

    BODY = "Endpoint request body after transformations"

    def __init__(self, log: Log, logging: Logging, request: MethodRequest) -> None:
        self._request = request
        super().__init__(log, logging, request)

    def _begin(self) -> None:
        request = self._request
        self._tell(f"Extended Request Id: {request.extended_request_id}")
        self._tell(f"Starting execution for request: {request.request_id}")
        self._tell(f"HTTP Method: {request.http_method}, Resource Path: /{request.below.lstrip('/')}")
        if self._logging.data:
            self._tell(f"Method request path: {_java(request.all_path_parameters().items())}")
            query = ((name, values[-1]) for name, values in request.query().items())
            self._tell(f"Method request query string: {_java(query)}")
            self._tell(f"Method request headers: {java(headers_of(request.headers()))}")

    def _answered(self, answer: EndpointResponse) -> None:
        if answer.stream is None:
            self._payload("Method response body after transformations", answer.body or b"")
        if self._logging.data:
            self._tell(f"Method response headers: {java(headers_of(answer.headers))}")
        self._tell("Successfully completed execution")
        self._tell(f"Method completed with status: {answer.status}")

    def _step(self, step: str, value: object) -> None:
        if step == "arrived":
            self._payload("Method request body before transformations", value)
        elif step == "answered":
            assert isinstance(value, EndpointResponse)  # it is one
            self._answered(value)
        elif step not in TOLD_OTHERWISE:
            super()._step(step, value)

    def _where(self) -> dict[str, str]:
        return {"canary": "true"} if self._request.canary else {}


def _java(pairs: Iterable[tuple[str, str]]) -> str:
    return java([[name, value] for name, value in pairs])
