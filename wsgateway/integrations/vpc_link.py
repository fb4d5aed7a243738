"""Which connections an HTTP integration has: to the host in its URI, or by a VPC link.

API Gateway developer guide, "Set up private integrations": with VPC_LINK the URI's host is what Host and SNI say, and
the link says where that is. On AWS that is a load balancer's listener at the URI's port; here it is the link's targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.integrations.tls import tls_settings
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.model.uri import expand, variables
from wsgateway.upstream.link import Link

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration
    from wsgateway.model.links import VpcLink
    from wsgateway.upstream.origin import Origin
    from wsgateway.upstream.pool import Upstream
    from wsgateway.upstream.tls import TlsSettings


def check_link(integration: Integration, site: Site) -> Iterator[Problem]:
    """What is wrong with the name of the link, at this stage."""
    if integration.connection_id is None:
        return
    missing = site.unknown(variables(integration.connection_id))
    for name in missing:
        yield Problem(("connectionId",), f"the stage has no variable {name}; add it to its stageVariables")
    name = expand(integration.connection_id, site.stage_variables)
    if not missing and name not in site.vpc_links:
        near = did_you_mean(name, site.vpc_links) or "; define it under vpcLinks"
        yield Problem(("connectionId",), f"no VPC link is named {shown(name)}{near}")


def backend_of(upstream: Upstream, integration: Integration, site: Site, uri: SplitResult) -> Origin | Link:
    """Connections of one integration: none waits for those of another, nor for another API's."""
    port = uri.port or (443 if uri.scheme == "https" else 80)
    share = (site.api_id, site.definition)
    link, tls = _link(integration, site), tls_of(integration, site)
    if link is None:
        return upstream.origin(uri.scheme, uri.hostname or "", port, share=share, tls=tls)
    return upstream.link(uri.scheme, uri.hostname or "", port, link.places(port), share=share, tls=tls)


def origins_of(backend: Origin | Link) -> set[Origin]:
    """Where it has connections."""
    return set(backend.targets) if isinstance(backend, Link) else {backend}


def tls_of(integration: Integration, site: Site) -> TlsSettings:
    """How an https backend is verified: as the integration says, else as its link does."""
    link = _link(integration, site)
    return tls_settings(integration.tls_config or (None if link is None else link.tls_config))


def _link(integration: Integration, site: Site) -> VpcLink | None:
    if integration.connection_id is None:
        return None
    return site.vpc_links.get(expand(integration.connection_id, site.stage_variables))
