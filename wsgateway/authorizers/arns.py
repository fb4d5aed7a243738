"""ARNs of what is let in: API Gateway developer guide, "ARN format reference"; the partition is that of the region."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

from wsgateway.method_request import MethodRequest

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
    return f"arn:{_partition(region)}:execute-api:{region}:{account}:{path}"


@lru_cache(maxsize=8)
def _partition(region: str) -> str:
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def of_method(request: MethodRequest) -> str:
    """What stands behind the account in the ARN of what a request asks for: `shop/v1/GET/pets/7`.

    It is written as the resource is, with decoded values of its variables, so that one resource has one name however
    a client encodes it: a policy that denies it can't be passed by. A `/` that was encoded stays `%2F`.
    """
    path = request.resource[1:]
    if request.path_parameters:
        path = "/".join([_part(part, request) for part in path.split("/")])
    return f"{request.client.api_id}/{request.client.stage}/{request.http_method}/{path}"


def _part(part: str, request: MethodRequest) -> str:
    if not part.startswith("{"):
        return part
    taken = request.path_parameters[part[1:-1].removesuffix("+")]
    if "%" not in taken:
        return taken
    return "/".join(unquote(segment).replace("/", "%2F") for segment in taken.split("/"))
