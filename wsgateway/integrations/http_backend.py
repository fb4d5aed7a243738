"""What HTTP_PROXY and HTTP have in common: a URL, checked and connected to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.http1 import UnsafeHeader
from wsgateway.integrations.base import with_variables
from wsgateway.integrations.gates import Gates
from wsgateway.integrations.mapping import Mapped, then
from wsgateway.integrations.vpc_link import backend_of, check_link, origins_of, tls_of
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointRequest
from wsgateway.method_request import MethodRequest
from wsgateway.model.uri import expand, hidden, uri_fault
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.streamed import Streamed
from wsgateway.upstream.tls import machine_fault

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from wsgateway.integrations.base import Site
    from wsgateway.integrations.mapping import Use
    from wsgateway.integrations.resilience import Resilience
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse, Upload
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.exchange import Exchange
    from wsgateway.upstream.link import Link
    from wsgateway.upstream.pool import Upstream

    Send = Callable[[Invocation, bytes, bytes], Future[EndpointResponse]]
    """Begins a request of this head (see EndpointRequest) and body, for this event."""
    Stream = Callable[[Invocation, bytes, bytes, Upload | None], Future[EndpointResponse]]
    """The same with a body that is still arriving, if there is one."""

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods sent without a body, whatever the message."""


class HttpBackend:
    """The part of an IntegrationType that both HTTP types share."""

    def __init__(self, upstream: Upstream, resilience: Resilience) -> None:
        self._upstream = upstream
        self._resilience = resilience
        self._gates = Gates()

    def _check_uri(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables."""
        uri = integration.integration_uri or ""
        yield from with_variables(integration, site, _check_url(expand(uri, site.stage_variables)))
        yield from check_link(integration, site)
        tls = tls_of(integration, site)
        if uri.startswith("https:") and tls.ca_file is None and tls.verify:
            fault = machine_fault()
            if fault is not None:
                yield Problem(("integrationUri",), f"no certificate can be verified: {fault}")

    def _sender(
        self, integration: Integration, site: Site, method: str, use: Callable[[Invocation], Use] | None = None
    ) -> Send:
        """What begins the requests of an integration at one site; `use` makes what is done with an event's answer."""
        backend = self._backend(integration, site)
        gate = self._gates.of(integration, site)
        timeout = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if timeout is None else timeout / 1000
        most = site.max_answer_bytes
        verb, fixed = verb_of(method), method != "ANY"

        def send(
            invocation: Invocation, head: bytes, body: bytes, seconds: float = seconds
        ) -> Future[EndpointResponse]:
            request = EndpointRequest(head, body, method if fixed else verb(invocation))
            return backend.send(request, seconds, max_body=most, gate=gate)

        attempt = self._resilience.around(send, integration, site, seconds=seconds)
        if use is None:
            return attempt
        if attempt is not send or not isinstance(backend, Origin):
            return lambda invocation, head, body: then(attempt(invocation, head, body), use(invocation))

        def send_mapped(invocation: Invocation, head: bytes, body: bytes) -> Future[EndpointResponse]:
            exchange = Mapped(loop=backend.loop)
            exchange.use = use(invocation)
            request = EndpointRequest(head, body, method if fixed else verb(invocation))
            return backend.send(request, seconds, max_body=most, gate=gate, exchange=exchange)

        return send_mapped

    def _streaming(self, integration: Integration, site: Site, method: str) -> Stream:
        """As `_sender`, for bodies that pass through. Nothing is asked twice: a body can be read once."""
        backend = self._backend(integration, site)
        gate = self._gates.of(integration, site)
        timeout = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if timeout is None else timeout / 1000
        most = sys.maxsize if site.streams else site.max_answer_bytes
        verb = verb_of(method)

        def send(
            invocation: Invocation, head: bytes, body: bytes, upload: Upload | None, seconds: float = seconds
        ) -> Future[EndpointResponse]:
            origin = backend if isinstance(backend, Origin) else backend.choose(monotonic())
            assert origin is not None  # none was tried
            exchange: Exchange | None = None
            if site.streams or upload is not None:
                exchange = Streamed(loop=origin.loop)
                exchange.seconds = seconds
                exchange.flow = None
                exchange.passes = site.streams
            request = EndpointRequest(head, body, verb(invocation), upload)
            return origin.send(request, seconds, max_body=most, gate=gate, exchange=exchange)

        return self._resilience.around(send, integration, site, seconds=seconds)

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return {origin for use in uses for origin in origins_of(self._backend(*use))}

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        self._gates.keep_only(uses)

    @property
    def refused(self) -> int:
        return self._gates.refused

    def _backend(self, integration: Integration, site: Site) -> Origin | Link:
        return backend_of(self._upstream, integration, site, uri_of(integration, site))


def _check_url(url: str) -> Iterator[Problem]:
    fault = uri_fault(url)
    if fault is not None:
        yield Problem(("integrationUri",), f"{hidden(url)}: {fault}")


def uri_of(integration: Integration, site: Site) -> SplitResult:
    """The URL as this stage calls it."""
    return urlsplit(expand(integration.integration_uri or "", site.stage_variables))


def method_of(integration: Integration, site: Site) -> str:
    """The HTTP method; `ANY` at a method of a REST API, where it is the client's. AWS leaves `ANY` open for events that
    have no verb of their own; a message is posted.
    """
    method = integration.integration_method
    if method == "ANY" and not site.rest:
        return "GET" if site.event_type is EventType.CONNECT else "POST"
    return method


def verb_of(method: str) -> Callable[[Invocation], str]:
    """What gives the method of an event's request; `method` as `method_of` gives it."""
    if method != "ANY":
        return lambda invocation: method
    return lambda invocation: invocation.http_method if isinstance(invocation, MethodRequest) else method


def unsendable(error: UnsafeHeader | UnicodeEncodeError) -> ApiConfigurationError:
    """What a request fails with whose head can't be written."""
    return ApiConfigurationError(f"a mapped parameter can't be sent: {error}")
