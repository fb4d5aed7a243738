"""How mapped parameters are written: keys say where a value goes, values where it is read from.

API Gateway developer guide, "Data mapping for WebSocket APIs" and "Request and response data mapping" (REST). Each kind
of mapping is one Side, a row of what it may name; `'text'`, `context.NAME` and `stageVariables.NAME` all have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, get_args

from wsgateway.headers import NOT_RETURNED, Backend, target_fault
from wsgateway.templates import jsonpath
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.sources import (
    Body,
    BodyOf,
    Context,
    Header,
    PathParameter,
    QueryString,
    Source,
    StageVariable,
    Static,
    Value,
    Values,
    compile_source,
)

__all__ = [
    "GATEWAY_RESPONSE",
    "METHOD_REQUEST",
    "RESPONSE",
    "ROUTE_REQUEST",
    "Body",
    "Context",
    "Header",
    "PathParameter",
    "Place",
    "QueryString",
    "Side",
    "Source",
    "StageVariable",
    "Static",
    "Target",
    "Value",
    "Values",
    "compile_source",
    "parse_source",
    "parse_target",
]

Place = Literal["header", "querystring", "path"]
Named = Callable[[str], Source]

_NAME = re.compile(r"[a-zA-Z0-9._$-]+")
_CLAIM = re.compile(r"[a-zA-Z0-9._$:-]+")
"""Cognito's own claims have a colon in their names, such as `cognito:groups`."""
_NAME_PROBLEM: Final = "expected a name of letters, digits, '.', '_', '$' and '-'"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a parameter goes."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One kind of mapping: the beginning of its keys and what they may set, the beginning of its values, what each of
    these reads by name, and whose body it has.
    """

    target: str
    places: tuple[Place, ...]
    source: str
    named: Mapping[str, Named]
    body: BodyOf | None = None


_ALL_PLACES: Final[tuple[Place, ...]] = get_args(Place)
_COMMON: Final[dict[str, Named]] = {"context": Context, "stageVariables": StageVariable}

ROUTE_REQUEST: Final = Side(
    target="integration.request",
    places=_ALL_PLACES,
    source="route.request",
    named={
        "header": Header,
        "querystring": QueryString,
        "multivalueheader": partial(Header, multi=True),
        "multivaluequerystring": partial(QueryString, multi=True),
    },
    body=BodyOf.MESSAGE,
)
"""`requestParameters` of a WebSocket API's integration."""

METHOD_REQUEST: Final = Side(
    target="integration.request",
    places=_ALL_PLACES,
    source="method.request",
    named={
        "header": Header,
        "querystring": QueryString,
        "path": PathParameter,
        "multivalueheader": partial(Header, multi=True, joined=True),
        "multivaluequerystring": partial(QueryString, multi=True),
    },
    body=BodyOf.REQUEST,
)
"""`requestParameters` of a REST API's integration."""

RESPONSE: Final = Side(
    target="method.response",
    places=("header",),
    source="integration.response",
    named={"header": Header, "multivalueheader": partial(Header, multi=True, joined=True)},
    body=BodyOf.ANSWER,
)
"""`responseParameters` of an integration response; the keys are `method.response…` for WebSocket APIs too."""

GATEWAY_RESPONSE: Final = Side(
    target="gatewayresponse",
    places=("header",),
    source="method.request",
    named={"header": Header, "querystring": QueryString, "path": PathParameter},
)
"""`responseParameters` of a gateway response."""


def parse_target(key: str, side: Side = ROUTE_REQUEST, *, aws: bool = False) -> Target:
    """Where the parameter `key` goes; `aws` for integrations that call an AWS service.

    Raises ExpressionError, also for a header that no mapping may set.
    """
    for place in side.places:
        prefix = f"{side.target}.{place}."
        if key.startswith(prefix):
            name = _name(key, len(prefix))
            fault = _fault(name, side, aws) if place == "header" else None
            if fault is not None:
                raise ExpressionError(fault, key, len(prefix))
            return Target(place, name)
    raise ExpressionError(f"expected {_either([f'{side.target}.{place}' for place in side.places])} and a name", key)


def parse_source(text: str, side: Side = ROUTE_REQUEST) -> Source:
    """Where the value `text` is read from. Raises ExpressionError naming what is legal."""
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ExpressionError("this text has no closing quote", text, len(text))
        return Static(text[1:-1])
    if side.body is not None and re.match(rf"{re.escape(side.source)}\.body(?![^.\[])", text):
        return _body(text, f"{side.source}.body", side.body)
    for prefix, named in _prefixes(side).items():
        if text.startswith(f"{prefix}."):
            claim = text.startswith("context.authorizer.claims.")
            return named(_name(text, len(prefix) + 1, _CLAIM if claim else _NAME))
    body = [] if side.body is None else [f"{side.source}.body.JSONPATH"]
    legal = ["'text' in single quotes", *[f"{prefix}.NAME" for prefix in _prefixes(side)], *body]
    raise ExpressionError(f"expected {_either(legal)}", text)


def _prefixes(side: Side) -> dict[str, Named]:
    return _COMMON | {f"{side.source}.{kind}": named for kind, named in side.named.items()}


def _either(legal: list[str]) -> str:
    *most, last = legal
    return f"{', '.join(most)} or {last}" if most else last


def _fault(name: str, side: Side, aws: bool) -> str | None:
    if side.target == "integration.request":
        return target_fault(name, Backend.AWS if aws else Backend.HTTP)
    # The 101 of a handshake says which subprotocol it is; refusals have none.
    if name.lower().encode() in NOT_RETURNED - {b"sec-websocket-protocol"}:
        return f"no client gets the header {name}; no mapping may set it"
    return None


def _body(text: str, prefix: str, of: BodyOf) -> Body:
    if text == prefix:
        return Body(None, of)
    try:
        return Body(jsonpath.compile("$" + text[len(prefix) :]), of)
    except ExpressionError as error:
        raise ExpressionError(error.problem, text, len(prefix) + error.position - 1) from error


def _name(text: str, start: int, of: re.Pattern[str] = _NAME) -> str:
    match = of.match(text, start)
    end = start if match is None else match.end()
    if match is None or end < len(text):
        raise ExpressionError(_NAME_PROBLEM, text, end)
    return match[0]
