"""ARNs have the partition of their region, as botocore knows it."""

from __future__ import annotations

from botocore.session import Session

from wsgateway.authorizers.arns import execute_api


def test_every_region_is_of_its_partition() -> None:
    session = Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            arn = execute_api(region, "123456789012", "chat/prod/$connect")
            assert arn == f"arn:{partition}:execute-api:{region}:123456789012:chat/prod/$connect"
