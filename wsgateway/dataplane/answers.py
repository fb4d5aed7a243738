"""What the callback URL answers with, byte for byte as AWS does, and what each verb does to a connection of this node.

API Gateway developer guide, "Use @connections commands in your backend service"; error types, which SDKs read from
`x-amzn-ErrorType`: the service model of the API Gateway Management API. Answers are made without the ids AWS puts on
them: whoever writes them to the caller adds fresh ones, by `dressed`.
"""

from __future__ import annotations

import json
import time
from itertools import count as count_from
from os import register_at_fork
from typing import TYPE_CHECKING

from wsgateway.dataplane.hub import Sent
from wsgateway.errors import ServiceUnavailable
from wsgateway.ids import random_bytes
from wsgateway.invocation import iso_time
from wsgateway.messages import HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.messages import Header, Message
    from wsgateway.model.quotas import Quotas

JSON: Header = (b"Content-Type", b"application/json")
_JSON_LINE = b"Content-Type: application/json\r\n"


def problem(
    status: int, kind: str, message: str, reason: str = "", *headers: Header, key: str = "message"
) -> HttpResponse:
    """A refusal in AWS's form; `reason`, if it may be told, says more."""
    body = {key: message}
    if reason:
        body["reason"] = reason
    named = ((b"x-amzn-ErrorType", kind.encode()), JSON, *headers)
    return HttpResponse(status, named, json.dumps(body, separators=(",", ":")).encode())


DONE = HttpResponse(200)
"""A message is in the outbox; `dressed` gives it AWS's Content-Type."""
DELETED = HttpResponse(204)
GONE = HttpResponse(410, ((b"x-amzn-ErrorType", b"GoneException"), JSON))
FULL = problem(429, "LimitExceededException", "The client side buffer is full")
BEYOND = problem(429, "LimitExceededException", "Too Many Requests")
"""The account has had its share of calls."""
_TOO_LARGE = HttpResponse(413)  # AWS sends neither a body nor any of its headers

_PUSHED = {Sent.QUEUED: DONE, Sent.GONE: GONE, Sent.FULL: FULL}


def push(connection: Connection, message: Message) -> HttpResponse:
    """Put a whole message into the connection's outbox; 200 means that it is there."""
    return _PUSHED[connection.push(message)]


def delete(connection: Connection) -> HttpResponse:
    connection.close(1000, "Connection Closed Normally")
    return DELETED


def get(gateway: Gateway, connection: Connection) -> HttpResponse:
    return HttpResponse(200, (JSON,), pretty(facts(gateway, connection)))


def too_large(quotas: Quotas) -> HttpResponse:
    """The body of a push is over the API's limit."""
    if quotas.profile == "aws":
        return _TOO_LARGE
    return problem(413, "PayloadTooLargeException", f"The message is over {quotas.max_message_bytes} bytes")


def no_room(reason: str = "") -> HttpResponse:
    """The node can't hold the body of a push now; AWS's SDKs try again."""
    again = (b"Retry-After", b"1")
    return problem(503, "ServiceUnavailableException", ServiceUnavailable.message, reason, again)


def page(gateway: Gateway, api_id: str, after: str, size: int) -> list[dict[str, object]]:
    """Ours: up to `size` connections of an API on this node, in id order, behind the id `after`."""
    return [
        {"connectionId": connection.client.connection_id, "stage": connection.client.stage} | facts(gateway, connection)
        for connection in gateway.hub.page(api_id, after, size)
    ]


def facts(gateway: Gateway, connection: Connection) -> dict[str, object]:
    """What GET tells of a connection."""
    client = connection.client
    idle = gateway.loop.time() - connection.last_active
    identity = {"sourceIp": client.source_ip}
    if client.user_agent is not None:
        identity["userAgent"] = client.user_agent
    return {
        "identity": identity,
        "connectedAt": iso_time(client.connected_at),
        "lastActiveAt": iso_time(max(client.connected_at, int((time.time() - idle) * 1000))),
    }


def pretty(value: object) -> bytes:
    """Spaced as AWS spaces it: two blanks a level, a blank on both sides of the colon."""
    return json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False).encode()


def dressed(response: HttpResponse) -> HttpResponse:
    """The same answer, with the ids AWS puts on every answer of the management API."""
    if response is DONE:
        return HttpResponse(200, lines=_JSON_LINE + _ids())
    if response is _TOO_LARGE:
        return response
    return HttpResponse(response.status, response.headers, response.body, lines=_ids())


class _AnswerIds:
    """The ids of an answer, as header lines: unique, and nobody's secret.

    A random part per process and a count behind it; three random ids for each of many thousand pushes a second would
    cost more than the push.
    """

    __slots__ = ("_count", "_lines")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew: the ids of a fork are not its parent's."""
        random = random_bytes(24).hex().encode()
        self._count = count_from(int.from_bytes(random_bytes(4)))
        uuid = b"%b-%b-4%b-a%b-" % (random[:8], random[8:12], random[12:15], random[15:18])
        self._lines = (
            b"x-amzn-RequestId: " + uuid + b"%012x\r\n"
            b"x-amz-apigw-id: " + random[18:20] + b"%012xA=\r\n"
            b"X-Amzn-Trace-Id: Root=1-%08x-" + random[20:32] + b"%012x\r\n"
        )

    def __call__(self) -> bytes:
        number = next(self._count)
        return self._lines % (number, number, int(time.time()), number)


_ids = _AnswerIds()
register_at_fork(after_in_child=_ids.begin)
