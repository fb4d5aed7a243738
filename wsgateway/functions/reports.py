"""What AWS says of an invocation beside the handler's own words."""

from __future__ import annotations

import signal
import time

from wsgateway.functions.base import VERSION, error_payload
from wsgateway.functions.output import TAIL

KILLED = "Runtime exited with error: signal: killed"


def exit_text(code: int | None) -> str:
    """How a process ended; a negative code is the signal, None an end nobody saw."""
    if not code:
        return "Runtime exited without providing a reason" if code == 0 else "Runtime exited with error"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = signal.strsignal(-code) or f"{-code}"
    return f"Runtime exited with error: signal: {name.lower()}"


def exit_error(request_id: str, text: str) -> bytes:
    """The error of an invocation whose process ended."""
    return error_payload("Runtime.ExitError", f"RequestId: {request_id} Error: {text}" if request_id else text)


def timeout_error(request_id: str, seconds: float) -> bytes:
    """The error of an invocation that took too long, or without an id of a start that did."""
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
    text = f"Task timed out after {seconds:.2f} seconds"
    return error_payload("Sandbox.Timedout", f"{stamp} {request_id} {text}" if request_id else text)


def log_tail(request_id: str, printed: bytes, *, millis: float, memory_mb: int, used_mb: int) -> bytes:
    """The end of an invocation's log, with the lines AWS puts around what it printed."""
    return (
        f"START RequestId: {request_id} Version: {VERSION}\n".encode()
        + printed
        + (b"" if not printed or printed.endswith(b"\n") else b"\n")
        + f"END RequestId: {request_id}\nREPORT RequestId: {request_id}\t".encode()
        + f"Duration: {millis:.2f} ms\tBilled Duration: {int(millis) + 1} ms\t".encode()
        + f"Memory Size: {memory_mb} MB\tMax Memory Used: {used_mb} MB\t\n".encode()
    )[-TAIL:]
