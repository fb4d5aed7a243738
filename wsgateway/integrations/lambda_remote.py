"""A Lambda function elsewhere: one signed Invoke a message, by our own HTTP client.

Lambda API reference, Invoke; API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs". The
call has the headers API Gateway sets, less X-Amz-Source-Arn: that is what a service says of itself, and we are none of
AWS's. Logs are not asked for (X-Amz-Log-Type).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wsgateway.aws import Credentials, Endpoint, Signer
from wsgateway.errors import BadGateway, GatewayError, IntegrationFailure, IntegrationTimeout
from wsgateway.functions.base import MAX_PAYLOAD, MAX_RESULT, FunctionResult
from wsgateway.headers import aws_request_id
from wsgateway.http1 import field, request_line
from wsgateway.integrations.aws_answer import KEYS_OVER, refusal_of
from wsgateway.integrations.base import noted
from wsgateway.integrations.lambda_event import event
from wsgateway.integrations.lambda_rest import request_event
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.method_request import MethodRequest
from wsgateway.upstream.exchange import Exchange

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from wsgateway.integrations.base import Site
    from wsgateway.integrations.lambda_target import Target
    from wsgateway.invocation import Invocation
    from wsgateway.trace import Trace
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin

SIGNED = {"x-amz-invocation-type": "RequestResponse"}

RESULTS = {403: "denied", 404: "not_found", 429: "throttled"}
"""Lambda's refusals by status, as they are counted; others are `error`."""

UNUSABLE = frozenset({403, 404})
"""Refusals that are 500 to a handshake, as for a missing function, alias or permission on AWS; all others are 502.

Of REST APIs a missing permission alone is 500 (recorded of AWS).
"""

Counts = Counter[tuple[str, str]]
"""Calls by function and result."""


class RemoteFunction:
    """A function as one route calls it, most of the request prepared here."""

    def __init__(
        self,
        target: Target,
        endpoint: Endpoint,
        site: Site,
        *,
        origin: Origin,
        gate: Gate | None,
        credentials: Credentials,
        counts: Counts,
        meaning: Callable[[FunctionResult], EndpointResponse],
    ) -> None:
        path = endpoint.path + target.path
        self.name = target.shown
        self._signer = Signer("lambda", endpoint.region)
        self._shape = self._signer.shape("POST", path, {"host": endpoint.authority, **SIGNED})
        self._head = b"".join(
            [
                request_line(b"POST", path.encode()),
                field(b"Host", endpoint.authority.encode()),
                field(b"Accept", b"application/json"),
                field(b"Content-Type", b"application/json"),
                field(b"User-Agent", b"AmazonAPIGateway_%b" % site.api_id.encode()),
                field(b"X-Amzn-Apigateway-Api-Id", site.api_id.encode()),
                *(field(name.title().encode(), value.encode()) for name, value in SIGNED.items()),
            ]
        )
        self._ours = site.quotas.profile == "open"
        self._rest = site.rest
        self._operation_name = site.operation_name
        self._origin = origin
        self._gate = gate
        self._credentials = credentials
        self._counts = counts
        self._meaning = meaning
        self._loop = origin.loop

    def invoke(self, invocation: Invocation, *, seconds: float) -> Future[EndpointResponse]:
        """Begin an invocation of so many seconds at most; what it ends in names the function. *Raises* GatewayError."""
        if isinstance(invocation, MethodRequest):
            payload = request_event(invocation, self._operation_name)
        else:
            payload = event(invocation, ours=self._ours)
        if invocation.trace is not None:
            invocation.trace.note("endpoint request", {"function": self.name, "body": payload})
        keys = self._credentials.keys
        if keys is None:
            self.count("unsigned")
            raise IntegrationFailure(f"function {self.name}: {self._credentials.missing}", failure="")
        if len(payload) > MAX_PAYLOAD:
            self.count("error")
            reason = f"function {self.name}: its event is over {MAX_PAYLOAD} bytes"
            raise BadGateway(reason, transient=False, failure="")
        head = b"%bX-Amzn-Lambda-Integration-Tag: %b\r\nX-Amzn-Trace-Id: %b\r\n%b" % (
            self._head,
            invocation.request_id.encode(),
            invocation.trace_id,
            self._signer.sign(keys, self._shape, payload),
        )
        exchange = RemoteInvoke(loop=self._loop)
        exchange.function = self
        exchange.trace = invocation.trace
        self._origin.send(
            EndpointRequest(head, payload), seconds, max_body=MAX_RESULT, gate=self._gate, exchange=exchange
        )
        return exchange if invocation.trace is None else noted(invocation, exchange)

    def read(self, response: EndpointResponse) -> EndpointResponse:
        """What Lambda's answer means at the route. *Raises* BadGateway, IntegrationFailure."""
        headers = {name.lower(): value for name, value in response.headers}
        if response.status != 200:
            result, error = refused(response, self._credentials, self._rest)
            self.count(result)
            raise error
        failed = b"x-amz-function-error" in headers
        self.count("function_error" if failed else "ok")
        return self._meaning(FunctionResult(response.body or b"", failed))

    def count(self, result: str) -> None:
        self._counts[self.name, result] += 1


def refused(response: EndpointResponse, credentials: Credentials, rest: bool) -> tuple[str, GatewayError]:
    """Lambda did not run it: what that is counted as, and what it means."""
    refusal = refusal_of(response)
    status, over = refusal.status, refusal.code in KEYS_OVER
    if over:
        credentials.suspect()
    transient = status == 429 or status >= 500 or over  # new keys are looked for
    kind = IntegrationFailure if status in UNUSABLE and not (rest and status == 404) else BadGateway
    return RESULTS.get(status, "error"), kind(f"Lambda {refusal}", transient=transient, failure=status)


class RemoteInvoke(Exchange):
    """The exchange of one invocation, which ends in what the answer means. Its errors name the function."""

    __slots__ = ("function", "trace")

    function: RemoteFunction
    trace: Trace | None

    def answer(self, response: EndpointResponse) -> None:
        if self.trace is not None:
            self.trace.note("endpoint request id", aws_request_id(response.headers))
        try:
            meaning = self.function.read(response)
        except GatewayError as error:
            super().fail(_named(error, self.function.name))
        except Exception as error:  # nobody above could tell the one who waits
            super().fail(error)
        else:
            super().answer(meaning)

    def fail(self, error: BaseException) -> None:
        self.function.count(_KINDS.get(type(error), "error"))
        super().fail(_named(error, self.function.name) if isinstance(error, GatewayError) else error)


_KINDS: dict[type[BaseException], str] = {IntegrationFailure: "unreachable", IntegrationTimeout: "timeout"}


def _named(error: GatewayError, name: str) -> GatewayError:
    """The same error about this function."""
    if error.reason.startswith("function "):
        return error
    named = type(error)(f"function {name}: {error.reason}", transient=error.transient, failure=error.failure)
    named.__cause__ = error
    return named
