"""What all integrations that call AWS share: where a service is, whom is trusted there, and who signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.aws.services import Services
from wsgateway.errors import Problem
from wsgateway.model.explain import shown
from wsgateway.model.role import is_role
from wsgateway.model.uri import expand, variables
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings, context, file_version, machine_fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsgateway.aws import Credentials, CredentialSets, Endpoint, ServiceEndpoints
    from wsgateway.aws.credentials import Log
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration
    from wsgateway.upstream.origin import Origin
    from wsgateway.upstream.pool import Upstream


class AwsAccess:
    """One for all integration types that call AWS."""

    def __init__(self, upstream: Upstream, endpoints: ServiceEndpoints, credentials: CredentialSets, log: Log) -> None:
        self.log = log
        self.endpoints = endpoints
        self.services = Services()
        self.sets = credentials
        self._upstream = upstream
        self._tls: TlsSettings | None = None

    def check_credentials(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """`credentialsArn` with this stage's variables."""
        arn = integration.credentials_arn
        if arn is None:
            return
        path = ("credentialsArn",)
        missing = site.unknown(variables(arn))
        for name in missing:
            yield Problem(path, f"the stage has no variable {name}; add it to its stageVariables")
        if not missing and not is_role(expand(arn, site.stage_variables)):
            text = "is no role's ARN, such as arn:aws:iam::123456789012:role/chat"
            yield Problem(path, f"{shown(expand(arn, site.stage_variables))} {text}")

    def credentials(self, integration: Integration, site: Site) -> Credentials:
        """Who signs an integration's calls."""
        arn = integration.credentials_arn
        return self.sets.of(None if arn is None else expand(arn, site.stage_variables), site.roles)

    def origin(self, endpoint: Endpoint, site: Site) -> Origin:
        """Connections of one integration, as HTTP_PROXY has them."""
        return self._upstream.origin(
            endpoint.scheme,
            endpoint.host,
            endpoint.real_port,
            share=(site.api_id, site.definition),
            tls=self._trusted(),
        )

    def tls_fault(self, endpoint: Endpoint) -> str | None:
        """Why nobody at the endpoint could be trusted."""
        if endpoint.scheme != "https":
            return None
        tls = self._trusted()
        if tls.ca_file is None:
            return machine_fault()
        try:
            context(tls)
        except OSError as error:  # ssl.SSLError is one
            return f"AWS_CA_BUNDLE names {tls.ca_file}, which can't be used: {error.strerror or error}"
        return None

    def look_again(self) -> None:
        """What is compiled from now on trusts the authorities that AWS_CA_BUNDLE holds at the next look."""
        self._tls = None
        self.sets.look_again()

    def keep_only(self, used: Iterable[Credentials]) -> None:
        """Let go of credentials that nobody signs with."""
        self.sets.keep_only(used)

    def _trusted(self) -> TlsSettings:
        """The same for all that is compiled between two `look_again`, whatever becomes of the file meanwhile."""
        if self._tls is None:
            ca_file = self.endpoints.ca_file
            self._tls = DEFAULT_TLS if ca_file is None else TlsSettings(ca_file=ca_file, version=file_version(ca_file))
        return self._tls
