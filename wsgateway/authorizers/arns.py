"""ARNs of what is let in: API Gateway developer guide, "ARN format reference"; the partition is that of the region."""

from __future__ import annotations

_PARTITIONS = {
    "cn-": "aws-cn",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}


def execute_api(region: str, account: str, path: str) -> str:
    """The ARN of `path`, such as `chat/prod/$connect`, in our region and account."""
    partition = next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
    return f"arn:{partition}:execute-api:{region}:{account}:{path}"
