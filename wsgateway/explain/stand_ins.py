"""Whom an explained event is handed to: those of `serve`, or stand-ins that answer in their place."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Callable, Mapping
from typing import Any

from wsgateway.aws import Credentials, CredentialSets, Keys, ServiceEndpoints
from wsgateway.backends import Backends, Checked
from wsgateway.dataplane.counters import Counters
from wsgateway.explain.base import Question, no_log
from wsgateway.functions import Functions, Surroundings
from wsgateway.functions.base import FunctionResult, Invoke
from wsgateway.functions.streams import Pieces
from wsgateway.ids import new_uuid
from wsgateway.integrations.publish.base import Broker
from wsgateway.integrations.publish.brokers import Brokers
from wsgateway.integrations.publish.outlet import Outlet
from wsgateway.messages import EndpointRequest, EndpointResponse, Handler
from wsgateway.model.role import Role
from wsgateway.transport.listener import Listener
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.exchange import Exchange
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import backends_of, function_port


def backends_for(question: Question, environ: Mapping[str, str], region: str | None) -> Backends:
    """As of `serve`; where nobody is to be called, with stand-ins that give the canned answer."""
    egress = Egress()
    endpoints = ServiceEndpoints(environ, region)

    async def serve(handler: Handler) -> Listener:
        return await function_port(handler, egress, _report, Counters())

    surroundings = Surroundings(serve=serve, log=no_log, environ=environ)
    if question.call:
        return backends_of(Upstream(egress=egress), surroundings, endpoints, no_log, environ)
    answer = question.answer or EndpointResponse(200)
    return backends_of(
        _Upstream(egress, answer),
        surroundings,
        endpoints,
        no_log,
        environ,
        functions=_Functions(surroundings, answer),
        credentials=_Credentials(Credentials(no_log), no_log, endpoints, environ),
        brokers=_Brokers(answer),
    )


async def open_all(backends: Backends, checked: Checked) -> None:
    """Have functions, credentials and links at hand, as `serve` would before the first message."""
    loaded = checked.loaded
    backends.functions.reload(loaded.definitions.functions, loaded.source.directory)
    for signer in checked.signers:
        signer.start()
        await signer.first()
    backends.keep_only(checked.deployment, checked.origins)


class _Origin(Origin):
    """A backend that answers at once, without a connection."""

    canned = EndpointResponse(200)

    def _start(self, exchange: Exchange, request: EndpointRequest, max_body: int, now: float) -> bool:
        exchange.answer(self.canned)
        return True


class _Upstream(Upstream):
    """Every backend gives one answer."""

    def __init__(self, egress: Egress, answer: EndpointResponse) -> None:
        super().__init__(egress=egress)
        self._answer = answer

    def _made(self, dialer: Dialer) -> Origin:
        origin = _Origin(self._loop, dialer, self._deadlines, self._bounds, self._bodies)
        origin.canned = self._answer
        return origin


class _Functions(Functions):
    """Every function gives one result; it has failed where the answer says so as Lambda does."""

    def __init__(self, surroundings: Surroundings, answer: EndpointResponse) -> None:
        super().__init__(surroundings)
        failed = any(name.lower() == b"x-amz-function-error" for name, _ in answer.headers)
        self._result = FunctionResult(answer.body or b"", failed)

    def invoke(self, *function: Any, over: Callable[[], None] | None = None, **more: Any) -> Invoke:
        invoke = Invoke(loop=get_running_loop())
        invoke.arn, invoke.request_id, invoke.timer, invoke.over = "the function", new_uuid(), None, over
        pieces = Pieces(invoke, lambda pause: None)
        pieces.feed(self._result.payload)
        pieces.end(self._result.payload, self._result.failed, b"")
        return invoke


class _Credentials(CredentialSets):
    """Signatures nobody will look at."""

    def of(self, arn: str | None, roles: Mapping[str, Role]) -> Credentials:
        self.own.keys = Keys("AKIAEXPLAINEXPLAIN00", "explain")
        return self.own


class _Brokers(Brokers):
    """Every broker takes what it is given."""

    def __init__(self, answer: EndpointResponse) -> None:
        super().__init__(no_log)
        self._answer = answer

    def outlet(self, broker: Broker) -> Outlet:
        outlet = _Outlet.__new__(_Outlet)
        outlet.canned = self._answer
        return outlet


class _Outlet(Outlet):
    """A way to a broker that leads nowhere."""

    canned: EndpointResponse

    def publish(self, publication: object, seconds: float, tally: object, gate: object) -> Any:
        answer: Future[EndpointResponse] = get_running_loop().create_future()
        answer.set_result(self.canned)
        return answer


def _report(error: BaseException, method: str, target: str) -> None:
    """A worker of a function hung up; its invocation fails."""
