"""Echo on `websockets.asyncio`, on uvloop, without compression and pings: what a user writes first, at its fastest."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from loadtest.peers.ready import announce


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


async def main(ready_file: str) -> None:
    """Serve until killed."""
    async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=4096) as server:
        announce(ready_file, next(iter(server.sockets)).getsockname()[1])
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
