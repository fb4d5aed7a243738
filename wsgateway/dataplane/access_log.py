"""The access log: one row for each event of a stage, as its format says.

API Gateway developer guide, "Set up WebSocket API logging" and "Set up CloudWatch logging for REST APIs" (access
logging): handshakes, messages, ends of connections, calls of `@connections` and REST requests have a row each, whatever
became of them; what is refused before its stage is known, or for the sheer number of it, has none. A row is a Trace of
its event, so only what a stage's format asks for is kept. Whoever writes rows never waits.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from wsgateway.errors import AccessDenied, BackendFault, GatewayError, Problem
from wsgateway.integrations.aws_lambda import FUNCTION_ERROR
from wsgateway.invocation import EventType, Invocation, Variables, request_time
from wsgateway.messages import EndpointResponse, HttpResponse, Message
from wsgateway.model.access_log import VARIABLE, AccessLogSettings, names_in
from wsgateway.trace import Trace

MAX_VALUE: Final = 1024
"""Characters of one value; longer ones are cut."""

KEY_END: Final = 6

Read = Callable[["Row"], object]

Values = tuple[object, ...]
Text = Callable[[Values], str]
WriteRow = Callable[[Text, Values], None]
"""Takes a row: what makes its text, and of what."""


class AccessLog:
    """The rows of one stage."""

    def __init__(self, settings: AccessLogSettings, variables: Variables) -> None:
        """Only for what `check_access_log` found nothing wrong with; `variables` are those of the stage's events."""
        names = names_in(settings.format)
        self.values, self.text = _compiled(VARIABLE.split(settings.format)[::3], names, variables)
        """What a row takes of its event, and what makes text of it: later, of many rows in one go, which takes half the
        time of one by one between all else."""
        self.dated = any(name.startswith("requestTime") for name in names)
        """Whether a row says when its event began."""
        self.timed = "responseLatency" in names
        """Whether it says how long its event took."""


class Row(Trace):
    """What became of one event. It is written when the event is over."""

    wants_answers = False

    # Most rows differ from this in two or three: what is not set costs nothing.
    status = 200
    length = 0
    fault: GatewayError | None = None
    endpoint_began = 0.0
    endpoint_status: int | None = None
    endpoint_millis: int | None = None
    function = False
    """Whether the endpoint is a Lambda function, whose own status says nothing of Lambda's."""
    authorizer_began = 0.0
    authorizer_status: int | None = None
    authorizer_millis: int | None = None
    authorizer_id: str | None = None
    """What the authorizer's function calls the call, or Lambda does; as `endpoint_id` of an integration's."""
    endpoint_id: str | None = None
    signed = False
    """Whether a signature says who sends it, and no authorizer does."""
    base_path: str | None = None
    """The key of the custom domain's mapping that led here."""
    began = 0.0
    _over = False

    def __init__(
        self, access: AccessLog, write: WriteRow, invocation: Invocation, base_path: str | None = None
    ) -> None:
        self._access = access
        self._write = write
        self.invocation = invocation
        if base_path is not None:
            self.base_path = base_path
        if access.timed:
            self.began = time.monotonic()
        if access.dated:
            _ = invocation.epoch  # now, not when the row is written

    def asked(self, head: bytes, body: bytes) -> None:
        self.endpoint_began = time.monotonic()

    def answered(self, answer: EndpointResponse, frame: Message | None) -> None:
        began = self.endpoint_began
        if began and self.endpoint_millis is None:
            self.endpoint_millis = int((time.monotonic() - began) * 1000 + 0.5)
            self.endpoint_status = answer.status
        if frame is not None:
            self.length = len(frame.data)
        self._end()

    def note(self, step: str, value: object) -> None:
        if step == "answered" or step == "endpoint response":
            self._answered(value)
        elif step == "frame":
            if isinstance(value, Message):
                self.length = len(value.data)
            elif isinstance(value, EndpointResponse):
                self._answered(value)
                if value.status > 299:
                    self.status = value.status
            self._end()
        elif step == "endpoint request":
            self.endpoint_began = time.monotonic()
            self.function = isinstance(value, dict)
        elif step == "response":
            assert isinstance(value, HttpResponse)
            self.status = value.status
            self.length = len(value.body) if isinstance(value.body, bytes) else value.length or 0
            self._end()
        elif step == "authorizer":
            self.authorizer_began = time.monotonic()
            self.signed = value == "AWS_IAM"
        elif step == "identity":
            self._authorized(200)
        elif step == "endpoint request id":
            self.endpoint_id = value if isinstance(value, str) else None
        elif step == "authorizer request id":
            self.authorizer_id = value if isinstance(value, str) else None
        elif isinstance(value, GatewayError):
            self._failed(value)

    def _answered(self, answer: object) -> None:
        """An endpoint has answered, or the event goes on with its answer."""
        if self.endpoint_began and self.endpoint_millis is None:
            self.endpoint_millis = _millis_since(self.endpoint_began)
            if isinstance(answer, EndpointResponse):
                self.endpoint_status = answer.status

    def _failed(self, fault: GatewayError) -> None:
        self.fault = fault
        self.status = fault.status
        if self.authorizer_began and self.authorizer_status is None:
            # It is known who sends it, and that is refused: by a policy, not by whoever was asked.
            known = isinstance(fault, AccessDenied) and (self.signed or self.invocation.client.authorizer)
            self._authorized(200 if known else fault.status)
        if self.endpoint_began and self.endpoint_millis is None:
            self.endpoint_millis = _millis_since(self.endpoint_began)
        if self.invocation.event_type is not EventType.REQUEST:  # of these a response follows
            self._end()

    def _authorized(self, status: int) -> None:
        self.authorizer_status = status
        self.authorizer_millis = _millis_since(self.authorizer_began)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            access = self._access
            self._write(access.text, access.values(self))
            del self.invocation  # they name each other: so both go now, and no collector has to look for them


def is_variable(name: str, variables: Variables) -> bool:
    """Whether AWS or this gateway has a `$context.NAME`, for events with these variables or for their rows."""
    return (
        name in OF_EVERY_ROW
        or name in OF_ROWS
        or name in ABSENT
        or variables.has(name)
        or name.startswith(ABSENT_GROUPS)
    )


def check_access_log(settings: AccessLogSettings | None, variables: Variables) -> Iterator[Problem]:
    """Variables that there are not; paths start at the stage."""
    for name in dict.fromkeys(() if settings is None else names_in(settings.format)):
        if not is_variable(name, variables):
            yield Problem(
                ("accessLogSettings", "format"), f"there is no variable $context.{name} for the rows of this API"
            )


def _millis_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _fault_text(read: Callable[[GatewayError], str]) -> Read:
    return lambda row: None if row.fault is None else read(row.fault)


def _endpoint_error(row: Row) -> str | None:
    """Why the integration gave no answer, where it was asked."""
    asked = row.fault is not None and row.endpoint_began and row.endpoint_status is None
    return row.fault.reason or row.fault.message if asked and row.fault is not None else None


def _service_status(row: Row) -> int | None:
    """What the backend answered; of Lambda proxies Lambda itself, which answers 200 for functions that fail, too."""
    failed = isinstance(row.fault, BackendFault) and row.fault.failure == FUNCTION_ERROR
    return 200 if row.function and (failed or row.endpoint_status is not None) else row.endpoint_status


def _reason(row: Row, failed: bool) -> str | None:
    return row.fault.reason or row.fault.message if failed and row.fault is not None else None


def _of_authorizer(read: Read) -> Read:
    """What is known of whoever was asked who sends it."""
    return lambda row: None if row.signed else read(row)


def _of_signature(read: Read) -> Read:
    return lambda row: read(row) if row.signed else None


def _authorizer_error(row: Row) -> str | None:
    return _reason(row, row.authorizer_status not in (None, 200))


def _authorize_status(row: Row) -> int | None:
    """What policies say of who sends it: the API's own, an authorizer's, a signer's. Tokens have none."""
    if isinstance(row.fault, AccessDenied):
        return row.fault.status
    asked = row.signed or row.invocation.authorizer_millis is not None
    return 200 if asked and row.authorizer_status == 200 else None


def _trace_id(invocation: Invocation) -> str | None:
    mark = None if invocation.trace is None else invocation.trace.mark
    return None if mark is None else mark.amzn.partition(b";")[0].removeprefix(b"Root=").decode()


def _redacted(key: str | None) -> str | None:
    """An API key, told apart by its end alone, as AWS writes it."""
    return None if key is None else "*" * (len(key) - KEY_END) + key[-KEY_END:]


NUMBER: Final = "'-' if {0} is None else {0}"
WORD: Final = "{0} or '-'"

OF_EVERY_ROW: Final[Mapping[str, tuple[str, str]]] = {
    "requestId": ("event.request_id", "{0}"),
    "connectionId": ("client.connection_id", WORD),
    "identity.sourceIp": ("client.source_ip", "{0}"),
    "status": ("row.status", "{0}"),
    "responseLength": ("row.length", "{0}"),
    "integrationLatency": ("row.endpoint_millis", NUMBER),
    "integration.latency": ("row.endpoint_millis", NUMBER),
    "error.messageString": ("None if row.fault is None else row.fault.detail", "'-' if {0} is None else dumps({0})"),
}
"""What rows of all events have and nobody can write anything odd into: how it is taken of a row, and what becomes text
of it, as that stands in what is compiled. To call something for each would take longer than all else."""

OF_MOST_EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "apiId": ("client.api_id", "{0}"),
    "connectedAt": ("client.connected_at", WORD),
    "eventType": ("event.event_type._value_", "{0}"),
    "requestTime": ("event.epoch", "time_of({0})"),
    "requestTimeEpoch": ("event.epoch", "{0}"),
    "routeKey": ("event.route_key", "escaped({0}) or '-'"),
    "stage": ("client.stage", "{0}"),
}
"""The same of events that have these variables."""

OF_ROWS: Final[Mapping[str, Read]] = {
    "responseLatency": lambda row: _millis_since(row.began),
    "integrationStatus": _service_status,
    "integrationErrorMessage": _endpoint_error,
    "integration.status": lambda row: row.endpoint_status,
    "integration.integrationStatus": _service_status,
    "integration.error": _endpoint_error,
    "integration.requestId": lambda row: row.endpoint_id,
    "awsEndpointRequestId": lambda row: row.endpoint_id,
    "authorizer.status": _of_authorizer(lambda row: row.authorizer_status),
    "authorizer.integrationStatus": _of_authorizer(lambda row: row.authorizer_status),
    "authorizer.latency": _of_authorizer(lambda row: row.authorizer_millis),
    "authorizer.error": _of_authorizer(_authorizer_error),
    "authorizer.requestId": lambda row: row.authorizer_id,
    "authenticate.status": _of_signature(lambda row: row.authorizer_status),
    "authenticate.latency": _of_signature(lambda row: row.authorizer_millis),
    "authenticate.error": _of_signature(_authorizer_error),
    "authorize.status": _authorize_status,
    "authorize.latency": lambda row: None if _authorize_status(row) is None else 0,  # policies take microseconds
    "authorize.error": lambda row: _reason(row, isinstance(row.fault, AccessDenied)),
    "customDomain.basePathMatched": lambda row: row.base_path,
    "identity.apiKey": lambda row: _redacted(row.invocation.context("identity.apiKey")),
    "xrayTraceId": lambda row: _trace_id(row.invocation),
    "error.message": _fault_text(lambda fault: fault.detail),
    "error.responseType": _fault_text(lambda fault: fault.response_type),
}
"""What rows alone know."""

ABSENT: Final = frozenset(
    {
        "deploymentId",
        "isCanaryRequest",
        "wafResponseCode",
        "webaclArn",
    }
)
"""What AWS's rows have and nothing here gives: `-`, so that formats that were written for AWS go on working."""
ABSENT_GROUPS: Final = ("identity.clientCert.", "waf.")

ASCII_WORDS: Final = frozenset({"disconnectStatusCode", "extendedRequestId", "messageDirection", "messageId"})
"""More variables that nobody can write anything odd into."""

_PLAIN = re.compile(r'[^\x00-\x1f"\\\x7f-\x9f\u2028\u2029\ud800-\udfff]*').fullmatch


def _compiled(texts: Sequence[str], names: Sequence[str], variables: Variables) -> tuple[Callable[[Row], Values], Text]:
    """What takes the values of a row, and what writes them: texts with a value between each two."""
    known: dict[str, Any] = {"dumps": json.dumps, "escaped": _escaped, "time_of": request_time}
    taken, pieces = [], []
    for number, name in enumerate(names):
        found = OF_EVERY_ROW.get(name) or (OF_MOST_EVENTS.get(name) if name in variables else None)
        if found is None:
            found = (f"read{number}(row)", "{0}")
            known[f"read{number}"] = _reader(name, variables)
        taken.append(found[0] + ",")
        pieces += [_literal(texts[number]), f'f"{{{found[1].format(f"value{number}")}}}"']
    pieces.append(_literal(texts[-1]))
    into = "".join(f"value{number}," for number in range(len(names)))
    # An f-string takes half the time of all else. Of the format nothing is in here but texts, as repr writes them.
    source = (
        f"def take(row):\n event = row.invocation\n client = event.client\n return ({' '.join(taken)})\n"
        f"def write(values):\n {f'{into} = values' if into else ''}\n return ({' '.join(pieces)})\n"
    )
    exec(source, known)  # noqa: S102
    return known["take"], known["write"]


def _literal(text: str) -> str:
    """A piece of an f-string that stands for itself; all quotes and escapes are repr's."""
    return f"f{text.replace('{', '{{').replace('}', '}}')!r}"


def _reader(name: str, variables: Variables) -> Read:
    of_row = OF_ROWS.get(name)
    if of_row is not None:
        return lambda row: _text(of_row(row))
    of_event = variables.get(name)
    if of_event is None:
        return lambda row: _text(row.invocation.context(name))
    if name in ASCII_WORDS:
        return lambda row: of_event(row.invocation) or "-"
    return lambda row: _text(of_event(row.invocation))


def _text(value: object) -> object:
    """A value as it stands in a row: no line breaks, and nothing that ends a JSON string."""
    if value is None or value == "":
        return "-"
    if isinstance(value, int):
        return value
    return _escaped(str(value))


@lru_cache(maxsize=1024)  # route keys, and who sends them
def _escaped(text: str) -> str:
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "…"
    return text if _PLAIN(text) else json.dumps(text)[1:-1]
