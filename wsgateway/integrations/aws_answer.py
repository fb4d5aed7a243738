"""What an AWS service's refusal says: its code and its message, in whichever of AWS's forms it comes.

AWS JSON protocols: `__type` and `x-amzn-ErrorType`; REST-JSON: `code`; query and REST-XML: `<Code>`, `<Message>`.
Throttling comes as status 400, 429 or 503 (SDKs reference guide, "Retry behavior").
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass

from wsgateway.messages import EndpointResponse
from wsgateway.model.explain import escaped

Counts = Counter[tuple[str, str, str]]
"""Calls by service, action and result."""

KEYS_OVER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""What AWS says of credentials that are no longer good."""

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes that mean: later. SDKs try these again."""

READ_BYTES = 16_384
"""Of a refusal's body, so much is looked at."""

_code = re.compile(rb"<Code>([^<]{1,200})</Code>").search
_said = re.compile(rb"<Message>([^<]{1,2000})").search


@dataclass(frozen=True, slots=True)
class Refusal:
    """A service's answer of 400 and more."""

    status: int
    code: str
    message: str

    @property
    def result(self) -> str:
        """What it is counted as."""
        if self.code in THROTTLED or self.status == 429:
            return "throttled"
        if self.status == 403 or self.code in ("AccessDenied", "AccessDeniedException") or self.code in KEYS_OVER:
            return "denied"
        return "service_error" if self.status >= 500 else "refused"

    @property
    def transient(self) -> bool:
        """Whether the same call may go well another time: with new keys, too, which are looked for."""
        return self.result in ("throttled", "service_error") or self.code in KEYS_OVER

    def __str__(self) -> str:
        return " ".join(filter(None, [f"answered {self.status}", self.code, self.message]))


def refusal_of(response: EndpointResponse) -> Refusal:
    """What a response of 400 and more says."""
    body = (response.body or b"")[:READ_BYTES]
    headers = {name.lower(): value for name, value in response.headers}
    code = headers.get(b"x-amzn-errortype", b"").decode("latin-1")
    message = ""
    if body.lstrip()[:1] == b"<":
        found, said = _code(body), _said(body)
        code = code or ("" if found is None else found[1].decode("utf-8", "replace"))
        message = "" if said is None else said[1].decode("utf-8", "replace")
    else:
        fields = _fields(body)
        code = code or _text(fields, "__type", "code", "Code")
        message = _text(fields, "message", "Message", "errorMessage")
    # `com.amazonaws.dynamodb.v20120810#ValidationException:http://…` is that exception.
    code = code.partition(":")[0].rpartition("#")[2]
    # Of a wrong signature AWS repeats the request behind the first line, token and all.
    return Refusal(response.status, escaped(code[:100]), escaped(message.partition("\n")[0][:300]))


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    error = fields.get("Error")  # a query service that was asked for JSON
    return error if isinstance(error, dict) else fields


def _text(fields: dict[str, object], *names: str) -> str:
    return next((value for name in names if isinstance(value := fields.get(name), str)), "")
