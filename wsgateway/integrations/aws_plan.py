"""From the URI of an AWS integration to how its requests are written.

API Gateway REST API reference, PutIntegration, `uri`: an action is a JSON service's `X-Amz-Target` or a query service's
`Action`; parameters behind it (`&Name=Value`) make it the query form that JSON services answer, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wsgateway.aws import Signer
from wsgateway.integrations.aws_request import FORM, PathWriter, RequestWriter, path_of
from wsgateway.integrations.aws_target import Parameters, ServiceTarget
from wsgateway.model.explain import did_you_mean, shown

if TYPE_CHECKING:
    from wsgateway.aws import Endpoint, ServiceEndpoints
    from wsgateway.aws.services import Service, Services
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration


class Unplanned(ValueError):
    """It can't be called; the text says why, and what to write. `key` is what in the integration is wrong."""

    def __init__(self, text: str, key: str = "integrationUri") -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one integration's requests are written. `action` is what operators know the call by."""

    service: Service
    action: str
    endpoint: Endpoint
    path: PathWriter
    query: Parameters = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    form: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Service and action: `dynamodb:PutItem`, `s3:GET`."""
        return f"{self.service.prefix}:{self.action}"

    def writer(self, method: str, site: Site) -> RequestWriter:
        """What writes them."""
        headers = {
            "Accept": "application/json",
            "User-Agent": f"AmazonAPIGateway_{site.api_id}",
            "X-Amzn-Apigateway-Api-Id": site.api_id,
            **self.headers,
        }
        return RequestWriter(
            Signer(self.service.signing_name, self.endpoint.region, s3=self.service.s3),
            method,
            self.endpoint.authority,
            self.path,
            query=self.query,
            headers=headers,
            content_type=self.content_type,
            form=self.form,
        )


def plan_of(target: ServiceTarget, integration: Integration, endpoints: ServiceEndpoints, services: Services) -> Plan:
    """*Raises* Unplanned; NoEndpoint where there is no such endpoint."""
    service, subdomain = _service(target, services)
    endpoint = endpoints.of(
        service.prefix, region=target.region, partition=target.partition, service_id=service.service_id
    )
    if subdomain and not endpoint.configured:
        endpoint = replace(endpoint, host=_host(subdomain, endpoint.host, service))
    method = integration.integration_method
    if not target.action:
        path = path_of(target, service, endpoint, subdomain)
        return Plan(service=service, action=method, endpoint=endpoint, path=path, query=target.query)
    if method != "POST" and (method != "GET" or _as_json(service, target, integration)):
        raise Unplanned(
            f"actions of {service.prefix} are called by POST; write POST, or remove it", "integrationMethod"
        )
    root = PathWriter("/", before=endpoint.path)
    plan = Plan(service=service, action=target.action, endpoint=endpoint, path=root, query=target.query)
    if _as_json(service, target, integration):
        return replace(
            plan,
            headers={"X-Amz-Target": f"{service.target_prefix}.{target.action}"},
            content_type=f"application/x-amz-json-{service.json_version}",
        )
    kind = FORM if integration.request_templates else None
    return replace(plan, form=(target.action, service.api_version), content_type=kind)


def _as_json(service: Service, target: ServiceTarget, integration: Integration) -> bool:
    """Whether an action is in a JSON service's own form; parameters, or a form's type, ask for the query form."""
    if service.protocol != "json" or target.query:
        return False
    for key, value in integration.request_parameters.items():
        place = key.lower()
        if place.startswith("integration.request.querystring."):
            return False
        if place == "integration.request.header.content-type" and FORM in value:
            return False
    return True


def _service(target: ServiceTarget, services: Services) -> tuple[Service, str]:
    """The service that a target calls, and the subdomain before it."""
    found = services.split(target.host)
    if found is None:
        raise Unplanned(f"no service of AWS is named {shown(target.host)}{did_you_mean(target.host, services.index)}")
    prefix, subdomain = found
    at_endpoint = services.of(prefix)
    if not target.action:
        return next((service for service in at_endpoint if _has_path(service, target.path)), at_endpoint[0]), subdomain
    known = [service for service in at_endpoint if target.action in service.operations]
    spoken = next((service for service in known if service.protocol != "rest"), None)
    if spoken is not None:
        return spoken, subdomain
    if known:
        raise Unplanned(_by_path(target, known[0]))
    actions = [name for service in at_endpoint for name in service.operations]
    near = did_you_mean(target.action, actions) or f"; it has {', '.join(sorted(actions)[:5])}, …"
    raise Unplanned(f"{prefix} has no action {shown(target.action)}{near}")


def _has_path(service: Service, path: str) -> bool:
    """Whether any of its operations is somewhere below the first segment of `path`."""
    first = path.split("/", 2)[1]
    return any(uri.partition("?")[0].split("/", 2)[1] == first for _, uri in service.operations.values())


def _by_path(target: ServiceTarget, service: Service) -> str:
    """What to write for an action of a service that is called by method and path."""
    method, path = service.operations[target.action]
    path = path.partition("?")[0].replace("+}", "}")
    uri = f"arn:{target.partition}:apigateway:{target.region}:{target.host}:path{path}"
    return f"{service.prefix} is called by path: write {uri} and integrationMethod: {method}"


def _host(subdomain: str, host: str, service: Service) -> str:
    """AWS's host behind a subdomain. Of IoT's data plane it is an account's own, in place of the general one."""
    if service.prefix == "data-ats.iot":
        return f"{subdomain}.{host.partition('.')[2]}"
    return f"{subdomain}.{host}"
