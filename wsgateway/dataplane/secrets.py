"""What clients show to be let in is in no line of a log: where it stands, and how it is taken out of a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from wsgateway.authorizers.sources import Reader, compile_source
from wsgateway.dataplane.traces import HIDDEN
from wsgateway.model.key_source import source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsgateway.model.rest import Method, RestApi
    from wsgateway.model.websocket import WebSocketApi

SHORTEST: Final = 8
"""A shorter text is no secret, and would be found in half of all lines."""

_PLAIN: Final = frozenset(f"request.header.{name}" for name in ("host", "origin", "user-agent", "x-forwarded-for"))
"""What authorizers may ask for and everybody may know."""

_OF_SIGNED: Final = (
    "route.request.header.X-Amz-Security-Token",
    "route.request.querystring.X-Amz-Security-Token",
    "route.request.querystring.X-Amz-Signature",
)
"""A presigned URL is good for whoever has read it, too."""


def secrets_of(api: WebSocketApi) -> tuple[Reader, ...]:
    """What reads tokens, tickets and API keys out of the handshakes of an API."""
    authorizer = api.connect_authorizer
    sources = () if authorizer is None else authorizer.identity_source
    signed = "$connect" in api.routes and api.routes["$connect"].authorization_type == "AWS_IAM"
    return _readers(sources, signed, api.api_key_selection_expression)


def secrets_of_method(api: RestApi, method: Method) -> tuple[Reader, ...]:
    """The same of the requests of a method."""
    name = method.authorizer_name
    sources = () if name is None else api.authorizers[name].identity_source
    return _readers(sources, method.signed, api.key_source)


def _readers(sources: Sequence[str], signed: bool, key_source: str) -> tuple[Reader, ...]:
    place, name = source_of(key_source)
    key = [] if place == "context" else [f"route.request.{place}.{name}"]
    return tuple(map(compile_source, (*_brought(sources), *(_OF_SIGNED if signed else ()), *key)))


def _brought(sources: Sequence[str]) -> Iterator[str]:
    """Of identity sources those that a client brings, and nobody else may know."""
    for source in sources:
        place = source.partition(".")[2].lower()
        if place.startswith("request.") and place not in _PLAIN:
            yield source


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with each secret hidden, written as it is, as in a URL or as in JSON; of one that is cut off its part,
    too. A token is one without its scheme, too."""
    for secret in (each for whole in secrets for each in (whole, whole.rpartition(" ")[2])):
        if len(secret) < SHORTEST:
            continue
        for form in {secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(form, HIDDEN)
            cut = text.rfind(form[:SHORTEST])
            if cut >= 0 and form.startswith(text[cut:].removesuffix("…")):
                text = text[:cut] + HIDDEN
    return text
