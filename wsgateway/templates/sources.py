"""What a mapped parameter is read from, on any side of an integration, and what reads it.

API Gateway developer guide, "Data mapping for WebSocket APIs" and "Request and response data mapping" (REST). How a
source is written, and which side has it, is `parameters`' to say. A source without a value isn't sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias, assert_never

from wsgateway.errors import ApiConfigurationError, BadRequest
from wsgateway.invocation import header_text
from wsgateway.templates.document import JSON, MISSING, Format, Json, Missing, to_json, to_text
from wsgateway.templates.steps import Path

if TYPE_CHECKING:
    from wsgateway.messages import EndpointResponse


class BodyOf(Enum):
    """Whose body it is: they differ in what one that is empty, or no document, means."""

    MESSAGE = "a message"
    REQUEST = "a request of a REST API"
    ANSWER = "a backend's answer"


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
    """`….header.NAME`, the last value; `….multivalueheader.NAME`: all of them, where `joined` as one, with commas."""

    name: str
    multi: bool = False
    joined: bool = False


@dataclass(frozen=True, slots=True)
class QueryString:
    """`….querystring.NAME`, the last value; `….multivaluequerystring.NAME`: all of them."""

    name: str
    multi: bool = False


@dataclass(frozen=True, slots=True)
class PathParameter:
    """`….path.NAME`: of a REST request."""

    name: str


@dataclass(frozen=True, slots=True)
class Body:
    """`….body`, as it came; with a JSONPath behind it, what that finds."""

    path: Path | None = None
    of: BodyOf = BodyOf.MESSAGE


Source: TypeAlias = Static | Context | StageVariable | Header | QueryString | PathParameter | Body
Value: TypeAlias = str | list[str] | None


class Values(Protocol):
    """What a request or an answer holds. No method raises; lists are in the order in which they were sent."""

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
        """All values of a header, empty without one. Whether the case of its name matters is the API's rule."""

    def querystring(self, name: str) -> list[str]:
        """All values of a query parameter; empty without one."""

    def path_parameter(self, name: str) -> str | None:
        """The path parameter `name`."""

    def body(self) -> bytes:
        """The body as it came."""

    def text(self) -> str:
        """The body as text."""


class Answered:
    """A backend's answer as Values: headers and body are its, all else is the request's."""

    binary = False

    def __init__(self, request: Values, answer: EndpointResponse) -> None:
        self.document: Json | Missing = None
        self._request = request
        self._answer = answer

    def context(self, name: str) -> str | None:
        return self._request.context(name)

    def stage_variable(self, name: str) -> str | None:
        return self._request.stage_variable(name)

    def header(self, name: str) -> list[str]:
        """All values of a header of the answer, whatever the case of its name."""
        wanted = name.lower().encode("latin-1", "replace")
        return [header_text(value) for key, value in self._answer.headers if key.lower() == wanted]

    def querystring(self, name: str) -> list[str]:
        return self._request.querystring(name)

    def path_parameter(self, name: str) -> str | None:
        return self._request.path_parameter(name)

    def body(self) -> bytes:
        return self._answer.body or b""

    def text(self) -> str:
        return self.body().decode("utf-8", "replace")


def compile_source(source: Source, binary: Format = JSON) -> Callable[[Values], Value]:
    """What reads `source`: a text, all of several values, or None where there is none.

    `binary` is how the bodies of binary messages are written. A string of the body is sent as it is, numbers as
    written, objects and arrays as JSON; null is none. Of REST requests' and backends' bodies the function *raises*
    BadRequest and ApiConfigurationError where they ought to be documents and are not.
    """
    match source:
        case Static(text):
            return lambda values: text
        case Context(name):
            return lambda values: values.context(name)
        case StageVariable(name):
            return lambda values: values.stage_variable(name)
        case Header(name, multi, joined):
            return lambda values: _of_many(values.header(name), multi, joined)
        case QueryString(name, multi):
            return lambda values: _of_many(values.querystring(name), multi, False)
        case PathParameter(name):
            return lambda values: values.path_parameter(name)
        case Body(path, of):
            return _of_body(path, of, binary)
        case _:
            assert_never(source)


def _of_body(path: Path | None, of: BodyOf, binary: Format) -> Callable[[Values], Value]:
    if path is None:
        empty = "{}" if of is BodyOf.REQUEST else ""
        return lambda values: values.text() or empty
    return lambda values: _found(path, _document(values, of, binary))


def _of_many(found: list[str], multi: bool, joined: bool) -> Value:
    if not found:
        return None
    if not multi:
        return found[-1]
    return ",".join(found) if joined else found


def _document(values: Values, of: BodyOf, binary: Format) -> Json | Missing:
    if values.document is None:
        values.document = (binary if values.binary else JSON).decode(values.body())
    if values.document is MISSING and of is not BodyOf.MESSAGE:
        _complain(values.body().lstrip(), of)
    return values.document


def _complain(body: bytes, of: BodyOf) -> None:
    """*Raises* what a body that is no document means to API Gateway; an empty one has nothing, and is no fault."""
    if of is BodyOf.ANSWER and body:
        raise ApiConfigurationError("the backend's answer is not JSON, and a parameter is mapped from a field of it")
    if of is BodyOf.REQUEST and body.startswith(b"{"):
        error = BadRequest("the body begins like JSON and is not, and a parameter is mapped from a field of it")
        error.detail = "Invalid JSON in request body"
        raise error


def _found(path: Path, document: Json | Missing) -> str | None:
    if document is MISSING:
        return None
    value = path(document)
    if value is MISSING or value is None:
        return None
    return to_json(value) if isinstance(value, dict | list) else to_text(value)
