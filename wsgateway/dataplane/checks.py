"""What an event has to be before its integration is called: its route's parameters, rule and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wsgateway.dataplane.validation import model_check
from wsgateway.errors import AccessDenied, BadRequest
from wsgateway.invocation import Invocation
from wsgateway.model.websocket import Route, WebSocketApi
from wsgateway.templates.document import JSON, Format
from wsgateway.templates.jmes import compile_rule
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.schema import Models

Check = Callable[[Invocation], None]
"""Raises GatewayError where the event may not go on. It does not wait."""


def checks_of(route: Route, models: Models, api: WebSocketApi) -> Iterator[Check]:
    """What a route's events are checked for, in this order: parameters of a handshake, its rule, its model."""
    required = [name for name, needed in route.request_parameters.items() if needed]
    if required:
        yield _required_parameters(required)
    if route.allow is not None:
        yield _rule(route.allow, FORMATS[api.binary_message_format])
    fits = model_check(route, models, api)
    if fits is not None:
        yield fits


def _rule(expression: str, binary: Format) -> Check:
    """A route's `allow`; `binary` is how binary messages are written."""
    allows = compile_rule(expression)

    def check(invocation: Invocation) -> None:
        if not allows(invocation.body(), invocation.client.claims, binary if invocation.binary else JSON):
            raise AccessDenied(f"the rule of route {invocation.route_key} does not give true: {expression}")

    return check


def _required_parameters(declared: list[str]) -> Check:
    """API Gateway developer guide, "Set up WebSocket API integration requests": missing ones are a 400."""
    parameters = [(name.split(".", 3)[2], name.split(".", 3)[3]) for name in declared]

    def check(invocation: Invocation) -> None:
        missing = [
            name
            for place, name in parameters
            if not (invocation.header(name) if place == "header" else invocation.querystring(name))
        ]
        if missing:
            fault = BadRequest(f"$connect requires {', '.join(missing)}")
            fault.detail = f"Missing required request parameters: [{', '.join(missing)}]"
            raise fault

    return check
