"""From where a REST API is reached: by everybody, or by private networks alone.

API Gateway API reference (v1), EndpointConfiguration; developer guide, "API endpoint types for REST APIs" and "Private
REST APIs". What AWS makes in a VPC, an interface endpoint, is a name for networks here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Annotated, ClassVar, Literal

from annotated_types import MinLen
from pydantic import AfterValidator

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches
from wsgateway.model.explain import fault, shown

EndpointId = Annotated[
    str, Matches(r"vpce-[a-z0-9]{1,32}", "an endpoint's id is vpce- and letters and digits, such as vpce-0a1b2c3d")
]
VpcId = Annotated[
    str, Matches(r"vpc-[a-z0-9]{1,32}", "a VPC's id is vpc- and letters and digits, such as vpc-0a1b2c3d")
]

TYPES = ("EDGE", "REGIONAL", "PRIVATE")


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise fault(f"{shown(text)} is no CIDR block such as 10.1.0.0/16: {error}") from error
    return text


Cidr = Annotated[str, AfterValidator(_network)]


class VpcEndpoint(Definition):
    """A way to PRIVATE REST APIs: whoever comes from its networks has come by it. (Ours.)"""

    cidrs: Annotated[list[Cidr], MinLen(1)]
    """Where its clients are: CIDR blocks. Of several endpoints the one with the narrowest block counts."""
    vpc_id: VpcId | None = None
    """The VPC it stands for, for `aws:SourceVpc` in resource policies and `$context.identity.vpcId`."""


class EndpointConfiguration(Definition):
    """From where a REST API is reached."""

    types: list[Annotated[Literal["EDGE", "REGIONAL", "PRIVATE"], Among(TYPES)]] | None = None
    """REGIONAL; EDGE, the same, but that header names of requests are capitalized, as CloudFront does it; or PRIVATE:
    the internal listener alone. Absent: REGIONAL; with vpcEndpointIds, as OpenAPI documents have them, PRIVATE."""
    vpc_endpoint_ids: list[EndpointId] | None = None
    """Of PRIVATE: `vpcEndpoints` whose names lead to it, as the Host `{apiId}-{vpceId}.execute-api.…`."""

    elsewhere: ClassVar[Mapping[str, str]] = {"ipAddressType": "the listeners have what --host says"}

    def check(self) -> Iterator[Problem]:
        if self.types is not None and len(self.types) != 1:
            yield Problem(("types",), f"names one type, {', '.join(TYPES)}; an API has no more")
        if self.vpc_endpoint_ids is not None and not self.private:
            yield Problem(
                ("vpcEndpointIds",), "has no effect: only PRIVATE APIs are reached by VPC endpoints; remove it"
            )

    @property
    def edge(self) -> bool:
        """Whether mappings find header names capitalized."""
        return self.types is not None and "EDGE" in self.types

    @property
    def private(self) -> bool:
        """Whether it is none of the public listener's."""
        return self.vpc_endpoint_ids is not None if self.types is None else "PRIVATE" in self.types


def check_endpoints(endpoints: dict[str, VpcEndpoint]) -> Iterator[Problem]:
    """Networks of two endpoints: who comes from there would have come by both. Paths begin at the endpoints."""
    whose: dict[object, str] = {}
    for name, endpoint in endpoints.items():
        for number, cidr in enumerate(endpoint.cidrs):
            other = whose.setdefault(ip_network(cidr), name)
            if other != name:
                yield Problem((name, "cidrs", number), f"{cidr} is {other}'s, too; a network has one endpoint")
