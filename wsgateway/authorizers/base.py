"""What every authorizer type is: a check, a compile step, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wsgateway.errors import Problem
from wsgateway.invocation import Invocation
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


Authorize = Callable[[Invocation], Identity | Awaitable[Identity]]
"""Says who wants to connect, at once where nothing has to be waited for. *Raises* GatewayError, at once or later:
Unauthorized, AccessDenied, AuthorizerFailure. It may take a token out of the request."""


class AuthorizerType(Protocol):
    """One type: `check` at load, with every problem; `compile` at deploy, for the $connect of one stage."""

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        """What is wrong with the definition; paths are relative to the authorizer."""

    def compile(self, authorizer: Authorizer, scopes: Sequence[str]) -> Authorize:
        """What decides. Only for what `check` found nothing wrong with."""

    def renew(
        self, authorizer: Authorizer, scopes: Sequence[str], token: Callable[[Invocation], str]
    ) -> Authorize | None:
        """What decides on a token that a client sends later, as on one that it connects with; `token` reads it, and
        *raises* Unauthorized where there is none. None where this type, or this authorizer, takes no such token."""

    def keep_only(self, authorizers: Sequence[Authorizer]) -> None:
        """Let go of what is held for other authorizers of this type than these."""


def text_of(value: Any) -> str:
    """A JSON value as a text, as API Gateway hands on what authorizers say: lists and objects as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
