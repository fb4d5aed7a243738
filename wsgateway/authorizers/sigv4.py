"""Signature Version 4 on requests to us: in headers, or in the query of a presigned URL.

IAM user guide, "Create a signed AWS API request"; service `execute-api`. A signature stands for the method, the target,
the body and every header that is named in it; what has to be named is checked, and when it was signed. For as long as
it is good the same request can be sent again by whoever has seen it, as on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from posixpath import normpath
from typing import NoReturn, Protocol
from urllib.parse import quote, unquote_to_bytes

from wsgateway.errors import InvalidSignature, MissingAuthenticationToken
from wsgateway.messages import Header

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 300
MOST_EXPIRES = 604_800
"""Seconds a presigned URL may be good for."""
MAX_PARAMETERS = 256

SIGNING = frozenset(
    f"X-Amz-{name}"
    for name in ("Algorithm", "Credential", "Date", "Expires", "Security-Token", "Signature", "SignedHeaders")
)
"""The parameters by which a URL is presigned."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^\s,]+)\s*,\s*SignedHeaders=(?P<names>[^\s,]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9]{1,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
)
_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BLANKS = " \t"
_OTHERS = re.compile(r"[ \t]+")
"""Nothing else is folded: two values that differ for whoever reads them, such as by a no-break space, differ signed."""
_IN_QUERY = "X-Amz-"
_SHOWN = frozenset({"accept", "content-length", "content-type", "host", "user-agent"})


class Request(Protocol):
    """What is signed of a request; `target` is the origin form as sent, header names are in any case."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def headers(self) -> tuple[Header, ...]: ...


Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as the request brings it: who it says has signed, when, and for what. Nothing of it is checked."""

    access_key: str
    day: str
    region: str
    service: str
    names: tuple[str, ...]
    signature: str = field(repr=False)
    stamp: str
    token: str = field(repr=False)
    presigned_for: int | None
    """Seconds a presigned URL is good for; None where the signature is in the headers."""
    fields: Fields = field(repr=False)
    """The request's headers, names in lower case, values as they are signed."""


def claim_of(request: Request) -> Claim:
    """The request's signature. *Raises* MissingAuthenticationToken without one, InvalidSignature for half of one."""
    fields = _fields(request.headers)
    query = [(_decoded(name), _decoded(value)) for name, value in _parameters(request.target)]
    authorization = fields.get("authorization", [])
    presigned = {name: value for name, value in query if name.startswith(_IN_QUERY)}
    if len(authorization) + ("X-Amz-Signature" in presigned) > 1:
        _refuse("the request is signed twice")
    if authorization:
        found = _AUTHORIZATION.fullmatch(authorization[0])
        if found is None:
            if not authorization[0].startswith(ALGORITHM):
                raise MissingAuthenticationToken("Authorization holds no AWS signature")
            _refuse("Authorization is not Credential=…, SignedHeaders=…, Signature=…")
        stamp, token = fields.get("x-amz-date", []), fields.get("x-amz-security-token", [])
        if len(stamp) != 1 or len(token) > 1:
            _refuse("X-Amz-Date must be there once, X-Amz-Security-Token not twice")
        names, signature = found["names"], found["signature"]
        return _claim(found["credential"], names, signature, stamp[0], "".join(token), None, fields)
    if "X-Amz-Signature" not in presigned:
        raise MissingAuthenticationToken("the request is not signed")
    if len(presigned) != sum(name.startswith(_IN_QUERY) for name, _ in query):
        _refuse("a parameter of the signature stands twice")
    if presigned.get("X-Amz-Algorithm") != ALGORITHM:
        _refuse(f"X-Amz-Algorithm is not {ALGORITHM}")
    # Signers that know of no time leave it out (aws4, Amplify): then it is good for as long as a header's is.
    expires = presigned.get("X-Amz-Expires", str(SKEW_SECONDS))
    if not (expires.isascii() and expires.isdigit() and len(expires) < 7 and 1 <= int(expires) <= MOST_EXPIRES):
        _refuse(f"X-Amz-Expires is not 1 to {MOST_EXPIRES}")
    return _claim(
        presigned.get("X-Amz-Credential", ""),
        presigned.get("X-Amz-SignedHeaders", ""),
        presigned["X-Amz-Signature"],
        presigned.get("X-Amz-Date", ""),
        presigned.get("X-Amz-Security-Token", ""),
        int(expires),
        fields,
    )


def without_signature(target: str) -> str:
    """The target without the parameters that sign it, all else as it is written."""
    path, _, query = target.partition("?")
    kept = [part for part in query.split("&") if _decoded(part.partition("=")[0]) not in SIGNING]
    return f"{path}?{'&'.join(kept)}" if query and kept else path


def signed_query(target: str, without: str = "") -> str:
    """The query of a target as it is signed, without the parameter that holds the signature. *Raises*
    InvalidSignature for too many parameters."""
    pairs = [(_rewritten(name), _rewritten(value)) for name, value in _parameters(target) if _decoded(name) != without]
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def check(claim: Claim, *, region: str, now: float) -> None:
    """Whether the claim is for us and lately, and covers what it has to. *Raises* InvalidSignature.

    `now` is Unix time; `region` the one we are in. It needs no secret, and says nothing of whose signature it is.
    """
    _check_scope(claim, region)
    _check_time(claim, now)
    _check_names(claim)


def verify(request: Request, body: bytes, claim: Claim, secret: str) -> None:
    """Whether it is `secret` that signed this request. *Raises* InvalidSignature."""
    declared = claim.fields.get("x-amz-content-sha256")
    actual = sha256(body).hexdigest()
    if declared and declared != [actual]:
        _refuse("X-Amz-Content-Sha256 is not the body's hash")
    canonical = "\n".join([request.method, *_canonical(request, claim), actual])
    # Bytes that are no UTF-8 stay what they are: two that differ never look alike.
    hashed = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.stamp}\n{_scope(claim)}\n{hashed}"
    key = _derived(secret, claim.day, claim.region, claim.service)
    expected = digest(key, to_sign.encode(), "sha256").hex()
    if not compare_digest(expected.encode(), claim.signature.encode()):
        reason = f"the signature is another one than ours with the access key {claim.access_key}"
        raise InvalidSignature(reason, detail=_should_be(claim, canonical, to_sign))


@lru_cache(maxsize=1024)
def _derived(secret: str, *scope: str) -> bytes:
    """The key of one day: it is that of all requests which are signed with a secret."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    return key


def _should_be(claim: Claim, canonical: str, to_sign: str) -> str:
    """What should have been signed, as AWS tells it. Not with headers that a proxy may have added, and keeps secret."""
    if any(name not in _SHOWN and not name.startswith("x-amz-") for name in claim.names):
        return InvalidSignature.message
    shown = canonical.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return (
        f"{InvalidSignature.message}\n\nThe Canonical String for this request should have been\n'{shown}'"
        f"\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
    )


def _claim(
    credential: str,
    names: str,
    signature: str,
    stamp: str,
    token: str,
    presigned_for: int | None,
    fields: Fields,
) -> Claim:
    scope = _CREDENTIAL.fullmatch(credential)
    if scope is None:
        _refuse("the credential is not KEY/DAY/REGION/SERVICE/aws4_request")
    if _NAMES.fullmatch(names) is None or _SIGNATURE.fullmatch(signature) is None:
        _refuse("the names of signed headers, or the signature, are malformed")
    if _STAMP.fullmatch(stamp) is None:
        _refuse("the time of the signature is not YYYYMMDDTHHMMSSZ")
    key, day, region, service = scope["key"], scope["day"], scope["region"], scope["service"]
    listed = tuple(names.split(";"))
    return Claim(key, day, region, service, listed, signature, stamp, token, presigned_for, fields)


def _check_scope(claim: Claim, region: str) -> None:
    if claim.service != "execute-api":
        _refuse(f"Credential should be scoped to correct service: 'execute-api', not '{claim.service}'")
    if claim.region != region:
        _refuse(f"Credential should be scoped to a valid region: '{region}', not '{claim.region}'")
    if claim.day != claim.stamp[:8]:
        _refuse("the credential's day is not that of the signature")


def signed_at(claim: Claim) -> float:
    """When it says it was signed, as Unix time. *Raises* InvalidSignature where that is no time."""
    try:
        return datetime.fromisoformat(claim.stamp).timestamp()
    except ValueError:
        _refuse("the time of the signature is no time")


def _check_time(claim: Claim, now: float) -> None:
    signed = signed_at(claim)
    if now < signed - SKEW_SECONDS:
        latest = f"{_stamp(now + SKEW_SECONDS)} ({_stamp(now)} + 5 min.)"
        raise InvalidSignature(
            "the signature is of the future",
            detail=f"Signature not yet current: {claim.stamp} is still later than {latest}",
        )
    if claim.presigned_for is not None and now > signed + claim.presigned_for:
        at = _stamp(now)
        raise InvalidSignature(
            "the presigned URL has expired", detail=f"Signature expired: {claim.stamp} is now earlier than {at}"
        )
    if claim.presigned_for is None and now > signed + SKEW_SECONDS:
        earliest = f"{_stamp(now - SKEW_SECONDS)} ({_stamp(now)} - 5 min.)"
        raise InvalidSignature(
            "the signature has expired", detail=f"Signature expired: {claim.stamp} is now earlier than {earliest}"
        )


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _check_names(claim: Claim) -> None:
    """What nobody on the way may change has to be in the signature."""
    signed = set(claim.names)
    present = claim.fields.keys()
    needed = {"host"} | {name for name in present if name.startswith("x-amz-")}
    if missing := sorted(needed - signed):
        _refuse(f"the signature does not cover {', '.join(missing)}")
    if list(claim.names) != sorted(signed):
        _refuse("the names of signed headers are not in order")
    if unknown := sorted(signed - present):
        _refuse(f"signed headers are missing: {', '.join(unknown)}")


def _canonical(request: Request, claim: Claim) -> Iterator[str]:
    """Path, query, headers and their names, each as it is signed."""
    path, _, _ = request.target.partition("?")
    # Every service but S3 has the path encoded once more, dot segments and empty ones resolved before.
    normal = normpath(path).replace("//", "/") if path else "/"
    yield quote(normal + ("/" if path.endswith("/") and normal != "/" else ""), safe="/~")
    yield signed_query(request.target, "" if claim.presigned_for is None else "X-Amz-Signature")
    for name in claim.names:
        yield f"{name}:{','.join(claim.fields[name])}"
    yield ""
    yield ";".join(claim.names)


def _scope(claim: Claim) -> str:
    return f"{claim.day}/{claim.region}/{claim.service}/aws4_request"


def _fields(headers: Iterable[Header]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        text = value.decode("utf-8", "surrogateescape").strip(_BLANKS)
        fields.setdefault(name.decode("latin-1").lower(), []).append(_OTHERS.sub(" ", text))
    return fields


def _parameters(target: str) -> Iterator[tuple[str, str]]:
    """Names and values as they are written."""
    _, _, query = target.partition("?")
    parts = query.split("&") if query else []
    if len(parts) > MAX_PARAMETERS:
        _refuse(f"the query has more than {MAX_PARAMETERS} parameters")
    for part in parts:
        name, _, value = part.partition("=")
        yield name, value


def _rewritten(text: str) -> str:
    """A name or a value as it is signed, however what is read alike is written.

    A ; ends a parameter of REST APIs, so it is no %3B, nor the = of the next one a %3D; and a + is a blank, no %2B.
    """
    first, *others = text.split(";")
    more = ("=".join([_encoded(_decoded(part)) for part in other.split("=", 1)]) for other in others)
    return ";".join([_encoded(_decoded(first)), *more])


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", "%20")).decode("utf-8", "surrogateescape")


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


def _refuse(reason: str) -> NoReturn:
    raise InvalidSignature(reason)
