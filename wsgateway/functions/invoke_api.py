"""Lambda's Invoke API for local functions (Lambda API reference, Invoke), as the AWS CLI and SDKs call it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from urllib.parse import parse_qs, unquote

import msgspec

from wsgateway.bodies import Hold
from wsgateway.errors import GatewayError, NoRoom
from wsgateway.functions.base import (
    MAX_PAYLOAD,
    VERSION,
    FunctionNotFound,
    FunctionResult,
    InvokeRefused,
    PayloadTooLarge,
    TooManyInvocations,
    parse_name,
)
from wsgateway.functions.functions import Functions
from wsgateway.http1 import UnsafeHeader, field
from wsgateway.ids import new_uuid
from wsgateway.messages import Header, HttpRequest, HttpResponse, collect

PREFIX = "/2015-03-31/functions/"
SUFFIX = "/invocations"
RUNTIME_PREFIX = "/2018-06-01/runtime/"
_JSON = (b"Content-Type", b"application/json")


class InvokeApi:
    """A Handler. Signatures are not looked at: it is mounted on loopback only."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        path, _, query = request.target.partition("?")
        if path.startswith(RUNTIME_PREFIX):
            # Where AWS_LAMBDA_RUNTIME_API of our own runtimes points: they take invocations another way.
            text = b'{"errorMessage":"this runtime polls by itself","errorType":"InvalidStateTransition"}'
            return HttpResponse(403, (_JSON,), text)
        request_id = new_uuid()
        try:
            with self._functions.bodies.hold("invocation") as hold:
                response = await self._invoke(request, path, query, request_id, hold)
        except InvokeRefused as refused:
            response = _error(refused.status_code, refused.kind, refused.fields)
        except GatewayError as error:
            response = _error(500, "ServiceException", {"Type": "Service", "Message": error.reason})
        headers = (*response.headers, (b"X-Amzn-RequestId", request_id.encode()))
        return HttpResponse(response.status, headers, response.body)

    async def _invoke(self, request: HttpRequest, path: str, query: str, request_id: str, hold: Hold) -> HttpResponse:
        if not (path.startswith(PREFIX) and path.endswith(SUFFIX)) or request.method != "POST":
            return _error(404, "UnknownOperationException", {"Message": f"there is no {request.method} {path}"})
        written = unquote(path[len(PREFIX) : -len(SUFFIX)])
        parsed = parse_name(written)
        if parsed is None:
            text = f"Value {written[:200]!r} at 'functionName' is no name of a function and no ARN"
            return _error(400, "ValidationException", {"message": text})
        name, qualifier = parsed
        qualifier = parse_qs(query).get("Qualifier", [qualifier])[-1]
        if name not in self._functions:
            raise FunctionNotFound(self._functions.arn(name, qualifier))
        try:
            payload = await collect(request.body, MAX_PAYLOAD, hold)
        except NoRoom as error:
            raise TooManyInvocations(error.reason) from error
        if payload is None:
            raise PayloadTooLarge
        problem = not_json(payload)
        if problem:
            text = f"Could not parse request body into json: {problem}"
            return _error(400, "InvalidRequestContentException", {"Type": "User", "message": text})
        context = client_context(request.header(b"x-amz-client-context"))
        if context is None:
            text = "Client context must be a valid Base64-encoded JSON object."
            return _error(400, "InvalidRequestContentException", {"Type": "User", "message": text})
        kind = (request.header(b"x-amz-invocation-type") or b"RequestResponse").decode("latin-1")
        if kind == "DryRun":
            return HttpResponse(204)
        if kind not in ("RequestResponse", "Event"):
            text = f"Value {kind[:100]!r} at 'invocationType' is none of Event, RequestResponse, DryRun"
            return _error(400, "ValidationException", {"message": text})
        trace_id = _trace_id(request)
        if kind == "Event":
            self._functions.events.start(
                name,
                payload or b"{}",
                request_id=request_id,
                qualifier=qualifier,
                trace_id=trace_id,
                client_context=context,
            )
            return HttpResponse(202)
        invoke = self._functions.invoke(
            name,
            payload or b"{}",
            request_id=request_id,
            qualifier=qualifier,
            trace_id=trace_id,
            client_context=context,
            tail=request.header(b"x-amz-log-type") == b"Tail",
        )
        return _result(await invoke)


def _result(result: FunctionResult) -> HttpResponse:
    headers: list[Header] = [_JSON, (b"X-Amz-Executed-Version", VERSION.encode())]
    if result.failed:
        headers.append((b"X-Amz-Function-Error", b"Unhandled"))
    if result.log_tail:
        headers.append((b"X-Amz-Log-Result", b64encode(result.log_tail)))
    return HttpResponse(200, tuple(headers), result.payload)


def _error(status: int, kind: str, fields: object) -> HttpResponse:
    headers = ((b"Content-Type", b"application/json"), (b"x-amzn-ErrorType", kind.encode()))
    return HttpResponse(status, headers, msgspec.json.encode(fields))


def not_json(payload: bytes) -> str:
    """Why `payload` is no JSON; empty where it is, or there is none."""
    if not payload:
        return ""
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
        payload.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    return ""


def client_context(written: bytes | None) -> str | None:
    """The JSON of an X-Amz-Client-Context, on one line; empty without one, None where it is malformed."""
    if not written:
        return ""
    try:
        return msgspec.json.encode(msgspec.json.decode(b64decode(written, validate=True), type=dict)).decode()
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _trace_id(request: HttpRequest) -> str:
    """The caller's trace, if it can be passed on as a header."""
    written = request.header(b"x-amzn-trace-id") or b""
    try:
        field(b"X-Amzn-Trace-Id", written)
        return written.decode("ascii")
    except (UnsafeHeader, UnicodeDecodeError):
        return ""
