"""From where REST APIs are reached, as definitions say it (API Gateway API reference, v1, EndpointConfiguration)."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse

API = """\
apis:
  shop:
    protocolType: REST
    stages: {{v1: {{}}}}
    paths: {{/: {{GET: {{integration: {{type: MOCK}}}}}}}}
    {0}
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes: {{$default: {{}}}}
{1}
"""


def problems(api: str, more: str = "") -> list[str]:
    try:
        parse(API.format(api, more), "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem).partition(": ")[2] for problem in error.problems]
    return []


POLICY = (
    "\n    policy: {Version: '2012-10-17', Statement: [{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}]}"
)
ENDPOINTS = "vpcEndpoints: {vpce-0a: {cidrs: [10.1.0.0/16, '::1/128'], vpcId: vpc-1}}"
PRIVATE = f"endpointConfiguration: {{types: [PRIVATE], vpcEndpointIds: [vpce-0a]}}{POLICY}"


@pytest.mark.parametrize(
    ("api", "more"),
    [
        ("endpointConfiguration: {types: [EDGE]}", ""),
        ("endpointConfiguration: {types: [REGIONAL]}", "domains: {a.example: {mappings: {'': {api: shop}}}}"),
        (PRIVATE, ENDPOINTS),
        (PRIVATE.replace("types: [PRIVATE], ", ""), ENDPOINTS),
        ("endpointConfiguration: {}", "domains: {a.example: {mappings: {'': {api: shop}}}}"),
    ],
)
def test_what_is_legal(api: str, more: str) -> None:
    assert problems(api, more) == []


@pytest.mark.parametrize(
    ("api", "more", "said"),
    [
        (
            "endpointConfiguration: {types: []}",
            "",
            "types: names one type, EDGE, REGIONAL, PRIVATE; an API has no more",
        ),
        ("endpointConfiguration: {types: [EDGE, PRIVATE]}", "", "types: names one type"),
        ("endpointConfiguration: {types: [wrong]}", "", "types.0: wrong is none of EDGE, REGIONAL, PRIVATE"),
        ("endpointConfiguration: {types: [EDGE], ipAddressType: ipv4}", "", "ipAddressType: has no effect here: "),
        (
            "endpointConfiguration: {types: [EDGE], vpcEndpointIds: [vpce-0a]}",
            ENDPOINTS,
            "vpcEndpointIds: has no effect: only PRIVATE APIs",
        ),
        ("endpointConfiguration: {vpcEndpointIds: [vpce-0a]}", ENDPOINTS, "policy: is required of a PRIVATE API"),
        ("endpointConfiguration: {types: [PRIVATE]}", "", "policy: is required of a PRIVATE API: without one nobody"),
        (PRIVATE, "", "vpcEndpointIds.0: no VPC endpoint is named vpce-0a; define it under vpcEndpoints"),
        (
            PRIVATE + "\n    disableExecuteApiEndpoint: true",
            ENDPOINTS,
            "disableExecuteApiEndpoint: leaves no way in",
        ),
        (
            PRIVATE,
            ENDPOINTS + "\ndomains: {a.example: {mappings: {'': {api: shop, stage: v1}}}}",
            "shop is PRIVATE, and the internal listener alone leads to it; remove the mapping",
        ),
        (
            "",
            "domains: {a.example: {mappings: {'': {api: chat}}}}",
            "stage: is required: the name of a stage of that API",
        ),
        ("", "vpcEndpoints: {vpce-0a: {cidrs: [10.1.0.1/16]}}", "10.1.0.1/16 is no CIDR block such as 10.1.0.0/16"),
        ("", "vpcEndpoints: {vpce-0a: {cidrs: []}}", "needs at least 1 entry"),
        ("", "vpcEndpoints: {a: {cidrs: [10.0.0.0/8]}}", "an endpoint's id is vpce- and letters and digits"),
        (
            "",
            "vpcEndpoints: {vpce-1: {cidrs: [10.0.0.0/8]}, vpce-2: {cidrs: [10.0.0.0/8]}}",
            "10.0.0.0/8 is vpce-1's, too; a network has one endpoint",
        ),
    ],
)
def test_what_is_refused(api: str, more: str, said: str) -> None:
    (problem,) = problems(api, more)

    assert said in problem
