"""Header handling (API Gateway developer guide, "Important notes" and "Set up HTTP integrations")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.headers import Backend, proxied, returned, target_fault


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Content-Encoding", "Content-Length", "Content-MD5", "Expect", "Host", "Keep-Alive",
        "Max-Forwards", "Proxy-Authenticate", "Proxy-Authorization", "Server", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "Via", "WWW-Authenticate", "X-Amzn-Apigateway-Api-Id", "X-Amzn-Trace-Id", "X-Forwarded-For",
        "X-Forwarded-Port", "X-Forwarded-Proto", "X-Named",
    ],
)  # fmt: skip
def test_not_passed_on_by_a_proxy(name: str) -> None:
    assert proxied([(b"Connection", b"x-named"), (name.encode(), b"v"), (b"Cookie", b"a=1")]) == [(b"Cookie", b"a=1")]


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        pytest.param(b"Bearer token", True, id="a token is the backend's"),
        pytest.param(b"AWS4-HMAC-SHA256 Credential=a", False, id="a signature is this gateway's"),
    ],
)
def test_authorization(value: bytes, passed: bool) -> None:
    assert bool(proxied([(b"authorization", value)])) is passed


@pytest.mark.parametrize(
    ("name", "http", "aws"),
    [
        ("X-Room", True, True),
        ("Referer", True, True),
        ("Host", True, True),
        ("Authorization", True, False),
        ("authorization", True, False),
        ("Content-Length", False, False),
        ("Transfer-Encoding", False, False),
        ("X-Amzn-Trace-Id", False, False),
        ("X-Amzn-Apigateway-Api-Id", False, False),
        ("Connection", False, False),
        ("Expect", False, False),
        ("Proxy-Authenticate", False, False),
        ("TE", False, False),
        ("Keep-Alive", False, False),
    ],
)
def test_what_a_mapping_may_set(name: str, http: bool, aws: bool) -> None:
    assert (target_fault(name, Backend.HTTP) is None) is http
    assert (target_fault(name, Backend.AWS) is None) is aws


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Connection", "Content-Length", "Content-MD5", "Date", "Expect", "Host", "Max-Forwards",
        "Proxy-Authenticate", "Server", "Trailer", "Upgrade", "User-Agent", "WWW-Authenticate", "date",
    ],
)  # fmt: skip
def test_renamed_on_the_way_back(name: str) -> None:
    assert returned([(name.encode(), b"v")]) == [(b"x-amzn-Remapped-" + name.encode(), b"v")]


@pytest.mark.parametrize("name", ["Transfer-Encoding", "Via", "Keep-Alive", "Sec-WebSocket-Accept", "X-Named"])
def test_dropped_on_the_way_back(name: str) -> None:
    kept = returned([(b"Connection", b"X-Named"), (name.encode(), b"v"), (b"X-Kept", b"w")])

    assert kept == [(b"x-amzn-Remapped-Connection", b"X-Named"), (b"X-Kept", b"w")]


def test_repeated_headers_keep_their_order() -> None:
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]

    assert returned(cookies) == cookies
    assert proxied([(b"Cookie", b"a=1"), (b"Cookie", b"b=2")]) == [(b"Cookie", b"a=1"), (b"Cookie", b"b=2")]


HEADERS = st.lists(
    st.tuples(st.sampled_from([b"Connection", b"X-A", b"Date", b"TE", b"Content-Length"]), st.binary(max_size=20))
)


@given(HEADERS)
def test_nothing_that_frames_a_message_crosses(headers: list[tuple[bytes, bytes]]) -> None:
    framing = {b"connection", b"content-length", b"te"}

    assert framing.isdisjoint(name.lower() for name, _ in [*proxied(headers), *returned(headers)])
