"""What HTTP_PROXY and HTTP have in common: a URL, checked and connected to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.http1 import UnsafeHeader
from wsgateway.integrations.gates import Gates
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointRequest
from wsgateway.model.uri import expand, uri_fault, variables
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings, machine_fault

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from wsgateway.integrations.base import Site
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.integration import Integration
    from wsgateway.model.tls import TlsConfig
    from wsgateway.upstream.origin import Origin
    from wsgateway.upstream.pool import Upstream

    Send = Callable[[bytes, bytes], Future[EndpointResponse]]
    """Begins a request of this head (see EndpointRequest) and body."""

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods sent without a body, whatever the message."""


class HttpBackend:
    """The part of an IntegrationType that both HTTP types share."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._gates = Gates()

    def _check_uri(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables."""
        uri = integration.integration_uri or ""
        missing = sorted({name for name in variables(uri) if name not in site.stage_variables})
        for name in missing:
            yield Problem(("integrationUri",), f"the stage has no variable {name}; add it to its stageVariables")
        if not missing:
            fault = uri_fault(expand(uri, site.stage_variables))
            if fault is not None:
                yield Problem(("integrationUri",), f"{expand(uri, site.stage_variables)}: {fault}")
        tls = tls_settings(integration.tls_config)
        if uri.startswith("https:") and tls.ca_file is None and tls.verify:
            fault = machine_fault()
            if fault is not None:
                yield Problem(("integrationUri",), f"no certificate can be verified: {fault}")

    def _sender(self, integration: Integration, site: Site, method: str) -> Send:
        """What begins the requests of an integration at one site."""
        origin = self._origin(integration, site)
        gate = self._gates.of(integration, site)
        timeout = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if timeout is None else timeout / 1000
        most = site.max_answer_bytes

        def send(head: bytes, body: bytes) -> Future[EndpointResponse]:
            return origin.send(EndpointRequest(head, body, method), seconds, max_body=most, gate=gate)

        return send

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return {self._origin(integration, site) for integration, site in uses}

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        self._gates.keep_only(uses)

    @property
    def refused(self) -> int:
        return self._gates.refused

    def _origin(self, integration: Integration, site: Site) -> Origin:
        """Connections of one integration: none waits for those of another, nor for another API's."""
        uri = uri_of(integration, site)
        port = uri.port or (443 if uri.scheme == "https" else 80)
        return self._upstream.origin(
            uri.scheme,
            uri.hostname or "",
            port,
            share=(site.api_id, site.definition),
            tls=tls_settings(integration.tls_config),
        )


def uri_of(integration: Integration, site: Site) -> SplitResult:
    """The URL as this stage calls it."""
    return urlsplit(expand(integration.integration_uri or "", site.stage_variables))


def method_of(integration: Integration, site: Site) -> str:
    """The HTTP method. AWS leaves `ANY` open for events that have no verb of their own; a message is posted."""
    method = integration.integration_method
    if method == "ANY":
        return "GET" if site.event_type is EventType.CONNECT else "POST"
    return method


def unsendable(error: UnsafeHeader | UnicodeEncodeError) -> ApiConfigurationError:
    """What a request fails with whose head can't be written."""
    return ApiConfigurationError(f"a mapped parameter can't be sent: {error}")


def tls_settings(config: TlsConfig | None) -> TlsSettings:
    """The files by name and content: what is replaced under its name makes other connections."""
    if config is None:
        return DEFAULT_TLS
    files = config.ca_certificates, config.client_certificate, config.client_key
    ca_file, certificate, key = (None if file is None else str(file.path) for file in files)
    return TlsSettings(
        ca_file=ca_file,
        certificate=certificate,
        key=key,
        server_name=config.server_name_to_verify,
        verify=not config.insecure_skip_verification,
        version=" ".join("" if file is None else file.digest for file in files),
    )
