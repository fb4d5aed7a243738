"""Documents of others, such as the keys of an issuer of tokens: one call, bounded in time and size."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from wsgateway.errors import GatewayError
from wsgateway.http1 import UnsafeHeader, field, request_line
from wsgateway.messages import EndpointRequest
from wsgateway.trace import Mark
from wsgateway.upstream.pool import Upstream

SECONDS = 5.0
MAX_BYTES = 256 * 1024

_PORTS = {"http": 80, "https": 443}


class Documents:
    """Gets documents by the same client, and under the same egress policy, as backends are called."""

    def __init__(self, upstream: Upstream, agent: str) -> None:
        self._upstream = upstream
        self._agent = agent.encode()

    async def get(self, url: str, trusted: bool, mark: Mark | None = None) -> bytes:
        """The body of a 200 answer; `trusted` says that an operator wrote the host. Redirects are not followed.
        `mark` is of the trace that it is asked for in.

        *Raises* OSError where there is none, ValueError for what is no URL.
        """
        status, body = await self._call("GET", url, (), b"", trusted, mark)
        if status != 200:
            raise OSError(f"{url} answered {status}")
        return body

    async def post(self, url: str, authorization: str, body: bytes, mark: Mark | None = None) -> tuple[int, bytes]:
        """Status and body of what a host that an operator wrote answers to JSON. Redirects are not followed.

        *Raises* OSError where there is no answer, ValueError for what is no URL or no value of `Authorization`.
        """
        try:
            named = field(b"Authorization", authorization.encode("latin-1")) if authorization else b""
        except (UnicodeEncodeError, UnsafeHeader):
            raise ValueError("what is to be sent as Authorization is no header's value") from None
        return await self._call("POST", url, (field(b"Content-Type", b"application/json"), named), body, True, mark)

    async def _call(
        self, method: str, url: str, fields: Sequence[bytes], body: bytes, trusted: bool, mark: Mark | None
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or not url.isascii() or not url.isprintable():
            raise ValueError(f"{url[:200]!r} is no URL of http or https")
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = b"".join(
            [
                request_line(method.encode(), target.encode()),
                field(b"Host", parts.netloc.rpartition("@")[2].encode()),
                field(b"Accept", b"application/json"),
                field(b"User-Agent", self._agent),
                *fields,
                b"" if mark is None else mark.lines,
            ]
        )
        origin = self._upstream.origin(parts.scheme, host, port, share="documents", trusted=trusted)
        try:
            answer = await origin.send(EndpointRequest(head, body, method), SECONDS, max_body=MAX_BYTES)
        except GatewayError as error:
            raise OSError(f"{url}: {error.reason or error.message}") from error
        return answer.status, answer.body or b""
