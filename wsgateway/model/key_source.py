"""`apiKeyRequired`, `apiKeySelectionExpression` and `apiKeySource`: who has to show an API key, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from wsgateway.errors import Problem
from wsgateway.model.base import Matches

if TYPE_CHECKING:
    from wsgateway.model.rest import RestApi
    from wsgateway.model.websocket import WebSocketApi

_SOURCE = (
    r"request\.(?:header\.[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}|querystring\.[A-Za-z0-9._~-]{1,128})"
    r"|context\.authorizer\.usageIdentifierKey"
)
KeySource = Annotated[
    str,
    Matches(
        rf"\$(?:{_SOURCE})|\$\{{(?:{_SOURCE})\}}",
        "write $request.header.x-api-key, $request.querystring.NAME or $context.authorizer.usageIdentifierKey",
    ),
]
FROM_AUTHORIZER = "$context.authorizer.usageIdentifierKey"
LAMBDA_TYPES = frozenset({"REQUEST", "TOKEN"})
"""Authorizers that are functions."""


def source_of(expression: str) -> tuple[str, str]:
    """`header` or `querystring`, and its name; `context` where the authorizer of $connect gives the key."""
    place, _, name = expression.removeprefix("$").strip("{}").removeprefix("request.").partition(".")
    return place, name


def check_key_routes(api: WebSocketApi) -> Iterator[Problem]:
    """Routes that ask for what nobody has; paths begin at the API."""
    connect = api.routes.get("$connect")
    for key, route in api.routes.items():
        if not route.api_key_required or key == "$connect":
            continue
        path = ("routes", key, "apiKeyRequired")
        if key == "$disconnect":
            yield Problem(path, "has no effect: a connection that ends shows nothing; remove it")
        elif connect is None or not connect.api_key_required:
            yield Problem(path, "no client would have a key: they show it when they connect; write it there, too")
    if connect is None or not connect.api_key_required or source_of(api.api_key_selection_expression)[0] != "context":
        return
    named = api.authorizers.get(connect.authorizer_name or "")
    if named is None or named.authorizer_type not in LAMBDA_TYPES:
        text = "only a Lambda authorizer on $connect gives one, so no client would be let in; name one there"
        yield Problem(("apiKeySelectionExpression",), text)


def check_key_methods(api: RestApi) -> Iterator[Problem]:
    """Methods that ask for a key which nobody gives; paths begin at the API."""
    if api.api_key_source == "HEADER":
        return
    for path, methods in api.paths.items():
        for verb, method in methods.items():
            authorizer = api.authorizers.get(method.authorizer_name or "")
            if method.api_key_required and (authorizer is None or authorizer.type not in LAMBDA_TYPES):
                text = "with apiKeySource AUTHORIZER only a Lambda authorizer gives a key, so nobody would be let in"
                yield Problem(("paths", path, verb, "apiKeyRequired"), f"{text}; name one here")
