"""ARNs have the partition of their region, as botocore knows it."""

from __future__ import annotations

import pytest
from botocore.session import Session

from tests.unit.requests import method_request
from wsgateway.authorizers.arns import execute_api, of_method


def test_every_region_is_of_its_partition() -> None:
    session = Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            arn = execute_api(region, "123456789012", "chat/prod/$connect")
            assert arn == f"arn:{partition}:execute-api:{region}:123456789012:chat/prod/$connect"


@pytest.mark.parametrize(
    ("resource", "taken", "path"),
    [
        pytest.param("/", {}, "", id="the root"),
        pytest.param("/pets", {}, "pets", id="a resource"),
        pytest.param("/pets/{id}", {"id": "7"}, "pets/7", id="a variable"),
        pytest.param("/pets/{id}", {"id": "%37%20a"}, "pets/7 a", id="whatever way it is encoded"),
        pytest.param("/pets/{id}/x", {"id": "a%2fb"}, "pets/a%2Fb/x", id="an encoded slash is none"),
        pytest.param("/{proxy+}", {"proxy": "a/%62/c%2Fd"}, "a/b/c%2Fd", id="many segments"),
        pytest.param("/{proxy+}", {"proxy": "%F0%9F%90%88"}, "\N{CAT}", id="what is not ASCII"),
    ],
)
def test_what_a_request_asks_for_has_one_name(resource: str, taken: dict[str, str], path: str) -> None:
    assert of_method(method_request(resource, taken)) == f"shop/v1/GET/{path}"
