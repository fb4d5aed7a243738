"""AWS with a Lambda function: its payload is what templates make, its result what goes back.

API Gateway developer guide, "Set up Lambda custom integrations" and "Set up asynchronous invocation of the backend
Lambda function": integration responses are picked by the errorMessage of a failed invocation, which is empty where it
went well; `X-Amz-Invocation-Type: 'Event'` is answered at once. Lambda's own refusals are gateway errors, as for
AWS_PROXY.
"""

from __future__ import annotations

import json
from asyncio import Future, get_running_loop
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.aws import Signer
from wsgateway.errors import ApiConfigurationError, BadGateway
from wsgateway.functions.base import MAX_PAYLOAD, InvokeRefused
from wsgateway.functions.invoke_api import client_context, not_json
from wsgateway.integrations.aws_call import SignedCall, Way, pass_gate
from wsgateway.integrations.aws_lambda import FUNCTION_ERROR, refusal
from wsgateway.integrations.aws_request import PathWriter, RequestWriter
from wsgateway.integrations.lambda_remote import refused
from wsgateway.messages import EndpointRequest, EndpointResponse

if TYPE_CHECKING:
    from wsgateway.aws import Endpoint
    from wsgateway.functions.base import FunctionResult, Invoke
    from wsgateway.functions.functions import Functions
    from wsgateway.integrations.aws_request import Written
    from wsgateway.integrations.base import Site
    from wsgateway.integrations.lambda_target import Target
    from wsgateway.integrations.mapping import MappedRequest
    from wsgateway.invocation import Invocation
    from wsgateway.upstream.exchange import Gate

JSON = (b"Content-Type", b"application/json")
KINDS = ("RequestResponse", "Event", "DryRun")
FAILED = (b"X-Amz-Function-Error", b"Unhandled")


def failed(answer: EndpointResponse) -> bool:
    """Whether the function failed that Lambda's API answers for."""
    return any(name.lower() == b"x-amz-function-error" for name, _ in answer.headers)


def error_message(answer: EndpointResponse) -> str:
    """What patterns are matched with: the errorMessage of a function that failed, else nothing."""
    if not failed(answer):
        return ""
    try:
        fields = json.loads(answer.body or b"")
    except (ValueError, RecursionError):
        return ""
    text = fields.get("errorMessage") if isinstance(fields, dict) else None
    return text if isinstance(text, str) else ""


class RemoteCustom:
    """A Sender to a function elsewhere."""

    def __init__(self, target: Target, endpoint: Endpoint, way: Way, site: Site) -> None:
        headers = {
            "Accept": "application/json",
            "User-Agent": f"AmazonAPIGateway_{site.api_id}",
            "X-Amzn-Apigateway-Api-Id": site.api_id,
            "X-Amz-Invocation-Type": "RequestResponse",
        }
        path = PathWriter(target.path.partition("?")[0], before=endpoint.path)
        query = [("Qualifier", target.qualifier)] if target.qualifier else []
        signer = Signer("lambda", endpoint.region)
        self._writer = RequestWriter(signer, "POST", endpoint.authority, path, query=query, headers=headers)
        self._way = way
        self._rest = site.rest
        self.send = SignedCall(way, signer, self._read, tagged=True).send

    def prepare(self, mapped: MappedRequest) -> Written:
        return self._writer.write(mapped, _payload(mapped, self._way.name))

    def _read(self, answer: EndpointResponse) -> EndpointResponse:
        if answer.status not in (200, 202, 204):
            result, error = refused(answer, self._way.credentials, self._rest)
            self._way.count(result)
            raise error
        if not failed(answer):
            self._way.count("ok")
            return answer
        self._way.count("function_error")
        return EndpointResponse(answer.status, answer.headers, answer.body, failure=FUNCTION_ERROR)


@dataclass(frozen=True, slots=True)
class Invocable:
    """What a local function is to be invoked with, and how, in Lambda's words."""

    payload: bytes
    kind: str
    context: str

    @property
    def unsigned(self) -> EndpointRequest:
        """The call as it can be shown."""
        return EndpointRequest(b"X-Amz-Invocation-Type: %b\r\n" % self.kind.encode(), self.payload)


class LocalCustom:
    """A Sender to a function here, answered as Lambda's API would."""

    def __init__(self, functions: Functions, target: Target, gate: Gate | None, seconds: float) -> None:
        self._functions = functions
        self._target = target
        self._shown = f"function {target.name}"
        self._gate = gate
        self._seconds = seconds
        self._loop = get_running_loop()

    def prepare(self, mapped: MappedRequest) -> Invocable:
        payload = _payload(mapped, self._shown)
        problem = not_json(payload)
        if problem:  # Lambda answers InvalidRequestContentException
            raise BadGateway(f"{self._shown}: its payload is no JSON: {problem}", transient=False, failure="")
        headers = {name.lower(): value for name, value in mapped.headers}
        context = client_context(headers.get("x-amz-client-context", "").encode())
        if context is None:
            raise ApiConfigurationError(f"{self._shown}: X-Amz-Client-Context is no base64 of a JSON object")
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        if kind not in KINDS:
            text = f"X-Amz-Invocation-Type {kind[:100]!r} is none of {', '.join(KINDS)}"
            raise ApiConfigurationError(f"{self._shown}: {text}")
        return Invocable(payload, kind, context)

    def send(self, invocation: Invocation, call: Invocable, seconds: float | None = None) -> Future[EndpointResponse]:
        """An Attempt. *Raises* ServiceUnavailable, BackendFault."""
        outcome: Future[EndpointResponse] = self._loop.create_future()
        name = self._target.name
        try:
            if call.kind == "RequestResponse":
                self._wait_for(invocation, call, outcome, self._seconds if seconds is None else seconds)
            elif call.kind == "Event":
                self._functions.events.start(
                    name,
                    call.payload,
                    qualifier=self._target.qualifier,
                    trace_id=invocation.trace_id.decode("latin-1"),
                    client_context=call.context,
                )
                outcome.set_result(EndpointResponse(202))
            else:
                outcome.set_result(EndpointResponse(204))
        except InvokeRefused as error:
            raise refusal(error, name) from error
        return outcome

    def _wait_for(
        self, invocation: Invocation, call: Invocable, outcome: Future[EndpointResponse], seconds: float
    ) -> None:
        """*Raises* InvokeRefused, ServiceUnavailable."""
        pass_gate(self._gate, self._shown)
        invoke = self._functions.invoke(
            self._target.name,
            call.payload,
            deadline=self._loop.time() + seconds,
            qualifier=self._target.qualifier,
            trace_id=invocation.trace_id.decode("latin-1"),
            client_context=call.context,
        )
        if self._gate is not None:
            self._gate.in_flight += 1
        invoke.add_done_callback(partial(self._landed, outcome))

    def _landed(self, outcome: Future[EndpointResponse], invoke: Invoke) -> None:
        if self._gate is not None:
            self._gate.in_flight -= 1
        if outcome.done():
            return  # nobody waits any more
        if invoke.cancelled():
            outcome.cancel()
            return
        error = invoke.exception()
        if error is None:
            outcome.set_result(_answered(invoke.result(), invoke.request_id))
        else:
            outcome.set_exception(refusal(error, self._target.name) if isinstance(error, InvokeRefused) else error)


def _answered(result: FunctionResult, request_id: str) -> EndpointResponse:
    called = (b"x-amzn-RequestId", request_id.encode())
    if result.failed:
        return EndpointResponse(200, (JSON, FAILED, called), result.payload, failure=FUNCTION_ERROR)
    return EndpointResponse(200, (JSON, called), result.payload)


def _payload(mapped: MappedRequest, shown: str) -> bytes:
    """An empty body is an empty object. *Raises* BadGateway."""
    if len(mapped.body) > MAX_PAYLOAD:
        raise BadGateway(f"{shown}: its payload is over {MAX_PAYLOAD} bytes", transient=False, failure="")
    return mapped.body or b"{}"
