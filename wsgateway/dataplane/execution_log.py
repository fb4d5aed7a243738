"""The execution log: what happened to an event, line by line, where a stage's route settings ask for it.

API Gateway developer guide, "Set up WebSocket API logging" (execution logging): at ERROR what failed, at INFO every
step, and with dataTraceEnabled what was said, 1,024 bytes of each. A line is one fact of the process's log, with the
request id; who writes it never waits. Nothing is made where it is off.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from wsgateway.dataplane.secrets import without
from wsgateway.dataplane.traces import described
from wsgateway.errors import GatewayError
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.trace import Trace

if TYPE_CHECKING:
    from wsgateway.authorizers.sources import Reader
    from wsgateway.dataplane.gateway import Log
    from wsgateway.model.event_settings import EventSettings

SHOWN_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Logging:
    """What is told of a route's events: `info`, each step, else failures alone; `data`, payloads and headers too.

    `secrets` read what is taken out of all of it.
    """

    info: bool
    data: bool
    secrets: tuple[Reader, ...] = ()


def logging_of(settings: EventSettings, secrets: tuple[Reader, ...] = (), *, hide: bool = False) -> Logging | None:
    """What settings of a route or a method ask for; None where that is nothing. With `hide` no payload is told."""
    if settings.logging_level == "OFF":
        return None
    info = settings.logging_level == "INFO"
    return Logging(info, info and settings.data_trace_enabled and not hide, secrets)


class ExecutionLog(Trace):
    """The Trace of one event that writes lines."""

    __slots__ = ("_invocation", "_log", "_logging", "_secrets", "_since", "_status")

    BODY: ClassVar = "Endpoint request body"

    def __init__(self, log: Log, logging: Logging, invocation: Invocation) -> None:
        self._log = log
        self._logging = logging
        self._invocation = invocation
        self._since = 0.0
        self._status = 200
        # Now: an authorizer takes some of them out of the request.
        self._secrets: list[str] = []
        if logging.data and invocation.request is not None:
            self._secrets = [read(invocation) for read in logging.secrets]
        if logging.info:
            self._begin()

    def note(self, step: str, value: object) -> None:
        """Tell a step as AWS does."""
        if isinstance(value, GatewayError):
            self._tell(f"Execution failed: {value.reason or value.message}", "ERROR")
            if self._logging.info:
                self._tell(f"Method completed with status: {value.status}")
        elif self._logging.info:
            self._step(step, value)

    def _begin(self) -> None:
        invocation, client = self._invocation, self._invocation.client
        self._tell(f"Starting execution for request: {invocation.request_id}")
        self._tell(f"WebSocket Request Route: [{invocation.route_key}]")
        match invocation.event_type:
            case EventType.CONNECT:
                who = f"UserAgent: {client.user_agent or '-'}, SourceIp: {client.source_ip}"
                self._tell(f"Client [{who}] is connecting to WebSocket API [{client.api_id}].")
            case EventType.MESSAGE:
                who = f"Connection Id: {client.connection_id}"
                self._tell(f"WebSocket API [{client.api_id}] received message from client [{who}].")
                self._payload("Method request body before transformations", invocation.message)
            case EventType.DISCONNECT:
                pass  # told at its end

    def _step(self, step: str, value: object) -> None:
        match step, value:
            case "authorizer", _:
                self._tell(f"Starting authorizer: {value} for request: {self._invocation.request_id}")
            case "identity", _:
                self._tell("Successfully completed authorizer execution")
            case "usage plan", _:
                stage = f"{self._invocation.client.api_id}/{self._invocation.client.stage}"
                self._tell(
                    f"Verifying Usage Plan for request: {self._invocation.request_id}. "
                    f"API Key: {value} API Stage: {stage}"
                )
            case "model", dict() if value["valid"]:
                self._tell(f"Request validation succeeded: the body fits model {value['model']}")
            case "request template", _:
                self._payload("Endpoint request body after transformations", value)
            case "endpoint request", EndpointRequest():
                self._sent(value)
            case "endpoint request", _:
                self._payload("Endpoint request", value)
                self._since = time.monotonic()
            case "endpoint response", EndpointResponse():
                self._response(value)
            case "kept answer", EndpointResponse():
                self._tell(f"The answer was kept of another request. Status: {value.status}")
            case "integration response", _:
                self._tell(f"Integration response selected: {value}")
            case "response template", _:
                self._payload("Method response body after transformations", value)
            case "frame", EndpointResponse() if not 200 <= value.status <= 299:
                self._tell(f"Method completed with status: {value.status}")
            case "frame", _:
                self._end()

    def _sent(self, request: EndpointRequest) -> None:
        line, _, rest = request.head.partition(b"\r\n")
        hosts = [line[6:] for line in rest.split(b"\r\n") if line[:6].lower() == b"host: "]
        uri = b"".join([*hosts[:1], *line.split(b" ")[1:2]]).decode("latin-1")
        if not self._logging.data:
            uri = uri.partition("?")[0]  # a query may hold what was said, a client's token too
        self._tell(f"Endpoint request URI: {uri}")
        shown = self._shown(request)
        if shown is not None:
            self._tell(f"Endpoint request headers: {java(shown['headers'])}")
            self._tell(f"{self.BODY}: {shown['body']}")
        self._tell(f"Sending request to {uri}")
        self._since = time.monotonic()

    def _response(self, response: EndpointResponse) -> None:
        self._status = response.status
        millis = round((time.monotonic() - self._since) * 1000) if self._since else 0
        self._tell(f"Received response. Status: {response.status}, Integration latency: {millis} ms")
        shown = self._shown(response)
        if shown is not None:
            self._tell(f"Endpoint response headers: {java(shown['headers'])}")
            self._tell(f"Endpoint response body before transformations: {shown['body']}")

    def _end(self) -> None:
        invocation, client = self._invocation, self._invocation.client
        who, api = f"Client [Connection Id: {client.connection_id}]", f"API [{client.api_id}]"
        match invocation.event_type:
            case EventType.CONNECT:
                self._tell(f"{who} connected to {api} successfully.")
            case EventType.MESSAGE:
                self._tell(
                    f"Message from {who[0].lower()}{who[1:]} sent to {api} with response status code [{self._status}]."
                )
            case EventType.DISCONNECT:
                reason = f"[{invocation.status_code}: {invocation.reason}]"
                self._tell(f"{who} disconnected from {api}. Close reason: {reason}")

    def _payload(self, what: str, value: object) -> None:
        shown = self._shown(value)
        if shown is not None:
            self._tell(f"{what}: {shown.get('body', shown) if isinstance(shown, dict) else shown}")

    def _shown(self, value: object) -> Any:
        """What was noted, where it may be told; else None."""
        return described(value, SHOWN_BYTES) if self._logging.data else None

    def _tell(self, text: str, level: str = "INFO") -> None:
        client = self._invocation.client
        if self._logging.data:
            text = without(text, (*self._secrets, client.identity.get("apiKey", "")))
        self._log(
            "execution",
            level=level,
            text=text[:SHOWN_BYTES],
            api=client.api_id,
            stage=client.stage,
            route=self._invocation.route_key,
            request_id=self._invocation.request_id,
            **self._where(),
        )

    def _where(self) -> dict[str, str]:
        """What else stands in every line."""
        return {"connection_id": self._invocation.client.connection_id}


def java(headers: list[list[str]]) -> str:
    """Headers as AWS prints a map."""
    return "{" + ", ".join(f"{name}={value}" for name, value in headers) + "}"
