"""Request validation: a message fits its route's model before its integration hears of it.

API Gateway developer guide, "Request validation for WebSocket APIs": the model's key is what modelSelectionExpression
gives, else `$default`; without either validation fails, and so does a body that is not JSON. Where AWS is silent: an
empty body is held against the model as `{}` on $connect, which has no other, and is no JSON in a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wsgateway.errors import ApiConfigurationError, BadRequestBody, Problem
from wsgateway.model.explain import shown
from wsgateway.templates import messagepack
from wsgateway.templates.document import MISSING
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.schema import Models, Validator
from wsgateway.templates.selection import compile_selection, route_table, static

if TYPE_CHECKING:
    from wsgateway.invocation import Invocation
    from wsgateway.model.websocket import Route, WebSocketApi

DEFAULT = "$default"

Selected = Callable[[bytes], str | None] | None
"""The validator of one message; None where the route has no model for it."""


def models_of(api_id: str, api: WebSocketApi) -> Models:
    """The models of an API, read and checked."""
    return Models(api_id, api.models, strict=not api.disable_schema_validation)


def check_models(models: Models, api: WebSocketApi) -> Iterator[Problem]:
    """What is wrong with the models and with how routes select them; paths start at the API."""
    yield from models.problems
    for key, route in api.routes.items():
        expression = route.model_selection_expression
        if expression is None:
            continue
        path = ("routes", key, "modelSelectionExpression")
        try:
            compile_selection(expression)
            constant = static(expression)
        except ExpressionError as error:
            yield Problem(path, str(error))
            continue
        if constant is not None and not {constant, DEFAULT}.intersection(_keys(route)):
            text = f"always gives {shown(constant)}, for which requestModels has no model, and it has no $default"
            yield Problem(path, text)


def model_check(route: Route, models: Models, api: WebSocketApi) -> Callable[[Invocation], None] | None:
    """What refuses messages that don't fit the model of `route`; None where it selects none."""
    expression = route.model_selection_expression
    if expression is None:
        return None
    names = _keys(route)
    validators = {name: _validator(models, name) for name in names.values()}
    selected: dict[str, Selected] = {key: validators[name] for key, name in names.items()}
    default = selected.get(DEFAULT)
    constant = static(expression)
    select: Callable[[bytes], Selected]
    if constant is None:
        select = route_table(expression, selected, default)
    else:
        always = selected.get(constant, default)
        select = lambda data: always  # noqa: E731 - one of two that are made here
    packed = api.binary_message_format == "MESSAGEPACK"

    def check(invocation: Invocation) -> None:
        message = invocation.message
        data = b"{}" if message is None else message.data
        if packed and message is not None and message.binary:
            data = _as_json(data)
        validate = select(data)
        fault = _NO_MODEL if validate is None else validate(data)
        if invocation.trace is not None:
            name = validate.name if isinstance(validate, Validator) else None
            invocation.trace.note("model", {"model": name, "valid": fault is None, "errors": fault})
        if fault is not None:
            invocation.validation_error = fault
            raise BadRequestBody(f"Request body does not match model schema for content type application/json: {fault}")

    return check


_NO_MODEL = "[no model is selected by the message, and the route has no $default model]"


def _keys(route: Route) -> dict[str, str]:
    """Model names by key. `\\$default` is `$default`, as some write it."""
    return {DEFAULT if key == r"\$default" else key: name for key, name in route.request_models.items()}


def _validator(models: Models, name: str) -> Callable[[bytes], str | None]:
    try:
        return models.validator(name)
    except ValueError as error:
        return partial(_unusable, f"model {name} can't be used: {error}")


def _unusable(reason: str, data: bytes) -> str | None:
    """With disableSchemaValidation a model is first found to be none when a message comes."""
    raise ApiConfigurationError(reason)


def _as_json(data: bytes) -> bytes:
    """A MessagePack document as JSON; nothing where it is none."""
    document = messagepack.plain(data)
    if document is MISSING:
        return b""
    try:
        return msgspec.json.encode(document)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return b""
