"""What mapping templates speak of: `$input`, `$util`, `$context` and `$stageVariables` of one event.

API Gateway developer guide, "API Gateway mapping template and access logging variable reference" and "WebSocket API
mapping template reference". Each is small to make and computes what a template asks of it, when it asks.
"""

from __future__ import annotations

from wsgateway.invocation import Invocation
from wsgateway.templates import vtl
from wsgateway.templates.document import JSON, Format
from wsgateway.templates.mapping.calls import compile
from wsgateway.templates.mapping.context import Context, Overrides, request_overrides, response_overrides
from wsgateway.templates.mapping.input import Input
from wsgateway.templates.mapping.util import UTIL

__all__ = ["Overrides", "compile", "request_names", "request_overrides", "response_names", "response_overrides"]


def request_names(invocation: Invocation, binary: Format = JSON, *, changes: bool = True) -> vtl.Variables:
    """What a request template sees; `binary` is how the bodies of binary messages are written.

    The body is parsed once, in `invocation.document`; a template that `changes` lists or maps gets a copy. One that
    isn't UTF-8 is the caller's to refuse; `$input.body` of such a one raises RenderError.
    """
    format = binary if invocation.binary else JSON
    return _names(invocation, Input(invocation, invocation.body(), format, of_request=True, changes=changes), changes)


def response_names(invocation: Invocation, body: bytes, *, changes: bool = True) -> vtl.Variables:
    """What a response template sees: `$input` is the backend's body, all else is the request's.

    `$context` is the one that the request template saw, with what it changed there. For MOCK the body is empty.
    """
    return _names(invocation, Input(invocation, body, JSON, of_request=False, changes=changes), changes)


def _names(invocation: Invocation, found: Input, changes: bool) -> vtl.Variables:
    context = invocation.template_context
    if context is None:
        context = invocation.template_context = Context(invocation)
    variables = invocation.stage_variables
    return vtl.Variables(
        input=found,
        context=context,
        stageVariables=variables if variables.__class__ is dict and not changes else dict(variables),
        util=UTIL,
    )
