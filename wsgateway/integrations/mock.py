"""MOCK: answers from its templates alone, without a backend (API Gateway developer guide, "Mock integrations").

The request template's statusCode picks the integration response. Where nothing depends on the event the answer is made
once, at deploy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.integrations.base import Call, Site
from wsgateway.integrations.lenient import status_code
from wsgateway.integrations.mapping import (
    RequestMapping,
    ResponseMapping,
    check_request,
    check_responses,
    compile_request,
    compile_responses,
)
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.explain import shown
from wsgateway.model.integration import Integration
from wsgateway.upstream.origin import Origin

KEPT_BYTES = 256

JSON = ((b"Content-Type", b"application/json"),)


class Mock:
    """The IntegrationType of MOCK."""

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """All that is mapped, and what can be known of the statusCode before there is an event."""
        problems = [
            *check_request(integration, site),
            *check_responses(integration, site),
        ]
        yield from problems
        if problems:
            return
        if not integration.request_templates and site.event_type in (EventType.CONNECT, EventType.DISCONNECT):
            text = f"{site.route_key} has no body to hold a statusCode; write {{$default: '{{\"statusCode\": 200}}'}}"
            yield Problem(("requestTemplates",), text)
        fixed = compile_request(integration, site).fixed
        if fixed is not None:
            yield from _check_status(fixed.body.decode(), site)

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return set()

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        """There is nothing to hold."""

    @property
    def refused(self) -> int:
        return 0

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that answers at once.

        A two-way route without an integration response that fits fails at run time, as on AWS; a one-way route needs
        none.
        """
        ask = compile_request(integration, site)
        give = compile_responses(integration, site)
        if ask.fixed is None:
            return _by_event(ask, give)
        answer = _answer(ask.fixed.body)
        always = give.always(answer, str(answer.status))
        return _by_answer(answer, give) if always is None else _always(always, answer, give)


def _check_status(text: str, site: Site) -> Iterator[Problem]:
    """A template that gives the same to every event gives a statusCode, or is of no use."""
    status = status_code(text)
    if status is None:
        yield Problem(("requestTemplates",), f"{shown(text)} is no JSON object with an integer statusCode")
    elif site.event_type is EventType.CONNECT and not 200 <= status <= 599:
        yield Problem(("requestTemplates",), f"{status} can't answer a handshake; a status from 200 to 599 can")


def _by_event(ask: RequestMapping, give: ResponseMapping) -> Call:
    def call(invocation: Invocation) -> EndpointResponse:
        body = ask(invocation).body
        answer = _known(body) if len(body) <= KEPT_BYTES else _answer(body)
        return give(invocation, answer, str(answer.status))

    return call


def _by_answer(answer: EndpointResponse, give: ResponseMapping) -> Call:
    text = str(answer.status)

    def call(invocation: Invocation) -> EndpointResponse:
        return give(invocation, answer, text)

    return call


def _always(always: EndpointResponse, answer: EndpointResponse, give: ResponseMapping) -> Call:
    text = str(answer.status)

    def call(invocation: Invocation) -> EndpointResponse:
        return always if invocation.trace is None else give(invocation, answer, text)

    return call


@lru_cache(maxsize=256)
def _known(body: bytes) -> EndpointResponse:
    """As `_answer`: most templates give the same again and again."""
    return _answer(body)


def _answer(body: bytes) -> EndpointResponse:
    """What the request template answers with. *Raises* ApiConfigurationError where it gives no statusCode."""
    status = status_code(body.decode("utf-8", "replace"))
    if status is None:
        raise ApiConfigurationError("the request template gives no integer statusCode")
    return EndpointResponse(status, JSON, None, False)
