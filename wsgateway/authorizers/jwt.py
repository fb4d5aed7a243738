"""JSON Web Tokens: whether one was signed by a key of its issuer, for us, and is still good.

RFC 7519 (claims), RFC 7515 (signature), RFC 7517 (keys), RFC 8725 (best current practices); API Gateway developer
guide, "Control access to HTTP APIs with JWT authorizers". What a token says of its own key (`jwk`, `jku`, `x5c`, `x5u`)
is never looked at, and its algorithm is the key's, not its own choice (RFC 8725 §3.1).
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from wsgateway.errors import Unauthorized

MAX_TOKEN = 16 * 1024
"""Characters of a token; a whole header block has fewer on AWS."""
MAX_KEYS = 100
"""Keys of one issuer."""
LEAST_RSA_BITS = 2048  # RFC 7518 §3.3

LEEWAY_SECONDS = 5.0
"""How far an issuer's clock may be ahead of ours."""

_MOST_SECONDS = 1e15
"""No time is so far off; what is larger may be too large for a double."""

_KINDS: Mapping[Any, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS = _RSA | frozenset(_CURVES.values())
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS)
_BASE64URL = re.compile(r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]|[A-Za-z0-9_-][AQgw])?")
"""Without padding, and with no bits set beyond the last byte: nothing is written in two ways (RFC 4648 §3.5)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of an issuer, and the algorithms it may be used with."""

    kid: str
    algorithms: frozenset[str]
    key: RSAKey | ECKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say."""

    issuer: str
    audiences: frozenset[str] | None
    """None: for whomever it is."""
    algorithms: frozenset[str] = ALGORITHMS


Claims = Mapping[str, Any]


def parse_keys(document: bytes) -> tuple[SigningKey, ...]:
    """The keys of a JWK Set that signatures can be checked with (RFC 7517 §5: others are passed over).

    *Raises* ValueError where it is no JWK Set, or has no such key.
    """
    try:
        keys = json.loads(document)["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list):
        raise ValueError("the answer is no JWK Set: an object with keys")
    found = [key for key in map(_signing_key, keys[:MAX_KEYS]) if key is not None]
    if not found:
        raise ValueError("none of the keys is an RSA key of 2048 bits or more, or an EC key on P-256, P-384 or P-521")
    return tuple(found)


def _signing_key(written: Any) -> SigningKey | None:
    if not isinstance(written, dict) or written.get("use", "sig") != "sig" or "d" in written:
        return None
    operations = written.get("key_ops", ["verify"])
    kid = written.get("kid", "")
    kind = next((made for name, made in _KINDS.items() if name == written.get("kty")), None)
    if kind is None or not isinstance(kid, str) or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = kind.import_key(written)
        algorithms = _algorithms_of(key)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if "alg" in written:
        algorithms = frozenset(name for name in algorithms if name == written["alg"])
    return SigningKey(kid, algorithms, key) if algorithms else None


def _algorithms_of(key: RSAKey | ECKey) -> frozenset[str]:
    if isinstance(key, RSAKey):
        return _RSA if key.raw_value.key_size >= LEAST_RSA_BITS else frozenset()
    return frozenset({_CURVES[key.curve_name]}) if key.curve_name in _CURVES else frozenset()


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token that looks like one: its header has been read and nothing of it is to be believed."""

    text: str = field(repr=False)
    algorithm: str
    kid: str | None

    def issuer(self) -> str:
        """Who it says has signed it. *Raises* Unauthorized where it says nothing of that."""
        issuer = _object(self.text.split(".")[1], "payload").get("iss")
        return issuer if isinstance(issuer, str) else ""

    def candidates(self, keys: Iterable[SigningKey]) -> list[SigningKey]:
        """The keys that may have signed it. Without a `kid` there must be just one to choose."""
        algorithm, kid = self.algorithm, self.kid
        fitting = [key for key in keys if algorithm in key.algorithms and (kid is None or kid == key.kid)]
        return fitting if kid is not None or len(fitting) == 1 else []


def read(text: str) -> Unverified:
    """The token's header. *Raises* Unauthorized where it is no signed token that could be checked."""
    if len(text) > MAX_TOKEN:
        _refuse(f"the token has more than {MAX_TOKEN} characters")
    parts = text.split(".")
    if len(parts) != 3:
        _refuse("the token is no JWT of three parts")
    for part, name in zip(parts, ("header", "payload", "signature"), strict=True):
        if _BASE64URL.fullmatch(part) is None:
            _refuse(f"the token's {name} is not base64url")
    return Unverified(text, *_signer_named(parts[0]))


@lru_cache(maxsize=64)  # all tokens that one key has signed begin alike
def _signer_named(part: str) -> tuple[str, str | None]:
    """`alg` and `kid` of a header."""
    header = _object(part, "header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        _refuse(f"the token's algorithm is {str(algorithm)[:20]!r}, none of {', '.join(sorted(ALGORITHMS))}")
    if "crit" in header:
        _refuse("the token has critical header parameters, and none is understood")  # RFC 7515 §4.1.11
    if header.get("b64", True) is not True:
        _refuse("the token's payload is not encoded")  # RFC 7797 §7
    if kid is not None and not isinstance(kid, str):
        _refuse("the token's kid is no text")
    return algorithm, kid


def verify(token: Unverified, keys: Iterable[SigningKey], expected: Expected, now: float) -> Claims:
    """The claims of a token that one of `keys` signed; `now` is Unix time. *Raises* Unauthorized for any other."""
    signed, _, written = token.text.rpartition(".")
    if token.algorithm not in expected.algorithms:
        _refuse(f"the token's algorithm is {token.algorithm}, none of {', '.join(sorted(expected.algorithms))}")
    if not any(_signed_by(signed.encode(), _bytes(written), token.algorithm, key) for key in token.candidates(keys)):
        _refuse("no key of the issuer has signed the token")
    claims = _object(signed.partition(".")[2], "payload")
    issuer = claims.get("iss")
    if issuer != expected.issuer:
        _refuse(f"the token's issuer is {str(issuer)[:200]!r}, not {expected.issuer!r}")
    if expected.audiences is not None and not expected.audiences.intersection(audiences(claims)):
        _refuse("the token is for another audience")
    expires = _seconds(claims, "exp")
    if expires is None:
        _refuse("the token does not say when it expires")
    if now >= expires:
        raise Unauthorized("the token has expired", detail="The incoming token has expired")
    for name in ("nbf", "iat"):
        begins = _seconds(claims, name)
        if begins is not None and now + LEEWAY_SECONDS < begins:
            _refuse(f"the token is not valid yet ({name})")
    return claims


def scopes(claims: Claims) -> frozenset[str]:
    """What `scope` (RFC 8693 §4.2: words in one text) or `scp` grants."""
    found = claims.get("scope", claims.get("scp", ""))
    if isinstance(found, str):
        return frozenset(found.split())
    return frozenset(item for item in found if isinstance(item, str)) if isinstance(found, list) else frozenset()


def _signed_by(signed: bytes, signature: bytes, algorithm: str, key: SigningKey) -> bool:
    try:
        return _REGISTRY.get_alg(algorithm).verify(signed, signature, key.key)
    except (JoseError, ValueError):
        return False


def audiences(claims: Claims) -> list[str]:
    """`aud`, a text or a list of texts; `client_id` where there is none, as Cognito's access tokens have it."""
    found = claims["aud"] if "aud" in claims else claims.get("client_id")
    if isinstance(found, str):
        return [found]
    if isinstance(found, list) and all(isinstance(item, str) for item in found):
        return found
    return []


def _seconds(claims: Claims, name: str) -> float | None:
    """A time claim (RFC 7519 §2, NumericDate), or None. *Raises* Unauthorized where it is no number."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST_SECONDS < value < _MOST_SECONDS:
        _refuse(f"the token's {name} is no number of seconds")
    return float(value)


def _object(part: str, name: str) -> dict[str, Any]:
    """A part of a token as the JSON object it encodes."""
    try:
        text = _bytes(part).decode()
        value = _JSON.decode(text)
        if "\\u" in text:
            # Half of a surrogate pair (RFC 8259 §8.2) could be told to nobody: no encoder takes it.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        _refuse(f"the token's {name} is no JSON")
    if not isinstance(value, dict):
        _refuse(f"the token's {name} is no object")
    return value


def _bytes(part: str) -> bytes:
    """What a part of a token encodes."""
    return a2b_base64(part.encode().translate(_STANDARD) + b"=" * (-len(part) % 4))


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7515 §5.2, RFC 7519 §4: names are unique, so that nobody reads another one of two than we do."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_without_twins, parse_constant=_no_constant)


def _refuse(reason: str) -> NoReturn:
    raise Unauthorized(reason)
