"""Runs a Python handler as Lambda's own runtime does: one file, standard library only, Python 3.9 and newer.

It gets invocations as frames over the socket whose number is its first argument; the gateway's `channel.py` says how
they look. Errors are worded as AWS's runtime interface client words them, for handlers' owners know those.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

MAX_RESULT = 6291556

Handler = Callable[[Any, Any], Any]


class Identity:
    """Who called, for calls that came by way of Amazon Cognito: here nobody."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class ClientContext:
    """What a mobile client says of itself (X-Amz-Client-Context)."""

    def __init__(self, said: dict[str, Any]) -> None:
        client = said.get("client")
        self.custom = said.get("custom")
        self.env = said.get("env")
        self.client = Client(client) if isinstance(client, dict) else None


class Client:
    """The application that is the client."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.installation_id = said.get("installation_id")
        self.app_title = said.get("app_title")
        self.app_version_name = said.get("app_version_name")
        self.app_version_code = said.get("app_version_code")
        self.app_package_name = said.get("app_package_name")


# What the environment says is the same for every invocation, and looking there costs as much as all else here.
_about = {
    name: os.environ.get(variable, "")
    for name, variable in {
        "function_name": "AWS_LAMBDA_FUNCTION_NAME",
        "function_version": "AWS_LAMBDA_FUNCTION_VERSION",
        "memory_limit_in_mb": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "log_group_name": "AWS_LAMBDA_LOG_GROUP_NAME",
        "log_stream_name": "AWS_LAMBDA_LOG_STREAM_NAME",
    }.items()
}


class Context:
    """The second argument of a handler (Lambda developer guide, "Using the Lambda context object in Python")."""

    def __init__(self, request_id: str, deadline_ms: int, arn: str, client_context: str) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.__dict__.update(_about)
        self.identity = Identity()
        self.client_context = ClientContext(json.loads(client_context)) if client_context else None
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message: str) -> None:
        """Print a line into the function's log."""
        print(message)


class LoadError(Exception):
    """The handler can't be had; `kind` and the text are AWS's."""

    def __init__(self, kind: str, text: str, trace: list[str]) -> None:
        super().__init__(text)
        self.kind = kind
        self.trace = trace


class LogHandler(logging.Handler):
    """Where `logging` goes unless the function says otherwise, in Lambda's format."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        record.aws_request_id = self.request_id
        try:
            print(self.format(record))
        except Exception:
            self.handleError(record)


_lengths = struct.Struct(">II").unpack_from


class Channel:
    """The socket to the gateway."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._pending = b""

    def receive(self) -> tuple[list[str], bytes]:
        """The next invocation's head and payload. Ends the process where there is no gateway any more."""
        data = self._read(8)
        head_size, size = _lengths(data)
        head_end = 8 + head_size
        end = head_end + size
        data = self._read(end)
        self._pending = data[end:]
        return data[8:head_end].decode().split("\n", 4), data[head_end:end]

    def send(self, kind: bytes, content: bytes) -> None:
        self._socket.sendall(kind + struct.pack(">I", len(content)) + content)

    def _read(self, size: int) -> bytes:
        """What there is to read, `size` bytes at least; it stays to be read again."""
        data = self._pending
        if len(data) < size:
            parts = [data]
            missing = size - len(data)
            while missing > 0:
                part = self._socket.recv(max(65536, missing))
                if not part:
                    sys.exit(0)
                parts.append(part)
                missing -= len(part)
            data = self._pending = b"".join(parts)
        return data


def load(written: str) -> Handler:
    """The function that `module.function` names. *Raises* LoadError."""
    name, dot, function = written.rpartition(".")
    if not dot:
        raise LoadError("Runtime.MalformedHandlerName", f"Bad handler {written!r}: no function is named", [])
    name = name.replace("/", ".")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        text = f"Unable to import module {name!r}: {error}"
        raise LoadError("Runtime.ImportModuleError", text, _trace(error)) from error
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        text = f"Syntax error in module {name!r}: {error}"
        raise LoadError("Runtime.UserCodeSyntaxError", text, [place]) from error
    except Exception as error:
        raise LoadError(type(error).__name__, str(error), _trace(error)) from error
    try:
        found: Handler = getattr(module, function)
    except AttributeError as error:
        text = f"Handler {function!r} missing on module {name!r}"
        raise LoadError("Runtime.HandlerNotFound", text, []) from error
    return found


def _trace(error: BaseException) -> list[str]:
    """The traceback from the function's own code on."""
    ours = (__file__, importlib.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if frame.filename not in ours and not frame.filename.startswith("<frozen")]
    return traceback.format_list(kept)


def _error(kind: str, text: str, request_id: str, trace: list[str]) -> bytes:
    said = {"errorMessage": text, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    encoded = json.dumps(said).encode()
    if len(encoded) <= MAX_RESULT:
        return encoded
    return json.dumps({**said, "errorMessage": text[:100_000], "stackTrace": []}).encode()


def _report(kind: str, text: str, trace: list[str]) -> None:
    """Print an error as AWS's runtime does."""
    print(f"[ERROR] {kind}: {text}\n{'Traceback (most recent call last):' if trace else ''}\n{''.join(trace)}".rstrip())


def _default(value: object) -> object:
    """AWS's runtime turns a Decimal into a number, and nothing else."""
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _answer(handler: Handler, payload: bytes, context: Context) -> tuple[bytes, bytes]:
    """Call the handler once; gives the kind and content of the frame."""
    request_id = context.aws_request_id
    try:
        event = _decode(payload.decode())
    except ValueError as error:
        text = f"Unable to unmarshal input: {error}"
        return b"E", _error("Runtime.UnmarshalError", text, request_id, [])
    try:
        result = handler(event, context)
    except Exception as error:
        kind, text, trace = type(error).__name__, str(error), _trace(error)
        _report(kind, text, trace)
        return b"E", _error(kind, text, request_id, trace)
    try:
        text = _encode(result)
        try:
            content = text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
            content = json.dumps(result, default=_default).encode()
    except (TypeError, ValueError, RecursionError) as error:
        text = f"Unable to marshal response: {error}"
        _report("Runtime.MarshalError", text, [])
        return b"E", _error("Runtime.MarshalError", text, request_id, [])
    if len(content) > MAX_RESULT:
        text = f"Response payload size exceeded maximum allowed payload size ({MAX_RESULT} bytes)."
        return b"E", _error("Function.ResponseSizeTooLarge", text, request_id, [])
    return b"O", content


_encode = json.JSONEncoder(default=_default, ensure_ascii=False).encode
_decode = json.JSONDecoder().decode


def set_trace_id(trace_id: str) -> None:
    """Put it into `os.environ` alone, where Python code looks for it.

    The C library's setenv keeps each different value it is ever given (glibc before 2.41), which in a process that
    lives for a million invocations is a hundred megabytes.
    """
    values = getattr(os.environ, "_data", None)
    if isinstance(values, dict):
        values[b"_X_AMZN_TRACE_ID"] = trace_id.encode()
    else:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id


def main() -> NoReturn:
    """Load, then answer one invocation after the other."""
    channel = Channel(int(sys.argv[1]))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    root = os.environ["LAMBDA_TASK_ROOT"]
    sys.path[0] = root
    sys.argv[:] = [os.path.join(root, "bootstrap")]
    logs = LogHandler()
    logs.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    logs.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logging.getLogger().addHandler(logs)
    try:
        handler = load(os.environ["_HANDLER"])
    except LoadError as error:
        _report(error.kind, str(error), error.trace)
        channel.send(b"I", _error(error.kind, str(error), "", error.trace))
        sys.exit(1)
    channel.send(b"R", b"")
    while True:
        (request_id, deadline_ms, arn, trace_id, client_context), payload = channel.receive()
        set_trace_id(trace_id)
        LogHandler.request_id = request_id
        kind, content = _answer(handler, payload, Context(request_id, int(deadline_ms), arn, client_context))
        sys.stdout.flush()
        sys.stderr.flush()
        channel.send(kind, content)


if __name__ == "__main__":
    main()
