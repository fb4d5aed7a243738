"""Requests to AWS services: what is fixed is prepared, the rest is filled in, and the whole is signed.

API Gateway developer guide, "Integration types in API Gateway" (AWS) and "Important notes"; IAM user guide, "Create a
signed AWS API request". AWS's own name for the gateway's headers is kept; X-Forwarded-* are not sent to services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from wsgateway.aws import Keys, Signer
from wsgateway.errors import ApiConfigurationError
from wsgateway.headers import REMOVED_AFTER_MAPPING, Backend, target_fault
from wsgateway.http1 import UnsafeHeader, field, request_line
from wsgateway.messages import EndpointRequest

if TYPE_CHECKING:
    from wsgateway.aws import Endpoint
    from wsgateway.aws.services import Service
    from wsgateway.aws.signature import Shape
    from wsgateway.integrations.aws_target import ServiceTarget
    from wsgateway.integrations.mapping import MappedRequest

    Pairs = Iterable[tuple[str, str]]

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods sent without a body, whatever the message."""

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BYTES = "application/octet-stream"

SIGNATURE = frozenset({"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
"""Headers that belong to the signature, besides those no mapping may set for any call of AWS."""

_slot = re.compile(r"\{([A-Za-z0-9._$-]+)\}")
# Percent-encoded letters, too: whoever reads the form decodes names.
_actions = re.compile(rb"(?:^|&)(?:A|%41)(?:c|%63)(?:t|%74)(?:i|%69)(?:o|%6[fF])(?:n|%6[eE])=([^&]*)").findall
_names_version = re.compile(rb"(?:^|&)Version=").search
# Whoever decodes such a value before resolving the path would step out of its segment (RFC 3986 §5.2.4, CWE-22).
_leaves = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\\\0]").search
_dots = re.compile(r"\.{1,2}").fullmatch


@dataclass(frozen=True, slots=True)
class Written:
    """A request but for what depends on the moment: its signature, its trace id."""

    method: str
    head: bytes
    shape: Shape
    body: bytes

    @property
    def unsigned(self) -> EndpointRequest:
        """The request as it can be shown."""
        return EndpointRequest(self.head, self.body, self.method)

    def signed(self, signer: Signer, keys: Keys, lines: bytes) -> EndpointRequest:
        """The whole request; `lines` are further header fields, each ended by CR LF, that no signature covers."""
        return EndpointRequest(self.head + lines + signer.sign(keys, self.shape, self.body), self.body, self.method)


class RequestWriter:
    """Writes the requests of one integration."""

    def __init__(
        self,
        signer: Signer,
        method: str,
        host: str,
        path: PathWriter,
        *,
        query: Pairs = (),
        headers: Mapping[str, str],
        content_type: str | None = None,
        form: tuple[str, str] | None = None,
    ) -> None:
        """`headers` are sent unless mapped ones say otherwise; `content_type` is that of a body, None to judge by it.

        `form` makes it a query service's call: Action and Version, in the query string unless a body names them.
        """
        self.signer = signer
        self._method = method
        self._host = host
        self._path = path
        self._query = list(query)
        self._defaults = [(name.lower(), name, value) for name, value in headers.items()]
        self._content_type = content_type
        self._form = form
        self._last: tuple[object, Shape] | None = None
        """The shape signed last; that of most calls of an integration is the same."""
        self._plain: dict[str, tuple[bytes, Shape]] = {}
        """Head and shape of requests into which nothing is mapped, by the type of their body."""

    def write(self, mapped: MappedRequest, body: bytes) -> Written:
        """A request with `body` and all else of `mapped`.

        *Raises* UnsafeHeader, UnicodeEncodeError for what can't be sent, ApiConfigurationError for another action.
        """
        body = b"" if self._method in BODILESS else body
        if mapped.headers or mapped.query or mapped.path or self._form is not None:
            return Written(self._method, *self._written(mapped, body), body)
        kind = self._type(mapped, body) if body else ""
        known = self._plain.get(kind)
        if known is None:
            known = self._plain[kind] = self._written(mapped, body)
        return Written(self._method, *known, body)

    def _written(self, mapped: MappedRequest, body: bytes) -> tuple[bytes, Shape]:
        """The head, and what of it is signed."""
        headers = self._headers(mapped, body)
        target = self._target(mapped, body)
        head = request_line(self._method.encode(), target.encode()) + b"".join(
            [field(name.encode(), value.encode()) for _, name, value in headers]
        )
        signed: dict[str, str] = {}
        for key, _, value in headers:
            if key in ("host", "content-type") or key.startswith("x-amz-"):
                signed[key] = f"{signed[key]},{value}" if key in signed else value
        return head, self._shape(target, signed)

    def _shape(self, target: str, signed: Mapping[str, str]) -> Shape:
        key = target, tuple(signed.items())
        last = self._last
        if last is None or last[0] != key:
            last = self._last = key, self.signer.shape(self._method, target, signed)
        return last[1]

    def _headers(self, mapped: MappedRequest, body: bytes) -> list[tuple[str, str, str]]:
        """Each as `(name in lower case, name, value)`."""
        found = [("host", "Host", self._host)]
        names = {name.lower() for name, _ in mapped.headers}
        found += [header for header in self._defaults if header[0] not in names]
        if body and "content-type" not in names:
            found.append(("content-type", "Content-Type", self._type(mapped, body)))
        for name, value in mapped.headers:
            key = name.lower()
            if key in SIGNATURE:
                raise UnsafeHeader(f"{name} belongs to the gateway's signature; no mapping may set it")
            fault = target_fault(name, Backend.AWS)
            if fault is not None:
                raise UnsafeHeader(fault)
            if key.encode() not in REMOVED_AFTER_MAPPING[Backend.AWS]:
                found.append((key, name, value))
        return found

    def _type(self, mapped: MappedRequest, body: bytes) -> str:
        if mapped.binary:
            return BYTES
        return self._content_type or (FORM if body.startswith(b"Action=") else JSON)

    def _target(self, mapped: MappedRequest, body: bytes) -> str:
        over = {name for name, _ in mapped.query}
        query = [
            (name, _slot.sub(lambda slot: mapped.path.get(slot[1], slot[0]), value)) for name, value in self._query
        ]
        query = [pair for pair in query if pair[0] not in over]
        if self._form is not None:
            action, version = self._form
            named = {unquote_plus(name.decode("latin-1")) for name in _actions(body)}
            if named - {action}:
                raise ApiConfigurationError(f"the body names another Action than integrationUri, which is for {action}")
            if not named and "Action" not in over:
                query.insert(0, ("Action", action))
            if "Version" not in over and not any(name == "Version" for name, _ in query) and not _names_version(body):
                query.append(("Version", version))
        query += mapped.query
        text = "&".join([f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query])
        path = self._path.fill(mapped.path)
        return f"{path}?{text}" if text else path


class PathWriter:
    """The path of an integration's requests, encoded as AWS encodes it: all but letters, digits and `-._~`.

    A slot's value can't leave its segment. But one at the end of an S3 path is the key of an object, and keys have
    slashes.
    """

    def __init__(self, path: str, *, before: str = "", s3: bool = False) -> None:
        """`path` as written in the URI; `before` is what stands before it at the endpoint, ready to be sent."""
        self._parts = [part if odd else _encoded(part) for odd, part in _cut(path)]
        self._keyed = s3 and path.endswith("}")
        self._before = before

    def fill(self, values: Mapping[str, str]) -> str:
        """The path of one request; slots without a value stay as written. *Raises* UnsafeHeader for another path."""
        last = len(self._parts) - 2
        text = "".join(
            [
                self._value(part, values, keyed=self._keyed and index == last) if index % 2 else part
                for index, part in enumerate(self._parts)
            ]
        )
        if values and any(_dots(segment) for segment in text.split("/")):
            raise UnsafeHeader("path parameters fill a segment with dots alone")
        return self._before + text

    @staticmethod
    def _value(name: str, values: Mapping[str, str], *, keyed: bool) -> str:
        value = values.get(name)
        if value is None:
            return f"%7B{name}%7D"
        if not value:  # without its key, a path of S3's is all of a bucket
            raise UnsafeHeader(f"path parameter {name} has no value")
        if _leaves(value) is not None:
            raise UnsafeHeader(f"the value of path parameter {name} holds a dot segment, a backslash or NUL")
        return quote(value, safe="/" if keyed else "")


def _cut(path: str) -> list[tuple[bool, str]]:
    """Text and names of slots, in turn."""
    return [(index % 2 == 1, part) for index, part in enumerate(_slot.split(path))]


def _encoded(text: str) -> str:
    return "/".join([quote(unquote_to_bytes(segment), safe="") for segment in text.split("/")])


def path_of(target: ServiceTarget, service: Service, endpoint: Endpoint, subdomain: str) -> PathWriter:
    """Where a target's requests go at its endpoint. At a configured one, S3's subdomain is the bucket in its path."""
    before = endpoint.path
    if service.s3 and endpoint.configured and subdomain:
        before = f"{before}/{quote(subdomain, safe='')}"
    return PathWriter(target.path, before=before, s3=service.s3)
