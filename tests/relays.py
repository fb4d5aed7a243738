"""Nodes of an installation with internal listeners of their own, in one process, and what can go wrong between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.unit.dataplane.installation import Node, Socket
from wsgateway.dataplane.connections import ConnectionsApi
from wsgateway.dataplane.directory import Directory, NodesPage
from wsgateway.dataplane.neighbours import Neighbours
from wsgateway.registry.base import NodeEntry
from wsgateway.transport.listener import Listener
from wsgateway.upstream.egress import Egress


class Relaying:
    """A node that can be called, by backends and by other nodes. `secret` stands in for the installation's."""

    def __init__(self, node: Node, secret: bytes | None = None) -> None:
        self.node = node
        self.gateway = gateway = node.gateway
        self.address = "127.0.0.1:1"
        self.egress = Egress()
        """Of integrations."""
        self.secret: Callable[[], bytes] = lambda: node.lease.secret if secret is None else secret
        self.neighbours = Neighbours(gateway, node.peers, node.nodes, self.egress, self._secret)
        self.seals = self.neighbours.seals
        self.relay = self.neighbours.relay
        node.entry = self.entry  # type: ignore[method-assign]
        node.lease._announce = self.entry
        self.faults: list[Any] = []
        self.directory = Directory(gateway, self.entry, node.peers)
        self.internal = Listener(
            handler=self.neighbours.relayed(
                NodesPage(self.directory, ConnectionsApi(gateway, signed=False, directory=self.directory))
            ),
            report=self._unexpected,
            counters=gateway.counters,
        )

    def _secret(self) -> bytes:
        return self.secret()

    def _unexpected(self, error: BaseException, method: str, target: str) -> None:
        self.faults.append(error)

    def entry(self) -> NodeEntry:
        name = self.node.name
        return NodeEntry(slot=self.node.slot, address=self.address, name=name, version="1", started=1, digest="d" * 64)

    @property
    def port(self) -> int:
        return self.internal.port

    async def start(self) -> None:
        await self.internal.start("127.0.0.1", 0, name="internal")
        self.address = f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """As if it had crashed, as far as others can see."""
        self.node.runs = False
        self.internal.close()
        await self.neighbours.aclose()

    async def connect(self) -> tuple[str, Socket]:
        """A connection's id, and what its client hears."""
        socket = await self.node.connect()
        return socket.connection.client.connection_id, socket


class Stranger:
    """Something else at an address: it answers all that comes with `answer`, or says nothing where that is None."""

    def __init__(self, answer: bytes | None, port: int = 0) -> None:
        self.answer = answer
        self._wanted = port
        self.asked: list[bytes] = []

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is not None:
                writer.write(self.answer)
                writer.close()
            else:
                await reader.read()
                writer.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
