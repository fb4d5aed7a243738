"""The event a Lambda function is given for a request of a REST API, and what its result means.

Payload format 1.0, in AWS's key order: API Gateway developer guide, "Set up Lambda proxy integrations in API Gateway"
(input and output formats). Where AWS is silent: a header's value may be a number, and is sent as JSON writes it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from wsgateway.errors import ApiConfigurationError, BadGateway
from wsgateway.integrations.lambda_event import header_of, parsed
from wsgateway.integrations.mapping.media import accepted
from wsgateway.messages import AnswerStream, EndpointResponse, Header
from wsgateway.method_events import method_event
from wsgateway.method_request import MethodRequest
from wsgateway.templates.content import listed

_KEYS: Final = frozenset({"isBase64Encoded", "statusCode", "headers", "multiValueHeaders", "body"})
_METADATA: Final = frozenset({"statusCode", "headers", "multiValueHeaders", "cookies"})


def request_event(invocation: MethodRequest, operation_name: str = "") -> bytes:
    """The event as JSON."""
    value = method_event(invocation, operation_name)
    body = invocation.payload
    if not body:
        value["body"] = None
    else:
        value["body"] = b64encode(body).decode() if invocation.binary else body.decode("utf-8", "replace")
    value["isBase64Encoded"] = bool(body) and invocation.binary
    return msgspec.json.encode(value)


def request_answer(payload: bytes) -> EndpointResponse:
    """What a function's result means. Its body is as the function gave it; `binary` says that it is base64.

    *Raises* BadGateway for a result that is not what the contract says.
    """
    result = parsed(payload)
    if not isinstance(result, dict):
        raise BadGateway("the function's result is not an object with a statusCode and a body")
    unknown = result.keys() - _KEYS
    if unknown:
        raise BadGateway(f"the function's result has a key that no proxy result has: {min(unknown)[:40]!r}")
    body = result.get("body")
    if body is not None and not isinstance(body, str):
        raise BadGateway("the body of the function's result is not a string")
    headers = tuple(_headers(result))
    data = b"" if body is None else body.encode("utf-8", "replace")
    return EndpointResponse(_status(result), headers, data, result.get("isBase64Encoded") is True)


def streamed_answer(metadata: bytes, body: AnswerStream | None) -> EndpointResponse:
    """What a function's streamed result means: its metadata, and the body behind the delimiter.

    API Gateway developer guide, "Set up a Lambda proxy integration with payload response streaming". *Raises*
    BadGateway for metadata that is not what the contract says, or without a delimiter.
    """
    if body is None:
        raise BadGateway(
            "the function's result is no streamed one: metadata, which awslambda.HttpResponseStream.from writes, eight "
            "NUL bytes within 16 KB, and the body"
        )
    result = parsed(metadata)
    if not isinstance(result, dict):
        raise BadGateway("the metadata of the function's result is not an object")
    unknown = result.keys() - _METADATA
    if unknown:
        raise BadGateway(f"the metadata of the function's result has a key that none has: {min(unknown)[:40]!r}")
    cookies = result.get("cookies") or []
    if not isinstance(cookies, list):
        raise BadGateway("cookies of the function's result is no list")
    headers = [*_headers(result), *(header_of("Set-Cookie", cookie) for cookie in cookies)]
    return EndpointResponse(_status(result), tuple(headers), None, stream=body)


def _status(result: Mapping[str, Any]) -> int:
    status = result.get("statusCode", 200)
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status[:4])
    elif isinstance(status, float) and status.is_integer():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise BadGateway("the function's result has a statusCode that is none from 200 to 599")
    return status


def _headers(result: Mapping[str, Any]) -> Iterator[Header]:
    """`multiValueHeaders` first, in their spelling; a single value is added unless it is among them."""
    many, single = (
        {} if given is None else given for given in (result.get("multiValueHeaders"), result.get("headers"))
    )
    if not isinstance(many, dict) or not isinstance(single, dict):
        raise BadGateway("headers and multiValueHeaders of the function's result are no objects")
    found: dict[str, tuple[str, list[Any]]] = {}
    for name, values in many.items():
        if not isinstance(values, list):
            raise BadGateway(f"multiValueHeaders of the function's result has no list for {name[:40]!r}")
        if any(isinstance(value, dict | list) for value in values):
            raise BadGateway(
                f"multiValueHeaders of the function's result has a value that is no text for {name[:40]!r}"
            )
        found[name.lower()] = (name, [value for value in values if value is not None])
    for name, value in single.items():
        if isinstance(value, dict | list):
            raise BadGateway(f"headers of the function's result has no text for {name[:40]!r}")
        if value is not None:
            _, values = found.setdefault(name.lower(), (name, []))
            if value not in values:
                values.append(value)
    found.pop("x-amzn-trace-id", None)  # the answer has the gateway's own, and no second one
    for name, values in found.values():
        yield from (header_of(name, value) for value in values)


def decoded(invocation: MethodRequest, media_types: tuple[str, ...], answer: EndpointResponse) -> EndpointResponse:
    """A function's answer as its client gets it: base64 becomes bytes where the first media type that the client
    accepts is among the API's `binaryMediaTypes`. *Raises* ApiConfigurationError for what is no base64.
    """
    if not answer.binary or not listed(accepted(invocation), media_types):
        return answer
    try:
        return EndpointResponse(answer.status, answer.headers, b64decode(answer.body or b"", validate=True))
    except (Base64Error, ValueError) as error:
        raise ApiConfigurationError("isBase64Encoded is true and the body is not base64") from error
