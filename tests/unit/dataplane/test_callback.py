"""What stands in `domainName` and in callback URLs, by the way a client came in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from wsgateway.dataplane.callback import CallbackUrls
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.messages import HttpRequest

ENDPOINTS = Endpoints(
    {"chat": frozenset({"dev"}), "game": frozenset({"dev"})}, "chat", {"chat.example": {"v2": ("game", "dev")}}
)


@dataclass(frozen=True)
class Listening:
    port: int
    tls_port: int = 0


SERVE = CallbackUrls(
    public=Listening(8080, 8443),
    internal=Listening(9090),
    internal_host="127.0.0.1",
    unsigned=False,
    advertise=None,
    domain=None,
)
OPEN = replace(SERVE, unsigned=True)
DEV = replace(OPEN, secure_host=lambda host, domain: host if domain is not None or host == "127.0.0.1" else None)
NAMED = replace(SERVE, domain="push.example:99")

INTERNAL = "http://127.0.0.1:9090/execute-api"


@pytest.mark.parametrize(
    ("urls", "url", "domain_name", "base"),
    [
        pytest.param(SERVE, "http://h:8080/dev", "h:8080", f"{INTERNAL}/chat/dev", id="serve"),
        pytest.param(SERVE, "https://h:8443/dev", "h:8443", f"{INTERNAL}/chat/dev", id="serve, TLS"),
        pytest.param(
            SERVE,
            "http://h/execute-api/game/dev",
            "h/execute-api/game",
            f"{INTERNAL}/game/dev",
            id="serve, the API in the path",
        ),
        pytest.param(SERVE, "https://chat.example/v2", "chat.example", f"{INTERNAL}/game/dev", id="serve, a domain"),
        pytest.param(OPEN, "http://h:8080/dev", "h:8080", "http://h:8080/dev", id="no signatures"),
        pytest.param(OPEN, "https://h:8443/dev", "h:8443", f"{INTERNAL}/chat/dev", id="no signatures, TLS"),
        pytest.param(
            OPEN, "http://chat.example:8080/v2", "chat.example:8080", f"{INTERNAL}/game/dev", id="a domain, unsigned"
        ),
        pytest.param(DEV, "http://127.0.0.1:8080/dev", "127.0.0.1:8443", "http://127.0.0.1:8080/dev", id="dev"),
        pytest.param(
            DEV,
            "http://127.0.0.1:8080/execute-api/game/dev",
            "127.0.0.1:8443/execute-api/game",
            "http://127.0.0.1:8080/execute-api/game/dev",
            id="dev, the API in the path",
        ),
        pytest.param(
            DEV,
            "http://game.execute-api.aws:8080/dev",
            "localhost:8443/execute-api/game",
            "http://game.execute-api.aws:8080/dev",
            id="dev, the API in a Host that is not ours",
        ),
        pytest.param(
            DEV, "http://chat.example:8080/v2", "chat.example:8443", f"{INTERNAL}/game/dev", id="dev, a domain"
        ),
        pytest.param(
            NAMED, "http://h:8080/dev", "push.example:99", f"{INTERNAL}/chat/dev", id="a domain for callbacks"
        ),
        pytest.param(
            NAMED,
            "https://chat.example/v2",
            "push.example:99/execute-api/game",
            f"{INTERNAL}/game/dev",
            id="which says the API where the client's Host did",
        ),
        pytest.param(
            replace(SERVE, internal_host="::1"),
            "http://h/dev",
            "h",
            "http://[::1]:9090/execute-api/chat/dev",
            id="IPv6",
        ),
        pytest.param(
            replace(SERVE, advertise="gw:1"), "http://h/dev", "h", "http://gw:1/execute-api/chat/dev", id="advertised"
        ),
    ],
)
def test_how_backends_are_told_to_reach_a_connection(urls: CallbackUrls, url: str, domain_name: str, base: str) -> None:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    host = authority.partition(":")[0]
    request = HttpRequest("GET", f"/{path}", host, authority=authority, scheme=scheme)

    assert urls(request, ENDPOINTS.resolve(host, f"/{path}")) == (domain_name, base)
