"""Pages that may connect (RFC 6455 §10.2)."""

from __future__ import annotations

import pytest

from wsgateway.dataplane.origins import compile_origins
from wsgateway.errors import AccessDenied
from wsgateway.messages import HttpRequest

ALLOWED = ["https://chat.example.com", "http://localhost:3000", "https://[::1]:8443", "http://plain.example:80"]


def lets_in(*origins: str, allowed: list[str] = ALLOWED) -> bool:
    headers = tuple((b"Origin", origin.encode("latin-1")) for origin in origins)
    try:
        compile_origins(allowed)(HttpRequest("GET", "/dev", "h", headers))
    except AccessDenied:
        return False
    return True


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("https://chat.example.com", id="to the letter"),
        pytest.param("HTTPS://Chat.Example.COM", id="in another case"),
        pytest.param("https://chat.example.com:443", id="with the scheme's own port"),
        pytest.param("http://localhost:3000", id="another port"),
        pytest.param("https://[::1]:8443", id="an address"),
        pytest.param("http://plain.example", id="listed with its own port"),
    ],
)
def test_a_page_that_may(origin: str) -> None:
    assert lets_in(origin)


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("http://chat.example.com", id="without TLS"),
        pytest.param("https://chat.example.com:8443", id="another port"),
        pytest.param("https://chat.example.com.evil.example", id="that as a beginning"),
        pytest.param("https://evil-chat.example.com", id="that as an end"),
        pytest.param("https://chat.example.com/", id="with a path"),
        pytest.param("https://chat.example.com@evil.example", id="that as a user name"),
        pytest.param("null", id="a sandboxed page"),
        pytest.param("", id="an empty one"),
        pytest.param("https://chat.example.com:80", id="the other scheme's port"),
    ],
)
def test_a_page_that_may_not(origin: str) -> None:
    assert not lets_in(origin)


def test_two_origins_are_none() -> None:
    assert not lets_in("https://chat.example.com", "https://chat.example.com")


def test_null_may_be_listed() -> None:
    assert lets_in("null", allowed=["null"])


def test_what_is_no_browser_sends_none() -> None:
    assert lets_in()
