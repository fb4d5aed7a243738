"""A reverse proxy as one writes it with aiohttp: its server takes requests, its client asks the backend."""

import asyncio
import sys
from collections.abc import Mapping

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

from loadtest.peers.ready import announce

NOT_PASSED_ON = frozenset({"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})


def passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers without those of one hop."""
    return [(name, value) for name, value in headers.items() if name.lower() not in NOT_PASSED_ON]


async def main(ready_file: str, backend: int) -> None:
    """Serve until killed."""
    connector = TCPConnector(limit=1000)
    session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)

    async def proxy(request: web.Request) -> web.Response:
        url = f"http://127.0.0.1:{backend}{request.path_qs}"
        headers = [*passed_on(request.headers), ("X-Forwarded-For", request.remote or "")]
        body = await request.read() if request.body_exists else None
        async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            return web.Response(status=answer.status, headers=dict(passed_on(answer.headers)), body=await answer.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    announce(ready_file, runner.addresses[0][1])
    await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
