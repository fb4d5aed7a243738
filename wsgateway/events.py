"""What Lambda events tell of a request, whoever gets them: integrations or authorizers.

Field by field and in AWS's key order: API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket
APIs" and "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs".
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from wsgateway.headers import RESTATED
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import HttpRequest


def request_context(invocation: Invocation, *, ours: bool) -> dict[str, Any]:
    """`requestContext`; `ours` adds what AWS has not (the open profile)."""
    client = invocation.client
    kind = invocation.event_type
    context: dict[str, Any] = {"routeKey": invocation.route_key}
    if kind is EventType.DISCONNECT:
        context["disconnectStatusCode"] = invocation.status_code
    if kind is EventType.MESSAGE:
        context["messageId"] = invocation.message_id
    context |= {
        "eventType": kind.value,
        "extendedRequestId": invocation.request_id,
        "requestTime": invocation.context("requestTime"),
        "messageDirection": "IN",
    }
    if kind is EventType.DISCONNECT:
        context["disconnectReason"] = invocation.reason
    identity = {"sourceIp": client.source_ip}
    if client.user_agent is not None:
        identity = {"userAgent": client.user_agent, **identity}
    if client.identity:
        identity = {**client.identity, **identity}
    if invocation.authorizer_millis is not None:
        context["authorizer"] = {**client.authorizer, "integrationLatency": invocation.authorizer_millis}
    elif client.authorizer:
        context["authorizer"] = client.authorizer
    context |= {
        "stage": client.stage,
        "connectedAt": client.connected_at,
        "requestTimeEpoch": invocation.epoch,
        "identity": identity,
        "requestId": invocation.request_id,
        "domainName": client.domain_name,
        "connectionId": client.connection_id,
        "apiId": client.api_id,
    }
    if ours:
        context["callbackUrl"] = client.callback_url
    return context


def request_headers(
    invocation: Invocation, request: HttpRequest, *, without: Container[bytes] = ()
) -> list[tuple[str, str]]:
    """The headers of a handshake by name, less those named in `without` (lower case), with the gateway's own."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers
        if name.lower() not in without and name.lower() not in RESTATED
    ]
    headers.append(("X-Amzn-Trace-Id", invocation.trace_id.decode("latin-1")))
    for line in invocation.client.forwarded.decode("latin-1").splitlines():
        name, _, text = line.partition(": ")
        headers.append((name, text))
    return sorted(headers, key=lambda header: header[0].lower())


def maps(single: str, multi: str, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Two members of an event: the last value by name, and all values by name."""
    all_values: dict[str, list[str]] = {}
    for name, value in pairs:
        all_values.setdefault(name, []).append(value)
    yield single, {name: values[-1] for name, values in all_values.items()}
    yield multi, all_values
