"""The handshake's decisions as values, and what else transport decides without a socket."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.http1 import UnsafeHeader
from wsgateway.messages import Header, HttpRequest
from wsgateway.transport.handshake import accept, refuse, wants_websocket
from wsgateway.transport.proxies import Origin, TrustedProxies

GOOD: tuple[Header, ...] = (
    (b"Host", b"a"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
)


EXTENSIONS = b"Sec-WebSocket-Extensions"


def verdict(*headers: Header, method: str = "GET", target: str = "/dev", version: str = "1.1") -> int | None:
    response = refuse(HttpRequest(method, target, "a", headers), version, announces_body=False)
    if response is None:
        return None
    assert response.close, "every refusal ends the connection"
    return response.status


def but(name: bytes, *values: bytes) -> tuple[Header, ...]:
    """The good headers with other values of one."""
    return (*(header for header in GOOD if header[0] != name), *((name, value) for value in values))


def test_a_good_handshake_is_not_refused() -> None:
    assert verdict(*GOOD) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(but(b"Upgrade"), 400, id="no Upgrade"),
        pytest.param(but(b"Upgrade", b"websocket, h2c"), 400, id="two protocols"),
        pytest.param(but(b"Connection"), 400, id="no Connection"),
        pytest.param(but(b"Connection", b"close"), 400, id="Connection names another option"),
        pytest.param(but(b"Connection", b"keep-alive, Upgrade"), None, id="Connection names both"),
        pytest.param(but(b"Connection", b"keep-alive", b"upgrade"), None, id="Connection in two fields"),
        pytest.param(but(b"Sec-WebSocket-Version"), 400, id="no version"),
        pytest.param(but(b"Sec-WebSocket-Version", b"13", b"13"), 400, id="two versions"),
        pytest.param(but(b"Sec-WebSocket-Version", b"013"), 426, id="a version spelled otherwise"),
        pytest.param(but(b"Sec-WebSocket-Key"), 400, id="no key"),
        pytest.param(but(b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==", b"x"), 400, id="two keys"),
        pytest.param(but(b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25j"), 400, id="15 bytes"),
        pytest.param(but(b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ\xff="), 400, id="no base64"),
        pytest.param(but(EXTENSIONS, b"permessage-deflate; a=b, x"), None, id="extensions"),
        pytest.param(but(EXTENSIONS, b"x", b"y"), None, id="extensions in two fields"),
        *(
            pytest.param(but(EXTENSIONS, value), 400, id=f"no list of extensions: {value!r}")
            for value in (b"", b";", b"permessage-deflate; a=", b"permessage-deflate;;", b'a; b="', b"a b", b"\xe9")
        ),
    ],
)
def test_a_handshake_is_refused_by_its_headers(headers: tuple[Header, ...], status: int | None) -> None:
    assert verdict(*headers) == status


def test_a_handshake_is_refused_by_its_line() -> None:
    assert verdict(*GOOD, method="POST") == 400
    assert verdict(*GOOD, version="1.0") == 400
    assert verdict(*GOOD, target="/" + "a" * 4096) == 414
    assert verdict(*GOOD, target="/" + "a" * 4095) is None


def test_a_handshake_with_a_body_is_refused() -> None:
    response = refuse(HttpRequest("GET", "/dev", "a", GOOD), "1.1", announces_body=True)

    assert response is not None
    assert response.status == 400


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_any_values_get_a_verdict(upgrade: bytes, connection: bytes, key: bytes, version: bytes) -> None:
    """No header makes the check raise."""
    headers = (
        (b"Upgrade", upgrade),
        (b"Connection", connection),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", version),
    )
    assert verdict(*headers) in (400, 426, None)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(b"websocket", True), (b"WebSocket", True), (b"h2c, websocket", True), (b"h2c", False), (b"websockets", False)],
)
def test_whatever_names_websocket_is_a_handshake(value: bytes, wanted: bool) -> None:
    """Well-formed or not: a malformed one must not be answered as an ordinary request."""
    assert wants_websocket(((b"upgrade", value),)) is wanted


def test_the_101_is_that_of_rfc_6455() -> None:
    """§1.3 has the key and its accept value."""
    assert accept(HttpRequest("GET", "/dev", "a", GOOD), b"chat") == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )


@pytest.mark.parametrize("subprotocol", [b"a\r\nX: y", b"a\nb", b"a\0b"])
def test_a_subprotocol_can_not_split_the_101(subprotocol: bytes) -> None:
    with pytest.raises(UnsafeHeader):
        accept(HttpRequest("GET", "/dev", "a", GOOD), subprotocol)


# Trusted proxies

PROXIES = TrustedProxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "chain", "source"),
    [
        pytest.param("192.0.2.1", b"203.0.113.9", "192.0.2.1", id="a stranger is not believed"),
        pytest.param("10.0.0.1", b"203.0.113.9", "203.0.113.9", id="a proxy is"),
        pytest.param("::ffff:10.0.0.1", b"203.0.113.9", "203.0.113.9", id="a proxy as IPv6 spells it"),
        pytest.param("fd00::1", b"2001:db8::9, 10.1.1.1", "2001:db8::9", id="a chain of proxies"),
        pytest.param("10.0.0.1", b"1.1.1.1, 203.0.113.9", "203.0.113.9", id="what the client made up is passed over"),
        pytest.param("10.0.0.1", b"10.0.0.7", "10.0.0.7", id="a proxy as the client"),
        pytest.param("10.0.0.1", b"", "10.0.0.1", id="an empty chain"),
        pytest.param("10.0.0.1", b"1.1.1.1, unknown, 10.0.0.2", "10.0.0.2", id="up to what is no address"),
        pytest.param("10.0.0.1", b'fe80::1%"x, 10.0.0.2', "10.0.0.2", id="up to what has a zone, which is any text"),
        pytest.param("", b"1.1.1.1", "", id="no address at all"),
    ],
)
def test_the_source_is_the_nearest_address_that_is_no_proxy(peer: str, chain: bytes, source: str) -> None:
    assert PROXIES.origin_of(peer, [(b"X-Forwarded-For", chain)]).source == source


@pytest.mark.parametrize(
    ("header", "origin"),
    [
        pytest.param((b"X-Forwarded-Proto", b"wss"), Origin("10.0.0.1", scheme="https"), id="a scheme"),
        pytest.param((b"X-Forwarded-Proto", b"gopher"), Origin("10.0.0.1"), id="a scheme that is none"),
        pytest.param((b"X-Forwarded-Host", b"a.b:1"), Origin("10.0.0.1", authority="a.b:1"), id="a host"),
        pytest.param((b"X-Forwarded-Host", b"a b"), Origin("10.0.0.1"), id="a host that can be none"),
        pytest.param((b"X-Forwarded-Port", b"443"), Origin("10.0.0.1", port=443), id="a port"),
        pytest.param((b"X-Forwarded-Port", b"70000"), Origin("10.0.0.1"), id="a port that is none"),
    ],
)
def test_a_trusted_proxy_says_what_the_client_used(header: tuple[bytes, bytes], origin: Origin) -> None:
    assert PROXIES.origin_of("10.0.0.1", [header]) == origin
    assert PROXIES.origin_of("192.0.2.1", [header]) == Origin("192.0.2.1")


@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20))
def test_any_forwarding_headers_give_an_address(chain: bytes, proto: bytes, host: bytes) -> None:
    headers = [(b"x-forwarded-for", chain), (b"x-forwarded-proto", proto), (b"x-forwarded-host", host)]
    origin = PROXIES.origin_of("10.0.0.1", headers)

    ipaddress.ip_address(origin.source)
    assert origin.scheme in ("", "http", "https")
