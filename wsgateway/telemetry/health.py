"""Probes of the internal listener: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/version`."""

from __future__ import annotations

import json
import platform
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qsl

from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.telemetry.metrics import CONTENT_TYPE, Metrics

TEXT = ((b"Content-Type", b"text/plain; charset=utf-8"),)
PROBES = frozenset({"/livez", "/readyz", "/startupz", "/metrics", "/version"})


class Health(Enum):
    """How one thing is, by the mark that `?verbose` gives it."""

    GOOD = "[+]"
    FAIR = "[!]"
    """Clients can be served, and an operator should look."""
    BAD = "[-]"
    """No clients should be sent here."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    text: str


def why_not(checks: Iterable[Check]) -> str:
    """What keeps clients away, "" if nothing does."""
    return next((check.text for check in checks if check.health is Health.BAD), "")


def lines(checks: Iterable[Check]) -> str:
    """What `?verbose` tells."""
    return "".join(f"{check.health.value} {check.name}: {check.text}\n" for check in checks)


def verbose(request: HttpRequest) -> bool:
    """Whether a probe is asked for all there is."""
    query = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
    return any(name == "verbose" and value not in ("0", "false") for name, value in query)


def told(good: bool, text: str, checks: Sequence[Check] = ()) -> HttpResponse:
    """The answer of a probe: its last line says how it is as a whole."""
    return HttpResponse(200 if good else 503, TEXT, f"{lines(checks)}{text}\n".encode())


class Probes:
    """A Handler: answers the probes and passes everything else on.

    `/livez` says that the loop runs; `/readyz` whether clients should be sent here, `/startupz` whether start is over,
    which it stays. `checks` looks at all there is, the start first.
    """

    def __init__(
        self, *, checks: Callable[[], Iterable[Check]], version: str, metrics: Metrics, otherwise: Handler
    ) -> None:
        self._checks = checks
        self._version = json.dumps({"version": version, "python": platform.python_version()}).encode()
        self._metrics = metrics
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        path = request.target.partition("?")[0]
        if path not in PROBES:
            return self._otherwise(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, (*TEXT, (b"Allow", b"GET, HEAD")), b"use GET\n")
        match path:
            case "/livez":
                return told(True, "ok")
            case "/metrics":
                return self._page()
            case "/version":
                return HttpResponse(200, ((b"Content-Type", b"application/json"),), self._version + b"\n")
        checks = list(self._checks())
        if path == "/startupz":
            del checks[1:]
        reason = why_not(checks)
        return told(not reason, reason or "ok", checks if verbose(request) else ())

    async def _page(self) -> HttpResponse:
        return HttpResponse(200, ((b"Content-Type", CONTENT_TYPE),), await self._metrics.render())
