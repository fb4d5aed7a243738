"""Identity sources: what of a request says who sends it, read before any authorizer is asked.

API Gateway developer guide, "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs": every source
that is listed must be there and not empty, else the answer is 401 and no authorizer is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from wsgateway.errors import Problem, Unauthorized
from wsgateway.invocation import CONTEXT, IDENTITY, Invocation
from wsgateway.messages import Header
from wsgateway.method_request import MethodRequest
from wsgateway.model.authorizer import Authorizer

_SOURCE = re.compile(
    r"(?:route|method)\.request\.(?P<place>header|querystring|cookie)\.(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256})"
    r"|(?P<other>stageVariables|context)\.(?P<key>[A-Za-z0-9_.]{1,128})|(?P<protocol>route\.request\.subprotocol)"
)
_FORMS = {
    "route": (
        "route.request.header.NAME, route.request.querystring.NAME, route.request.cookie.NAME, "
        "route.request.subprotocol, stageVariables.NAME or context.NAME"
    ),
    "method": (
        "method.request.header.NAME, method.request.querystring.NAME, method.request.cookie.NAME, "
        "stageVariables.NAME or context.NAME"
    ),
}
"""What sources there are, of WebSocket APIs and of REST APIs."""
SUBPROTOCOL = "route.request.subprotocol"
BEARER = "bearer."
"""How a token is offered as a subprotocol, the only header a browser's WebSocket lets a page set."""

_PROTOCOLS = b"sec-websocket-protocol"

NOT_AT_CONNECT = frozenset({"eventType", "messageDirection"})
"""Context variables that have no value yet when an authorizer is asked."""


class Values(Protocol):
    """What a request holds; lists are in the order in which it came."""

    def field(self, name: str) -> list[str]: ...
    def querystring(self, name: str) -> list[str]: ...
    def stage_variable(self, name: str) -> str | None: ...
    def context(self, name: str) -> str | None: ...


Reader = Callable[[Values], str]


def compile_source(text: str) -> Reader:
    """What reads one source, the last of several values; empty where it has none, and for Authorization where it has
    several. *Raises* ValueError, in words."""
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no identity source")
    if found["protocol"]:
        return lambda values: token_of(values.field("Sec-WebSocket-Protocol"))
    name: str = found["name"] or found["key"]
    match found["place"] or found["other"]:
        case "header" if name.lower() == "authorization":
            return lambda values: _only(values.field(name))
        case "header":
            return lambda values: _last(values.field(name))
        case "querystring":
            return lambda values: _last(values.querystring(name))
        case "cookie":
            return lambda values: _cookie(values.field("Cookie"), name)
        case "stageVariables":
            return lambda values: values.stage_variable(name) or ""
        case _:
            return lambda values: "" if name in NOT_AT_CONNECT else values.context(name) or ""


def read_all(sources: Sequence[tuple[str, Reader]], values: Values) -> tuple[str, ...]:
    """The value of each source, in order. *Raises* Unauthorized where one has none."""
    found = []
    for text, read in sources:
        value = read(values).strip()
        if not value:
            raise Unauthorized(f"the request has no {text}")
        found.append(value)
    return tuple(found)


def token_of(offers: Sequence[str]) -> str:
    """The token among the subprotocols that a client offers; empty without one, or with two."""
    found = [protocol.removeprefix(BEARER) for protocol in protocols(offers) if protocol.startswith(BEARER)]
    return found[0] if len(found) == 1 else ""


def protocols(offers: Sequence[str]) -> list[str]:
    """The subprotocols in the values of Sec-WebSocket-Protocol (RFC 6455 §11.3.4)."""
    return [protocol for offer in offers for part in offer.split(",") if (protocol := part.strip())]


def _last(found: Sequence[str]) -> str:
    return found[-1] if found else ""


def _only(found: Sequence[str]) -> str:
    """The value of a header that there is once (RFC 9110 §11.6.2): of two, backends may read the one nobody checked."""
    return found[0] if len(found) == 1 else ""


def _cookie(headers: Sequence[str], name: str) -> str:
    """A cookie's value. One that comes twice is none: another site of the same domain may have set the second."""
    values = []
    for pair in ";".join(headers).split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            values.append(value.strip().removeprefix('"').removesuffix('"'))
    return values[0] if len(values) == 1 else ""


def check_sources(authorizer: Authorizer) -> Iterator[Problem]:
    """What is wrong with an authorizer's identity sources; paths are relative to the authorizer."""
    for number, source in enumerate(authorizer.identity_source):
        if source.startswith(("route.", "method.")) and not source.startswith(f"{authorizer.root}."):
            right = f"{authorizer.root}.{source.partition('.')[2]}"
            yield Problem(("identitySource", number), f"{source} is of another kind of API; write {right}")
            continue
        try:
            compile_source(source)
        except ValueError as error:
            yield Problem(("identitySource", number), f"{error}; write {_FORMS[authorizer.root]}")
            continue
        name = source.removeprefix("context.")
        if name != source and not _has_a_value(name, authorizer.root):
            text = f"{source} has no value when an authorizer is asked, so everybody would be refused; name another"
            yield Problem(("identitySource", number), text)
        elif authorizer.authorizer_type != "REQUEST" and source.startswith(("stageVariables.", "context.")):
            text = f"{source} is nothing that a client brings, and {authorizer.authorizer_type} reads its token there"
            yield Problem(
                ("identitySource", number), f"{text}; write {authorizer.root}.request.header.Authorization, or its like"
            )
    kept = authorizer.authorizer_type == "REQUEST" and authorizer.authorizer_result_ttl_in_seconds > 0
    if kept and authorizer.identity_source and all(map(_of_everyone, authorizer.identity_source)):
        text = "with authorizerResultTtlInSeconds all clients would get the answer that the first got"
        yield Problem(("identitySource",), f"{text}: name what tells them apart, such as a header")


def _has_a_value(name: str, root: str) -> bool:
    """Whether a request has this context variable before anybody is asked who sends it."""
    known = MethodRequest.variables if root == "method" else CONTEXT
    return name in known and name not in _LATER and not name.startswith("error.")


_LATER = NOT_AT_CONNECT | {f"identity.{name}" for name in IDENTITY}
"""What is known once somebody has said who sends it, or an integration is asked."""

_SAME = frozenset(
    {
        "accountId", "apiId", "callbackUrl", "deploymentId", "domainName", "domainPrefix", "httpMethod",
        "isCanaryRequest", "protocol", "resourceId", "resourcePath", "routeKey", "stage",
    }
)  # fmt: skip
"""Context variables that say where a client came in, and nothing of the client."""


def _of_everyone(source: str) -> bool:
    """Whether a source has one value for all clients of a stage."""
    place, _, name = source.partition(".")
    return place == "stageVariables" or (place == "context" and name in _SAME)


def take_bearer(invocation: Invocation) -> str:
    """Take the token out of the subprotocols that the client offers; gives the first of the others.

    It is nobody's behind us, and no subprotocol to be chosen.
    """
    request = invocation.request
    assert request is not None  # a CONNECT event is a request
    offers = [value.decode("latin-1") for name, value in request.headers if name.lower() == _PROTOCOLS]
    kept = [protocol for protocol in protocols(offers) if not protocol.startswith(BEARER)]
    headers: tuple[Header, ...] = tuple(header for header in request.headers if header[0].lower() != _PROTOCOLS)
    if kept:
        headers = (*headers, (b"Sec-WebSocket-Protocol", ", ".join(kept).encode("latin-1")))
    invocation.request = msgspec.structs.replace(request, headers=headers)
    return kept[0] if kept else ""
