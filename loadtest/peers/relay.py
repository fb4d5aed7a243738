"""Relay: picows takes the frame, orjson finds the action, a keep-alive client on httptools asks the backend.

No limits, no deadlines, no counters, no $context: what a relayed message costs at least with these libraries.
"""

import asyncio
import itertools
import sys

import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from loadtest.peers.keepalive import Pool
from loadtest.peers.ready import announce, port_of

ROUTES = {"send": b"/integ", "slow": b"/slow", "$default": b"/integ"}  # `slow` for neighbours --self-check


async def main(ready_file: str, backend: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    fast, slow = Pool(backend, 64), Pool(backend, 64)
    numbers = itertools.count(1)

    async def relay(transport: WSTransport, message: bytes, connection_id: bytes) -> None:
        path = ROUTES.get(orjson.loads(message).get("action")) or ROUTES["$default"]
        pool = slow if path == b"/slow" else fast
        transport.send(WSMsgType.TEXT, await pool.post(path, message, connection_id))

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            self.id = b"connection%08d" % next(numbers)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                loop.create_task(relay(transport, frame.get_payload_as_bytes(), self.id))  # noqa: RUF006 - bare
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()

    server = await ws_create_server(lambda _request: Listener(), "127.0.0.1", 0, backlog=4096)
    announce(ready_file, port_of(server))
    await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
