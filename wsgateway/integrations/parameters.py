"""An integration's `requestParameters` at one place: checked, and compiled to what reads them from an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.headers import Backend, target_fault
from wsgateway.invocation import Invocation
from wsgateway.model.explain import shown
from wsgateway.model.uri import VARIABLE
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.parameters import (
    RESPONSE,
    Context,
    PathParameter,
    StageVariable,
    Static,
    compile_source,
    parse_source,
    parse_target,
)

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration
    from wsgateway.templates.parameters import Side, Target, Value, Values

Reader = Callable[[Invocation], "Value"]
AnswerReader = Callable[["Values"], "Value"]

SLOT = re.compile(r"\{([A-Za-z0-9._$-]+)\+?\}")
"""`{NAME}` in the path or the query of a URI: what `integration.request.path.NAME` fills."""

HOST = "Host is the URI's; no mapping may set it"
HOST_OF_URL = "Host is the URI's; 'text' and stageVariables.NAME may set another one, nothing that a client says may"

_host = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?").fullmatch
"""RFC 9110 §7.2: a host, and perhaps a port."""


def slots(uri: str) -> list[str]:
    """The names of the slots in `uri`."""
    return SLOT.findall(VARIABLE.sub("", uri))


def check_parameters(integration: Integration, site: Site) -> Iterator[Problem]:
    """Every request parameter that can't be mapped."""
    known_slots = slots(integration.integration_uri or "")
    aws = integration.integration_type.startswith("AWS")
    for key, text in integration.request_parameters.items():
        path = ("requestParameters", key)
        target, fault = _read(key, text, site.request_side, site, aws=aws)
        if target is not None and _is_host(target):
            to_url = integration.integration_type in _TO_URLS
            host = _fixed(text, site.request_side, site) if to_url else None
            if host is None:
                yield Problem(path, HOST_OF_URL if to_url else HOST)
            elif _host(host) is None:
                yield Problem(path, f"{shown(host)} is no host, nor host:port")
        if target is not None and target.place == "path" and target.name not in known_slots:
            yield Problem(path, f"integrationUri has no {{{target.name}}} in its path or query")
        if fault is not None:
            yield Problem(path, fault)


_TO_URLS = ("HTTP", "HTTP_PROXY")


def _is_host(target: Target) -> bool:
    return target.place == "header" and target.name.lower() == "host"


def _fixed(text: str, side: Side, site: Site) -> str | None:
    """What a parameter is whatever the event; None where that depends."""
    try:
        source = parse_source(text, side)
    except ExpressionError:
        return None
    match source:
        case Static(static):
            return static
        case StageVariable(name):
            return site.stage_variables.get(name)
        case _:
            return None


def host_of(integration: Integration, site: Site, usual: str) -> str:
    """What requests say as `Host`: what a mapping sets, else `usual`. The connection, and SNI, are the URI's anyhow."""
    for key, text in integration.request_parameters.items():
        if _is_host(parse_target(key, site.request_side)):
            return _fixed(text, site.request_side, site) or usual
    return usual


def greedy_slots(integration: Integration, site: Site) -> frozenset[str]:
    """Slots of the URI's path that are filled with what a `{name+}` of the resource took: segments, as they came."""
    found = []
    for key, text in integration.request_parameters.items() if site.rest else ():
        target, source = parse_target(key, site.request_side), parse_source(text, site.request_side)
        if target.place == "path" and isinstance(source, PathParameter) and f"{{{source.name}+}}" in site.route_key:
            found.append(target.name)
    return frozenset(found)


def check_response_parameters(parameters: Mapping[str, str], site: Site) -> Iterator[Problem]:
    """Every parameter of an integration response that can't be mapped."""
    for key, text in parameters.items():
        _, fault = _read(key, text, RESPONSE, site)
        if fault is not None:
            yield Problem(("responseParameters", key), fault)


def _read(key: str, text: str, side: Side, site: Site, *, aws: bool = False) -> tuple[Target | None, str | None]:
    """Where a parameter goes, and why it can't be mapped."""
    try:
        target = parse_target(key, side, aws=aws)
    except ExpressionError as error:
        return None, str(error)
    try:
        source = parse_source(text, side)
    except ExpressionError as error:
        return target, str(error)
    match source:
        case Context(name) if not site.variables.has(name):
            return target, f"there is no $context.{name}"
        case StageVariable(name) if site.unknown([name]):
            return target, f"the stage has no variable {name}; add it to its stageVariables"
        case Static(static) if target.place == "header" and any(mark in static for mark in "\r\n\0"):
            return target, "a header's value holds no line breaks and no NUL"
    return target, None


def compile_parameters(integration: Integration, site: Site) -> list[tuple[Target, Reader]]:
    """Where each parameter goes, and what reads it, but for `Host`, which is `host_of`'s to say.

    Only for what `check_parameters` found nothing wrong with.
    """
    binary, side = FORMATS[site.binary_format], site.request_side
    return [
        (target, _unsigned(target, compile_source(parse_source(text, side), binary)))
        for key, text in integration.request_parameters.items()
        if not _is_host(target := parse_target(key, side))
    ]


def _unsigned(target: Target, read: Reader) -> Reader:
    """`read`, but for a signature in `Authorization`: that is for this gateway, and good for whoever gets it."""
    if target.place != "header" or target.name.lower() != "authorization":
        return read

    def without(invocation: Invocation) -> Value:
        value = read(invocation)
        return None if isinstance(value, str) and value.startswith("AWS4-HMAC-SHA256") else value

    return without


def compile_response_parameters(parameters: Mapping[str, str]) -> list[tuple[str, AnswerReader]]:
    """The headers an integration response maps, and what reads each. Only for what the check found nothing wrong with.

    Reading *raises* ApiConfigurationError where a field is asked of an answer that is not JSON.
    """
    return [
        (parse_target(key, RESPONSE).name, compile_source(parse_source(text, RESPONSE)))
        for key, text in parameters.items()
    ]


def each(name: str, value: Value) -> Iterator[tuple[str, str]]:
    """A mapped parameter as often as it is sent."""
    if isinstance(value, str):
        yield name, value
    elif value is not None:
        for item in value:
            yield name, item


def one(value: Value) -> str:
    """A mapped parameter as one text, which is empty where it has no value."""
    return value if isinstance(value, str) else ",".join(value or ())


def header_fault(name: str, *, aws: bool) -> str | None:
    """Why no mapping, and no template, may set the header `name`; `aws` where an AWS service is called."""
    return HOST if name.lower() == "host" else target_fault(name, Backend.AWS if aws else Backend.HTTP)
