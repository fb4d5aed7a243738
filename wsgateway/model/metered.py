"""What usage plans see of an API, whether its clients connect and send messages, or ask its methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wsgateway.model.base import Path
from wsgateway.model.rest import RestApi
from wsgateway.model.websocket import WebSocketApi

CONNECT, DISCONNECT = "$connect", "$disconnect"


@dataclass(frozen=True, slots=True)
class Metered:
    """One API. Its routes go by their keys, its methods by such as `GET /pets`."""

    stages: Collection[str]
    connects: bool
    """Whether clients connect, and show their key then alone; else each request does."""
    key_source: str
    """Where they show it, as `apiKeySelectionExpression` says it."""
    named: Mapping[str, str]
    """Its routes, or methods, by what usage plans call them."""
    required: frozenset[str]
    """Those that ask for a key."""
    asks: Path | None
    """Where the first that clients meet says so, from the API on; None where they need none."""

    @property
    def kind(self) -> str:
        """What plans have throttles of, for people."""
        return "route" if self.connects else "method"

    def shown(self, key: str) -> bool:
        """Whether events of `key` bring an API key themselves."""
        return key == CONNECT or not self.connects

    def counted(self, key: str, *, messages: bool) -> bool:
        """Whether events of `key` are counted; `messages`: where all messages are."""
        return key in self.required or (messages and self.connects and key not in (CONNECT, DISCONNECT))


def metered(api: WebSocketApi | RestApi) -> Metered:
    """An API as usage plans see it."""
    return _rest(api) if isinstance(api, RestApi) else _websocket(api)


def _websocket(api: WebSocketApi) -> Metered:
    required = frozenset(key for key, route in api.routes.items() if route.api_key_required)
    return Metered(
        stages=api.stages,
        connects=True,
        key_source=api.api_key_selection_expression,
        named={key: key for key in api.routes},
        required=required,
        asks=("routes", CONNECT, "apiKeyRequired") if CONNECT in required else None,
    )


def _rest(api: RestApi) -> Metered:
    asking = [(path, verb) for path, verb, method in api.methods() if method.api_key_required]
    return Metered(
        stages=api.stages,
        connects=False,
        key_source=api.key_source,
        # AWS writes a method of the root `//GET`.
        named={f"{path}/{verb}": f"{verb} {path}" for path, verb, _ in api.methods()},
        required=frozenset(f"{verb} {path}" for path, verb in asking),
        asks=("paths", *asking[0], "apiKeyRequired") if asking else None,
    )
