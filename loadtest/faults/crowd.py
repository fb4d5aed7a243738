"""Clients that come, talk and go, and a backend that pushes to them: the load under which things are broken."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from math import inf

from loadtest.errors import LoadTestError
from loadtest.faults.backend import REJECTED, Incoming, says_no
from loadtest.faults.client import Client
from loadtest.faults.history import During
from loadtest.faults.nodes import Node, Nodes
from loadtest.faults.pusher import Pusher
from loadtest.faults.recorder import Recorder

START_SECONDS = 60.0
RETRY_SECONDS = 0.2
"""Between a refused handshake and the next of the same client."""
RECENT = 64
"""So many connections that ended last are pushed to as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much of what; rates are per second of all clients together."""

    clients: int = 90
    messages: float = 60.0
    pushes: float = 120.0
    life: float = 15.0
    """Mean seconds of a connection."""


class Crowd:
    """Keeps so many clients connected to whichever nodes are up, and pushes to them through any node."""

    def __init__(self, recorder: Recorder, nodes: Nodes, load: Load, seed: int) -> None:
        self.ended = inf
        """When the load ended and the clients began to close."""
        self._recorder = recorder
        self._nodes = nodes
        self._load = load
        self._random = random.Random(seed)
        self._pusher = Pusher(recorder)
        self._clients: dict[str, Client] = {}
        """By name, in their handshake or open."""
        self._recent: deque[Client] = deque(maxlen=RECENT)
        self._asked: set[str] = set()
        """Connections whose first message has been heard."""
        self._refused_once: set[str] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._steady: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()

    async def start(self) -> None:
        """Begin; returns when most clients are connected.

        *Raises* LoadTestError where they don't get in.
        """
        self._steady = [asyncio.ensure_future(self._live()) for _ in range(self._load.clients)]
        try:
            async with asyncio.timeout(START_SECONDS):
                while len(self.live) < self._load.clients * 0.8:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise LoadTestError(f"{len(self.live)} of {self._load.clients} clients could connect") from None
        self._steady.append(asyncio.ensure_future(self._push_on()))
        self._steady.append(asyncio.ensure_future(self._talk_on()))

    @property
    def live(self) -> list[Client]:
        """Clients that are open as far as they know."""
        return [client for client in self._clients.values() if client.live]

    def live_at(self, node: str) -> list[Client]:
        return [client for client in self.live if client.node == node]

    async def finish(self) -> None:
        """Stop pushing and talking; every client closes, and its connection is waited for."""
        self.ended = self._recorder.now()
        self._ending.set()
        await asyncio.gather(*self._steady)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Stop at once."""
        left = [task for task in (*self._steady, *self._tasks) if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for client in tuple(self._clients.values()):
            client.drop()

    # -- clients

    async def _live(self) -> None:
        """One client after another, until the end."""
        while not self._ending.is_set():
            if (node := self._any_node()) is None or not await self._one(node):
                await self._pause(RETRY_SECONDS * (1 + self._random.random()))

    async def _one(self, node: Node) -> bool:
        """One connection from its handshake to its end; whether it was opened."""
        chance = self._random.random()
        name = f"{REJECTED if chance < 0.03 else ''}c{self._recorder.number()}"
        client = self._client(node, name)
        try:
            if 0.03 <= chance < 0.06:
                self._spawn(self._vanish(client))
            if not await client.dial(node.port):
                return False
            if self._random.random() < 0.2:
                self._spawn(self._push(client, "open"))
            await self._pause(self._random.expovariate(1 / self._load.life), client)
            if self._random.random() < 0.25 and not self._ending.is_set():
                client.drop()
            else:
                client.close()
            await client.ended.wait()
            self._recent.append(client)
        finally:
            self._clients.pop(name, None)
        return True

    def _client(self, node: Node, name: str) -> Client:
        client = Client(self._recorder, name, node.name, f"ws://127.0.0.1:{node.port}/dev?client={name}")
        self._clients[name] = client
        return client

    async def _vanish(self, client: Client) -> None:
        """Reset the TCP connection around the time its $connect is answered."""
        await asyncio.sleep(self._random.random() * 0.02)
        client.drop()

    async def _pause(self, seconds: float, client: Client | None = None) -> None:
        """For so long, until the end of the run, or until the client's connection has ended."""
        waits = [asyncio.ensure_future(self._ending.wait())]
        if client is not None:
            waits.append(asyncio.ensure_future(client.ended.wait()))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def vanishing(self, seconds: float) -> None:
        """One more handshake, whose client resets its TCP connection after so long."""
        if (node := self._any_node()) is not None:
            client = self._client(node, f"c{self._recorder.number()}")
            dialing = asyncio.ensure_future(client.dial(node.port))
            self._spawn(dialing)
            await asyncio.wait([dialing], timeout=seconds)
            client.drop()
            self._clients.pop(client.name)

    # -- what goes to and fro

    async def _talk_on(self) -> None:
        while not self._ending.is_set():
            await self._pause(self._random.expovariate(self._load.messages))
            if live := self.live:
                self._random.choice(live).say(f"m{self._recorder.number()}")

    async def _push_on(self) -> None:
        """Bursts of three in a row to one connection, each behind the answer of the one before."""
        while not self._ending.is_set():
            await self._pause(self._random.expovariate(self._load.pushes / 3))
            live = self.live
            if self._recent and (not live or self._random.random() < 0.15):
                self._spawn(self._push(self._random.choice(self._recent)))
            elif live:
                self._spawn(self._burst(self._random.choice(live)))

    async def _burst(self, client: Client) -> None:
        before = ""
        for _ in range(3):
            before = await self._push(client, before=before)

    async def _push(self, client: Client, during: During = "", before: str = "") -> str:
        """One push through any node that is up; its name if it was answered 200."""
        if (node := self._any_node()) is None or not client.connection_id:
            return ""
        name, status = await self._pusher.push(
            client.name, client.connection_id, node.name, node.internal_port, during=during, before=before
        )
        return name if status == 200 else ""

    def _any_node(self) -> Node | None:
        up = [node for node in self._nodes.running.values() if node.up and not node.paused]
        return self._random.choice(up) if up else None

    def _spawn(self, work: Coroutine[object, object, object] | asyncio.Future[bool]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the backend's part

    async def called(self, incoming: Incoming) -> int:
        """What the backend does in a call; the status it answers with."""
        match incoming.kind:
            case "CONNECT":
                return await self._connect(incoming)
            case "MESSAGE":
                return await self._message(incoming)
            case "DISCONNECT":
                return self._disconnect(incoming)

    async def _connect(self, incoming: Incoming) -> int:
        client = self._clients.get(incoming.client)
        if client is not None:
            client.connection_id = incoming.connection
            if self._random.random() < 0.1:
                await self._push(client, "connect")
        return says_no(incoming.client)

    async def _message(self, incoming: Incoming) -> int:
        if incoming.connection not in self._asked:
            self._asked.add(incoming.connection)
            client = next((c for c in self._clients.values() if c.connection_id == incoming.connection), None)
            if client is not None:
                await self._push(client, "first")
        return 200

    def _disconnect(self, incoming: Incoming) -> int:
        """Now and then no, once: it is asked again."""
        if self._random.random() < 0.03 and incoming.connection not in self._refused_once:
            self._refused_once.add(incoming.connection)
            return 503
        return 200
