"""Tokens that must not get in (RFC 8725, "JSON Web Token Best Current Practices"), and those that must."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as signing
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

from wsgateway.authorizers.jwt import Expected, SigningKey, parse_keys, read, scopes, verify
from wsgateway.errors import Unauthorized

NOW = 1_790_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=False)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, auto_kid=False)
EXPECTED = Expected("https://issuer.example", frozenset({"chat"}))
CLAIMS: dict[str, Any] = {"iss": "https://issuer.example", "aud": "chat", "exp": NOW + 60, "sub": "ann"}


def public(*keys: RSAKey | ECKey, **more: Any) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) | more for key in keys]}).encode()


KEYS = parse_keys(public(RSA, EC))


def signed(
    claims: dict[str, Any] | None = None,
    key: RSAKey | ECKey | OctKey = RSA,
    algorithm: str = "RS256",
    **header: Any,
) -> str:
    head = {"alg": algorithm, "kid": "rsa"} | header
    return signing.encode({k: v for k, v in head.items() if v is not None}, claims or CLAIMS, key, [algorithm])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def encoded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(text: str, keys: tuple[SigningKey, ...] = KEYS, expected: Expected = EXPECTED) -> Any:
    return verify(read(text), keys, expected, NOW)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        pytest.param(RSA, "RS256", "rsa", id="RS256"),
        pytest.param(RSA, "RS512", "rsa", id="RS512"),
        pytest.param(RSA, "PS256", "rsa", id="PS256"),
        pytest.param(EC, "ES256", "ec", id="ES256"),
    ],
)
def test_a_good_token(key: RSAKey | ECKey, algorithm: str, kid: str) -> None:
    assert claims_of(signed(key=key, algorithm=algorithm, kid=kid))["sub"] == "ann"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(CLAIMS | {"aud": ["other", "chat"]}, id="one audience of several"),
        pytest.param(without("aud") | {"client_id": "chat"}, id="an access token of Cognito"),
        pytest.param(CLAIMS | {"exp": NOW + 0.5}, id="half a second left"),
        pytest.param(CLAIMS | {"nbf": NOW, "iat": NOW + 4}, id="an issuer whose clock is a little ahead"),
    ],
)
def test_claims_that_are_good(claims: dict[str, Any]) -> None:
    assert claims_of(signed(claims))["sub"] == "ann"


def test_header_parameters_that_nobody_knows_are_passed_over() -> None:
    """RFC 7515 §4: what is not understood MUST be ignored, but for `crit`."""
    head = {"alg": "RS256", "kid": "rsa", "nonce": "7"}
    lenient = JWSRegistry(algorithms=["RS256"], strict_check_header=False)

    token = serialize_compact(head, json.dumps(CLAIMS), RSA, registry=lenient)

    assert claims_of(token)["sub"] == "ann"


def test_a_token_without_kid_where_only_one_key_fits() -> None:
    assert claims_of(signed(kid=None))["sub"] == "ann"


def unsigned() -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(CLAIMS)}."


def signed_with_the_public_key() -> str:
    """HMAC with the text of the public key as its secret: what a library takes that lets the token choose."""
    start = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(CLAIMS)}"
    mac = hmac.digest(RSA.as_pem(private=False), start.encode(), hashlib.sha256)
    return f"{start}.{encoded(mac)}"


def with_a_zero_signature() -> str:
    return signed(key=EC, algorithm="ES256", kid="ec").rpartition(".")[0] + "." + encoded(bytes(64))


def with_another_payload() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{encoded(CLAIMS | {'sub': 'eve'})}.{signature}"


def with_its_own_key() -> str:
    return signed(key=OTHER, jwk=OTHER.as_dict(private=False), jku="https://evil.example/keys")


def with_twins() -> str:
    head = encoded(b'{"alg":"none","alg":"RS256","kid":"rsa"}')
    return f"{head}.{encoded(CLAIMS)}.AAAA"


def with_padding() -> str:
    head, payload, signature = signed().split(".")
    return f"{head}=.{payload}.{signature}"


def with_a_bit_too_many() -> str:
    """The last character holds two bits of the signature, and here a third that belongs to nothing (RFC 4648 §3.5)."""
    token = signed()
    return token[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[token[-1]]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(unsigned, "algorithm is 'none'", id="no signature"),
        pytest.param(lambda: unsigned().replace(encoded({"alg": "none"}), encoded({"alg": "nOnE"})), "nOnE", id="nOnE"),
        pytest.param(signed_with_the_public_key, "algorithm is 'HS256'", id="the public key as a secret"),
        pytest.param(with_a_zero_signature, "no key", id="a signature of zeros"),
        pytest.param(with_another_payload, "no key", id="another payload"),
        pytest.param(with_its_own_key, "no key", id="a key of its own"),
        pytest.param(lambda: signed(key=OTHER), "no key", id="another's key under the same kid"),
        pytest.param(lambda: signed(kid="../../etc/passwd"), "no key", id="a kid that is a path"),
        pytest.param(lambda: signed(kid=""), "no key", id="an empty kid"),
        pytest.param(lambda: signed(kid="ec"), "no key", id="the kid of a key of another kind"),
        pytest.param(
            lambda: f"{encoded({'alg': 'RS256', 'kid': ['rsa']})}.e30.AA", "kid is no text", id="a list of kids"
        ),
        pytest.param(lambda: f"{encoded({'alg': 'RS256', 'crit': ['x']})}.e30.AA", "critical", id="crit"),
        pytest.param(lambda: f"{encoded({'alg': 'RS256', 'b64': False})}.e30.AA", "not encoded", id="b64 false"),
        pytest.param(lambda: f"{encoded({'alg': ['RS256']})}.e30.AA", "algorithm", id="a list of algorithms"),
        pytest.param(with_twins, "header is no JSON", id="a name that stands twice"),
        pytest.param(with_padding, "header is not base64url", id="padding"),
        pytest.param(lambda: "a.b", "three parts", id="two parts"),
        pytest.param(lambda: signed() + ".x.y", "three parts", id="five parts, as of an encrypted one"),
        pytest.param(lambda: "", "three parts", id="nothing"),
        pytest.param(lambda: "a" * 20_000, "more than", id="too long"),
        pytest.param(lambda: f"{encoded(b'[' * 9000)}.e30.AA", "no JSON", id="deep"),
        pytest.param(lambda: "ü.e30.AA", "not base64url", id="not ASCII"),
        pytest.param(
            lambda: f"{encoded({'alg': 'RS256'})}.\ud800.AA", "payload is not base64url", id="half a character"
        ),
        pytest.param(with_a_bit_too_many, "signature is not base64url", id="a signature written in another way"),
    ],
)
def test_a_forged_token(make: Callable[[], str], reason: str) -> None:
    with pytest.raises(Unauthorized, match=reason):
        claims_of(make())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param(without("exp"), "when it expires", id="no expiry"),
        pytest.param(CLAIMS | {"exp": NOW}, "expired", id="expired this second"),
        pytest.param(CLAIMS | {"exp": str(NOW + 60)}, "no number", id="an expiry as text"),
        pytest.param(CLAIMS | {"exp": True}, "no number", id="an expiry that is true"),
        pytest.param(CLAIMS | {"exp": None}, "no number", id="an expiry that is null"),
        pytest.param(CLAIMS | {"exp": 10**400}, "no number", id="an expiry that no double holds"),
        pytest.param(CLAIMS | {"nbf": NOW + 60}, "not valid yet", id="not yet"),
        pytest.param(CLAIMS | {"iat": NOW + 60}, "not valid yet", id="issued tomorrow"),
        pytest.param(without("iss"), "issuer", id="no issuer"),
        pytest.param(CLAIMS | {"iss": "https://issuer.example/"}, "issuer", id="nearly the issuer"),
        pytest.param(CLAIMS | {"iss": ["https://issuer.example"]}, "issuer", id="a list of issuers"),
        pytest.param(without("aud"), "audience", id="no audience"),
        pytest.param(CLAIMS | {"aud": "cha"}, "audience", id="part of the audience"),
        pytest.param(CLAIMS | {"aud": {"chat": 1}}, "audience", id="an audience that is an object"),
        pytest.param(CLAIMS | {"aud": ["chat", 1]}, "audience", id="an audience that is a number"),
        pytest.param(CLAIMS | {"aud": "x", "client_id": "chat"}, "audience", id="client_id beside another audience"),
    ],
)
def test_a_token_that_says_something_else(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unauthorized, match=reason):
        claims_of(signed(claims))


def test_an_expired_token_is_told_so() -> None:
    with pytest.raises(Unauthorized) as caught:
        claims_of(signed(CLAIMS | {"exp": NOW - 1}))

    assert caught.value.detail == "The incoming token has expired"


def test_a_token_is_not_shown() -> None:
    text = signed(CLAIMS)

    assert text not in repr(read(text))


def test_an_infinite_expiry_is_no_json() -> None:
    payload = encoded(json.dumps(CLAIMS).replace(str(NOW + 60), "Infinity").encode())
    head = encoded({"alg": "RS256", "kid": "rsa"})

    with pytest.raises(Unauthorized):
        claims_of(f"{head}.{payload}.AAAA")


def test_half_a_character_could_be_told_to_nobody() -> None:
    """No event, record or name of a limit can hold it (RFC 8259 §8.2)."""
    payload = json.dumps(CLAIMS | {"sub": "\ud800"}).encode()

    with pytest.raises(Unauthorized, match="payload is no JSON"):
        claims_of(serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA, ["RS256"]))

    payload = json.dumps(CLAIMS | {"sub": "\U0001f600"}).encode()
    assert claims_of(serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA, ["RS256"]))["sub"] == "\U0001f600"


def test_a_token_without_kid_where_two_keys_fit() -> None:
    both = parse_keys(public(RSA, OTHER))

    with pytest.raises(Unauthorized, match="no key"):
        claims_of(signed(kid=None), both)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"use": "enc"}, id="for encryption"),
        pytest.param({"key_ops": ["sign"]}, id="for signing alone"),
        pytest.param({"alg": "HS256"}, id="for another algorithm"),
        pytest.param({"alg": 7}, id="for no algorithm"),
        pytest.param({"kid": 7}, id="with a number as kid"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, id="a secret"),
        pytest.param({"kty": ["RSA"]}, id="of several kinds"),
        pytest.param({"n": "AQAB"}, id="far too short"),
        pytest.param({"n": 7}, id="broken"),
    ],
)
def test_keys_that_can_not_be_used(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="none of the keys"):
        parse_keys(public(RSA, **more))


def test_a_key_for_one_algorithm_is_for_no_other() -> None:
    keys = parse_keys(public(RSA, alg="RS256"))

    assert claims_of(signed(), keys)
    with pytest.raises(Unauthorized, match="no key"):
        claims_of(signed(algorithm="RS512"), keys)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 1}', b"\xff", b"[" * 5000, b'{"keys": []}'])
def test_what_is_no_set_of_keys(document: bytes) -> None:
    with pytest.raises(ValueError, match="keys"):
        parse_keys(document)


@pytest.mark.parametrize(
    ("claims", "granted"),
    [
        pytest.param({"scope": "read write"}, {"read", "write"}, id="words"),
        pytest.param({"scp": ["read", 7]}, {"read"}, id="a list"),
        pytest.param({"scope": 7}, set(), id="nonsense"),
        pytest.param({}, set(), id="none"),
    ],
)
def test_scopes(claims: dict[str, Any], granted: set[str]) -> None:
    assert scopes(claims) == granted


@given(st.text(max_size=200) | st.builds(lambda *parts: ".".join(parts), *[st.text("aZ0-_e30=", max_size=40)] * 3))
def test_no_text_gets_in(text: str) -> None:
    with pytest.raises(Unauthorized):
        claims_of(text)
