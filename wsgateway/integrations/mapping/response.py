"""The integration response: which one an answer selects, and what it makes of the answer.

API Gateway developer guide, "Set up WebSocket API integration responses". Only what somebody gets is mapped: the answer
to a message of a two-way route, which is a frame, and that to $connect, which decides the handshake. AWS doesn't say
what $connect means without integration responses: the answer is taken as it is, as for a proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.http1 import UnsafeHeader, fields
from wsgateway.integrations.mapping.choice import DEFAULTS, Choice, Named, check_choice, require_text
from wsgateway.integrations.mapping.media import accepted
from wsgateway.integrations.mapping.overrides import left_by_templates, replaced
from wsgateway.integrations.parameters import check_response_parameters, compile_response_parameters, each
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointResponse, Message
from wsgateway.model.integration import IntegrationResponse
from wsgateway.model.rest_integration import Selectable
from wsgateway.templates import content, pattern
from wsgateway.templates.keys import RESPONSE_ROOTS
from wsgateway.templates.mapping import response_names, response_overrides
from wsgateway.templates.sources import Answered

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.invocation import Invocation
    from wsgateway.messages import Header
    from wsgateway.model.integration import Integration

JSON = (b"Content-Type", b"application/json")

MOST_MATCHED = 16_384
"""Characters of a text that patterns are matched with: no error message has to be read further."""


def check_responses(integration: Integration, site: Site) -> Iterator[Problem]:
    """Every pattern, parameter, template and expression that can't work."""
    for key, response in integration.integration_responses.items():
        for problem in _check(key, response, site):
            yield Problem(("integrationResponses", key, *problem.path), problem.text)


def _check(key: str, response: IntegrationResponse, site: Site) -> Iterator[Problem]:
    if key not in DEFAULTS:
        try:
            pattern.compile(key[1:-1])
        except pattern.PatternError as error:
            yield Problem((), str(error))
    yield from check_response_parameters(response.response_parameters, site)
    yield from check_choice(
        response.response_templates,
        response.template_selection_expression,
        RESPONSE_ROOTS,
        site,
        key="responseTemplates",
    )


class ResponseMapping:
    """The integration responses of one integration at one place."""

    def __init__(self, integration: Integration, site: Site) -> None:
        """Only for what `check_responses` found nothing wrong with."""
        handshake = site.event_type is EventType.CONNECT
        self.heard = site.two_way or handshake
        """Whether anybody gets what an answer is mapped to."""
        self._patterns: list[tuple[pattern.Pattern, Selected]] = []
        self._default: Selected | None = None
        responses = integration.integration_responses
        if handshake and not responses:
            responses = {"$default": IntegrationResponse()}
        for key, response in responses.items() if self.heard else ():
            selected = Selected(key, response, site)
            if key in DEFAULTS:
                self._default = selected
            else:
                self._patterns.append((pattern.compile(key[1:-1]), selected))

    def __call__(self, invocation: Invocation, answer: EndpointResponse, text: str) -> EndpointResponse:
        """What goes back for `answer`; `text` is what patterns are matched with.

        *Raises* ApiConfigurationError where no integration response is for it, or where its template fails.
        """
        if not self.heard:
            return answer
        selected = self._select(text)
        if selected is None:
            raise ApiConfigurationError(f"no integration response matches {_short(text)}; add one, or $default")
        if invocation.trace is not None:
            invocation.trace.note("integration response", selected.shown)
        try:
            return selected(invocation, answer)
        finally:
            invocation.template_context = None  # the two refer to each other, and would wait for the collector

    def always(self, answer: EndpointResponse, text: str) -> EndpointResponse | None:
        """What goes back for `answer` whatever the event, if no template was rendered before; None if that depends."""
        if not self.heard:
            return answer
        selected = self._select(text)
        return None if selected is None else selected.always(answer)

    def _select(self, text: str) -> Selected | None:
        """The first whose pattern `text` matches as a whole, else the default one; a text that is too long, none."""
        for found, selected in self._patterns if len(text) <= MOST_MATCHED else ():
            if found.matches(text):
                return selected
        return self._default


class Selected:
    """One integration response, compiled."""

    def __init__(self, key: str, response: IntegrationResponse, site: Site) -> None:
        where = ("integrationResponses", key, "responseTemplates")
        templates, expression = response.response_templates, response.template_selection_expression
        self._choice = Choice(templates, expression, RESPONSE_ROOTS, where, site)
        self._strategy = response.content_handling_strategy
        self._status = response.status_code if isinstance(response, Selectable) else None
        self.shown = key if self._status is None else f"{self._status} ({'default' if key in DEFAULTS else key[1:-1]})"
        """What it is called in the definition; of a REST API the status, and the pattern."""
        self._binary_media_types = site.binary_media_types if site.rest else None
        self._headed = site.rest or site.event_type is EventType.CONNECT
        """Whether the answer has a status and headers; a frame has none."""
        self._what = "a request" if site.rest else "a handshake"
        self._parameters = compile_response_parameters(response.response_parameters) if self._headed else []
        self._most = site.max_answer_bytes
        self._same = self.always(EndpointResponse(200, body=None)) if (self._status or 0) >= 200 else None
        """What goes back for every answer without a body, unless a template says otherwise."""

    def __call__(self, invocation: Invocation, answer: EndpointResponse) -> EndpointResponse:
        """What goes back for `answer`."""
        body, binary = answer.body, answer.binary
        same = self._same
        if same is not None and not body and invocation.template_context is None and invocation.trace is None:
            return same
        if (self._strategy is not None or self._binary_media_types is not None) and body:
            conversion = self._conversion(invocation, answer)
            body, binary = content.convert(conversion, body, "the backend's answer"), conversion.binary
        named = self._choice.of(invocation, answer)
        text = None if named is None else self._rendered(named, invocation, body or b"")
        if not self._headed:
            return self._reply(answer, body, binary, text)
        status, headers = self._head(invocation, answer, _media(named))
        return _headed(status, headers, body if text is None else text, self._what)

    def always(self, answer: EndpointResponse) -> EndpointResponse | None:
        """What goes back for `answer` whatever the event; None if that depends."""
        named = self._choice.always
        text = None if named is None else named.static
        if not self._choice.fixed or self._parameters or self._strategy or (named is not None and text is None):
            return None
        if text is not None and len(text) > self._most:
            return None  # it fails, each time
        if not self._headed:
            return self._reply(answer, answer.body, answer.binary, text)
        return _headed(
            self._status or answer.status, [_media(named)], answer.body if text is None else text, self._what
        )

    def _conversion(self, invocation: Invocation, answer: EndpointResponse) -> content.Conversion:
        types = self._binary_media_types
        if types is None:
            return content.FRAME[self._strategy]
        sent = next((value for name, value in answer.headers if name.lower() == b"content-type"), b"").decode("latin-1")
        binary, wanted = content.listed(sent, types), content.listed(accepted(invocation), types)
        return content.RESPONSE[binary, wanted, self._strategy]

    def _rendered(self, named: Named, invocation: Invocation, payload: bytes) -> bytes:
        text = named.static
        if text is None:
            require_text(payload, "the backend's answer", named.where)
            text = named.render(response_names(invocation, payload, changes=named.changes))
        if invocation.trace is not None:
            invocation.trace.note("response template", text)
        if len(text) > self._most:
            raise ApiConfigurationError(f"{named.where}: its output is over {self._most} bytes")
        return text

    def _reply(
        self, answer: EndpointResponse, body: bytes | None, binary: bool | None, text: bytes | None
    ) -> EndpointResponse:
        """The answer to a message. What a template gives is a frame, whatever the backend's status."""
        if text is not None:
            return EndpointResponse(answer.status, (JSON,), text, False, Message(text))
        if body is not None and len(body) > self._most:
            raise ApiConfigurationError(f"contentHandlingStrategy makes the answer larger than {self._most} bytes")
        return answer if body is answer.body else EndpointResponse(answer.status, answer.headers, body, binary)

    def _head(self, invocation: Invocation, answer: EndpointResponse, media: Header) -> tuple[int, list[Header]]:
        """Status and headers of the answer: what is mapped or overridden, and nothing else but `media`."""
        values = Answered(invocation, answer)
        pairs = [pair for name, read in self._parameters for pair in each(name, read(values))]
        status = self._status or answer.status
        if invocation.template_context is not None:
            over = left_by_templates(response_overrides, invocation)
            pairs = replaced(pairs, over.header)
            status = over.status or status
        headers = [_header(name, value) for name, value in pairs]
        typed = any(name.lower() == b"content-type" for name, _ in headers)
        return status, headers if typed else [media, *headers]


def _media(named: Named | None) -> Header:
    """The content type of what a template gives, where it is chosen by one."""
    return JSON if named is None or "/" not in named.key else (b"Content-Type", named.key.encode())


def _headed(status: int, headers: list[Header], body: bytes | None, what: str) -> EndpointResponse:
    """*Raises* ApiConfigurationError for what can't be the answer to `what`: 101 is the gateway's to say."""
    if not 200 <= status <= 599:
        raise ApiConfigurationError(f"{status} can't answer {what}; a status from 200 to 599 can")
    try:
        fields(headers)
    except UnsafeHeader as error:
        raise ApiConfigurationError(f"a header can't be sent: {error}") from error
    return EndpointResponse(status, tuple(headers), body)


def _header(name: str, value: str) -> Header:
    try:
        return name.encode(), value.encode()
    except UnicodeEncodeError as error:
        raise ApiConfigurationError(f"header {name!a} holds half of a surrogate pair") from error


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def compile_responses(integration: Integration, site: Site) -> ResponseMapping:
    """What makes of an answer what goes back. Only for what `check_responses` found nothing wrong with."""
    return ResponseMapping(integration, site)
