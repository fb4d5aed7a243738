"""AWS_PROXY: the event goes to a Lambda function, and its result is the answer.

API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs". A local function of the name that
the URI has runs it; else Lambda does, at the endpoint SDKs would call.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.errors import (
    BackendFault,
    BadGateway,
    GatewayError,
    IntegrationFailure,
    MalformedResult,
    Problem,
    ServiceUnavailable,
    placeless,
)
from wsgateway.functions.base import FunctionNotFound, InvokeRefused, TooManyInvocations
from wsgateway.integrations.base import noted, with_variables
from wsgateway.integrations.gates import Gates
from wsgateway.integrations.lambda_event import answer, event
from wsgateway.integrations.lambda_place import check_target, endpoint_of, is_remote, target_of
from wsgateway.integrations.lambda_remote import Counts, RemoteFunction
from wsgateway.integrations.lambda_rest import decoded, request_answer, request_event, streamed_answer
from wsgateway.integrations.lambda_target import Target
from wsgateway.integrations.mapping import then
from wsgateway.messages import EndpointResponse
from wsgateway.method_request import MethodRequest

FUNCTION_ERROR = "function-error"
"""The failure of a function that ran, and that the integration can't answer with."""

if TYPE_CHECKING:
    from wsgateway.aws import Credentials
    from wsgateway.functions.base import FunctionResult
    from wsgateway.functions.functions import Functions
    from wsgateway.integrations.aws_access import AwsAccess
    from wsgateway.integrations.base import Attempt, Call, Site
    from wsgateway.integrations.resilience import Resilience
    from wsgateway.invocation import Invocation
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin


class AwsProxy:
    """The IntegrationType of AWS_PROXY."""

    def __init__(self, functions: Functions, access: AwsAccess, resilience: Resilience) -> None:
        self._functions = functions
        self._access = access
        self._resilience = resilience
        self._gates = Gates()
        self.counts: Counts = Counts()

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI, with this stage's variables, names a function here or at an endpoint there is."""
        yield from self._access.check_credentials(integration, site)
        yield from with_variables(integration, site, check_target(self._access, integration, site))

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that hands the event to a worker of the function, or to Lambda."""
        target = target_of(integration, site)
        millis = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if millis is None else millis / 1000
        gate = self._gates.of(integration, site)
        call: Attempt
        if target.name in site.functions:
            call = _local(self._functions, target, site, seconds, gate)
        else:
            function = RemoteFunction(
                target,
                endpoint_of(self._access, target),
                site,
                origin=self._origin(integration, site),
                gate=gate,
                credentials=self._access.credentials(integration, site),
                counts=self.counts,
                meaning=partial(_meaning, name=target.shown, site=site),
            )
            call = partial(function.invoke, seconds=seconds)
        if gate is not None:
            call = _gated(call, gate, target)
        attempt = self._resilience.around(call, integration, site, seconds=seconds)
        return _of_client(attempt, site) if site.rest and not site.streams else attempt

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return {self._origin(integration, site) for integration, site in uses if is_remote(integration, site)}

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        self._gates.keep_only(uses)

    def credentials(self, uses: Sequence[tuple[Integration, Site]]) -> set[Credentials]:
        """Who signs the calls of `uses`."""
        return {self._access.credentials(*use) for use in uses if is_remote(*use)}

    def elsewhere(self, uses: Sequence[tuple[Integration, Site]]) -> dict[tuple[str, str], str]:
        """The functions that don't run here, by kind and name, each with the URL of its endpoint."""
        targets = {target_of(integration, site) for integration, site in uses if is_remote(integration, site)}
        return {("function", target.shown): endpoint_of(self._access, target).url for target in targets}

    @property
    def refused(self) -> int:
        return self._gates.refused

    def _origin(self, integration: Integration, site: Site) -> Origin:
        return self._access.origin(endpoint_of(self._access, target_of(integration, site)), site)


def _of_client(attempt: Attempt, site: Site) -> Call:
    """`attempt` of a REST API, its answer as the client accepts it."""

    def call(invocation: Invocation) -> Future[EndpointResponse]:
        assert isinstance(invocation, MethodRequest)  # those of REST APIs are
        return then(attempt(invocation), partial(decoded, invocation, site.binary_media_types))

    return call


def _gated(call: Attempt, gate: Gate, target: Target) -> Attempt:
    """`call` where the gate has room."""

    def gated(invocation: Invocation, **seconds: float) -> Future[EndpointResponse]:
        if gate.in_flight >= gate.limit:
            gate.refused += 1
            raise ServiceUnavailable(f"{gate.limit} calls of function {target.shown} are under way")
        return call(invocation, **seconds)

    return gated


def _local(functions: Functions, target: Target, site: Site, seconds: float, gate: Gate | None) -> Attempt:
    """An Attempt that hands the event to a worker of a function here."""
    name, qualifier = target.name, target.qualifier
    ours = site.quotas.profile == "open"
    loop = get_running_loop()
    over = partial(_over, gate) if site.streams else None

    def call(invocation: Invocation, seconds: float = seconds) -> Future[EndpointResponse]:
        if isinstance(invocation, MethodRequest):
            payload = request_event(invocation, site.operation_name)
        else:
            payload = event(invocation, ours=ours)
        if invocation.trace is not None:
            invocation.trace.note("endpoint request", {"function": target.shown, "body": payload})
        try:
            invoke = functions.invoke(
                name,
                payload,
                deadline=loop.time() + seconds,
                qualifier=qualifier,
                trace_id=invocation.trace_id.decode("latin-1"),
                over=over,
            )
        except InvokeRefused as error:
            raise refusal(error, name) from error
        if invocation.trace is not None:
            invocation.trace.note("endpoint request id", invoke.request_id)
        outcome: Future[EndpointResponse] = loop.create_future()
        if gate is not None:
            gate.in_flight += 1
        invoke.add_done_callback(partial(_landed, outcome, gate, name, site))
        return outcome if invocation.trace is None else noted(invocation, outcome)

    return call


def _landed(
    outcome: Future[EndpointResponse], gate: Gate | None, name: str, site: Site, invoke: Future[FunctionResult]
) -> None:
    """The function has answered, or failed: say what that means at its route."""
    error = None if invoke.cancelled() else invoke.exception()
    stream = None if invoke.cancelled() or error is not None else invoke.result().stream
    if stream is None:
        _over(gate)
    if outcome.done():  # nobody waits any more
        if stream is not None:
            stream.close()
        return
    if invoke.cancelled():
        outcome.cancel()
        return
    if error is not None:
        outcome.set_exception(refusal(error, name) if isinstance(error, InvokeRefused) else error)
        return
    try:
        outcome.set_result(_meaning(invoke.result(), name=name, site=site))
    except GatewayError as fault:
        if stream is not None:
            stream.close()
        outcome.set_exception(placeless(fault))


def _over(gate: Gate | None) -> None:
    """A call is through, with its answer's body."""
    if gate is not None:
        gate.in_flight -= 1


def refusal(error: InvokeRefused, name: str) -> BackendFault:
    """The function did not run: 500 to a handshake where there is none, else 502, as for Lambda's own refusals."""
    kind = IntegrationFailure if isinstance(error, FunctionNotFound) else BadGateway
    transient = isinstance(error, TooManyInvocations)
    return kind(f"function {name}: {error.reason}", transient=transient, failure=error.status_code)


def _meaning(result: FunctionResult, *, name: str, site: Site) -> EndpointResponse:
    """What a result means. *Raises* BadGateway where the function failed or gave what its route can't use."""
    malformed = MalformedResult if site.rest else BadGateway
    if result.failed:
        said = result.payload[:500].decode("utf-8", "replace")
        raise malformed(f"function {name} failed: {said}", transient=False, failure=FUNCTION_ERROR)
    try:
        if site.streams:
            response = streamed_answer(result.payload, result.stream)
        elif site.rest:
            response = request_answer(result.payload)
        else:
            response = answer(result.payload, event_type=site.event_type, two_way=site.two_way)
    except BadGateway as error:
        raise malformed(f"function {name}: {error.reason}", transient=False, failure=FUNCTION_ERROR) from error
    if response.body is not None and len(response.body) > site.max_answer_bytes:
        reason = f"function {name} gave a body over {site.max_answer_bytes} bytes"
        raise malformed(reason, transient=False, failure=FUNCTION_ERROR)
    return response
