"""A WebSocket client that writes down what it sends and reads, frame by frame."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from loadtest.faults.history import (
    ABNORMAL,
    Closed,
    Closing,
    Dropped,
    Handshake,
    Opened,
    Received,
    Refused,
    Sent,
)

if TYPE_CHECKING:
    from loadtest.faults.recorder import Recorder

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends RST."""


class Client(asyncio.Protocol):
    """One handshake, and the connection if there comes one of it."""

    def __init__(self, recorder: Recorder, name: str, node: str, uri: str) -> None:
        self.name = name
        self.node = node
        self.connection_id = ""
        """Known from its $connect on."""
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether the handshake ended in 101."""
        self.ended = asyncio.Event()
        self._recorder = recorder
        self._protocol = ClientProtocol(parse_uri(uri))
        self._transport: asyncio.Transport | None = None
        self._status = 0
        self._unwanted = False
        recorder.add(Handshake(at=recorder.now(), client=name, node=node))

    @property
    def live(self) -> bool:
        """Open as far as the client knows."""
        return self._protocol.state is State.OPEN and not self.ended.is_set()

    async def dial(self, port: int) -> bool:
        """Open it; whether that went well."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        except OSError:
            self._end()
        return await self.opened

    def say(self, message: str) -> None:
        """Send a message, if the connection is live."""
        if self.live:
            self._protocol.send_text(json.dumps({"action": "say", "id": message}).encode())
            self._recorder.add(Sent(at=self._recorder.now(), client=self.name, message=message))
            self._flush()

    def close(self, code: int = 1000) -> None:
        """Begin the close handshake, if the connection is live."""
        if self.live:
            self._recorder.add(Closing(at=self._recorder.now(), client=self.name, code=code))
            self._protocol.send_close(code)
            self._flush()

    def drop(self) -> None:
        """Reset the TCP connection, as soon as there is one."""
        self._unwanted = True
        if self._transport is None or self.ended.is_set():
            return
        self._recorder.add(Dropped(at=self._recorder.now(), client=self.name))
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()
        self._finish()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._unwanted:
            self.drop()
            return
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._take()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._protocol.reader.eof:
            self._protocol.receive_eof()
        self._take()
        self._end()

    def _take(self) -> None:
        now = self._recorder.now()
        for event in self._protocol.events_received():
            if self.ended.is_set():  # it was dropped: nobody reads
                break
            if isinstance(event, Response):
                self._status = event.status_code
                if self._protocol.state is State.OPEN:
                    self._recorder.add(Opened(at=now, client=self.name))
                    self.opened.set_result(True)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._recorder.add(Received(at=now, client=self.name, text=bytes(event.data).decode()))
        self._flush()

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()

    def _end(self) -> None:
        """The TCP connection is no more."""
        if self.ended.is_set():
            return
        now = self._recorder.now()
        if self.opened.done():
            said = self._protocol.close_rcvd
            self._recorder.add(Closed(at=now, client=self.name, code=ABNORMAL if said is None else said.code))
        else:
            self._recorder.add(Refused(at=now, client=self.name, status=self._status))
        self._finish()

    def _finish(self) -> None:
        self.ended.set()
        if not self.opened.done():
            self.opened.set_result(False)
