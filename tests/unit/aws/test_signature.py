"""Signatures: the ones botocore gives, for anything that may be asked."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.aws import Keys, Signer

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
KEYS = st.builds(Keys, TEXT, TEXT, st.one_of(st.just(""), TEXT))
FUNCTIONS = TEXT.filter(lambda name: name not in (".", ".."))  # paths are made shorter by these, and no function is
MOMENTS = st.integers(0, 4_102_444_800)
SEGMENTS = st.text(max_size=12).map(lambda text: quote(text.encode("utf-8", "replace"), safe=""))
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda segments: "/" + "/".join(segments))
QUERIES = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=8), st.text(max_size=8)), max_size=5).map(
    lambda pairs: "&".join(
        f"{quote(n.encode(), safe='')}={quote(v.encode('utf-8', 'replace'), safe='')}" for n, v in pairs
    )
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def botocores(keys: Keys, host: str, target: str, headers: dict[str, str], body: bytes, stamp: str, **more: Any) -> str:
    """The Authorization botocore gives."""
    method, service = more.get("method", "POST"), more.get("service", "lambda")
    request = AWSRequest(method, f"https://{host}{target}", headers={**headers, "X-Amz-Date": stamp}, data=body)
    if keys.token:
        request.headers["X-Amz-Security-Token"] = keys.token
    request.context["timestamp"] = stamp
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(Credentials(keys.access_key, keys.secret_key, keys.token or None), service, "eu-west-1")
    if service == "s3":
        request.headers["X-Amz-Content-SHA256"] = signer.payload(request)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"


def fields(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    found = [line.partition(": ") for line in lines.decode().split("\r\n")[:-1]]
    return {name: value for name, _, value in found}


def written(
    signer: Signer, keys: Keys, target: str, headers: dict[str, str], body: bytes, now: int, method: str = "POST"
) -> dict[str, str]:
    return fields(signer.sign(keys, signer.shape(method, target, headers), body, now))


@given(KEYS, FUNCTIONS, st.one_of(st.just(""), TEXT), st.binary(max_size=300), MOMENTS)
def test_a_signature_is_botocores(keys: Keys, function: str, qualifier: str, body: bytes, now: int) -> None:
    query = f"?{urlencode({'Qualifier': qualifier}, quote_via=quote, safe='')}" if qualifier else ""
    target = f"/2015-03-31/functions/{quote(function, safe='')}/invocations{query}"
    more = {"x-amz-invocation-type": "RequestResponse"}

    ours = written(Signer("lambda", "eu-west-1"), keys, target, {"host": "lambda.example:8443", **more}, body, now)

    assert ours["Authorization"] == botocores(keys, "lambda.example:8443", target, more, body, ours["X-Amz-Date"])
    assert ours.get("X-Amz-Security-Token", "") == keys.token


@pytest.mark.parametrize("service", ["s3", "sqs"])
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    PATHS,
    QUERIES,
    VALUES,
    st.binary(max_size=99),
    KEYS,
    MOMENTS,
)
def test_any_request_of_any_service_is_signed_as_botocore_does(
    service: str, method: str, path: str, query: str, value: str, body: bytes, keys: Keys, now: int
) -> None:
    """Odd paths, empty and dot segments, repeated and nameless parameters, blanks in values."""
    target = f"{path}?{query}" if query else path
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-meta": value}
    signer = Signer(service, "eu-west-1", s3=service == "s3")

    ours = written(signer, keys, target, {"host": "h.example", **headers}, body, now, method)

    stamp = ours["X-Amz-Date"]
    theirs = botocores(keys, "h.example", target, headers, body, stamp, method=method, service=service)
    assert ours["Authorization"] == theirs


def test_s3_is_told_the_hash_of_the_body_whose_signature_it_gets() -> None:
    signer = Signer("s3", "eu-west-1", s3=True)
    shape = signer.shape("PUT", "/b/k", {"host": "h"})

    hashes = [fields(signer.sign(Keys("A", "s"), shape, body, 0))["X-Amz-Content-SHA256"] for body in (b"", b"x")]

    assert hashes == [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    ]


def test_another_second_another_day_and_other_keys_make_another_signature() -> None:
    """What is kept between two signatures is not kept too long, of one shape or of several in turn."""
    signer = Signer("lambda", "eu-west-1")
    shapes = {target: signer.shape("POST", target, {"host": "h"}) for target in ("/x", "/y")}
    one, two = Keys("A", "secret"), Keys("B", "other", "token")
    moments = [(one, 0), (one, 0), (one, 1), (two, 1), (one, 1), (one, 86_400), (two, 86_400), (one, 0)]

    for keys, now in moments:
        for target, shape in shapes.items():
            ours = fields(signer.sign(keys, shape, b"body", now))
            assert ours["Authorization"] == botocores(keys, "h", target, {}, b"body", ours["X-Amz-Date"])


def test_a_secret_is_not_in_what_is_shown_of_keys() -> None:
    assert repr(Keys("AKID", "the secret", "the token")) == "Keys(access_key='AKID')"
