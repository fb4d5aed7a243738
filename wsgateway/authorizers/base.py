"""What every authorizer type is: a check, a compile step, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wsgateway.errors import Problem
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.authorizer import Authorizer


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, pinned to its connection: given to every later event, template and log."""

    context: Mapping[str, Any]
    """`$context.authorizer`: texts, and maps of texts."""
    claims: Mapping[str, Any]
    """What rules see as `authorizer`: JSON values."""
    expires: float | None = None
    """Unix time at which the connection is to be closed; None for never."""
    subprotocol: str = ""
    """What is echoed where $connect picks no subprotocol, since a token came among those the client offered."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """What `$context.identity` has beside `sourceIp` and `userAgent`, under names of `invocation.IDENTITY`."""
    usage_key: str | None = field(default=None, repr=False)
    """The API key that an authorizer names for the client (`usageIdentifierKey`); no text of ours shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where an authorizer decides: everything its compile step may depend on."""

    api_id: str
    stage: str
    name: str
    """The authorizer's."""
    route_key: str
    stage_variables: Mapping[str, str]
    ours: bool
    """Whether events tell what AWS's do not (the open profile)."""
    of_method: bool = False
    """Whether it decides for a method of a REST API: what is asked for is known of each request."""
    scopes: Sequence[str] = ()
    """Of which a token needs one, if there are any."""


Authorize = Callable[[Invocation], Identity | Awaitable[Identity]]
"""Says who wants to connect, at once where nothing has to be waited for. *Raises* GatewayError, at once or later:
Unauthorized, AccessDenied, AuthorizerFailure. It may take a token out of the request."""

Read = Callable[[Invocation], str]
"""Reads the token in a message. *Raises* Unauthorized where there is none."""

Ask = Callable[[Invocation, bytes], Awaitable[EndpointResponse]]
"""Sends an authorizer's backend an event, for a request, and gives the answer: of a function its result, or its error
with an `X-Amz-Function-Error` header, as Lambda's API answers. *Raises* GatewayError, at once or later."""

Use = tuple[Authorizer, Site]
"""An authorizer at one place where it decides."""


class AuthorizerType(Protocol):
    """One type: `check` at load, with every problem; `compile` at deploy, for the $connect of one stage."""

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        """What is wrong with the definition; paths are relative to the authorizer."""

    def compile(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> Authorize:
        """What decides; `ask` reaches the authorizer's backend, if it has one. Only for what `check` found nothing
        wrong with."""

    def renew(self, authorizer: Authorizer, site: Site, ask: Ask | None, token: Read) -> Authorize:
        """What decides on a token in a message as `compile`'s decides on one in a handshake; for types that are given
        the token alone, all but REQUEST."""

    def keep_only(self, uses: Sequence[Use]) -> None:
        """Let go of what is held for other uses of authorizers of this type than these."""


def text_of(value: Any) -> str:
    """A JSON value as a text, as API Gateway hands on what authorizers say: lists and objects as JSON."""
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) else _encode(value)


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
