"""The way to a worker with our own bootstrap: frames over a socket pair.

Measured against the Runtime API for an echo: 80 µs a call instead of 170, and 35 µs of the gateway's time instead of
110. It also needs no port to tell workers apart, and its end is the process's end.

A frame to the worker: two lengths (big-endian, 4 bytes each), then the head (request id, deadline in ms, ARN, trace id
and client context, one a line) and the payload. A frame from it: a kind, a length (4 bytes), the content.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Protocol, cast

from wsgateway.functions.base import MAX_RESULT, Invoke

READY = b"R"
RESULT = b"O"
ERROR = b"E"
LAST_ERROR = b"L"
"""An error behind which the process ends."""
INIT_ERROR = b"I"
STREAM = b"S"
"""An answer that comes in pieces begins; RESULT, then without content, or ERROR is its end."""
PIECE = b"P"

_lengths = struct.Struct(">II").pack


class Listens(Protocol):
    """What a channel tells: the worker."""

    def ready(self) -> None:
        """It waits for its next invocation."""

    def answered(self, payload: bytes, *, failed: bool) -> None:
        """The invocation it has is through."""

    def streams(self, pause: Callable[[bool], None]) -> None:
        """Its answer comes in pieces; `pause` stops and goes on reading of it."""

    def piece(self, data: bytes) -> None:
        """A piece of its answer."""

    def start_failed(self, payload: bytes) -> None:
        """Its code can't be loaded; `payload` is the error. It exits by itself."""

    def silent(self) -> None:
        """Nothing will come from it any more."""

    def misbehaved(self, why: str) -> None:
        """What it sent is against the protocol."""


class Channel(Protocol):
    """A way to a worker."""

    @property
    def open(self) -> bool:
        """Whether more may come from the worker."""

    def send(self, invoke: Invoke, deadline_ms: int) -> None:
        """Hand it an invocation. Only while it is ready."""

    def close(self) -> None:
        """End the way; a worker that waits at it ends."""


class PipeChannel(asyncio.Protocol):
    """The gateway's end of a socket pair."""

    def __init__(self, worker: Listens) -> None:
        self.open = True
        self._worker = worker
        self._chunks: list[bytes] = []
        self._size = 0
        self._wanted = 5
        self._transport = cast("asyncio.Transport", None)  # set by connection_made, before anything else runs

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, invoke: Invoke, deadline_ms: int) -> None:
        payload = invoke.payload
        head = (
            f"{invoke.request_id}\n{deadline_ms}\n{invoke.arn}\n{invoke.trace_id}\n{invoke.client_context}"
        ).encode()
        self._transport.write(_lengths(len(head), len(payload)) + head + payload)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size < self._wanted:
            self._chunks.append(data)
            return
        if self._chunks:
            self._chunks.append(data)
            data = b"".join(self._chunks)
            self._chunks = []
        while len(data) >= 5:
            length = int.from_bytes(data[1:5], "big")
            if length > MAX_RESULT:
                self._transport.abort()
                self._worker.misbehaved("a frame over its limit")
                return
            if len(data) < 5 + length:
                self._wanted = 5 + length
                break
            self._frame(data[:1], data[5 : 5 + length])
            data = data[5 + length :]
        else:
            self._wanted = 5
        self._size = len(data)
        if data:
            self._chunks = [data]

    def _frame(self, kind: bytes, content: bytes) -> None:
        worker = self._worker
        if kind in (RESULT, ERROR):
            worker.answered(content, failed=kind == ERROR)
            worker.ready()
        elif kind == PIECE:
            worker.piece(content)
        elif kind == STREAM:
            worker.streams(self._pause)
        elif kind == LAST_ERROR:
            worker.answered(content, failed=True)
        elif kind == READY:
            worker.ready()
        elif kind == INIT_ERROR:
            worker.start_failed(content)
        else:
            worker.misbehaved("a frame of no known kind")

    def _pause(self, pause: bool) -> None:
        if self.open and not self._transport.is_closing():
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._worker.silent()
