"""The integration request: parameters, the template chosen for the event, overrides, contentHandlingStrategy.

API Gateway developer guide, "Set up WebSocket API integration requests", "Data transformations" and "Integration
passthrough behaviors". Bytes are converted before a template sees them; what is not UTF-8 then is an error, unless it
is a binary message in a format of its own (`binaryMessageFormat`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

import msgspec

from wsgateway.errors import ApiConfigurationError, Problem, UnsupportedMediaType
from wsgateway.integrations.mapping.choice import Choice, Named, check_choice, require_text
from wsgateway.integrations.mapping.overrides import Pairs, left_by_templates, replaced
from wsgateway.integrations.parameters import check_parameters, compile_parameters, each, header_fault, one
from wsgateway.invocation import EventType
from wsgateway.templates import content
from wsgateway.templates.keys import REQUEST_ROOTS
from wsgateway.templates.mapping import request_names, request_overrides, response_names
from wsgateway.templates.messagepack import FORMATS

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.integrations.parameters import Reader
    from wsgateway.invocation import Invocation
    from wsgateway.model.integration import Integration


class MappedRequest(msgspec.Struct, frozen=True, gc=False):
    """What an integration sends for one event: mapped parameters with overrides applied, and the body.

    A header or query parameter with several values is there as often. `binary` says that the body is bytes rather
    than text, `as_mapped` that each mapped header is there once and no other is.
    """

    body: bytes
    headers: Pairs = []
    query: Pairs = []
    path: dict[str, str] = {}
    binary: bool = False
    as_mapped: bool = False


def check_request(integration: Integration, site: Site) -> Iterator[Problem]:
    """Every parameter, template and expression that can't work."""
    yield from check_parameters(integration, site)
    yield from check_choice(
        integration.request_templates,
        integration.template_selection_expression,
        REQUEST_ROOTS,
        site,
        key="requestTemplates",
    )


class RequestMapping:
    """The integration request of one integration at one place.

    `fixed` is what every event gives, where that is always the same; else None.
    """

    def __init__(self, integration: Integration, site: Site) -> None:
        """Only for what `check_request` found nothing wrong with."""
        mappings = compile_parameters(integration, site)
        self._headers = [(target.name, read) for target, read in mappings if target.place == "header"]
        self._query = [(target.name, read) for target, read in mappings if target.place == "querystring"]
        self._path = [(target.name, read) for target, read in mappings if target.place == "path"]
        templates, expression = integration.request_templates, integration.template_selection_expression
        self._choice = Choice(templates, expression, REQUEST_ROOTS, ("requestTemplates",), site)
        self._answered = site.two_way or site.event_type is EventType.CONNECT
        """Whether a response template may see what this one left in `$context`."""
        self._passthrough = integration.passthrough_behavior
        self._strategy = integration.content_handling_strategy
        self._converts = self._strategy is not None or site.rest
        """Whether bodies are looked at: those of REST APIs are text unless their media type says otherwise."""
        self._aws = integration.integration_type.startswith("AWS")
        self._format = FORMATS[site.binary_format]
        self._text_alone = site.binary_format == "JSON"
        self.fixed: MappedRequest | None = None
        always = self._choice.always if self._choice.fixed else None
        if always is not None and always.static is not None and not self._converts and not mappings:
            self.fixed = MappedRequest(always.static)

    def __call__(self, invocation: Invocation) -> MappedRequest:
        """The request of one event.

        *Raises* UnsupportedMediaType where no template applies and the message may not be passed on,
        ApiConfigurationError where a template, an override or contentHandlingStrategy fails.
        """
        invocation.template_context = None  # $disconnect is tried again with the same event
        named = self._choice.of(invocation)
        if named is None and self._refuses and not self._choice.passes(invocation):
            raise UnsupportedMediaType(f"no request template applies, and passthroughBehavior is {self._passthrough}")
        body, binary = invocation.body(), invocation.binary
        if self._converts and body:
            conversion = content.REQUEST[binary, self._strategy]
            body, binary = content.convert(conversion, body, "the message"), conversion.binary
        if named is not None:
            body, binary = self._rendered(named, invocation, body, binary), False
        headers, once = _pairs(self._headers, invocation)
        request = MappedRequest(
            body,
            headers,
            _pairs(self._query, invocation)[0] if self._query else [],
            {name: one(value) for name, read in self._path if (value := read(invocation)) is not None},
            binary,
            once,
        )
        context = invocation.template_context
        if context is None:
            return request
        if context.given("requestOverride") is not None:
            request = _overridden(request, invocation, aws=self._aws)
        if not self._answered:
            invocation.template_context = None  # the two refer to each other, and would wait for the collector
        return request

    @property
    def _refuses(self) -> bool:
        """Whether a message for which there is no template may not go on as it came."""
        match self._passthrough:
            case "WHEN_NO_MATCH":
                return False
            case "WHEN_NO_TEMPLATES":
                return not self._choice.empty
            case "NEVER":
                return True
            case _:
                assert_never(self._passthrough)

    def _rendered(self, named: Named, invocation: Invocation, body: bytes, binary: bool) -> bytes:
        text = named.static
        if text is None:
            converted = body is not invocation.body()
            if converted or self._text_alone or not binary:
                require_text(body, "the message", named.where)
            if converted:
                names = response_names(invocation, body, changes=named.changes)
            else:
                names = request_names(invocation, self._format, changes=named.changes)
            text = named.render(names)
        if invocation.trace is not None:
            invocation.trace.note("request template", text)
        return text


def _pairs(mappings: list[tuple[str, Reader]], invocation: Invocation) -> tuple[Pairs, bool]:
    """What is mapped, a name as often as it has values; and whether that is once each."""
    pairs: Pairs = []
    once = True
    for name, read in mappings:
        value = read(invocation)
        if isinstance(value, str):
            pairs.append((name, value))
        else:
            once = False
            pairs.extend(each(name, value))
    return pairs, once


def _overridden(request: MappedRequest, invocation: Invocation, *, aws: bool) -> MappedRequest:
    """`request` with what the template set in `$context.requestOverride` in place of what was mapped.

    *Raises* ApiConfigurationError for a header that no mapping may set.
    """
    over = left_by_templates(request_overrides, invocation)
    for name in over.header:
        fault = header_fault(name, aws=aws)
        if fault is not None:
            raise ApiConfigurationError(f"$context.requestOverride.header: {fault}")
    if not (over.header or over.querystring or over.path):
        return request
    return MappedRequest(
        request.body,
        replaced(request.headers, over.header),
        replaced(request.query, over.querystring, str),
        {**request.path, **over.path},
        request.binary,
    )


def compile_request(integration: Integration, site: Site) -> RequestMapping:
    """What makes the request of an event. Only for what `check_request` found nothing wrong with."""
    return RequestMapping(integration, site)
