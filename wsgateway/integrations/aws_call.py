"""One signed call of AWS, and what is told of how it went."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from wsgateway.errors import BackendFault, IntegrationFailure, IntegrationTimeout, ServiceUnavailable
from wsgateway.http1 import field
from wsgateway.upstream.exchange import Exchange

if TYPE_CHECKING:
    from wsgateway.aws import Credentials, Signer
    from wsgateway.aws.credentials import Log
    from wsgateway.integrations.aws_request import Written
    from wsgateway.integrations.base import Site
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin

Read = Callable[["EndpointResponse"], "EndpointResponse"]
"""Judges an answer, and counts it. *Raises* GatewayError where it is none of what was called."""

AGAIN_SECONDS = 10.0
"""While a call keeps being refused, one line in this time says how often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the calls of one integration at one route go out."""

    name: str
    """What is called, as an operator knows it."""
    origin: Origin
    gate: Gate | None
    credentials: Credentials
    seconds: float
    """How long a call may take at most, where nothing else is said."""
    max_body: int
    count: Callable[[str], None]
    """Counts a call by its result."""


class SignedCall:
    """Sends requests signed, and has their answers judged. `tagged` gives them Lambda's tag of the event."""

    def __init__(self, way: Way, signer: Signer, read: Read, *, tagged: bool = False) -> None:
        self.way = way
        self.read = read
        self._signer = signer
        self._tagged = tagged

    def send(self, invocation: Invocation, written: Written, seconds: float | None = None) -> Future[EndpointResponse]:
        """An Attempt: errors name what is called.

        *Raises* IntegrationFailure where there are no keys, ServiceUnavailable.
        """
        way = self.way
        keys = way.credentials.keys
        if keys is None:
            way.count("unsigned")
            raise IntegrationFailure(f"{way.name}: {way.credentials.missing}", failure="")
        pass_gate(way.gate, way.name)
        lines = field(b"X-Amzn-Trace-Id", invocation.trace_id)
        if self._tagged:
            lines += b"X-Amzn-Lambda-Integration-Tag: %b\r\n" % invocation.request_id.encode()
        exchange = _Exchange(loop=way.origin.loop)
        exchange.call = self
        way.origin.send(
            written.signed(self._signer, keys, lines),
            way.seconds if seconds is None else seconds,
            max_body=way.max_body,
            gate=way.gate,
            exchange=exchange,
        )
        return exchange


class _Exchange(Exchange):
    """The exchange of one call."""

    __slots__ = ("call",)

    call: SignedCall

    def answer(self, response: EndpointResponse) -> None:
        try:
            judged = self.call.read(response)
        except Exception as error:  # an unexpected one, too: nobody above could tell the one who waits
            super().fail(_named(error, self.call.way.name))
        else:
            super().answer(judged)

    def fail(self, error: BaseException) -> None:
        way = self.call.way
        way.count(_RESULTS.get(type(error), "error"))
        super().fail(_named(error, way.name))


_RESULTS: dict[type[BaseException], str] = {IntegrationFailure: "unreachable", IntegrationTimeout: "timeout"}


def _named(error: BaseException, name: str) -> BaseException:
    """The same error about this call, if it is one of a backend."""
    if not isinstance(error, BackendFault):
        return error
    named = type(error)(f"{name}: {error.reason}", transient=error.transient, failure=error.failure)
    named.__cause__ = error
    return named


def pass_gate(gate: Gate | None, name: str) -> None:
    """*Raises* ServiceUnavailable where the cap is reached."""
    if gate is not None and gate.in_flight >= gate.limit:
        gate.refused += 1
        raise ServiceUnavailable(f"{gate.limit} calls of {name} are under way")


class Complaints:
    """What AWS refuses at one route: a line, not a flood of lines."""

    def __init__(self, site: Site, name: str, log: Log) -> None:
        self._site = site
        self._name = name
        self._log = log
        self._told = float("-inf")
        self._untold = 0

    def tell(self, invocation: Invocation, error: str) -> None:
        """One refusal."""
        now = monotonic()
        if now - self._told < AGAIN_SECONDS:
            self._untold += 1
            return
        self._log(
            "AWS refuses",
            api=self._site.api_id,
            stage=invocation.client.stage,
            route=self._site.route_key,
            call=self._name,
            error=error,
            not_told=self._untold,
            request_id=invocation.request_id,
            connection_id=invocation.client.connection_id,
        )
        self._told = now
        self._untold = 0
