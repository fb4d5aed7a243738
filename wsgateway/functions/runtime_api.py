"""Lambda's Runtime API for one worker of a `provided` runtime (Lambda developer guide, "Custom runtimes").

AWS_LAMBDA_RUNTIME_API holds a host and a port and no path, and clients differ in what else they would take: some
resolve no names, some drop a path; and macOS has no 127.0.0.2. So each worker has a port of its own on 127.0.0.1: who
calls is known by where.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from wsgateway.functions.base import MAX_RESULT, OVERSIZE, TOO_LARGE, Invoke, error_payload
from wsgateway.functions.streams import TRUNCATED
from wsgateway.messages import Body, Handler, HttpRequest, HttpResponse, Trailed, collect

PREFIX = "/2018-06-01/runtime/"
ERROR_TYPE = b"lambda-runtime-function-error-type"
ERROR_BODY = b"lambda-runtime-function-error-body"
_JSON = ((b"Content-Type", b"application/json"),)
_ACCEPTED = HttpResponse(202, _JSON, b'{"status":"OK"}')


class Served(Protocol):
    """A listener that answers on 127.0.0.1."""

    @property
    def port(self) -> int:
        """Its port."""

    def close(self) -> None:
        """Accept no more, and cut what is connected."""


Serve = Callable[[Handler], Awaitable[Served]]
"""Mounts a handler on any free port of 127.0.0.1; *raises* OSError or StartError."""


class Asks(Protocol):
    """The worker, as the Runtime API sees it."""

    @property
    def request_id(self) -> str: ...

    def ready(self) -> None: ...

    def unready(self) -> None: ...

    def answered(self, payload: bytes, *, failed: bool) -> None: ...

    def streams(self, pause: Callable[[bool], None]) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def start_failed(self, payload: bytes) -> None: ...


class RuntimeApi:
    """The four operations; a Channel to the worker that polls them."""

    def __init__(self, worker: Asks) -> None:
        self.open = True
        self.port = 0
        self.served: Served | None = None
        self._worker = worker
        self._next: asyncio.Future[HttpResponse] | None = None

    # Channel

    def send(self, invoke: Invoke, deadline_ms: int) -> None:
        waiting, self._next = self._next, None
        assert waiting is not None  # a worker is idle only while it polls
        headers = [
            (b"Lambda-Runtime-Aws-Request-Id", invoke.request_id.encode()),
            (b"Lambda-Runtime-Deadline-Ms", b"%d" % deadline_ms),
            (b"Lambda-Runtime-Invoked-Function-Arn", invoke.arn.encode()),
            (b"Content-Type", b"application/json"),
        ]
        if invoke.trace_id:
            headers.append((b"Lambda-Runtime-Trace-Id", invoke.trace_id.encode()))
        if invoke.client_context:
            headers.append((b"Lambda-Runtime-Client-Context", invoke.client_context.encode()))
        waiting.set_result(HttpResponse(200, tuple(headers), invoke.payload))

    def close(self) -> None:
        self.open = False
        if self._next is not None:
            self._next.cancel()
        if self.served is not None:
            self.served.close()

    # Handler

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        path = request.target.partition("?")[0]
        if not path.startswith(PREFIX):
            return _refusal(404, "NotFound", f"there is no {path}; the Runtime API begins with {PREFIX}")
        match request.method, path.removeprefix(PREFIX).split("/"):
            case "GET", ["invocation", "next"]:
                return self._poll()
            case "POST", ["invocation", request_id, "response"] if _streams(request):
                return self._take_pieces(request.body, request_id)
            case "POST", ["invocation", request_id, "response" | "error" as kind]:
                return self._take(request, request_id, failed=kind == "error")
            case "POST", ["init", "error"]:
                return self._start_failed(request)
        return _refusal(404, "NotFound", f"there is no {request.method} {path}")

    def _poll(self) -> HttpResponse | Awaitable[HttpResponse]:
        if self._worker.request_id or self._next is not None:
            return _refusal(403, "InvalidStateTransition", "Transition from Invocation to Ready is not allowed")
        waiting = self._next = asyncio.get_running_loop().create_future()
        waiting.add_done_callback(self._polled)
        self._worker.ready()
        return waiting

    def _polled(self, waiting: asyncio.Future[HttpResponse]) -> None:
        if waiting.cancelled() and self._next is waiting:  # its connection is lost
            self._next = None
            self._worker.unready()

    async def _take(self, request: HttpRequest, request_id: str, *, failed: bool) -> HttpResponse:
        body = await collect(request.body, MAX_RESULT)
        if request_id != self._worker.request_id:
            return _refusal(400, "InvalidRequestID", "Invalid request ID")
        if body is None:
            self._worker.answered(TOO_LARGE, failed=True)
            return _refusal(413, "RequestEntityTooLarge", OVERSIZE)
        self._worker.answered(_error_of(request, body) if failed else body, failed=failed)
        return _ACCEPTED

    async def _take_pieces(self, body: Body, request_id: str) -> HttpResponse:
        """Lambda developer guide, "Building a custom runtime" (response streaming): what fails is in the trailers."""
        worker, reading = self._worker, asyncio.Event()
        if request_id != worker.request_id:
            return _refusal(400, "InvalidRequestID", "Invalid request ID")
        reading.set()
        worker.streams(lambda pause: reading.clear() if pause else reading.set())
        error = TRUNCATED
        try:
            async for part in _parts(body):
                if request_id != worker.request_id:  # it is over its time
                    return _refusal(400, "InvalidRequestID", "Invalid request ID")
                worker.piece(part)
                await reading.wait()
            error = _error_behind(body)
        finally:
            if request_id == worker.request_id:
                worker.answered(error, failed=bool(error))
        return _ACCEPTED

    async def _start_failed(self, request: HttpRequest) -> HttpResponse:
        body = await collect(request.body, MAX_RESULT)
        self._worker.start_failed(_error_of(request, body or b""))
        return _ACCEPTED


async def serve_runtime_api(serve: Serve, worker: Asks) -> RuntimeApi:
    """A Runtime API for `worker`, on a port of its own."""
    api = RuntimeApi(worker)
    api.served = await serve(api)
    api.port = api.served.port
    return api


def _streams(request: HttpRequest) -> bool:
    return (request.header(b"lambda-runtime-function-response-mode") or b"").lower() == b"streaming"


async def _parts(body: Body) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
    else:
        async for part in body:
            yield part


def _error_behind(body: Body) -> bytes:
    """The error that the trailers of an answer tell of; empty where they tell of none."""
    behind = {name.lower(): value for name, value in body.trailers} if isinstance(body, Trailed) else {}
    kind, said = behind.get(ERROR_TYPE), behind.get(ERROR_BODY)
    if kind is None and said is None:
        return b""
    try:
        payload = b64decode(said or b"", validate=True)
    except ValueError:
        payload = b""
    return payload or _unsaid(kind)


def _error_of(request: HttpRequest, body: bytes) -> bytes:
    """The error as it came; where it has no body, what its header says."""
    if body:
        return body
    return _unsaid(request.header(ERROR_TYPE))


def _unsaid(kind: bytes | None) -> bytes:
    return error_payload(
        (kind or b"Runtime.Unknown").decode("latin-1"), "the function reported an error without a body"
    )


def _refusal(status: int, kind: str, text: str) -> HttpResponse:
    return HttpResponse(status, _JSON, msgspec.json.encode({"errorMessage": text, "errorType": kind}))
