"""What an AWS integration calls: a service, or a Lambda function; found, checked, and asked in its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from wsgateway.aws import NoEndpoint
from wsgateway.errors import Problem
from wsgateway.functions.base import MAX_RESULT
from wsgateway.integrations.aws_answer import KEYS_OVER, Counts, refusal_of
from wsgateway.integrations.aws_call import SignedCall, Way
from wsgateway.integrations.aws_plan import Unplanned, plan_of
from wsgateway.integrations.aws_target import parse_service
from wsgateway.integrations.lambda_custom import LocalCustom, RemoteCustom, error_message, failed
from wsgateway.integrations.lambda_place import check_target, endpoint_of, target_of
from wsgateway.messages import EndpointResponse
from wsgateway.model.explain import shown
from wsgateway.model.uri import expand

if TYPE_CHECKING:
    from wsgateway.aws import Endpoint
    from wsgateway.functions.functions import Functions
    from wsgateway.integrations.aws_access import AwsAccess
    from wsgateway.integrations.aws_plan import Plan
    from wsgateway.integrations.aws_request import RequestWriter, Written
    from wsgateway.integrations.base import Attempt, Site
    from wsgateway.integrations.lambda_remote import Counts as LambdaCounts
    from wsgateway.integrations.mapping import MappedRequest
    from wsgateway.messages import EndpointRequest
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.exchange import Gate

MAX_ANSWER = 4 << 20
"""Bytes of an answer that templates may make smaller: a DynamoDB Query gives 1 MB of items, whose JSON is longer."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a call was refused or failed.

    `transient` says that the same may go well another time, `always` that an operator should hear of it even where a
    client does: it is no matter of what was asked.
    """

    text: str
    transient: bool
    always: bool


class Prepared(Protocol):
    """A call that is about to be made, perhaps several times."""

    @property
    def unsigned(self) -> EndpointRequest:
        """It as a trace may show it: without signature and token."""


class Sender(Protocol):
    """Makes calls of what was mapped."""

    @property
    def send(self) -> Attempt:
        """Takes the Invocation, what `prepare` gave, and perhaps seconds."""

    def prepare(self, mapped: MappedRequest) -> Prepared:
        """*Raises* GatewayError, UnsafeHeader, UnicodeEncodeError for what can't be sent."""


class Callee(Protocol):
    """What one integration calls at one site. All but `check` only for what that found nothing wrong with."""

    def check(self) -> Iterator[Problem]:
        """Why it can't be called; paths are relative to the integration."""

    @property
    def name(self) -> str:
        """What operators know it by."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it is; None where it is here."""

    def sender(self, gate: Gate | None, seconds: float) -> Sender:
        """What begins its calls, which may take so long."""

    def text(self, answer: EndpointResponse) -> str:
        """What integration responses are picked by."""

    def complaint(self, answer: EndpointResponse) -> Complaint | None:
        """Why it refused or failed; None where it did neither."""


class Service:
    """A service of AWS."""

    def __init__(self, integration: Integration, site: Site, access: AwsAccess, counts: Counts) -> None:
        self._integration = integration
        self._site = site
        self._access = access
        self._counts = counts

    def check(self) -> Iterator[Problem]:
        yield from _check_expression(self._integration, "${integration.response.statuscode}", "a service")
        if self._integration.integration_method == "ANY" and not self._site.rest:
            yield Problem(("integrationMethod",), "a service is called by one method; write it, such as POST")
            return
        try:
            fault = self._access.tls_fault(self._plan.endpoint)
        except Unplanned as error:
            yield Problem((error.key,), str(error))
            return
        except (ValueError, NoEndpoint) as error:
            yield Problem(("integrationUri",), f"{shown(uri_of(self._integration, self._site))} {error}")
            return
        if fault:
            yield Problem(("integrationUri",), fault)

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def endpoint(self) -> Endpoint:
        return self._plan.endpoint

    def sender(self, gate: Gate | None, seconds: float) -> Sender:
        plan = self._plan
        writer = plan.writer(self._integration.integration_method, self._site)
        way = Way(
            name=plan.name,
            origin=self._access.origin(plan.endpoint, self._site),
            gate=gate,
            credentials=self._access.credentials(self._integration, self._site),
            seconds=seconds,
            max_body=max(MAX_ANSWER, self._site.max_answer_bytes),
            count=partial(_count, self._counts, (plan.service.prefix, plan.action)),
        )
        return _ServiceSender(writer, way)

    def text(self, answer: EndpointResponse) -> str:
        return str(answer.status)

    def complaint(self, answer: EndpointResponse) -> Complaint | None:
        if answer.status < 400:
            return None
        refusal = refusal_of(answer)
        return Complaint(str(refusal), refusal.transient, refusal.result != "refused")

    @property
    def _plan(self) -> Plan:
        target = parse_service(uri_of(self._integration, self._site))
        return plan_of(target, self._integration, self._access.endpoints, self._access.services)


class Function:
    """A Lambda function, here or elsewhere."""

    def __init__(
        self, integration: Integration, site: Site, access: AwsAccess, functions: Functions, counts: LambdaCounts
    ) -> None:
        self._integration = integration
        self._site = site
        self._access = access
        self._functions = functions
        self._counts = counts

    def check(self) -> Iterator[Problem]:
        expression = "${integration.response.body.errorMessage}"
        yield from _check_expression(self._integration, expression, "a Lambda function")
        if self._integration.integration_method != "POST":
            yield Problem(("integrationMethod",), "Lambda functions are invoked by POST; write POST, or remove it")
        yield from check_target(self._access, self._integration, self._site)

    @property
    def name(self) -> str:
        return target_of(self._integration, self._site).shown

    @property
    def endpoint(self) -> Endpoint | None:
        target = target_of(self._integration, self._site)
        return None if target.name in self._site.functions else endpoint_of(self._access, target)

    def sender(self, gate: Gate | None, seconds: float) -> Sender:
        target, endpoint = target_of(self._integration, self._site), self.endpoint
        if endpoint is None:
            return LocalCustom(self._functions, target, gate, seconds)
        way = Way(
            name=f"function {target.shown}",
            origin=self._access.origin(endpoint, self._site),
            gate=gate,
            credentials=self._access.credentials(self._integration, self._site),
            seconds=seconds,
            max_body=MAX_RESULT,
            count=partial(_count, self._counts, (target.shown,)),
        )
        return RemoteCustom(target, endpoint, way, self._site)

    def text(self, answer: EndpointResponse) -> str:
        return error_message(answer)

    def complaint(self, answer: EndpointResponse) -> Complaint | None:
        if not failed(answer):
            return None
        return Complaint(f"failed: {(answer.body or b'')[:500].decode('utf-8', 'replace')}", False, False)


def uri_of(integration: Integration, site: Site) -> str:
    """The URI with the stage's variables."""
    return expand(integration.integration_uri or "", site.stage_variables)


def _check_expression(integration: Integration, fixed: str, what: str) -> Iterator[Problem]:
    """`integrationResponseSelectionExpression` says what holds anyway, or it is wrong."""
    written = integration.integration_response_selection_expression
    if written is not None and written not in (fixed, f"${fixed[2:-1]}"):
        text = f"{shown(written)}: of {what} it is always {fixed}; write that, or remove it"
        yield Problem(("integrationResponseSelectionExpression",), text)


class _ServiceSender:
    """A Sender to a service."""

    def __init__(self, writer: RequestWriter, way: Way) -> None:
        self._writer = writer
        self.send: Attempt = SignedCall(way, writer.signer, partial(_judged, way)).send

    def prepare(self, mapped: MappedRequest) -> Written:
        return self._writer.write(mapped, mapped.body)


def _judged(way: Way, answer: EndpointResponse) -> EndpointResponse:
    if answer.status < 400:
        way.count("ok")
        return answer
    refusal = refusal_of(answer)
    way.count(refusal.result)
    if refusal.code in KEYS_OVER:
        way.credentials.suspect()
    if refusal.result == "throttled" and answer.status != 429:
        return EndpointResponse(answer.status, answer.headers, answer.body, failure=429)
    return answer


def _count(counts: Counter[Any], call: tuple[str, ...], result: str) -> None:
    counts[(*call, result)] += 1
