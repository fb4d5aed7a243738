"""ARNs of what is let in: API Gateway developer guide, "ARN format reference"; the partition is that of the region."""

from __future__ import annotations

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
    partition = next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
    return f"arn:{partition}:execute-api:{region}:{account}:{path}"


def of_method(request: MethodRequest) -> str:
    """What stands behind the account in the ARN of what a request asks for: `shop/v1/GET/pets/7`.

    It is written as the resource is, with decoded values of its variables, so that one resource has one name however
    a client encodes it: a policy that denies it can't be passed by. A `/` that was encoded stays `%2F`.
    """
    parts = (_part(part, request) for part in request.resource.split("/")[1:])
    return f"{request.client.api_id}/{request.client.stage}/{request.http_method}/{'/'.join(parts)}"


def _part(part: str, request: MethodRequest) -> str:
    if not part.startswith("{"):
        return part
    taken = request.path_parameters[part[1:-1].removesuffix("+")]
    return "/".join(unquote(segment).replace("/", "%2F") for segment in taken.split("/"))
