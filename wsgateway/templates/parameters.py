"""An integration's `requestParameters`: what is read from a request, and where it goes.

API Gateway developer guide, "Data mapping for WebSocket APIs": keys are `integration.request.{header|querystring|path}
.NAME`, values a quoted text, `context.X`, `stageVariables.X` or `route.request.…`. A source without a value isn't sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, assert_never

from wsgateway.headers import Backend, target_fault
from wsgateway.templates import jsonpath
from wsgateway.templates.document import JSON, MISSING, Format, Json, Missing, to_json, to_text
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.steps import Path

Place = Literal["header", "querystring", "path"]

_NAME = re.compile(r"[a-zA-Z0-9._$-]+")
_TARGET = re.compile(r"integration\.request\.(header|querystring|path)\.")
_SOURCE = re.compile(
    r"(context|stageVariables|route\.request\.(?:multivalueheader|multivaluequerystring|header|querystring))\."
)
_BODY: Final = "route.request.body"
_NAME_PROBLEM: Final = "expected a name of letters, digits, '.', '_', '$' and '-'"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a parameter goes."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Static:
    """`'text'`"""

    text: str


@dataclass(frozen=True, slots=True)
class Context:
    """`context.NAME`"""

    name: str


@dataclass(frozen=True, slots=True)
class StageVariable:
    """`stageVariables.NAME`"""

    name: str


@dataclass(frozen=True, slots=True)
class Header:
    """`route.request.header.NAME`, the last value; `multivalueheader`: all of them."""

    name: str
    multi: bool = False


@dataclass(frozen=True, slots=True)
class QueryString:
    """`route.request.querystring.NAME`, the last value; `multivaluequerystring`: all of them."""

    name: str
    multi: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """`route.request.body`, as it came; with a JSONPath behind it, what that finds."""

    path: Path | None = None


Source: TypeAlias = Static | Context | StageVariable | Header | QueryString | Body
Value: TypeAlias = str | list[str] | None


class Values(Protocol):
    """What a request holds. No method raises; lists are in the order the client sent."""

    @property
    def binary(self) -> bool:
        """Whether the body came in a binary message."""

    document: Json | Missing
    """The body's document, kept by whoever parses it first; None before."""

    def context(self, name: str) -> str | None:
        """The context variable `name`, which may be dotted."""

    def stage_variable(self, name: str) -> str | None:
        """The stage variable `name`."""

    def header(self, name: str) -> list[str]:
        """All values of a header, whatever the case of its name; empty without one."""

    def querystring(self, name: str) -> list[str]:
        """All values of a query parameter; empty without one."""

    def body(self) -> bytes:
        """The body as it came."""

    def text(self) -> str:
        """The body as text."""


def parse_target(key: str, *, aws: bool = False) -> Target:
    """Where the parameter `key` goes; `aws` for integrations that call an AWS service.

    Raises ExpressionError, also for a header that no mapping may set.
    """
    match = _TARGET.match(key)
    if match is None:
        raise ExpressionError("expected integration.request.header, .querystring or .path and a name", key)
    name = _name(key, match.end())
    match match[1]:
        case "header":
            fault = target_fault(name, Backend.AWS if aws else Backend.HTTP)
            if fault is not None:
                raise ExpressionError(fault, key, match.end())
            return Target("header", name)
        case "querystring":
            return Target("querystring", name)
        case _:
            return Target("path", name)


def parse_source(text: str) -> Source:
    """Where the value `text` is read from. Raises ExpressionError naming what is legal."""
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ExpressionError("this text has no closing quote", text, len(text))
        return Static(text[1:-1])
    if text.startswith(_BODY) and text[len(_BODY) : len(_BODY) + 1] in ("", ".", "["):
        return _body(text)
    match = _SOURCE.match(text)
    if match is None:
        raise ExpressionError(
            "expected 'text' in single quotes, context.NAME, stageVariables.NAME, route.request.header.NAME, "
            ".querystring.NAME, .multivalueheader.NAME, .multivaluequerystring.NAME or route.request.body.JSONPATH",
            text,
        )
    name = _name(text, match.end())
    match match[1].rpartition(".")[2]:
        case "context":
            return Context(name)
        case "stageVariables":
            return StageVariable(name)
        case "header":
            return Header(name)
        case "multivalueheader":
            return Header(name, multi=True)
        case "querystring":
            return QueryString(name)
        case _:
            return QueryString(name, multi=True)


def compile_source(source: Source, binary: Format = JSON) -> Callable[[Values], Value]:
    """What reads `source` from a request: a text, all of several values, or None where there is none.

    `binary` is how the bodies of binary messages are written.
    A string of the body is sent as it is, numbers as written, objects and arrays as JSON; null is none.
    """
    match source:
        case Static(text):
            return lambda values: text
        case Context(name):
            return lambda values: values.context(name)
        case StageVariable(name):
            return lambda values: values.stage_variable(name)
        case Header(name, multi):
            return lambda values: _of_many(values.header(name), multi)
        case QueryString(name, multi):
            return lambda values: _of_many(values.querystring(name), multi)
        case Body(path):
            return _body_reader(path, binary)
        case _:
            assert_never(source)


def _body(text: str) -> Body:
    if text == _BODY:
        return Body()
    try:
        return Body(jsonpath.compile("$" + text[len(_BODY) :]))
    except ExpressionError as error:
        raise ExpressionError(error.problem, text, len(_BODY) + error.position - 1) from error


def _name(text: str, start: int) -> str:
    match = _NAME.match(text, start)
    end = start if match is None else match.end()
    if match is None or end < len(text):
        raise ExpressionError(_NAME_PROBLEM, text, end)
    return match[0]


def _of_many(found: list[str], multi: bool) -> Value:
    if not found:
        return None
    return found if multi else found[-1]


def _body_reader(path: Path | None, binary: Format) -> Callable[[Values], Value]:
    if path is None:
        return lambda values: values.text()
    return lambda values: _found(path, _document(values, binary))


def _document(values: Values, binary: Format) -> Json | Missing:
    if values.document is None:
        format = binary if values.binary else JSON
        values.document = format.decode(values.body())
    return values.document


def _found(path: Path, document: Json | Missing) -> str | None:
    if document is MISSING:
        return None
    value = path(document)
    if value is MISSING or value is None:
        return None
    return to_json(value) if isinstance(value, dict | list) else to_text(value)
