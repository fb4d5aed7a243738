"""Media types that pick mapping templates of a REST API: what a request's body is, and what its client accepts.

API Gateway developer guide, "Mapping template transformations for REST APIs". Parameters of media types are passed
over; of several Accept headers the last one counts, and of its media types the first. Without either it is JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse

JSON = "application/json"


def sent(invocation: Invocation, answer: EndpointResponse | None = None) -> str:
    """The media type of a request's body."""
    return _media(invocation, b"content-type")


def accepted(invocation: Invocation, answer: EndpointResponse | None = None) -> str:
    """The media type that a client accepts first."""
    return _media(invocation, b"accept").partition(",")[0].strip()


def _media(invocation: Invocation, name: bytes) -> str:
    request = invocation.request
    value = None if request is None else request.header(name)
    return JSON if value is None else value.decode("latin-1").partition(";")[0].strip().lower() or JSON
