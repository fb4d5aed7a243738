"""AWS: mapping templates make the request to any AWS service, or to a Lambda function, and what goes back.

API Gateway developer guide, "Integration types in API Gateway" and "Set up WebSocket API integration requests". A
service's HTTP status picks the integration response, and a function's errorMessage. On a one-way route, where nobody
gets it, a refusal is a log line; on $disconnect it is tried again where that may help.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.errors import ApiConfigurationError, BadGateway, Problem
from wsgateway.headers import aws_request_id
from wsgateway.http1 import UnsafeHeader
from wsgateway.integrations.aws_answer import Counts
from wsgateway.integrations.aws_call import Complaints
from wsgateway.integrations.aws_callee import Callee, Function, Service, uri_of
from wsgateway.integrations.aws_request import SIGNATURE
from wsgateway.integrations.base import with_variables
from wsgateway.integrations.gates import Gates
from wsgateway.integrations.lambda_target import is_function
from wsgateway.integrations.mapping import (
    MappedRequest,
    check_request,
    check_responses,
    compile_request,
    compile_responses,
    then,
)
from wsgateway.invocation import EventType
from wsgateway.method_request import OF_ANY, MethodRequest

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.aws import Credentials
    from wsgateway.functions.functions import Functions
    from wsgateway.integrations.aws_access import AwsAccess
    from wsgateway.integrations.base import Ask, Call, Site
    from wsgateway.integrations.lambda_remote import Counts as LambdaCounts
    from wsgateway.integrations.resilience import Resilience
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.origin import Origin

_HEADER = "integration.request.header."


class AwsService:
    """The IntegrationType of AWS. `lambda_counts` count the calls of functions elsewhere, by whatever type."""

    def __init__(
        self, functions: Functions, access: AwsAccess, resilience: Resilience, lambda_counts: LambdaCounts
    ) -> None:
        self._functions = functions
        self._access = access
        self._resilience = resilience
        self._lambda_counts = lambda_counts
        self._gates = Gates()
        self.counts: Counts = Counts()

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI, with this stage's variables, names what can be called; and all that is mapped."""
        yield from self._access.check_credentials(integration, site)
        yield from with_variables(integration, site, self._callee(integration, site).check())
        for key in integration.request_parameters:
            name = key.removeprefix(_HEADER)
            if name != key and name.lower() in SIGNATURE - {"host"}:  # that one is no integration's to map
                text = f"{name} belongs to the gateway's signature; no mapping may set it"
                yield Problem(("requestParameters", key), text)
        yield from check_request(integration, site)
        yield from check_responses(integration, site)

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that renders the request, has it sent, and maps the answer."""
        if integration.integration_method == "ANY":
            return self._by_verb(integration, site)
        callee = self._callee(integration, site)
        millis = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if millis is None else millis / 1000
        ask, give = compile_request(integration, site), compile_responses(integration, site)
        sender = callee.sender(self._gates.of(integration, site), seconds)
        send = self._resilience.around(sender.send, integration, site, seconds=seconds)
        complaints = Complaints(site, callee.name, self._access.log)

        def call(invocation: Invocation) -> Future[EndpointResponse]:
            try:
                prepared = sender.prepare(ask(invocation))
            except (UnsafeHeader, UnicodeEncodeError) as error:
                raise ApiConfigurationError(f"a mapped parameter can't be sent: {error}") from error
            if invocation.trace is not None:
                invocation.trace.note("endpoint request", prepared.unsigned)
            return then(send(invocation, prepared), partial(given, invocation))

        def given(invocation: Invocation, answer: EndpointResponse) -> EndpointResponse:
            if invocation.trace is not None:
                invocation.trace.note("endpoint response", answer)
                invocation.trace.note("endpoint request id", aws_request_id(answer.headers))
            _complain(callee, complaints, invocation, answer, give.heard)
            return give(invocation, answer, callee.text(answer)) if give.heard else answer

        return call

    def _by_verb(self, integration: Integration, site: Site) -> Call:
        """A Call by the client's own method, which is signed: each that the REST method stands for has its own."""
        verb = site.route_key.partition(" ")[0]
        verbs = OF_ANY if verb == "ANY" else (verb,)
        calls = {
            verb: self.compile(integration.model_copy(update={"integration_method": verb}), site) for verb in verbs
        }

        def call(invocation: Invocation) -> EndpointResponse | Awaitable[EndpointResponse]:
            assert isinstance(invocation, MethodRequest)  # those of REST APIs are
            return calls[invocation.http_method](invocation)

        return call

    def asking(self, integration: Integration, site: Site) -> Ask:
        """What invokes the function with a payload of the caller's, and gives what Lambda's API would answer."""
        assert integration.timeout_in_millis is not None  # whoever asks says how long it waits
        sender = self._callee(integration, site).sender(None, integration.timeout_in_millis / 1000)

        def ask(invocation: Invocation, payload: bytes) -> Future[EndpointResponse]:
            return sender.send(invocation, sender.prepare(MappedRequest(payload)))

        return ask

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        endpoints = [(self._callee(*use).endpoint, use[1]) for use in uses]
        return {self._access.origin(endpoint, site) for endpoint, site in endpoints if endpoint is not None}

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        self._gates.keep_only(uses)

    def credentials(self, uses: Sequence[tuple[Integration, Site]]) -> set[Credentials]:
        """Who signs the calls of `uses`."""
        return {self._access.credentials(*use) for use in uses if self._callee(*use).endpoint is not None}

    def elsewhere(self, uses: Sequence[tuple[Integration, Site]]) -> dict[tuple[str, str], str]:
        """What is called elsewhere, by kind and name, each with the URL of its endpoint."""
        callees = [(self._callee(*use), is_function(uri_of(*use))) for use in uses]
        return {
            ("function" if function else "service", callee.name): callee.endpoint.url
            for callee, function in callees
            if callee.endpoint is not None
        }

    @property
    def refused(self) -> int:
        return self._gates.refused

    def _callee(self, integration: Integration, site: Site) -> Callee:
        if is_function(uri_of(integration, site)):
            return Function(integration, site, self._access, self._functions, self._lambda_counts)
        return Service(integration, site, self._access, self.counts)


def _complain(
    callee: Callee, complaints: Complaints, invocation: Invocation, answer: EndpointResponse, heard: bool
) -> None:
    """Tell an operator what no client hears of, or what no message can mend. *Raises* BadGateway to be asked again."""
    complaint = callee.complaint(answer)
    if complaint is None:
        return
    if complaint.transient and invocation.event_type is EventType.DISCONNECT:
        raise BadGateway(f"{callee.name} {complaint.text}")
    if complaint.always or not heard:
        complaints.tell(invocation, complaint.text)
