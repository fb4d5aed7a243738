"""Which authorizer decides for an API: a route must not stand open because of a slip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wsgateway.errors import Problem

if TYPE_CHECKING:
    from wsgateway.model.authorizer import Authorizer
    from wsgateway.model.websocket import Route, WebSocketApi


def check_authorization(api: WebSocketApi) -> Iterator[Problem]:
    """What is wrong between routes and authorizers; paths begin at the API."""
    for key, route in api.routes.items():
        if key == "$connect":
            yield from _check_connect(route, api.authorizers)
        elif route.authorizer_name or route.authorization_type not in (None, "NONE"):
            text = "only $connect is authorized: messages come on a connection that was let in; move it there"
            yield Problem(("routes", key, "authorizer" if route.authorizer else "authorizationType"), text)
    if api.authorizers and "$connect" not in api.routes:
        yield Problem(
            ("authorizers",), f"{_OPEN}: add the route $connect with authorizer: {next(iter(api.authorizers))}"
        )


def check_refresh(api: WebSocketApi) -> Iterator[Problem]:
    """Routes that ask for tokens nobody can show, or take; paths begin at the API."""
    for key, route in api.routes.items():
        if route.refresh is None:
            continue
        authorizer, text = api.connect_authorizer, ""
        if key in ("$connect", "$disconnect"):
            text = "only messages bring another token; move it to a route of messages"
        elif authorizer is None:
            text = "no client has a token; name an authorizer on $connect, or remove it"
        elif authorizer.authorizer_type == "REQUEST":
            text = "a REQUEST authorizer is asked about handshakes; JWT, TICKET and TOKEN take a token in a message"
        if text:
            yield Problem(("routes", key, "refresh"), text)


def unused_authorizers(api: WebSocketApi) -> list[str]:
    """Authorizers that no route names."""
    named = {route.authorizer_name for route in api.routes.values()}
    return [name for name in api.authorizers if name not in named]


_OPEN = "nobody is asked, and everyone may connect"


def _check_connect(route: Route, authorizers: Mapping[str, Authorizer]) -> Iterator[Problem]:
    path = ("routes", "$connect")
    if route.authorizer_name is None:
        if authorizers and route.authorization_type is None:
            text = f"names none of the API's authorizers: {_OPEN}; write authorizer: {next(iter(authorizers))}"
            yield Problem(path, f"{text}, or authorizationType: NONE")
        return
    authorizer = authorizers.get(route.authorizer_name)
    if authorizer is None:
        return  # it is told of where names are looked at
    needed = authorizer.authorization_type
    if route.authorization_type not in (None, "NONE", needed):
        text = f"{route.authorization_type} does not go with {route.authorizer_name}, which is of type"
        yield Problem((*path, "authorizationType"), f"{text} {authorizer.authorizer_type}; write {needed}")
    if route.authorization_scopes and authorizer.authorizer_type != "JWT":
        text = f"has no effect: {route.authorizer_name} is of type {authorizer.authorizer_type}, only JWTs have scopes"
        yield Problem((*path, "authorizationScopes"), text)
