"""An integration's `requestParameters` at one place: checked, and compiled to what reads them from an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.headers import Backend, target_fault
from wsgateway.invocation import Invocation, is_context
from wsgateway.model.uri import VARIABLE
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.parameters import Context, StageVariable, Static, compile_source, parse_source, parse_target

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration
    from wsgateway.templates.parameters import Target, Value

Reader = Callable[[Invocation], "Value"]

SLOT = re.compile(r"\{([A-Za-z0-9._$-]+)\+?\}")
"""`{NAME}` in the path of a URI: what `integration.request.path.NAME` fills."""


HOST = "Host is the URI's; no mapping may set it"


def slots(uri: str) -> list[str]:
    """The names of the slots in the path of `uri`."""
    return SLOT.findall(VARIABLE.sub("", uri).partition("?")[0])


def check_parameters(integration: Integration, site: Site) -> Iterator[Problem]:
    """Every mapping that can't be carried out."""
    known_slots = slots(integration.integration_uri or "")
    aws = integration.integration_type.startswith("AWS")
    for key, text in integration.request_parameters.items():
        path = ("requestParameters", key)
        try:
            target = parse_target(key, aws=aws)
        except ExpressionError as error:
            yield Problem(path, str(error))
            continue
        if target.place == "header" and target.name.lower() == "host":
            yield Problem(path, HOST)
        if target.place == "path" and target.name not in known_slots:
            yield Problem(path, f"the path of integrationUri has no {{{target.name}}}")
        try:
            source = parse_source(text)
        except ExpressionError as error:
            yield Problem(path, str(error))
            continue
        match source:
            case Context(name) if not is_context(name):
                yield Problem(path, f"there is no $context.{name}")
            case StageVariable(name) if name not in site.stage_variables:
                yield Problem(path, f"the stage has no variable {name}; add it to its stageVariables")
            case Static(static) if target.place == "header" and any(mark in static for mark in "\r\n\0"):
                yield Problem(path, "a header's value holds no line breaks and no NUL")


def compile_parameters(integration: Integration, site: Site) -> list[tuple[Target, Reader]]:
    """Where each parameter goes, and what reads it. Only for what `check_parameters` found nothing wrong with."""
    binary = FORMATS[site.binary_format]
    return [
        (parse_target(key), compile_source(parse_source(text), binary))
        for key, text in integration.request_parameters.items()
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
