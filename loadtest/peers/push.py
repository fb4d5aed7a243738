"""Push: httptools takes POST /dev/@connections/{id}, picows holds the sockets; any message is answered by the id."""

import asyncio
import itertools
import sys
from typing import cast

import httptools
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from loadtest.peers.ready import announce, port_of

PREFIX = b"/dev/@connections/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"

sockets: dict[bytes, WSTransport] = {}
numbers = itertools.count(1)


class Listener(WSListener):
    """A client's socket."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.id = b"connection%08d" % next(numbers)
        sockets[self.id] = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, self.id)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del sockets[self.id]


class Callback(asyncio.Protocol):
    """A backend's keep-alive connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only look like one
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        socket = sockets.get(self.url.removeprefix(PREFIX))
        if socket is None:
            self.transport.write(GONE)
            return
        socket.send(WSMsgType.TEXT, self.body)
        self.transport.write(OK)


async def main(ready_file: str) -> None:
    """Serve until killed."""
    public = await ws_create_server(lambda _request: Listener(), "127.0.0.1", 0, backlog=4096)
    internal = await asyncio.get_running_loop().create_server(Callback, "127.0.0.1", 0, backlog=4096)
    announce(ready_file, port_of(public), port_of(internal))
    await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
