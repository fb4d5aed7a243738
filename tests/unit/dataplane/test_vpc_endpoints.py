"""By which VPC endpoint a request has come."""

from __future__ import annotations

import pytest

from wsgateway.dataplane.vpc_endpoints import KEPT, VpcEndpoints
from wsgateway.model.endpoint import VpcEndpoint

ENDPOINTS = VpcEndpoints(
    {
        "vpce-wide": VpcEndpoint.model_validate({"cidrs": ["10.0.0.0/8", "fd00::/8"], "vpcId": "vpc-1"}),
        "vpce-narrow": VpcEndpoint.model_validate({"cidrs": ["10.1.0.0/16"]}),
    }
)
WIDE = {"vpceId": "vpce-wide", "vpcId": "vpc-1"}


@pytest.mark.parametrize(
    ("source", "identity"),
    [
        pytest.param("10.2.0.1", WIDE, id="in its network"),
        pytest.param("10.1.2.3", {"vpceId": "vpce-narrow"}, id="in the narrowest"),
        pytest.param("::ffff:10.2.0.1", WIDE, id="an IPv4 address in IPv6"),
        pytest.param("fd00::1", WIDE, id="IPv6"),
        pytest.param("192.0.2.1", {}, id="elsewhere"),
        pytest.param("unknown", {}, id="no address"),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_the_source_says_so(source: str, identity: dict[str, str]) -> None:
    for _ in range(2):
        assert ENDPOINTS.identity(source) == identity


def test_what_is_remembered_is_bounded() -> None:
    for number in range(KEPT + 10):
        ENDPOINTS.identity(f"10.2.{number // 256}.{number % 256}")
    assert ENDPOINTS.identity("10.1.0.1") == {"vpceId": "vpce-narrow"}
