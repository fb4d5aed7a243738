"""Signature Version 4 for requests that differ in body and moment alone.

IAM user guide, "Create a signed AWS API request". 4.5 µs, where botocore's SigV4Auth takes 83, twice what a message
costs otherwise; that both give the same signature is a test.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from hmac import digest
from urllib.parse import quote

from wsgateway.aws.credentials import Keys


class Signer:
    """Signs POSTs to one target of a service in one region.

    `target` is path and query as written on the wire, percent-encoded, the query's parameters in order of their names;
    `headers` are those signed beside Host, X-Amz-Date and X-Amz-Security-Token: `x-amz-*`, lower case, without blanks
    around their values.
    """

    def __init__(self, service: str, region: str, host: str, target: str, headers: Mapping[str, str]) -> None:
        path, _, query = target.partition("?")
        self._service = service
        self._region = region
        # Every service but S3 has its path encoded once more.
        self._lead = f"POST\n{quote(path, safe='/~')}\n{query}\n"
        self._headers = {"host": host, **headers}
        self._second = -1
        self._day = ""
        self._keys: Keys | None = None
        self._key = b""
        self._before = ""
        self._to_sign = self._lines = ""

    def sign(self, keys: Keys, body: bytes, now: float | None = None) -> bytes:
        """The header lines that sign `body`, each ended by CR LF; `now` is Unix time."""
        second = int(time.time() if now is None else now)
        if second != self._second or keys is not self._keys:
            self._prepare(keys, second)
        request = f"{self._before}{sha256(body).hexdigest()}"
        signature = digest(self._key, f"{self._to_sign}{sha256(request.encode()).hexdigest()}".encode(), "sha256").hex()
        return f"{self._lines}{signature}\r\n".encode()

    def _prepare(self, keys: Keys, second: int) -> None:
        """What all requests of one second, by one key, have in common."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        if day != self._day or keys is not self._keys:
            self._key = _derived(keys.secret_key, day, self._region, self._service)
        self._second, self._day, self._keys = second, day, keys
        signed = {**self._headers, "x-amz-date": stamp}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        names = sorted(signed)
        canonical = "".join(f"{name}:{signed[name]}\n" for name in names)
        self._before = f"{self._lead}{canonical}\n{';'.join(names)}\n"
        self._to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n"
        token = f"X-Amz-Security-Token: {keys.token}\r\n" if keys.token else ""
        self._lines = (
            f"X-Amz-Date: {stamp}\r\n{token}Authorization: AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature="
        )


def _derived(secret: str, *parts: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*parts, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    return key
