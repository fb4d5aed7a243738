"""A gateway's time from its first client to its last: it says that it is ready, hears orders, drains, and ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import anyio
import anyio.abc

from wsgateway.announce import announce
from wsgateway.dataplane.node import Node
from wsgateway.deploy import Deployments
from wsgateway.errors import StartError
from wsgateway.functions import Functions
from wsgateway.installation import Installation
from wsgateway.settings import Settings
from wsgateway.signals import Order, Orders, heard_signals
from wsgateway.telemetry.rows import Rows
from wsgateway.telemetry.writer import LogWriter
from wsgateway.transport.listener import Listener, is_loopback_host
from wsgateway.watch import watch_code, watch_file
from wsgateway.workers import Worker


@dataclass(kw_only=True)
class Serving:
    """What is wired and listens, and how it ends."""

    settings: Settings
    node: Node
    deployments: Deployments
    functions: Functions
    installation: Installation | None
    worker: Worker | None
    public: Listener
    internal: Listener
    address: Callable[[], str]
    """HOST:PORT at which other nodes are told to reach this one."""
    elsewhere: bool
    """Redis is on another machine, and nodes may be."""
    leaving: Callable[[], None]
    """What has to be done even where the process ends at once."""
    writers: Sequence[LogWriter | Rows]
    """What still has to be written where the process ends at once."""
    _failed: StartError | None = None

    async def run(self) -> None:
        """Serve until an order ends it. *Raises* StartError where nobody can be told that it serves."""
        node, worker, installation = self.node, self.worker, self.installation
        # The signals are heard before anybody is told that there is somebody to send them to.
        async with heard_signals() as orders:
            # What exists now lives as long as the process; the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(5_000, 20, 50)
            if worker is not None:
                worker.changed = partial(self._look_at_board, worker)
                worker.follow(orders)
            if installation is None:
                self._ready()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(node.sweep)
                tasks.start_soon(node.watch_loop)
                if self.settings.shared:
                    tasks.start_soon(self.deployments.follow)
                if installation is not None:
                    tasks.start_soon(installation.membership.run)
                    tasks.start_soon(self._ready_later, installation, tasks.cancel_scope)
                if self.settings.dev:
                    tasks.start_soon(watch_file, self.settings.file.resolve(), self.deployments)
                    tasks.start_soon(watch_code, self.functions, self.deployments, self.settings.access_log)
                await self._hear(orders, tasks)
                if installation is not None:
                    await installation.membership.leave()
                tasks.cancel_scope.cancel()
            if self._failed is not None:
                raise self._failed

    def _ready(self) -> None:
        """Clients may come. *Raises* StartError where that can't be told."""
        self.node.ready = True
        if self.worker is None:
            public = self.public
            announce(self.settings, port=public.port, tls_port=public.tls_port, internal_port=self.internal.port)
        else:
            self.worker.report("ready")

    async def _ready_later(self, installation: Installation, scope: anyio.CancelScope) -> None:
        """Clients may come as soon as this node has its slot: before that each of them would be refused. Whoever
        accepts them without Redis need not wait."""
        if self.settings.redis_away == "refuse":
            await installation.wait_for_slot()
        address = self.address()
        if self.elsewhere and is_loopback_host(address.rpartition(":")[0].strip("[]")):
            self.node.gateway.log(
                "nodes on other machines can't reach this one: give --internal-host, or --advertise", address=address
            )
        try:
            self._ready()
        except StartError as error:
            self._failed = error
            scope.cancel()

    async def _hear(self, orders: Orders, tasks: anyio.abc.TaskGroup) -> None:
        """Reload when told to; drain at the first other order, whatever a reload waits for."""
        gateway = self.node.gateway
        async with anyio.create_task_group() as reloads:
            async for order, cause in orders:
                if order is Order.LEAVE:
                    self._leave()
                if order is Order.DRAIN:
                    gateway.log("draining", connections=len(gateway.hub), cause=cause)
                    break
                reloads.start_soon(self.deployments.reload)
            reloads.cancel_scope.cancel()
        tasks.start_soon(self._leave_at_once_on, orders)
        if self.worker is not None:
            self.worker.report("draining")
        if self.installation is not None:
            self.installation.membership.draining()
        await self.node.drain()

    async def _leave_at_once_on(self, orders: Orders) -> None:
        """An order to leave ends the process without waiting for anybody."""
        async for order, _ in orders:
            if order is Order.LEAVE:
                self._leave()

    def _leave(self) -> NoReturn:
        self.node.gateway.log("leaving at once", connections=len(self.node.gateway.hub))
        for writer in self.writers:
            writer.close(0.5)
        self.leaving()
        os._exit(1)

    def _look_at_board(self, worker: Worker) -> None:
        """New clients are for the other workers, if this one alone ends; new calls too, if its supervisor is gone and
        the ports are somebody else's to have."""
        if worker.stands_aside or worker.alone:
            self.public.stop_accepting()
        if worker.alone:
            self.internal.stop_accepting()
