"""What Lambda events tell of a request of a REST API, whoever gets them: integrations or authorizers.

Payload format 1.0, in AWS's key order: API Gateway developer guide, "Set up Lambda proxy integrations in API Gateway"
and "Input to an API Gateway Lambda authorizer".
"""

from __future__ import annotations

from typing import Any, Final

from wsgateway.events import maps, request_headers
from wsgateway.headers import REMOVED_ON_ARRIVAL
from wsgateway.method_request import MethodRequest

_IDENTITY: Final = (
    "cognitoIdentityPoolId",
    "accountId",
    "cognitoIdentityId",
    "caller",
    "sourceIp",
    "principalOrgId",
    "accessKey",
    "cognitoAuthenticationType",
    "cognitoAuthenticationProvider",
    "userArn",
    "userAgent",
    "user",
)


def method_event(invocation: MethodRequest, operation_name: str = "") -> dict[str, Any]:
    """The event without its body; what is empty is None. `operation_name` is the method's, if it has one."""
    request = invocation.request
    assert request is not None  # it is one
    value: dict[str, Any] = {
        "resource": invocation.resource,
        "path": _path(invocation),
        "httpMethod": invocation.http_method,
    }
    value |= maps("headers", "multiValueHeaders", request_headers(invocation, request, without=REMOVED_ON_ARRIVAL))
    query = invocation.query()
    value["queryStringParameters"] = {name: values[-1] for name, values in query.items()} or None
    value["multiValueQueryStringParameters"] = query or None
    value["pathParameters"] = invocation.all_path_parameters() or None
    value["stageVariables"] = dict(invocation.stage_variables) or None
    value["requestContext"] = _context(invocation, operation_name)
    return value


def _path(invocation: MethodRequest) -> str:
    """The path below the stage, of slashes at its beginning one."""
    return "/" + invocation.below.lstrip("/")


def _context(invocation: MethodRequest, operation_name: str) -> dict[str, Any]:
    client = invocation.client
    known = {**client.identity, "sourceIp": client.source_ip, "userAgent": client.user_agent}
    identity = {name: known.get(name) for name in _IDENTITY}
    identity |= {name: known[name] for name in ("apiKey", "apiKeyId", "vpcId", "vpceId") if name in known}
    context: dict[str, Any] = {
        "resourceId": invocation.resource,
        **({"operationName": operation_name} if operation_name else {}),
        "resourcePath": invocation.resource,
        "httpMethod": invocation.http_method,
        "extendedRequestId": invocation.extended_request_id,
        "requestTime": invocation.context("requestTime"),
        "path": invocation.path,
        "accountId": invocation.account_id,
        "protocol": "HTTP/1.1",
        "stage": client.stage,
        "domainPrefix": invocation.context("domainPrefix"),
        "requestTimeEpoch": invocation.epoch,
        "requestId": invocation.request_id,
        "identity": identity,
        "domainName": client.domain_name,
        "deploymentId": invocation.deployment_id,
        "apiId": client.api_id,
    }
    if invocation.canary is not None:
        context["isCanaryRequest"] = invocation.canary
    if invocation.authorizer_millis is not None:
        context["authorizer"] = {**client.authorizer, "integrationLatency": invocation.authorizer_millis}
    elif client.authorizer:
        context["authorizer"] = dict(client.authorizer)
    return context
