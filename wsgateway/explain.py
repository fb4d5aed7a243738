"""What would become of one message: every step by what `serve` would run, up to the backend or to a canned answer.

The definition is compiled as for `serve`, and the event carries a trace that keeps what steps note. What asks backends
is replaced where nobody is to be called: no socket is opened then, and no credentials are needed.
"""

from __future__ import annotations

import time
from asyncio import Future, ensure_future, get_running_loop
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from wsgateway.app import backends_of, function_port
from wsgateway.authorizers.base import Identity
from wsgateway.aws import Credentials, CredentialSets, Keys, ServiceEndpoints
from wsgateway.backends import Backends, Checked, check
from wsgateway.dataplane.compile import CompiledStage, Operation
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.reply import error_text, handshake_answer, reply_of
from wsgateway.dataplane.traces import described
from wsgateway.errors import ApiConfigurationError, GatewayError, StartError
from wsgateway.functions import Functions, Surroundings
from wsgateway.functions.base import FunctionResult, Invoke
from wsgateway.integrations.publish.base import Broker
from wsgateway.integrations.publish.brokers import Brokers
from wsgateway.integrations.publish.outlet import Outlet
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse, Handler, HttpRequest, Message
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.model.loader import Loaded
from wsgateway.model.role import Role
from wsgateway.templates.selection import compile_selection
from wsgateway.transport.keyring import Keyring
from wsgateway.transport.listener import Listener
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.exchange import Exchange
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream

EVENTS = {"$connect": EventType.CONNECT, "$disconnect": EventType.DISCONNECT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One event. `route` is None where the message selects it; of several APIs and stages, `api` and `stage` say which.

    `answer` is taken for the backend's; without it and without `call` the explanation ends at the request.
    """

    api: str | None = None
    stage: str | None = None
    route: str | None = None
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    answer: EndpointResponse | None = None
    call: bool = False


@dataclass(slots=True)
class Explanation:
    """What came of an event: every step, in order, with what it made. `failed`: it ended in an error."""

    api: str
    stage: str
    route: str = ""
    waits: bool = False
    """It ends at the request: nobody was asked, and there was no answer to go on with."""
    failed: bool = False
    steps: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, step: str, value: object) -> None:
        """Keep what a step made, as JSON has it."""
        self.steps.append((step, described(value)))


class _NotCalled(Exception):
    """Nobody is asked, and there is no canned answer."""


class _Trace:
    """Notes into an explanation, and ends it where a backend would be called and nobody is to be."""

    def __init__(self, explanation: Explanation, stop: bool) -> None:
        self._explanation = explanation
        self._stop = stop

    def note(self, step: str, value: object) -> None:
        self._explanation.note(step, value)
        if self._stop and step == "endpoint request":
            raise _NotCalled


async def explain(
    loaded: Loaded, environ: Mapping[str, str], question: Question, region: str | None = None
) -> Explanation:
    """Carry one event through what `serve` would run.

    *Raises* DefinitionError; StartError where the question names what isn't there.
    """
    api_id, stage_name = _place(loaded, question)
    backends = _backends(question, environ, region)
    try:
        checked = check(loaded, backends, Keyring())
        if question.call:
            await _open(backends, checked)
        stage = checked.deployment.stages[api_id, stage_name]
        return await _explained(stage, loaded.definitions.websocket_apis[api_id].route_selection_expression, question)
    finally:
        await backends.aclose()


async def _explained(stage: CompiledStage, expression: str, question: Question) -> Explanation:
    explanation = Explanation(stage.api_id, stage.name)
    operation = _select(stage, expression, question, explanation)
    explanation.route = operation.key
    invocation = _invocation(stage, operation.key, question)
    invocation.trace = _Trace(explanation, stop=question.answer is None and not question.call)
    try:
        await _authorize(operation, invocation, question.call)
        await _admit(operation, invocation, question.call)
        if invocation.event_type is not EventType.DISCONNECT:  # nobody is left to be refused
            for check_event in operation.checks:
                check_event(invocation)
        answer = operation.integrate(invocation)
        if not isinstance(answer, EndpointResponse):
            answer = await (answer if isinstance(answer, Future) else ensure_future(answer))
    except _NotCalled:
        explanation.waits = True
        return explanation
    except Exception as error:
        fault = error if isinstance(error, GatewayError) else _unexpected(error)
        explanation.failed = True
        explanation.note("error", fault)
        _end(explanation, invocation, error_text(fault.detail, invocation.client.connection_id, invocation.request_id))
        return explanation
    _conclude(explanation, stage, operation, invocation, answer)
    return explanation


async def _authorize(operation: Operation, invocation: Invocation, call: bool) -> None:
    """Who the client is; the authorizer is asked where backends are."""
    if invocation.trace is None or operation.authorizer in ("", "NONE"):
        return
    if operation.authorize is None:  # whose connection it would be is not known
        invocation.trace.note("refresh", f"{operation.authorizer} (not asked)")
        return
    invocation.trace.note("authorizer", operation.authorizer if call else f"{operation.authorizer} (not asked)")
    if call:
        said = operation.authorize(invocation)
        identity = said if isinstance(said, Identity) else await said
        invocation.client.authorizer, invocation.client.claims = identity.context, identity.claims
        invocation.client.identity, invocation.client.usage_key = identity.identity, identity.usage_key
        invocation.trace.note("identity", dict(identity.context))


async def _admit(operation: Operation, invocation: Invocation, call: bool) -> None:
    """Of a handshake: its API key, and limits, of which nothing is used; not where an authorizer may name the key."""
    known = call or operation.authorize is None
    if known and operation.admit is not None and invocation.event_type is EventType.CONNECT:
        pending = operation.admit(invocation)
        if pending is not None:
            await pending


def _conclude(
    explanation: Explanation,
    stage: CompiledStage,
    operation: Operation,
    invocation: Invocation,
    answer: EndpointResponse,
) -> None:
    """What the client gets of an answer."""
    match invocation.event_type:
        case EventType.MESSAGE:
            explanation.note("frame", reply_of(operation, invocation, answer, stage.quotas))
        case EventType.CONNECT if 200 <= answer.status <= 299:
            explanation.note("handshake", {"status": 101})
        case EventType.CONNECT:
            explanation.failed = True
            refusal = handshake_answer(answer, invocation.request_id)
            body = refusal.body if isinstance(refusal.body, bytes) else b""
            explanation.note("handshake", EndpointResponse(refusal.status, refusal.headers, body))
        case EventType.DISCONNECT:
            explanation.note("frame", None)


def _end(explanation: Explanation, invocation: Invocation, text: str) -> None:
    if invocation.event_type is EventType.MESSAGE:
        explanation.note("frame", Message(text.encode()))
    elif invocation.event_type is EventType.CONNECT:
        explanation.note("handshake", {"status": explanation.steps[-1][1]["status"], "body": text})


def _unexpected(error: Exception) -> GatewayError:
    return ApiConfigurationError(f"unexpected {type(error).__name__}: {error}")


# What is asked


def _place(loaded: Loaded, question: Question) -> tuple[str, str]:
    """The API and stage that are meant. *Raises* StartError."""
    definitions = loaded.definitions
    apis = definitions.websocket_apis
    api_id = question.api or definitions.default("WEBSOCKET")
    if not apis or api_id in definitions.rest_apis:
        raise StartError(
            "explain shows messages of WebSocket APIs; what becomes of a request of a REST API, curl shows"
        )
    if api_id is None:
        raise StartError(f"there are several APIs; say which: --api {'|'.join(apis)}")
    if api_id not in apis:
        raise StartError(f"there is no API {shown(api_id)}{did_you_mean(api_id, apis)}")
    stages = apis[api_id].stages
    if question.stage is None and len(stages) > 1:
        raise StartError(f"API {api_id} has several stages; say which: --stage {'|'.join(stages)}")
    stage = question.stage or next(iter(stages))
    if stage not in stages:
        raise StartError(f"API {api_id} has no stage {shown(stage)}{did_you_mean(stage, stages)}")
    return api_id, stage


def _select(stage: CompiledStage, expression: str, question: Question, explanation: Explanation) -> Operation:
    """The route that is meant, or that the message selects. *Raises* StartError."""
    if question.route is not None:
        operation = stage.operations.get(question.route)
        if operation is None:
            near = did_you_mean(question.route, stage.operations) or f"; there are {', '.join(stage.operations)}"
            raise StartError(f"API {stage.api_id} has no route {shown(question.route)} that calls anything{near}")
        explanation.note("route", {"route": operation.key, "expression": None, "value": None})
        return operation
    operation = stage.select(question.body)
    value = compile_selection(expression)(question.body)
    explanation.note("route", {"route": operation.key, "expression": expression, "value": value})
    return operation


def _invocation(stage: CompiledStage, route: str, question: Question) -> Invocation:
    event = EVENTS.get(route, EventType.MESSAGE)
    host = "127.0.0.1"
    connection_id = ConnectionIds(new_slot()).new(stage.api_id)
    agents = [value for name, value in question.headers if name.lower() == "user-agent"]
    client = Client(
        api_id=stage.api_id,
        stage=stage.name,
        connection_id=connection_id,
        connected_at=int(time.time() * 1000),
        domain_name=host,
        source_ip="127.0.0.1",
        user_agent=agents[-1] if agents else None,
        callback_url=f"http://{host}/{stage.name}/@connections/{connection_id.replace('=', '%3D')}",
        forwarded=b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n",
    )
    message = Message(question.body) if event is EventType.MESSAGE else None
    request = None
    if event is EventType.CONNECT:
        target = f"/{stage.name}" + (f"?{urlencode(question.query)}" if question.query else "")
        headers = tuple((name.encode(), value.encode()) for name, value in (("Host", host), *question.headers))
        request = HttpRequest("GET", target, host, headers, authority=host, source="127.0.0.1", port=80)
    closed = (1000, "") if event is EventType.DISCONNECT else (0, "")
    return Invocation(
        client, event, route, stage.variables, message=message, request=request, status_code=closed[0], reason=closed[1]
    )


# Who is asked


def _backends(question: Question, environ: Mapping[str, str], region: str | None) -> Backends:
    """As of `serve`; where nobody is to be called, with stand-ins that give the canned answer."""
    egress = Egress()
    endpoints = ServiceEndpoints(environ, region)

    async def serve(handler: Handler) -> Listener:
        return await function_port(handler, egress, _report, Counters())

    surroundings = Surroundings(serve=serve, log=_no_log, environ=environ)
    if question.call:
        return backends_of(Upstream(egress=egress), surroundings, endpoints, _no_log, environ)
    answer = question.answer or EndpointResponse(200)
    return backends_of(
        _Upstream(egress, answer),
        surroundings,
        endpoints,
        _no_log,
        environ,
        functions=_Functions(surroundings, answer),
        credentials=_Credentials(Credentials(_no_log), _no_log, endpoints, environ),
        brokers=_Brokers(answer),
    )


async def _open(backends: Backends, checked: Checked) -> None:
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
        origin = _Origin(self._loop, dialer, self._deadlines, self._bounds)
        origin.canned = self._answer
        return origin


class _Functions(Functions):
    """Every function gives one result; it has failed where the answer says so as Lambda does."""

    def __init__(self, surroundings: Surroundings, answer: EndpointResponse) -> None:
        super().__init__(surroundings)
        failed = any(name.lower() == b"x-amz-function-error" for name, _ in answer.headers)
        self._result = FunctionResult(answer.body or b"", failed)

    def invoke(self, *function: Any, **more: Any) -> Invoke:
        invoke = Invoke(loop=get_running_loop())
        invoke.set_result(self._result)
        return invoke


class _Credentials(CredentialSets):
    """Signatures nobody will look at."""

    def of(self, arn: str | None, roles: Mapping[str, Role]) -> Credentials:
        self.own.keys = Keys("AKIAEXPLAINEXPLAIN00", "explain")
        return self.own


class _Brokers(Brokers):
    """Every broker takes what it is given."""

    def __init__(self, answer: EndpointResponse) -> None:
        super().__init__(_no_log)
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


def _no_log(event: str, **facts: object) -> None:
    """What becomes of the event is told by its steps."""


def _report(error: BaseException, method: str, target: str) -> None:
    """A worker of a function hung up; its invocation fails."""
