"""Where the function of an integration runs: here, or at an endpoint of Lambda's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.aws import NoEndpoint
from wsgateway.errors import Problem
from wsgateway.integrations.lambda_target import Target, other_mode, parse_target
from wsgateway.model.explain import did_you_mean
from wsgateway.model.uri import expand

if TYPE_CHECKING:
    from wsgateway.aws import Endpoint
    from wsgateway.integrations.aws_access import AwsAccess
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration


def check_target(access: AwsAccess, integration: Integration, site: Site) -> Iterator[Problem]:
    """The URI, with this stage's variables, names a function here or at an endpoint there is."""
    uri = expand(integration.integration_uri or "", site.stage_variables)
    try:
        target = parse_target(uri)
    except ValueError as error:
        yield Problem(("integrationUri",), str(error))
        return
    wrong = other_mode(uri, streams=site.streams)
    if wrong:
        yield Problem(("integrationUri",), wrong)
    if target.name in site.functions:
        return
    if site.streams:
        text = f"STREAM is for functions that run here, and none is named {target.name}; add it to functions"
        yield Problem(("integrationUri",), text)
        return
    try:
        fault = access.tls_fault(endpoint_of(access, target))
    except NoEndpoint as error:
        here = ", ".join(sorted(site.functions)) or "none"
        near = did_you_mean(target.name, site.functions)
        fault = f"no function here is named {target.name} (here: {here}){near}; elsewhere, {error}"
    if fault:
        yield Problem(("integrationUri",), fault)


def target_of(integration: Integration, site: Site) -> Target:
    """The function. Only for what was checked."""
    return parse_target(expand(integration.integration_uri or "", site.stage_variables))


def is_remote(integration: Integration, site: Site) -> bool:
    """Whether Lambda runs it."""
    return target_of(integration, site).name not in site.functions


def endpoint_of(access: AwsAccess, target: Target) -> Endpoint:
    """Where Lambda is asked for it. *Raises* NoEndpoint."""
    return access.endpoints.of("lambda", region=target.region, partition=target.partition)
