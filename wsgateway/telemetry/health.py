"""Probes of the internal listener: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/version`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.telemetry.metrics import CONTENT_TYPE, Metrics

TEXT = ((b"Content-Type", b"text/plain; charset=utf-8"),)


class Probes:
    """A Handler: answers the probes and passes everything else on.

    `/livez` says that the loop runs; `/readyz` whether clients should be sent here, `/startupz` whether start is over.
    """

    def __init__(self, *, ready: Callable[[], str], version: str, metrics: Metrics, otherwise: Handler) -> None:
        self._ready = ready
        self._version = json.dumps({"version": version}).encode()
        self._metrics = metrics
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        path = request.target.partition("?")[0]
        match path:
            case "/livez":
                response = HttpResponse(200, TEXT, b"ok\n")
            case "/readyz" | "/startupz":
                why_not = self._ready()
                response = HttpResponse(503 if why_not else 200, TEXT, f"{why_not or 'ok'}\n".encode())
            case "/metrics":
                response = HttpResponse(200, ((b"Content-Type", CONTENT_TYPE),), self._metrics.render())
            case "/version":
                response = HttpResponse(200, ((b"Content-Type", b"application/json"),), self._version + b"\n")
            case _:
                return self._otherwise(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, (*TEXT, (b"Allow", b"GET, HEAD")), b"use GET\n")
        return response
