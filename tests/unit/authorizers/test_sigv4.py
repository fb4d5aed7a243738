"""Signatures made by botocore, good and tampered with (IAM user guide, "Create a signed AWS API request")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.authorizers import sigv4
from wsgateway.errors import ClientFault, InvalidSignature, MissingAuthenticationToken
from wsgateway.messages import Header

KEY, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
PATH = "/prod/@connections/b-Qx%3D"
BODY = b'{"hello": "world"}'


@dataclass(frozen=True)
class Sent:
    """A request as it comes in."""

    method: str
    target: str
    headers: tuple[Header, ...]
    body: bytes = b""

    def header(self, name: str, value: str | None) -> Sent:
        """The same with another value of a header, or without it."""
        kept = [(key, old) for key, old in self.headers if key.lower() != name.lower().encode()]
        return replace(self, headers=(*kept, *([] if value is None else [(name.encode(), value.encode())])))


def signed(
    method: str = "POST",
    target: str = PATH,
    body: bytes = BODY,
    *,
    token: str | None = None,
    service: str = "execute-api",
    region: str = REGION,
    presign: int | None = None,
    headers: dict[str, str] | None = None,
) -> Sent:
    url = f"https://api.example{target}"
    request = AWSRequest(method=method, url=url, data=body, headers={"Host": "api.example"} | (headers or {}))
    credentials = Credentials(KEY, SECRET, token)
    if presign is None:
        SigV4Auth(credentials, service, region).add_auth(request)
    else:
        SigV4QueryAuth(credentials, service, region, expires=presign).add_auth(request)
    fields = tuple((name.encode(), str(value).encode()) for name, value in request.headers.items())
    return Sent(method, request.url.removeprefix("https://api.example"), fields, body)


def check(request: Sent, *, later: float = 0.0, secret: str = SECRET) -> sigv4.Claim:
    claim = sigv4.claim_of(request)
    sigv4.check(claim, region=REGION, now=sigv4.signed_at(claim) + later)
    sigv4.verify(request, request.body, claim, secret)
    return claim


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(signed(), id="an SDK's POST, its id percent-encoded"),
        pytest.param(signed("GET", "/prod", b""), id="a handshake"),
        pytest.param(signed("GET", "/prod?b=2&a=1&a=0&c", b""), id="a query out of order, a name twice, no value"),
        pytest.param(signed("GET", "/prod?a=x%20y%2Fz%C3%BC&b=~", b""), id="a query with escapes"),
        pytest.param(signed("GET", "/prod?a=1;b=2&a=%3B", b""), id="semicolons"),
        pytest.param(signed("GET", "/prod/a%20b/%2F/~x", b""), id="a path with escapes"),
        pytest.param(signed("GET", "/", b""), id="the root"),
        pytest.param(signed("GET", "/prod/", b""), id="a slash at the end"),
        pytest.param(signed(headers={"X-Amz-Target": "a   b ", "X-Other": "ü"}), id="headers with blanks"),
        pytest.param(signed("GET", "/prod?token=1", b"", presign=60), id="presigned"),
        pytest.param(signed("GET", "/prod", b"", presign=60, token="session+token/="), id="presigned in a session"),
        pytest.param(signed("GET", "/execute-api/chat/prod", b"", presign=60), id="presigned, an API's path"),
    ],
)
def test_what_botocore_signs_is_good(request_: Sent) -> None:
    assert check(request_).access_key == KEY


def test_a_session_token_is_handed_on() -> None:
    assert check(signed(token="session")).token == "session"


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        pytest.param(lambda r: replace(r, body=b"{}"), "another one", id="another body"),
        pytest.param(lambda r: replace(r, method="DELETE"), "another one", id="another method"),
        pytest.param(lambda r: replace(r, target=r.target + "A"), "another one", id="another path"),
        pytest.param(lambda r: replace(r, target=r.target + "?a=1"), "another one", id="a query"),
        pytest.param(lambda r: r.header("Host", "evil.example"), "another one", id="another host"),
        pytest.param(lambda r: r.header("X-Amz-Date", "20200101T000000Z"), "credential's day", id="another day"),
        pytest.param(
            lambda r: r.header("X-Amz-Date", f"{sigv4.claim_of(r).day}T000000Z"), "another one", id="another time"
        ),
        pytest.param(lambda r: r.header("X-Amz-Date", "now"), "not YYYY", id="no time"),
        pytest.param(lambda r: r.header("X-Amz-Date", None), "must be there once", id="without its time"),
        pytest.param(lambda r: r.header("X-Amz-Target", "x"), "does not cover x-amz-target", id="one more header"),
        pytest.param(
            lambda r: r.header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), "does not cover", id="an unsigned body"
        ),
        pytest.param(
            lambda r: replace(r, headers=(*r.headers, (b"Host", b"evil.example"))), "another one", id="two hosts"
        ),
        pytest.param(
            lambda r: replace(r, headers=(*r.headers, r.headers[-1])), "twice|another", id="a header once more"
        ),
    ],
)
def test_what_was_tampered_with(tamper: Callable[[Sent], Sent], reason: str) -> None:
    with pytest.raises(InvalidSignature, match=reason):
        check(tamper(signed()))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda: signed(service="s3"), "correct service", id="for another service"),
        pytest.param(lambda: signed(region="us-east-1"), "valid region", id="for another region"),
        pytest.param(lambda: signed(headers={"X-Amz-Content-Sha256": "0" * 64}), "not the body's hash", id="hash"),
        pytest.param(
            lambda: signed().header("Authorization", "AWS4-HMAC-SHA256 Credential=x"), "is not Credential", id="half"
        ),
        pytest.param(
            lambda: replace(signed("GET", "/p", b"", presign=60), target="/p?X-Amz-Signature=0"), "Algorithm", id="rest"
        ),
        pytest.param(lambda: signed("GET", "/p", b"", presign=10_000_000), "X-Amz-Expires", id="for ever"),
        pytest.param(
            lambda: signed("GET", signed("GET", "/p", b"", presign=60).target, b""), "signed twice", id="twice"
        ),
    ],
)
def test_what_is_not_for_us(make: Callable[[], Sent], reason: str) -> None:
    with pytest.raises(InvalidSignature, match=reason):
        check(make())


@pytest.mark.parametrize("later", [-300, 300])
def test_clocks_may_differ_by_five_minutes(later: int) -> None:
    check(signed(), later=later)
    with pytest.raises(InvalidSignature, match=r"expired|future"):
        check(signed(), later=later * 1.01)


@pytest.mark.parametrize(
    ("presign", "now", "says"),
    [
        pytest.param(
            None, 301, "expired: {} is now earlier than 20260101T000001Z (20260101T000501Z - 5 min.)", id="old"
        ),
        pytest.param(60, 61, "expired: {} is now earlier than 20260101T000101Z", id="a URL's time is over"),
        pytest.param(
            None, -301, "not yet current: {} is still later than 20251231T235959Z (20251231T235459Z + 5 min.)", id="new"
        ),
        pytest.param(
            60, -301, "not yet current: {} is still later than 20251231T235959Z (20251231T235459Z + 5 min.)", id="a URL"
        ),
    ],
)
def test_when_it_was_signed_is_told_in_the_words_of_aws(presign: int | None, now: int, says: str) -> None:
    """IAM user guide, "Troubleshoot Signature Version 4 requests for AWS APIs"."""
    stamp = "20260101T000000Z"
    claim = replace(sigv4.claim_of(signed("GET", "/prod", b"", presign=presign)), stamp=stamp, day=stamp[:8])

    with pytest.raises(InvalidSignature) as caught:
        sigv4.check(claim, region=REGION, now=sigv4.signed_at(claim) + now)

    assert caught.value.detail == f"Signature {says.format(stamp)}"


@pytest.mark.parametrize(
    ("signs", "sends"),
    [
        pytest.param("/prod?a=1%2B2", "/prod?a=1+2", id="a blank for a plus"),
        pytest.param("/prod?a=%31%26b=2", "/prod?a=1&b=2", id="two parameters for one"),
        pytest.param("/prod?a=1&a=2", "/prod?a=1%262", id="one for two"),
        pytest.param("/prod?a=1%3Bb=2", "/prod?a=1;b=2", id="a semicolon that ends a parameter"),
        pytest.param("/prod?a=1;b=2", "/prod?a=1%3Bb=2", id="a semicolon that does not"),
        pytest.param("/prod?a=1;b=2", "/prod?a=1;b%3D2", id="a parameter without a value"),
        pytest.param("/prod/a%2Fb", "/prod/a/b", id="two segments for one"),
        pytest.param("/prod/a+b", "/prod/a%20b", id="a path has no blanks by plus"),
        pytest.param("/prod/a", "/prod/a/", id="a slash at the end"),
    ],
)
def test_what_reads_otherwise_is_another_request(signs: str, sends: str) -> None:
    """What a signature stands for must not be read in two ways."""
    request = signed("GET", signs, b"")
    assert request.target == signs

    with pytest.raises(InvalidSignature, match="another one"):
        check(replace(request, target=sends))


def test_a_blank_in_a_parameter_is_signed_alike_however_it_is_written() -> None:
    request = signed("GET", "/prod?a=x%20y", b"")

    check(replace(request, target="/prod?a=x+y"))


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\x1f", "\x85"])
def test_only_blanks_are_folded(blank: str) -> None:
    request = signed(headers={"X-Amz-Target": "a  b"})
    check(request.header("X-Amz-Target", " a \t b "))

    for other in (f"a{blank}b", f"a b{blank}", f"{blank}a b"):
        with pytest.raises(InvalidSignature, match="another one"):
            check(request.header("X-Amz-Target", other))


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("X-Amz-Expires=604800", id="a longer time"),
        pytest.param("X-Amz-Signature=0", id="another signature"),
        pytest.param("X-Amz-Security-Token=x", id="a token"),
        pytest.param("X-Amz-Target=x", id="something else"),
    ],
)
def test_nothing_is_added_to_what_presigns_a_url(query: str) -> None:
    request = signed("GET", "/prod", b"", presign=60)

    for target in (f"{request.target}&{query}", request.target.replace("?", f"?{query}&")):
        with pytest.raises(InvalidSignature, match=r"stands twice|another one"):
            check(replace(request, target=target))


def test_another_secret_is_told_what_should_have_been_signed() -> None:
    request = signed("GET", "/prod?a=%FF", b"")
    with pytest.raises(InvalidSignature) as caught:
        check(request, secret="another")

    assert caught.value.detail.startswith(InvalidSignature.message + "\n\nThe Canonical String for this request should")
    assert "\n'GET\n/prod\na=%FF\nhost:api.example\nx-amz-date:" in caught.value.detail
    assert f"\n'AWS4-HMAC-SHA256\n{sigv4.claim_of(request).stamp}\n" in caught.value.detail
    caught.value.detail.encode()


def test_headers_that_a_proxy_may_have_added_are_not_told() -> None:
    with pytest.raises(InvalidSignature) as caught:
        check(signed(headers={"X-Origin-Verify": "hush"}), secret="another")

    assert caught.value.detail == InvalidSignature.message


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("/prod", "/prod"),
        ("/prod?X-Amz-Signature=1&X-Amz-Date=2", "/prod"),
        ("/prod?a=%20b&X-Amz-Signature=1&a=2&&c", "/prod?a=%20b&a=2&&c"),
        ("/prod?X-%41mz-Signature=1&a", "/prod?a"),
        ("/prod?X-Amz-Other=1", "/prod?X-Amz-Other=1"),
    ],
)
def test_what_is_left_of_a_presigned_target(target: str, left: str) -> None:
    assert sigv4.without_signature(target) == left


def test_a_url_that_says_no_time_is_good_for_as_long_as_a_header() -> None:
    request = signed("GET", "/prod", b"", presign=60)
    target = request.target.replace("X-Amz-Expires=60&", "")

    assert sigv4.claim_of(replace(request, target=target)).presigned_for == 300


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic eDp5"])
def test_a_request_without_signature(authorization: str | None) -> None:
    with pytest.raises(MissingAuthenticationToken):
        check(signed().header("Authorization", authorization))


_bytes = st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))


@given(st.text("/?&=%X-Amz0aü", max_size=60), st.dictionaries(st.sampled_from(["Authorization", "X-Amz-Date"]), _bytes))
def test_no_request_gets_in_by_luck(target: str, headers: dict[str, bytes]) -> None:
    fields: Any = tuple((name.encode(), value) for name, value in headers.items())

    with pytest.raises(ClientFault):
        check(Sent("GET", f"/{target}", fields))


_words = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=12)


@given(st.lists(st.tuples(_words, _words), max_size=4), st.lists(_words, max_size=4))
def test_whatever_is_in_path_and_query(query: list[tuple[str, str]], segments: list[str]) -> None:
    from urllib.parse import quote

    path = "/".join(["", "prod", *(quote(segment, safe="") for segment in segments if segment.strip("."))])
    parts = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query if name)

    check(signed("GET", f"{path}?{parts}" if parts else path, b""))
