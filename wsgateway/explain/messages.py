"""Messages, handshakes and closes of WebSocket APIs, explained."""

from __future__ import annotations

import time
from asyncio import Future, ensure_future
from urllib.parse import urlencode

from wsgateway.authorizers.base import Identity
from wsgateway.dataplane.compiled import CompiledStage, Operation
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.reply import error_text, handshake_answer, reply_of
from wsgateway.errors import ApiConfigurationError, GatewayError, StartError
from wsgateway.explain.base import Explanation, NotCalled, Notes, Question
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointResponse, HttpRequest, Message
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.templates.selection import compile_selection

EVENTS = {"$connect": EventType.CONNECT, "$disconnect": EventType.DISCONNECT}


async def explained(stage: CompiledStage, expression: str, question: Question, explanation: Explanation) -> None:
    """Carry one message, handshake or close through a stage. *Raises* StartError for a route that isn't there."""
    operation = _select(stage, expression, question, explanation)
    explanation.route = operation.key
    invocation = _invocation(stage, operation.key, question)
    invocation.trace = Notes(explanation, question)
    try:
        await _authorize(operation, invocation, question.call)
        await _admit(operation, invocation, question.call)
        if invocation.event_type is not EventType.DISCONNECT:  # nobody is left to be refused
            for check_event in operation.checks:
                check_event(invocation)
        answer = operation.integrate(invocation)
        if not isinstance(answer, EndpointResponse):
            answer = await (answer if isinstance(answer, Future) else ensure_future(answer))
    except NotCalled:
        return
    except Exception as error:
        fault = error if isinstance(error, GatewayError) else _unexpected(error)
        explanation.failed = True
        explanation.note("error", fault)
        _end(explanation, invocation, error_text(fault.detail, invocation.client.connection_id, invocation.request_id))
        return
    _conclude(explanation, stage, operation, invocation, answer)


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
