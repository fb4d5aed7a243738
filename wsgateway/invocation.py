"""One message or request on its way to an integration, and its `$context`: one table names every variable.

Names and meanings: API Gateway developer guide, "WebSocket API mapping template reference" and "Set up WebSocket API
logging". Identifiers and times are made on first use, so a message that maps none of them pays for none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from wsgateway.ids import disconnect_request_id, new_request_id, new_root
from wsgateway.messages import Header, HttpRequest, Message
from wsgateway.tally import UNCOUNTED, Tally
from wsgateway.trace import Trace

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class EventType(Enum):
    """What happened, in AWS's words (`$context.eventType`)."""

    CONNECT = "CONNECT"
    MESSAGE = "MESSAGE"
    DISCONNECT = "DISCONNECT"
    CONNECTION_API = "CONNECTION_API"
    """A call of `@connections`."""
    REQUEST = "REQUEST"
    """A request of a REST API; AWS has no word for it."""


def header_text(value: bytes) -> str:
    """A header's value as text: UTF-8, which is what clients send beyond ASCII, else Latin-1 (RFC 9110 §5.5)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def request_time(epoch_millis: int) -> str:
    """Common Log Format time in UTC: `25/Sep/2026:00:03:04 +0000`."""
    return _request_time(epoch_millis // 1000)


@lru_cache(maxsize=2)  # many events share a second
def _request_time(epoch: int) -> str:
    at = time.gmtime(epoch)
    return f"{at.tm_mday:02}/{MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def iso_time(epoch_millis: int) -> str:
    """ISO 8601 time in UTC: `2026-09-25T00:03:04.123Z`."""
    seconds, millis = divmod(epoch_millis, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03}Z"


IDENTITY = (
    "accessKey",
    "accountId",
    "apiKey",
    "apiKeyId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)
"""What a signature, or an API key, says of who has sent a request (`$context.identity`)."""

Variable = Callable[["Invocation"], str | int | None]


class Variables(dict[str, Variable]):
    """The variables that one kind of event has, by what stands behind `$context.`."""

    def __init__(self, variables: Mapping[str, Variable], first: Sequence[str] = ()) -> None:
        """`first` are members of `$context` that come before all others where a template lists it."""
        super().__init__(variables)
        groups = [name.partition(".")[0] for name in variables]
        self.members = tuple(dict.fromkeys((*first, *groups, "authorizer", "requestOverride", "responseOverride")))
        """What stands behind `$context.`, up to the next dot, in the order in which templates list it."""
        self.groups: dict[str, dict[str, Variable]] = {}
        """`identity.sourceIp` and its like, by what stands before the dot."""
        for name, variable in variables.items():
            group, dot, rest = name.partition(".")
            if dot:
                self.groups.setdefault(group, {})[rest] = variable

    def has(self, name: str) -> bool:
        """Whether there is a `$context.NAME`; what an authorizer says of a client has names of its own."""
        return name in self or name.startswith("authorizer.")


NOBODY: Mapping[str, Any] = MappingProxyType({})
"""What is known of a client that nobody has asked who it is. One for all: a dict each would take 64 bytes."""


class Client(msgspec.Struct, kw_only=True, eq=False):
    """What is pinned to a connection when it opens: who it is, where it came in, how to reach it.

    `connected_at` is in milliseconds since the epoch; `domain_name` is the Host the client used, port included, so
    that `http://{domainName}/{stage}` works as a callback endpoint. (A Struct is made in a third of the time.)
    """

    api_id: str
    stage: str
    connection_id: str
    connected_at: int
    domain_name: str
    source_ip: str
    user_agent: str | None
    callback_url: str
    forwarded: bytes
    """The X-Forwarded-* lines of calls made for this connection, ready to be written."""
    authorizer: Mapping[str, Any] = NOBODY
    """`$context.authorizer`: texts, and maps of texts; empty where no authorizer was asked."""
    claims: Mapping[str, Any] = NOBODY
    """The same as JSON values, for rules; not in a record, for only messages have rules."""
    expires: float | None = None
    """Unix time at which the connection is closed, for what its client was let in by is over then; not in a record,
    for it is closed by then anyhow."""
    usage_key: str | None = None
    """The API key that an authorizer names for the client, until it is looked up."""
    identity: Mapping[str, str] = NOBODY
    """What `$context.identity` has beside `sourceIp` and `userAgent`, under names of IDENTITY."""
    allowance: Any = None
    """What it may still send by itself; None before it was counted."""
    buckets: dict[object, Any] | None = None
    """What limits its events take from, by whoever looked that up; None before the first."""

    @property
    def user(self) -> str:
        """Who an authorizer, or a signature, says the client is; "" where that is not known."""
        known = self.authorizer.get("principalId") or self.identity.get("userArn") or self.claims.get("sub")
        return known if isinstance(known, str) else ""


class Invocation(msgspec.Struct, eq=False):
    """One event of one connection: CONNECT (with its `request`), MESSAGE (with its `message`) or DISCONNECT."""

    variables: ClassVar[Variables]
    """What `$context` has."""

    client: Client
    event_type: EventType
    route_key: str
    stage_variables: Mapping[str, str]
    message: Message | None = None
    request: HttpRequest | None = None
    status_code: int = 0
    reason: str = ""
    tally: Tally = UNCOUNTED
    """Where what becomes of it is counted."""
    arrived: float = 0.0
    """When it came, by the node's clock; a REST API's counts from its head on."""
    called: float = 0.0
    """When its integration was called."""
    trace: Trace | None = None
    """Where steps note what they made; None where nobody asks."""
    document: Any = None
    """The parsed body, kept by whoever parsed it first; None before."""
    template_context: Any = None
    """What templates see as `$context`, from the request's to the response's; None before the first template."""
    authorizer_millis: int | None = None
    """How long the authorizer took that was asked for this event; None where none was."""
    validation_error: str | None = None
    """Why the message does not fit its model."""
    _request_id: str = ""
    _message_id: str = ""
    _epoch: int = 0
    _query: dict[str, list[str]] | None = None

    @property
    def request_id(self) -> str:
        """The id of this event; the same on a retry."""
        value = self._request_id
        if not value:
            if self.event_type is EventType.DISCONNECT:
                value = disconnect_request_id(self.client.connection_id)
            else:
                value = new_request_id()
            self._request_id = value
        return value

    @property
    def message_id(self) -> str:
        value = self._message_id
        if not value:
            value = self._message_id = new_request_id()
        return value

    @property
    def epoch(self) -> int:
        """When the event was first asked for its time, in milliseconds since the epoch."""
        value = self._epoch
        if not value:
            value = self._epoch = time.time_ns() // 1_000_000
        return value

    @property
    def trace_id(self) -> bytes:
        """The value of `X-Amzn-Trace-Id` in what is asked for this event: the client's, or a new one each time."""
        mark = None if self.trace is None else self.trace.mark
        if mark is not None:
            return mark.amzn
        return (None if self.request is None else self.request.header(b"x-amzn-trace-id")) or new_root()

    @property
    def binary(self) -> bool:
        """Whether the message is a binary one."""
        return self.message is not None and self.message.binary

    def body(self) -> bytes:
        """The message's payload; empty where the event has none."""
        return b"" if self.message is None else self.message.data

    def text(self) -> str:
        """The message's payload as text; undecodable bytes become U+FFFD."""
        return self.body().decode("utf-8", "replace")

    def context(self, name: str) -> str | None:
        """`$context.NAME` as text, or None where this event has no such variable."""
        variable = self.variables.get(name)
        if variable is None:
            return self._of_authorizer(name) if name.startswith("authorizer.") else None
        value = variable(self)
        return None if value is None else str(value)

    def _of_authorizer(self, name: str) -> str | None:
        """`authorizer.KEY`, `authorizer.claims.NAME`."""
        _, _, key = name.partition(".")
        if key == "integrationLatency":
            return None if self.authorizer_millis is None else str(self.authorizer_millis)
        known = self.client.authorizer
        group, _, inner = key.partition(".")
        within = known.get(group)
        value = within.get(inner) if inner and isinstance(within, Mapping) else known.get(key)
        return None if value is None or isinstance(value, Mapping) else str(value)

    def stage_variable(self, name: str) -> str | None:
        return self.stage_variables.get(name)

    def header(self, name: str) -> list[str]:
        """All values of a header of the handshake, in order; as mappings compare names: in any case."""
        return self.field(name)

    def field(self, name: str) -> list[str]:
        """All values of a header of the request, in order; names in any case."""
        if self.request is None:
            return []
        wanted = name.lower().encode("latin-1", "replace")
        return [header_text(value) for key, value in self.request.headers if key.lower() == wanted]

    def look_at(self, request: HttpRequest) -> None:
        """Have `request` in place of the one that came, such as without what is for the gateway alone."""
        self.request, self._query = request, None

    def headers(self) -> Sequence[Header]:
        """The headers of the handshake."""
        return () if self.request is None else self.request.headers

    def path_parameter(self, name: str) -> str | None:
        """None: the path of a WebSocket request has no parameters."""
        return None

    def all_path_parameters(self) -> dict[str, str]:
        """All there are, by name."""
        return {}

    def querystring(self, name: str) -> list[str]:
        """All values of a query parameter of the handshake, in order, decoded."""
        return [] if self.request is None else self.query().get(name, [])

    def query(self) -> dict[str, list[str]]:
        """All query parameters of the handshake, decoded, each with its values in order."""
        if self._query is None:
            self._query = {}
            for key, value in parse_qsl(self._query_text(), keep_blank_values=True):
                self._query.setdefault(key, []).append(value)
        return self._query

    def _query_text(self) -> str:
        """What stands behind the `?`, with `&` between parameters."""
        return "" if self.request is None else self.request.target.partition("?")[2]


def _of_identity(name: str) -> Callable[[Invocation], str | None]:
    return lambda i: i.client.identity.get(name)


CONTEXT = Variables(
    {
        "apiId": lambda i: i.client.api_id,
        "stage": lambda i: i.client.stage,
        "domainName": lambda i: i.client.domain_name,
        "domainPrefix": lambda i: i.client.domain_name.partition(".")[0],
        "routeKey": lambda i: i.route_key,
        "eventType": lambda i: i.event_type._value_,  # `value` takes three times as long
        "messageDirection": lambda i: "IN",
        "connectionId": lambda i: i.client.connection_id,
        "connectedAt": lambda i: i.client.connected_at,
        "messageId": lambda i: i.message_id if i.event_type is EventType.MESSAGE else None,
        "requestId": lambda i: i.request_id,
        "extendedRequestId": lambda i: i.request_id,
        "requestTime": lambda i: request_time(i.epoch),
        "requestTimeEpoch": lambda i: i.epoch,
        "disconnectStatusCode": lambda i: i.status_code if i.event_type is EventType.DISCONNECT else None,
        "disconnectReason": lambda i: i.reason if i.event_type is EventType.DISCONNECT else None,
        "error.validationErrorString": lambda i: i.validation_error,
        "identity.sourceIp": lambda i: i.client.source_ip,
        "identity.userAgent": lambda i: i.client.user_agent,
        "callbackUrl": lambda i: i.client.callback_url,  # ours: always directly usable
    }
    | {f"identity.{name}": _of_identity(name) for name in IDENTITY}
)
Invocation.variables = CONTEXT
