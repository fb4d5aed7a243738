"""Handshakes and idle sockets on `websockets`' bare ServerProtocol; a text message is echoed."""

import asyncio
import sys
from typing import cast

import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from loadtest.peers.ready import announce, port_of


class Socket(asyncio.Protocol):
    """One connection."""

    __slots__ = ("protocol", "transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only look like one
        self.protocol = ServerProtocol(max_size=2**20)

    def data_received(self, data: bytes) -> None:
        protocol = self.protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                protocol.send_text(bytes(event.data))
        out = protocol.data_to_send()
        if out:
            self.transport.write(b"".join(out))


async def main(ready_file: str) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Socket, "127.0.0.1", 0, backlog=4096)
    announce(ready_file, port_of(server))
    await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
