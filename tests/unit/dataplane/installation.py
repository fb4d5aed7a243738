"""Several nodes in one process, with one store and a clock that the test moves; each may crash, sleep or be cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from tests.unit.dataplane.values import client, quotas
from wsgateway.dataplane.compiled import CompiledStage, Operation, StageRef
from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub, Sent
from wsgateway.dataplane.identity import ConnectionIds
from wsgateway.dataplane.lease import Lease
from wsgateway.dataplane.ledger import Ledger
from wsgateway.dataplane.peers import Peers
from wsgateway.dataplane.takeover import TakeOver
from wsgateway.errors import RegistryAway
from wsgateway.invocation import Client, Invocation
from wsgateway.messages import EndpointResponse, Message
from wsgateway.registry.base import LookUp, NodeEntry, View
from wsgateway.registry.memory import MemoryNodes, MemoryOrphans, MemoryStore

TTL = 15.0


class Clock:
    """Seconds, moved by the test."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Link:
    """What is between a node and the store: `up`, or not; `lost` answers don't come though the work is done."""

    up = True
    lost = False

    def check(self) -> None:
        if not self.up:
            raise RegistryAway("the link is cut")

    def back(self) -> None:
        """An answer on its way to the node."""
        if self.lost:
            self.lost = False
            raise RegistryAway("the answer was lost")


class LinkedNodes(MemoryNodes):
    """Nodes at the end of a link."""

    def __init__(self, store: MemoryStore, link: Link) -> None:
        super().__init__(store)
        self._link = link

    async def claim(self, entry: NodeEntry, ttl: float) -> bool:
        self._link.check()
        done = await super().claim(entry, ttl)
        self._link.back()
        return done

    async def renew(self, entry: NodeEntry, ttl: float) -> bool:
        self._link.check()
        return await super().renew(entry, ttl)

    async def recover(self, entry: NodeEntry, ttl: float) -> frozenset[str]:
        self._link.check()
        claimed = await super().recover(entry, ttl)
        self._link.back()
        return claimed

    def recover_now(self, entry: NodeEntry, ttl: float, timeout: float) -> frozenset[str] | None:
        self._link.check()
        claimed = super().recover_now(entry, ttl, timeout)
        self._link.back()
        return claimed

    async def view(self, epoch: bytes, secret: bytes) -> View:
        self._link.check()
        return await super().view(epoch, secret)

    async def look_up(self, slot: bytes, connection_id: str) -> LookUp:
        self._link.check()
        return await super().look_up(slot, connection_id)

    async def leave(self, slot: bytes) -> None:
        self._link.check()
        await super().leave(slot)

    async def retire(self, slot: bytes) -> bool:
        self._link.check()
        return await super().retire(slot)


class LinkedOrphans(MemoryOrphans):
    """Orphans at the end of a link."""

    def __init__(self, store: MemoryStore, link: Link) -> None:
        super().__init__(store)
        self._link = link

    def add(self, slot: bytes, connection_id: str, record: bytes) -> Awaitable[None]:
        return super().add(slot, connection_id, record) if self._link.up else _failed()

    def remove(self, slot: bytes, connection_id: str) -> Awaitable[None]:
        return super().remove(slot, connection_id) if self._link.up else _failed()

    async def count(self, slot: bytes) -> int:
        self._link.check()
        return await super().count(slot)

    async def ids(self, slot: bytes) -> frozenset[str]:
        self._link.check()
        return await super().ids(slot)

    async def page(self, slot: bytes, size: int) -> Sequence[tuple[str, bytes | None]]:
        self._link.check()
        return await super().page(slot, size)

    async def take(
        self, slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]
    ) -> Mapping[str, bytes]:
        self._link.check()
        return await super().take(slot, claimer, wanted)

    async def give_back(self, slot: bytes, connection_id: str, claimer: bytes) -> None:
        self._link.check()
        await super().give_back(slot, connection_id, claimer)


def _failed() -> Awaitable[None]:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(RegistryAway("the link is cut"))
    return future


class Socket:
    """An open socket: what it was told to close with, and the close is heard of at once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent: list[Message] = []
        self.closed: tuple[int, str] | None = None

    def send(self, message: Message) -> Sent:
        self.sent.append(message)
        return Sent.QUEUED

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason
        self.connection.on_close(code, reason)

    def pause(self) -> None:
        """It reads no further."""

    def resume(self) -> None:
        """It reads on."""


class Finisher:
    """Runs $disconnects as the test says: at once, or when it is told to."""

    def __init__(self) -> None:
        self.finished: Any = None
        self.at_once = True
        self.begun: list[tuple[str, bytes, int, str, bool]] = []
        """Connection id, owner, code, reason, and whether its stage is there."""
        self.pending: list[tuple[bytes, str]] = []

    @property
    def running(self) -> int:
        return len(self.pending)

    def begin(self, client: Client, ref: StageRef | None, code: int, reason: str, *, owner: bytes) -> None:
        self.begun.append((client.connection_id, owner, code, reason, ref is not None))
        self.pending.append((owner, client.connection_id))
        if self.at_once:
            self.finish()

    def forget(self, claimed: Collection[str]) -> None:
        """Others finish these."""
        self.pending = [(owner, connection_id) for owner, connection_id in self.pending if connection_id not in claimed]

    def finish(self) -> None:
        """Everything is answered."""
        pending, self.pending = self.pending, []
        for owner, connection_id in pending:
            self.finished(owner, connection_id)


class Node:
    """One node of an Installation; `sleeps` is a process that was stopped, `runs` is False once it crashed."""

    def __init__(self, installation: Installation, name: str, *, accepting: bool = False) -> None:
        clock = installation.clock
        self.installation = installation
        self.name = name
        self.runs = True
        self.sleeps = False
        self.link = Link()
        self.logged: list[dict[str, Any]] = []
        self.messages: list[bytes] = []
        loop = asyncio.get_running_loop()
        self.stage = StageRef(_stage(self._say))
        self.finisher = Finisher()
        self.gateway = gateway = Gateway(
            loop=loop,
            hub=Hub(),
            ids=ConnectionIds(b"?" + name.encode()[:1] + b"?"),
            counters=Counters(),
            faults=Faults(self.log, clock),
            log=self.log,
            stages={("chat", "dev"): self.stage},
            endpoints=Endpoints({"chat": frozenset({"dev"})}, "chat"),
            callback_url=lambda request, place: ("chat.example", "http://chat.example/dev"),
            show_reasons=True,
            max_connections=100_000,
            clock=clock,
        )
        gateway.admission.configure({"chat": quotas()})
        gateway.disconnects = self.finisher  # type: ignore[assignment]
        self.nodes = LinkedNodes(installation.store, self.link)
        self.orphans = LinkedOrphans(installation.store, self.link)
        self.peers = Peers(TTL, clock)
        self.ledger = gateway.ledger = Ledger(gateway, self.orphans, accepting=accepting)
        self.lease = Lease(
            gateway, self.nodes, self.peers, self.ledger, self.entry, ttl=TTL, accepting=accepting, clock=clock
        )
        self.takeover = TakeOver(gateway, self.nodes, self.orphans, self.peers, self.finisher, tick=TTL / 15)
        self.finisher.finished = self._finished

    @property
    def slot(self) -> bytes:
        return self.gateway.ids.slot

    def entry(self) -> NodeEntry:
        return NodeEntry(slot=self.slot, address=f"{self.name}:9090", name=self.name, started=1)

    def log(self, event: str, **facts: object) -> None:
        self.logged.append({"event": event, **facts})

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.logged if line["event"] == event]

    def _finished(self, owner: bytes, connection_id: str) -> None:
        if owner == self.slot:
            self.ledger.leave(connection_id)
        else:
            self.takeover.finished(owner, connection_id)

    def _say(self, invocation: Invocation) -> EndpointResponse:
        self.messages.append(invocation.body())
        return EndpointResponse(200, (), b"reply")

    async def connect(self) -> Socket:
        """A client with an open connection."""
        connection = Connection(self.gateway, self.stage, client(connection_id=self.gateway.ids.new("chat")))
        if self.ledger.wants(self.stage.current):
            await self.ledger.enter(connection)
        return self.open(connection)

    def open(self, connection: Connection) -> Socket:
        self.gateway.opening += 1
        socket = Socket(connection)
        connection.opened(socket)
        return socket

    async def tick(self) -> None:
        if not self.runs or self.sleeps:
            return
        await self.lease.tick()
        for step in (self.ledger.mend, self.takeover.step):
            with suppress(RegistryAway):
                await step()
        await asyncio.sleep(0)


class Installation:
    """Nodes and what they share."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.nodes: list[Node] = []

    async def start(self, *names: str, accepting: bool = False) -> list[Node]:
        """Nodes that have read the directory for long enough to judge."""
        started = [Node(self, name, accepting=accepting) for name in names]
        self.nodes += started
        await self.pass_time(12)
        return started

    async def pass_time(self, seconds: int) -> None:
        """Every node that runs does what it does each second."""
        for _ in range(seconds):
            self.clock.now += 1
            for node in self.nodes:
                await node.tick()

    def records(self, node: Node) -> set[str]:
        return set(self.store.records.get(node.slot, ()))


def without_disconnect(stage: CompiledStage) -> CompiledStage:
    """The stage, with nothing to be finished."""
    return replace(stage, disconnect=None)


def _stage(say: Any) -> CompiledStage:
    operation = Operation("say", (), say, True)
    return CompiledStage(
        api_id="chat",
        name="dev",
        quotas=quotas(),
        variables={},
        select=lambda data: operation,
        select_binary=lambda data: operation,
        connect=None,
        disconnect=Operation("$disconnect", (), partial(_answer, 200), False),
        sequential=False,
    )


def _answer(status: int, invocation: Invocation) -> EndpointResponse:
    return EndpointResponse(status)


def id_of(socket: Socket) -> str:
    return socket.connection.client.connection_id
