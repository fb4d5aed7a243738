"""What steps note of an event (`Trace`), as people and programs read it: text and JSON, without credentials."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from wsgateway.errors import GatewayError
from wsgateway.messages import EndpointRequest, EndpointResponse, Header, HttpResponse, Message

SECRET: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-amz-security-token",
        "x-api-key",
    }
)
"""Headers whose values are nobody's business (API Gateway redacts authorization headers and API keys in its logs)."""

HIDDEN: Final = "***"

# The same headers, and requestContext.identity.apiKey, in the JSON of an event; possessive, hence linear.
_IN_JSON = re.compile(
    rf'("(?:{"|".join(sorted(SECRET | {"apikey"}))})"\s*+:\s*+)(?:"(?:[^"\\]|\\.)*+"?|\[[^\]]*+\]?)',
    re.IGNORECASE | re.DOTALL,
)


def described(value: object, most: int = 65_536) -> Any:
    """What was noted, made of JSON's types; of bodies so many bytes."""
    match value:
        case EndpointRequest():
            first, _, rest = value.head.partition(b"\r\n")
            lines = [line.partition(b": ") for line in rest.split(b"\r\n") if line]
            about = {"request": first.decode("latin-1").removesuffix(" HTTP/1.1")}
            return about | _content(tuple((name, text) for name, _, text in lines), value.body, most)
        case EndpointResponse():
            return {"status": value.status} | _content(value.headers, value.body, most)
        case HttpResponse():
            lines = [line.partition(b": ") for line in value.lines.split(b"\r\n") if line]
            headers = (*value.headers, *[(name, text) for name, _, text in lines])
            return {"status": value.status} | _content(
                headers, value.body if isinstance(value.body, bytes) else b"", most
            )
        case Message():
            return {("bodyBase64" if value.binary else "body"): _body(value.data, most, value.binary)}
        case GatewayError():
            return {
                "status": value.status,
                "type": value.response_type,
                "message": value.detail,
                "reason": value.reason or value.message,
            }
        case bytes():
            return _body(value, most)
        case str():
            return value if len(value) <= most else value[:most] + "…"
        case msgspec.Struct():
            return {name: described(getattr(value, name), most) for name in value.__struct_fields__}
        case dict():
            return {str(name): described(each, most) for name, each in value.items()}
        case list() | tuple():
            return [described(each, most) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)


def _content(headers: tuple[Header, ...], body: bytes | None, most: int) -> dict[str, Any]:
    return {"headers": headers_of(headers), "body": None if body is None else _body(body, most)}


def headers_of(headers: Iterable[Header]) -> list[list[str]]:
    """Names and values, but for those that are credentials."""
    return [[name.decode("latin-1"), _header(name, value)] for name, value in headers]


def _header(name: bytes, value: bytes) -> str:
    return HIDDEN if name.lower().decode("latin-1") in SECRET else value.decode("utf-8", "replace")


def _body(data: bytes, most: int, binary: bool = False) -> str:
    if binary:
        return b64encode(data[:most]).decode()
    text = _IN_JSON.sub(rf'\1"{HIDDEN}"', data[:most].decode("utf-8", "replace"))
    return text if len(data) <= most else text + "…"
