"""Header handling: which headers reach a backend, which no mapping may set, and what becomes of a backend's own.

One place for all integration types and both sides, above `http1` (how a head is written) and below whoever maps, calls
and answers. Names are lower case. Source: API Gateway developer guide, "Important notes", "Set up HTTP integrations".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Final

from wsgateway.http1 import HOP_BY_HOP, list_items, strip_hop_by_hop

if TYPE_CHECKING:
    from wsgateway.messages import Header


class Backend(Enum):
    """What a request goes to, as far as headers differ."""

    HTTP = "HTTP"
    AWS = "AWS"


REMOVED_ON_ARRIVAL: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"content-md5",
        b"expect",
        b"max-forwards",
        b"proxy-authenticate",
        b"server",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"www-authenticate",
    }
)
"""Headers of a client's request that neither mappings nor backends see."""

_REMOVED_FROM_ALL: Final = frozenset({b"expect", b"proxy-authenticate", b"te"})
REMOVED_AFTER_MAPPING: Final = {
    Backend.HTTP: _REMOVED_FROM_ALL | {b"via"},
    Backend.AWS: _REMOVED_FROM_ALL | {b"referer"},
}
"""Headers that no backend gets, whoever set them."""

RESTATED: Final = frozenset({b"x-amzn-trace-id", b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto"})
"""Headers the gateway sends in its own words, whatever the client wrote."""

NOT_PROXIED: Final = frozenset(
    {b"content-encoding", b"host", b"x-amzn-apigateway-api-id"}
    | REMOVED_ON_ARRIVAL
    | REMOVED_AFTER_MAPPING[Backend.HTTP]
    | RESTATED
)
"""Headers of a request that HTTP_PROXY doesn't pass on as the client wrote them, besides those of one hop."""

REMOVED_FROM_EVENTS: Final = frozenset({b"connection", b"content-length", b"upgrade"})
"""Headers of a handshake that a Lambda function's event is without (developer guide, "Lambda proxy integrations")."""

_NO_TARGETS: Final = frozenset({"content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"})
NO_TARGETS: Final = {Backend.HTTP: _NO_TARGETS, Backend.AWS: _NO_TARGETS | {"authorization"}}
"""Headers the gateway alone sets: AWS answers 500 where a mapping names one. What AWS refuses besides for AWS services
(connection, expect, proxy-authenticate, te) is refused for all backends here, as headers of the connection.
"""

_of_connection = re.compile(
    r"connection|expect|http2-settings|keep-alive|proxy-.*|te|trailer|upgrade", re.IGNORECASE
).fullmatch
"""Headers of one hop (RFC 9110 §7.6.1, §10.1.1)."""

RENAMED: Final = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"content-md5",
        b"date",
        b"expect",
        b"host",
        b"max-forwards",
        b"proxy-authenticate",
        b"server",
        b"trailer",
        b"upgrade",
        b"user-agent",
        b"www-authenticate",
        b"x-amzn-requestid",
    }
)
"""Headers of a backend's answer that a client gets as `x-amzn-Remapped-*`."""

NOT_RETURNED: Final = frozenset(
    {b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol", b"transfer-encoding", b"via"}
)
"""Headers of a backend's answer that a client never gets. Content-Encoding is none of them: bodies aren't decoded."""

REMAPPED: Final = b"x-amzn-Remapped-"


def target_fault(name: str, backend: Backend) -> str | None:
    """Why no mapping may set the header `name`; None where one may."""
    if name.lower() in NO_TARGETS[backend]:
        return f"the header {name} is the gateway's own; no mapping may set it"
    if _of_connection(name) is not None:
        return f"the header {name} is about the gateway's own connection to the backend; no mapping may set it"
    return None


def proxied(headers: Iterable[Header]) -> list[Header]:
    """Of a client's headers those that HTTP_PROXY passes on, but for a signature, which is for this gateway."""
    return [
        (name, value)
        for name, value in strip_hop_by_hop(headers)
        if (key := name.lower()) not in NOT_PROXIED
        and not (key == b"authorization" and value.startswith(b"AWS4-HMAC-SHA256"))
    ]


def returned(headers: Iterable[Header]) -> list[Header]:
    """Of a backend's headers what its client gets: some renamed, those of one hop not at all (RFC 9110 §7.6.1)."""
    headers = tuple(headers)
    named = list_items(value for name, value in headers if name.lower() == b"connection")
    dropped = (HOP_BY_HOP | NOT_RETURNED).union(named) - RENAMED
    return [
        (REMAPPED + name if key in RENAMED else name, value)
        for name, value in headers
        if (key := name.lower()) not in dropped
    ]


_IDS_OF_CALLS = frozenset({b"x-amzn-requestid", b"x-amz-request-id"})


def aws_request_id(headers: Iterable[Header]) -> str | None:
    """What AWS calls the call that it answered with these headers; None where it does not say."""
    found = (value for name, value in headers if name.lower() in _IDS_OF_CALLS)
    return next((value.decode("latin-1") for value in found), None)
