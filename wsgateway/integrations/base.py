"""What every integration type is: a check, a compile step and the Call it makes."""

from __future__ import annotations

import re
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from wsgateway.errors import Problem
from wsgateway.invocation import CONTEXT, EventType, Invocation, Variables
from wsgateway.messages import EndpointResponse
from wsgateway.method_request import MethodRequest
from wsgateway.model.base import Path
from wsgateway.model.integration import Integration
from wsgateway.model.links import VpcLink
from wsgateway.model.quotas import Quotas
from wsgateway.model.role import Role
from wsgateway.model.uri import variables
from wsgateway.model.websocket import BinaryMessageFormat
from wsgateway.templates.parameters import METHOD_REQUEST, ROUTE_REQUEST, Side
from wsgateway.trace import Trace, mark_of
from wsgateway.upstream.origin import Origin

Call = Callable[[Invocation], EndpointResponse | Awaitable[EndpointResponse]]
"""Asks the backend. Answers at once where nothing has to be waited for; else with an awaitable that has been started
(a Future), so that the calls of one connection begin in the order of its messages. Raises GatewayError, at once or from
the awaitable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where an integration is used: everything its compile step may depend on."""

    api_id: str
    definition: Path
    """Where the integration is written, from the API on: whatever names it shares what it may hold of a backend."""
    route_key: str
    event_type: EventType
    stage_variables: Mapping[str, str]
    quotas: Quotas
    two_way: bool
    binary_format: BinaryMessageFormat = "JSON"
    """How binary messages are written."""
    functions: frozenset[str] = frozenset()
    """The local functions of the same definitions."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Whose keys stand for roles, by ARN; of the same definitions."""
    vpc_links: Mapping[str, VpcLink] = field(default_factory=dict)
    """The VPC links of the same definitions."""

    account_id: str = ""
    """Of a REST API: whose ARNs are ours."""
    binary_media_types: tuple[str, ...] = ()
    """Of a REST API: media types whose bodies are bytes."""

    streams: bool = False
    """Of a REST API: bodies of answers are given on as they come."""
    operation_name: str = ""
    """Of a REST API: what its method is called; functions are told."""

    variables_elsewhere: frozenset[str] = frozenset()
    """Of a REST API: the stage variables that its stages have. One that this stage lacks is empty here, as on AWS."""

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Of these stage variables those that this stage has not."""
        return sorted({name for name in names if name not in self.stage_variables})

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Of these stage variables those that no stage has."""
        return [name for name in self.lacking(names) if name not in self.variables_elsewhere]

    @property
    def rest(self) -> bool:
        """Whether it is a method of a REST API, not a route."""
        return self.event_type is EventType.REQUEST

    @property
    def variables(self) -> Variables:
        """What `$context` has there."""
        return MethodRequest.variables if self.rest else CONTEXT

    @property
    def request_side(self) -> Side:
        """How the integration's `requestParameters` are written."""
        return METHOD_REQUEST if self.rest else ROUTE_REQUEST

    @property
    def max_answer_bytes(self) -> int:
        """The largest answer worth reading: a reply must fit a message; what is dropped anyway may be larger."""
        limit = self.quotas.max_message_bytes
        return limit if self.two_way else max(limit, 1 << 20)


Ask = Callable[[Invocation, bytes], "Future[EndpointResponse]"]
"""Posts a body of the caller's own to a backend, for an event. Raises GatewayError, at once or from the future."""

Attempt = Callable[..., "Future[EndpointResponse]"]
"""Asks a backend once: takes the Invocation, whatever else its integration type gives it, and as `seconds=` how long
that may take at most; where that isn't said, as long as the integration may. The answer is as the backend gave it.
GatewayErrors, raised at once or from the future, say by `failure` how the backend failed."""


def with_variables(integration: Integration, site: Site, check: Iterable[Problem]) -> Iterator[Problem]:
    """What `check` finds in the URI with this stage's variables; where it lacks some, and that may be why, which."""
    path, names = ("integrationUri",), variables(integration.integration_uri or "")
    missing = site.unknown(names)
    found = [] if missing else list(check)
    if any(problem.path == path for problem in found):
        missing = site.lacking(names)
    for name in missing:
        yield Problem(path, f"the stage has no variable {name}; add it to its stageVariables")
    yield from [problem for problem in found if not missing or problem.path != path]


def noted(invocation: Invocation, answer: Future[EndpointResponse]) -> Future[EndpointResponse]:
    """`answer`, which the event's trace hears of, if it has one."""
    if invocation.trace is not None and invocation.trace.wants_answers:
        if answer.done():
            _note(invocation.trace, answer)
        else:
            answer.add_done_callback(partial(_note, invocation.trace))
    return answer


def _note(trace: Trace, answer: Future[EndpointResponse]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        trace.note("endpoint response", answer.result())


def carried(invocation: Invocation, head: bytes) -> bytes:
    """`head` of a request, so that it goes on with the event's trace where somebody follows that."""
    mark = mark_of(invocation.trace)
    return head if mark is None else _TRACE_LINES.sub(b"", head) + mark.lines


_TRACE_LINES = re.compile(rb"^(?:traceparent|tracestate|x-amzn-trace-id):[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)


class IntegrationType(Protocol):
    """One type: `check` at load, with every problem; `compile` at deploy, for one route and stage."""

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """What is wrong with the definition at this site; paths are relative to the integration."""

    def compile(self, integration: Integration, site: Site) -> Call:
        """The Call. Only for what `check` found nothing wrong with."""

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        """The backends that the Calls of `uses` call, once these are compiled."""

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        """Let go of what is held for integrations of this type other than `uses`. Calls that run end as they would."""

    @property
    def refused(self) -> int:
        """Calls turned away so far for maxConcurrency."""
