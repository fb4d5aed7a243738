"""AWS_PROXY: the event goes to a Lambda function, and its result is the answer.

API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs". The function is named by
`function:NAME`, by its ARN, or by AWS's long URI around the ARN; a local function of that name runs it.
"""

from __future__ import annotations

import re
from asyncio import Future, get_running_loop
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.errors import BadGateway, GatewayError, IntegrationFailure, Problem, ServiceUnavailable
from wsgateway.functions.base import InvokeRefused, parse_name
from wsgateway.integrations.gates import Gates
from wsgateway.integrations.lambda_event import answer, event
from wsgateway.invocation import new_trace_id
from wsgateway.messages import EndpointResponse
from wsgateway.model.uri import expand, variables

if TYPE_CHECKING:
    from wsgateway.functions.base import FunctionResult
    from wsgateway.functions.functions import Functions
    from wsgateway.integrations.base import Call, Site
    from wsgateway.invocation import Invocation
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin

_long_form = re.compile(
    r"arn:[a-z-]+:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(.+)/invocations"
).fullmatch


class AwsProxy:
    """The IntegrationType of AWS_PROXY."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._loop = get_running_loop()
        self._gates = Gates()

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI, with this stage's variables, names a function there is."""
        uri = integration.integration_uri or ""
        missing = sorted({name for name in variables(uri) if name not in site.stage_variables})
        for name in missing:
            yield Problem(("integrationUri",), f"the stage has no variable {name}; add it to its stageVariables")
        if missing:
            return
        target = expand(uri, site.stage_variables)
        named = function_of(target)
        if named is None:
            yield Problem(
                ("integrationUri",),
                f"{target} names no Lambda function; write function:NAME, the function's ARN, or AWS's long form of it",
            )
        elif named[0] not in site.functions:
            there = ", ".join(sorted(site.functions)) or "none"
            yield Problem(
                ("integrationUri",),
                f"no function is named {named[0]}; define it under functions (there: {there}). "
                "Functions elsewhere are not supported yet",
            )

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that hands the event to a worker of the function."""
        named = function_of(expand(integration.integration_uri or "", site.stage_variables))
        assert named is not None  # `check` saw it
        name, qualifier = named
        millis = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if millis is None else millis / 1000
        ours = site.quotas.profile == "open"
        functions, loop = self._functions, self._loop
        gate = self._gates.of(integration, site)

        def call(invocation: Invocation) -> Future[EndpointResponse]:
            if gate is not None and gate.in_flight >= gate.limit:
                gate.refused += 1
                raise ServiceUnavailable(f"{gate.limit} calls of function {name} are under way")
            try:
                invoke = functions.invoke(
                    name,
                    event(invocation, ours=ours),
                    deadline=loop.time() + seconds,
                    qualifier=qualifier,
                    trace_id=new_trace_id().decode(),
                )
            except InvokeRefused as error:
                raise IntegrationFailure(f"function {name}: {error.reason}") from error
            outcome: Future[EndpointResponse] = loop.create_future()
            if gate is not None:
                gate.in_flight += 1
            invoke.add_done_callback(partial(_landed, outcome, gate, name, site))
            return outcome

        return call

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        self._gates.keep_only(uses)
        return set()

    @property
    def refused(self) -> int:
        return self._gates.refused


def function_of(uri: str) -> tuple[str, str] | None:
    """`(name, qualifier)` of the function a URI names, or None where it names none."""
    long_form = _long_form(uri)
    return parse_name(uri if long_form is None else long_form[1])


def _landed(
    outcome: Future[EndpointResponse], gate: Gate | None, name: str, site: Site, invoke: Future[FunctionResult]
) -> None:
    """The function has answered, or failed: say what that means at its route."""
    if gate is not None:
        gate.in_flight -= 1
    if outcome.done():
        return  # nobody waits any more
    if invoke.cancelled():
        outcome.cancel()
        return
    error = invoke.exception()
    if error is not None:
        refused = isinstance(error, InvokeRefused)
        outcome.set_exception(IntegrationFailure(f"function {name}: {error}") if refused else error)
        return
    try:
        outcome.set_result(_meaning(invoke.result(), name, site))
    except GatewayError as fault:
        outcome.set_exception(fault)


def _meaning(result: FunctionResult, name: str, site: Site) -> EndpointResponse:
    """What a result means. *Raises* BadGateway where the function failed or gave what its route can't use."""
    if result.failed:
        raise BadGateway(f"function {name} failed: {result.payload[:500].decode('utf-8', 'replace')}")
    try:
        response = answer(result.payload, event_type=site.event_type, two_way=site.two_way)
    except BadGateway as error:
        raise BadGateway(f"function {name}: {error.reason}") from error
    if response.body is not None and len(response.body) > site.max_answer_bytes:
        raise BadGateway(f"function {name} gave a body over {site.max_answer_bytes} bytes")
    return response
