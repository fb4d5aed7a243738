"""From a backend's answer, or an error, to what the client gets: a reply frame, or the answer to its handshake."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from wsgateway.headers import returned
from wsgateway.messages import EndpointResponse, HttpResponse, Message

if TYPE_CHECKING:
    from wsgateway.dataplane.compiled import Operation
    from wsgateway.invocation import Invocation
    from wsgateway.messages import Header
    from wsgateway.model.quotas import Quotas


def reply_of(operation: Operation, invocation: Invocation, answer: EndpointResponse, quotas: Quotas) -> Message | None:
    """The frame that answers a message; None where its route is one-way, or there is nothing to send."""
    if not operation.two_way:
        return None
    assert invocation.message is not None  # only messages are two-way
    return message_of(answer, invocation.message, quotas.binary)


def message_of(answer: EndpointResponse, message: Message, binary_allowed: bool) -> Message | None:
    """The reply to `message`, or None where there is none: no body, or a status without one (204, 304).

    An empty body is an empty frame. Where binary frames are allowed, a reply has the kind of the message it answers
    unless its Content-Type is text; bytes of a text frame that are not UTF-8 become U+FFFD.
    """
    if answer.reply is not None:
        return answer.reply
    body = answer.body
    if body is None or answer.status == 204 or answer.status == 304:
        return None
    if binary_allowed:
        binary = answer.binary
        if binary is None:
            binary = message.binary and not _says_text(answer.headers)
        if binary:
            return Message(body, True)
    return text_message(body)


def text_message(data: bytes) -> Message:
    """A text message of `data`; what is not UTF-8 in it becomes U+FFFD, as on AWS."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("utf-8", "replace").encode()
    return Message(data)


def error_text(message: str, connection_id: str, request_id: str, reason: str = "") -> str:
    """AWS's error frame and body of a refused handshake, spaced as AWS spaces it; our `reason`, if any, behind."""
    more = f', "reason":{json.dumps(reason)}' if reason else ""
    return f'{{"message": {json.dumps(message)}, "connectionId":"{connection_id}", "requestId":"{request_id}"{more}}}'


def refused_handshake(status: int, text: str, request_id: str, *, soon: bool = True) -> HttpResponse:
    """The gateway's own refusal of a handshake, `text` made by `error_text`; `soon`: one may come again in seconds."""
    headers: list[Header] = [
        (b"Content-Type", b"application/json; charset=UTF-8"),
        (b"x-amz-apigw-id", request_id.encode()),
    ]
    if soon and status in (429, 503):
        headers.append(retry_after())
    return HttpResponse(status, tuple(headers), text.encode(), close=True)


def retry_after() -> Header:
    """1 to 5 s, so that a crowd does not come back at once."""
    return b"Retry-After", b"%d" % random.randint(1, 5)


def handshake_answer(answer: EndpointResponse, request_id: str) -> HttpResponse:
    """The backend's refusal, given to the client as it is but for headers that belong to another hop."""
    headers = returned(answer.headers)
    if all(name.lower() != b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", b"application/json"))
    headers.append((b"x-amz-apigw-id", request_id.encode()))
    return HttpResponse(answer.status, tuple(headers), answer.body or b"", close=True)


def _says_text(headers: tuple[Header, ...]) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            media = value.partition(b";")[0].strip().lower()
            return media.startswith(b"text/") or media.endswith((b"/json", b"+json"))
    return False
