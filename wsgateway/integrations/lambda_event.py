"""The event a Lambda function is given for a WebSocket event, and what its result means.

Field by field and in AWS's key order: API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket
APIs"; result: "Set up a WebSocket API integration response". Absent fields are absent, never null. Ours, in the open
profile: `callbackUrl` as the last key of `requestContext`, and binary messages as base64.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from wsgateway.errors import BadGateway
from wsgateway.events import maps, request_context, request_headers
from wsgateway.headers import REMOVED_FROM_EVENTS
from wsgateway.http1 import UnsafeHeader, field
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointResponse, Header, HttpRequest


def event(invocation: Invocation, *, ours: bool) -> bytes:
    """The event of a WebSocket API as JSON; `ours` adds what AWS has not (the open profile)."""
    value: dict[str, Any] = {}
    match invocation.event_type:
        case EventType.CONNECT:
            assert invocation.request is not None  # a CONNECT event is a request
            value |= _handshake(invocation, invocation.request)
        case EventType.DISCONNECT:
            stub = {"Host": invocation.client.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
            value["headers"] = stub
            value["multiValueHeaders"] = {name: [text] for name, text in stub.items()}
        case EventType.MESSAGE:
            pass
    if invocation.stage_variables:
        value["stageVariables"] = dict(invocation.stage_variables)
    value["requestContext"] = request_context(invocation, ours=ours)
    encoded = False
    if invocation.message is not None:
        if invocation.message.binary:
            encoded = True
            value["body"] = b64encode(invocation.message.data).decode()
        else:
            value["body"] = invocation.message.data.decode()
    value["isBase64Encoded"] = encoded
    return msgspec.json.encode(value)


def _handshake(invocation: Invocation, request: HttpRequest) -> Iterator[tuple[str, Any]]:
    """Headers and query of the handshake, each as a map of last values and one of all values."""
    yield from maps("headers", "multiValueHeaders", request_headers(invocation, request, without=REMOVED_FROM_EVENTS))
    query = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
    if query:
        yield from maps("queryStringParameters", "multiValueQueryStringParameters", query)


def answer(payload: bytes, *, event_type: EventType, two_way: bool) -> EndpointResponse:
    """What a function's result means at its route.

    On `$connect` its statusCode decides. On a two-way route `body` is the reply and statusCode is ignored; a missing or
    null body is no reply. Elsewhere the result is dropped, whatever it is. *Raises* BadGateway for a result that is not
    what its route needs.
    """
    on_connect = event_type is EventType.CONNECT
    if not on_connect and not two_way:
        return EndpointResponse(200, (), None)
    result = parsed(payload)
    if not isinstance(result, dict):
        raise BadGateway("the function's result is not an object with a statusCode and a body")
    status = result.get("statusCode") if on_connect else 200
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise BadGateway("the function's result for $connect has no statusCode from 200 to 599")
    body = result.get("body")
    if body is not None and not isinstance(body, str):
        raise BadGateway("the body of the function's result is not a string")
    data: bytes | None = None
    encoded = result.get("isBase64Encoded") is True
    if body is not None:
        data = _decoded(body) if encoded else body.encode("utf-8", "replace")
    return EndpointResponse(status, tuple(_headers(result)), data, encoded)


def parsed(payload: bytes) -> Any:
    """The result as a value; None for an empty one.

    Parsed strictly, which is fast; and where that fails as Python's own parser does, for Python handlers are used to
    NaN and halves of surrogate pairs coming through.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return json.loads(payload) if payload.strip() else None
    except (ValueError, RecursionError) as error:
        raise BadGateway("the function's result is not JSON") from error


def _decoded(body: str) -> bytes:
    try:
        return b64decode(body, validate=True)
    except (Base64Error, ValueError) as error:
        raise BadGateway("isBase64Encoded is true and the body is not base64") from error


def _headers(result: Mapping[str, Any]) -> Iterator[Header]:
    """`multiValueHeaders` and `headers`, the former winning; what can't be a header is refused."""
    seen = set()
    many = result.get("multiValueHeaders")
    if isinstance(many, dict):
        for name, values in many.items():
            if isinstance(values, list):
                seen.add(name.lower())
                yield from (header_of(name, value) for value in values)
    single = result.get("headers")
    if isinstance(single, dict):
        for name, value in single.items():
            if name.lower() not in seen and value is not None:
                yield header_of(name, value)


def header_of(name: str, value: object) -> Header:
    """One header of a result. *Raises* BadGateway where it can't be sent."""
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        key, data = name.encode("ascii"), text.encode("latin-1")
        field(key, data)
    except (UnicodeEncodeError, UnsafeHeader) as error:
        raise BadGateway(f"the function's result has a header {name[:40]!r} that can't be sent") from error
    return key, data
