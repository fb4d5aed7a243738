"""Every node is replaced, one after the other, while clients talk and backends push: nobody is lied to.

A balancer goes on to send clients to the node that leaves, as balancers do for some seconds.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.forwarder import Forwarder, forwarder
from tests.harness import PATIENCE, Backend, Gateway, Request, backend, gateway, http

pytestmark = pytest.mark.anyio

NODES = 3
CLIENTS = 30
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      connect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/connect
        requestParameters: &told
          integration.request.header.Id: context.connectionId
          integration.request.header.Callback: context.callbackUrl
      message:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/message
        requestParameters: *told
      disconnect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/disconnect
        requestParameters: *told
    routes:
      $connect: {{integration: connect}}
      $disconnect: {{integration: disconnect}}
      $default: {{integration: message, routeResponse: true}}
"""


Start = Callable[[], Awaitable[None]]


class Crowd:
    """Clients that come back when they are told to go, and what they have seen."""

    def __init__(self, port: int) -> None:
        self.closes: Counter[int | None] = Counter()
        self.refusals: Counter[int] = Counter()
        self.cut = 0
        """Handshakes without an answer."""
        self.replies = 0
        self.pushed: set[str] = set()
        self.stopping = False
        self._url = f"ws://127.0.0.1:{port}/dev"
        self._news = asyncio.Event()

    async def one(self) -> None:
        """One client: it talks, comes back whenever it was told to go, and at the end says good-bye."""
        while not self.stopping:
            try:
                client = await connect(self._url, open_timeout=PATIENCE)
            except InvalidStatus as error:
                self.refusals[error.response.status_code] += 1
                continue
            except (ConnectionError, InvalidMessage):
                self.cut += 1
                continue
            with suppress(ConnectionClosed):
                await self._talk(client)
            await client.close()
            self.closes[client.close_code] += 1

    async def _talk(self, client: ClientConnection) -> None:
        number = 0
        await client.send(f'{{"number": {number}}}')
        async for frame in client:
            heard = json.loads(frame)
            self._tell()
            if "push" in heard:
                self.pushed.add(heard["push"])
                continue
            assert heard["number"] == number
            self.replies += 1
            if self.stopping:
                return
            number += 1
            await client.send(f'{{"number": {number}}}')

    def _tell(self) -> None:
        self._news.set()

    async def moves_on(self, replies: int) -> None:
        """Wait for so many further replies."""
        wanted = self.replies + replies
        async with asyncio.timeout(PATIENCE):
            while self.replies < wanted:
                self._news.clear()
                await self._news.wait()


class Pushes:
    """Pushes to whoever has spoken, at their callback URLs, and what was answered."""

    def __init__(self, asked: Backend) -> None:
        self.by_status: Counter[int | str] = Counter()
        self.delivered: set[str] = set()
        self.stopping = False
        self._asked = asked

    async def run(self) -> None:
        number = 0
        while not self.stopping:
            await asyncio.sleep(0)
            spoke = [request for request in self._asked.requests[-CLIENTS:] if request.target == "/message"]
            for request in spoke:
                number += 1
                await self._push(request.header("callback") or "", f"p{number}")

    async def _push(self, callback: str, name: str) -> None:
        url = urlsplit(callback)
        assert url.port is not None
        try:
            answer = await http(url.port, "POST", url.path, json.dumps({"push": name}).encode())
        except ConnectionRefusedError:
            self.by_status["gone"] += 1  # that node has left
            return
        self.by_status[answer.status] += 1
        if answer.status == 200:
            self.delivered.add(name)


def ids(asked: Backend, target: str) -> Counter[str | None]:
    """Connection ids of the calls of one path."""
    return Counter(request.header("id") for request in asked.requests if request.target == target)


async def replace_all(nodes: list[Gateway], balancer: Forwarder, crowd: Crowd, start: Start) -> None:
    """Start a new node, have an old one leave, and so on, with the crowd at work in between."""
    for old in list(nodes):
        await start()
        await crowd.moves_on(CLIENTS * 3)
        old.terminate()
        await old.logged('"draining"')
        await crowd.moves_on(CLIENTS * 3)
        assert await old.wait() == 0
        balancer.ports.remove(old.port)


@pytest.mark.timeout(180)
async def test_nobody_sees_1006_and_nothing_that_was_promised_is_lost(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(backend())
        balancer = await stack.enter_async_context(forwarder())
        definition = DEFINITION.format(port=asked.port)

        def answer(request: Request) -> object:
            return 200, {}, request.body if request.target == "/message" else b""

        for path in ("/connect", "/message", "/disconnect"):
            asked.answers(path, answer)

        nodes: list[Gateway] = []

        async def start() -> None:
            folder = tmp_path / str(len(nodes))
            folder.mkdir()
            one = await stack.enter_async_context(gateway(definition, folder, "--drain-window", "1.5"))
            nodes.append(one)
            balancer.ports.append(one.port)

        for _ in range(NODES):
            await start()
        crowd, pushes = Crowd(balancer.port), Pushes(asked)
        clients = [asyncio.ensure_future(crowd.one()) for _ in range(CLIENTS)]
        pushing = asyncio.ensure_future(pushes.run())

        await replace_all(nodes, balancer, crowd, start)

        pushes.stopping = True
        await pushing
        crowd.stopping = True
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*clients)
        for one in nodes[NODES:]:
            one.terminate()
            assert await one.wait() == 0

        assert crowd.closes.keys() == {1000, 1001}, crowd.closes
        assert crowd.closes[1001] >= CLIENTS, "every one of them was on a node that left"
        assert crowd.refusals.keys() <= {503}, crowd.refusals
        assert crowd.cut <= NODES, "only who comes in the very moment in which a port is closed"
        assert pushes.by_status.keys() <= {200, 410, "gone"}, pushes.by_status
        assert pushes.by_status[200] > 100
        assert pushes.delivered <= crowd.pushed, pushes.delivered - crowd.pushed
        connected = ids(asked, "/connect")
        assert set(connected.values()) == {1}
        assert ids(asked, "/disconnect") == connected, "each $connect has its $disconnect, once"
