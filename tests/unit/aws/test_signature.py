"""Signatures: the ones botocore gives, for anything that may be asked."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.aws import Keys, Signer

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
KEYS = st.builds(Keys, TEXT, TEXT, st.one_of(st.just(""), TEXT))
FUNCTIONS = TEXT.filter(lambda name: name not in (".", ".."))  # paths are made shorter by these, and no function is
MOMENTS = st.integers(0, 4_102_444_800)


def botocores(keys: Keys, region: str, host: str, target: str, headers: dict[str, str], body: bytes, stamp: str) -> str:
    """The Authorization botocore gives."""
    request = AWSRequest("POST", f"https://{host}{target}", headers={**headers, "X-Amz-Date": stamp}, data=body)
    if keys.token:
        request.headers["X-Amz-Security-Token"] = keys.token
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token or None), "lambda", region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"


def fields(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    found = [line.partition(": ") for line in lines.decode().split("\r\n")[:-1]]
    return {name: value for name, _, value in found}


@given(KEYS, FUNCTIONS, st.one_of(st.just(""), TEXT), st.binary(max_size=300), MOMENTS)
def test_a_signature_is_botocores(keys: Keys, function: str, qualifier: str, body: bytes, now: int) -> None:
    query = f"?{urlencode({'Qualifier': qualifier}, quote_via=quote, safe='')}" if qualifier else ""
    target = f"/2015-03-31/functions/{quote(function, safe='')}/invocations{query}"
    headers = {"x-amz-invocation-type": "RequestResponse"}

    written = fields(Signer("lambda", "eu-west-1", "lambda.example:8443", target, headers).sign(keys, body, now))

    theirs = botocores(keys, "eu-west-1", "lambda.example:8443", target, headers, body, written["X-Amz-Date"])
    assert written["Authorization"] == theirs
    assert written.get("X-Amz-Security-Token", "") == keys.token


def test_another_second_another_day_and_other_keys_make_another_signature() -> None:
    """What is kept between two signatures is not kept too long."""
    signer = Signer("lambda", "eu-west-1", "h", "/x", {})
    one, two = Keys("A", "secret"), Keys("B", "other", "token")
    moments = [(one, 0), (one, 0), (one, 1), (two, 1), (one, 1), (one, 86_400), (two, 86_400), (one, 0)]

    for keys, now in moments:
        written = fields(signer.sign(keys, b"body", now))
        assert written["Authorization"] == botocores(keys, "eu-west-1", "h", "/x", {}, b"body", written["X-Amz-Date"])


def test_a_secret_is_not_in_what_is_shown_of_keys() -> None:
    assert repr(Keys("AKID", "the secret", "the token")) == "Keys(access_key='AKID')"
