"""The IntegrationType of PUBLISH. (Ours.)"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wsgateway.errors import ApiConfigurationError, Problem, ServiceUnavailable
from wsgateway.integrations.gates import Gates
from wsgateway.integrations.mapping import check_request, check_responses, compile_request, compile_responses, then
from wsgateway.integrations.publish.base import Broker, Fields, Publication
from wsgateway.integrations.publish.metadata import RESERVED, metadata
from wsgateway.integrations.publish.subjects import naming
from wsgateway.integrations.tls import tls_settings
from wsgateway.model.publish import BrokerUri, PublishConfig, parse_broker_uri
from wsgateway.model.uri import expand, variables
from wsgateway.trace import mark_of
from wsgateway.upstream.tls import machine_fault

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.integrations.base import Call, Site
    from wsgateway.integrations.mapping import ResponseMapping
    from wsgateway.integrations.publish.brokers import Brokers
    from wsgateway.integrations.resilience import Resilience
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.integration import Integration
    from wsgateway.trace import Mark
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin

_NOTHING = PublishConfig()
# NATS header names are those of HTTP (NATS documentation, "Headers"), and their values end with the line.
_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_break = re.compile(r"[\r\n\0]")
_HEADER, _PATH, _QUERY = (f"integration.request.{place}." for place in ("header", "path", "querystring"))


class Publish:
    """The IntegrationType of PUBLISH: what a broker answers is the integration's answer."""

    def __init__(self, brokers: Brokers, resilience: Resilience) -> None:
        self.brokers = brokers
        self._resilience = resilience
        self._gates = Gates()

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables, what is mapped, and every template."""
        missing = sorted({n for n in variables(integration.integration_uri or "") if n not in site.stage_variables})
        for name in missing:
            yield Problem(("integrationUri",), f"the stage has no variable {name}; add it to its stageVariables")
        if not missing:
            try:
                uri = _uri(integration, site)
            except ValueError as error:
                yield Problem(("integrationUri",), f"with the stage's variables put in, it {error}")
            else:
                yield from _check_uri(integration, uri)
        yield from _check_names(integration)
        yield from check_request(integration, site)
        yield from check_responses(integration, site)

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that hands one message to the broker's outlet."""
        uri = _uri(integration, site)
        config = integration.publish_config or _NOTHING
        outlet = self.brokers.outlet(_broker(integration, site))
        tally = self.brokers.tally(site.api_id, _label(site))
        gate = self._gates.of(integration, site)
        millis = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if millis is None else millis / 1000
        ask = compile_request(integration, site)
        give = compile_responses(integration, site)
        mapped_back = give.heard and bool(integration.integration_responses)
        name_of = naming(uri)
        fields_of = _with_headers if uri.kind == "nats" else _with_fields
        about = metadata(site.event_type)
        max_length = config.max_length or 0
        jetstream = config.acknowledgement == "JETSTREAM"

        def hand_over(
            invocation: Invocation, publication: Publication, seconds: float = seconds
        ) -> Future[EndpointResponse]:
            if gate is not None:
                _enter(gate)
            return outlet.publish(publication, seconds, tally, gate)

        publish = self._resilience.around(hand_over, integration, site, seconds=seconds)

        def call(invocation: Invocation) -> Future[EndpointResponse]:
            mapped = ask(invocation)
            fields = fields_of(about(invocation, mapped.binary), mapped.headers)
            publication = Publication(name_of(mapped.path), mapped.body, fields, max_length, jetstream)
            if invocation.trace is not None:
                invocation.trace.note("endpoint request", publication)
                publication = _traced(publication, mark_of(invocation.trace))
            answer = publish(invocation, publication)
            return then(answer, partial(_given, give, invocation)) if mapped_back else answer

        return call

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        """None: a broker is no HTTP backend."""
        return set()

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        """Links are made here, when what uses them is put in force: the first message finds one, and an operator hears
        of a broker that can't be reached before a client does."""
        self._gates.keep_only(uses)
        self.brokers.keep_only({_broker(integration, site) for integration, site in uses})

    @property
    def refused(self) -> int:
        return self._gates.refused


def _uri(integration: Integration, site: Site) -> BrokerUri:
    return parse_broker_uri(expand(integration.integration_uri or "", site.stage_variables))


def _label(site: Site) -> str:
    """What its integration is called where it is counted: its name, or the route it is written in."""
    return str(site.definition[1])


def _broker(integration: Integration, site: Site) -> Broker:
    uri, config = _uri(integration, site), integration.publish_config or _NOTHING
    return Broker(
        kind=uri.kind,
        hosts=uri.hosts,
        mode=uri.mode,
        service=uri.service,
        db=uri.db,
        username=config.username,
        password=None if config.password is None else config.password.text,
        tls=tls_settings(integration.tls_config) if uri.secure else None,
    )


def _check_uri(integration: Integration, uri: BrokerUri) -> Iterator[Problem]:
    mapped = {key.removeprefix(_PATH) for key in integration.request_parameters if key.startswith(_PATH)}
    for name in sorted(set(uri.slots) - mapped):
        yield Problem(("integrationUri",), f"nothing fills {{{name}}}; map {_PATH}{name} in requestParameters")
    for name in sorted(mapped):
        if uri.kind == "redis" and f"{{{name}}}" in uri.name:
            text = f"a stream's name takes no parameters: {{{name}}} stands for itself"
            yield Problem(("requestParameters", _PATH + name), text)
    tls = integration.tls_config
    if uri.secure and (tls is None or tls.ca_certificates is None):
        fault = machine_fault()
        if fault is not None:
            yield Problem(("integrationUri",), f"no certificate can be verified: {fault}")


def _check_names(integration: Integration) -> Iterator[Problem]:
    for key in integration.request_parameters:
        path = ("requestParameters", key)
        if key.startswith(_QUERY):
            yield Problem(path, f"a broker takes no query parameters; write {_HEADER}NAME")
        elif key.startswith(_HEADER) and key.removeprefix(_HEADER).lower() in RESERVED:
            yield Problem(path, f"{key.removeprefix(_HEADER)} is what the gateway itself tells; choose another name")


def _enter(gate: Gate) -> None:
    if gate.in_flight >= gate.limit:
        gate.refused += 1
        raise ServiceUnavailable(f"{gate.limit} messages of the integration are under way")


def _given(give: ResponseMapping, invocation: Invocation, answer: EndpointResponse) -> EndpointResponse:
    if invocation.trace is not None:
        invocation.trace.note("endpoint response", answer)
    return give(invocation, answer, str(answer.status))


def _with_fields(about: Fields, mapped: list[tuple[str, str]]) -> Fields:
    """Fields of a Redis entry: any text, but nothing under a name of ours."""
    if not mapped:
        return about
    further: dict[str, str] = {}
    for name, value in mapped:
        if name.lower() in RESERVED:
            raise ApiConfigurationError(f"{name} is what the gateway itself tells; no mapping sets it")
        if not (name.isascii() and value.isascii()):
            _encodable(name, value)
        further[name] = f"{further[name]}, {value}" if name in further else value
    return about + list(further.items())


def _with_headers(about: Fields, mapped: list[tuple[str, str]]) -> Fields:
    """Headers of a NATS message: what could end a line is refused where it is mapped, and else a blank."""
    for name, value in mapped:
        if _header_name(name) is None or _break.search(value):
            raise ApiConfigurationError(f"a mapped parameter can't be sent: the header {name!r} holds what ends it")
    about = [(name, value if value.isprintable() else _break.sub(" ", value)) for name, value in about]
    return _with_fields(about, mapped)


def _traced(publication: Publication, mark: Mark | None) -> Publication:
    """It, with the trace that it is published in, in place of what a mapping tells of one (W3C Trace Context)."""
    if mark is None:
        return publication
    fields = [field for field in publication.fields if field[0].lower() not in ("traceparent", "tracestate")]
    return replace(publication, fields=[*fields, ("traceparent", mark.traceparent.decode())])


def _encodable(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise ApiConfigurationError(f"a mapped parameter can't be sent: {error.reason}") from error
