"""A whole installation under load, and the ways to break it; each way writes down when it broke what, and when not."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.faults.backend import DEFINITION, Backend
from loadtest.faults.checker import violations
from loadtest.faults.crowd import Crowd, Load
from loadtest.faults.excuses import Terms
from loadtest.faults.history import Left
from loadtest.faults.nodes import Node, Nodes
from loadtest.faults.recorder import Recorder
from loadtest.faults.verdict import Violation
from tests.redis import RedisServer

PREFIX = "wsgateway"
"""The default of --redis-prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an installation is set up."""

    seed: int
    nodes: int = 3
    lease_ttl: float = 1.5
    drain_window: float = 2.0
    slack: float = 1.0
    gateway: tuple[str, ...] = (sys.executable, "-m", "wsgateway")
    """What `serve FILE …` is appended to."""
    load: Load


class Site:
    """Nodes, Redis, backend and clients; made by `site`."""

    def __init__(
        self, plan: Plan, recorder: Recorder, redis: RedisServer, backend: Backend, nodes: Nodes, crowd: Crowd
    ) -> None:
        self.plan = plan
        self.recorder = recorder
        self.redis = redis
        self.backend = backend
        self.nodes = nodes
        self.crowd = crowd
        self.random = random.Random(plan.seed)

    @property
    def terms(self) -> Terms:
        """What is promised of this installation; a late recorder is no late gateway."""
        slack = self.plan.slack + self.recorder.lag
        return Terms(lease_ttl=self.plan.lease_ttl, drain_window=self.plan.drain_window, slack=slack)

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes.running.values() if node.up]

    def position(self) -> str:
        """Any position whose node is up."""
        return self.random.choice([position for position, node in self.nodes.running.items() if node.up])

    @property
    def outage(self) -> tuple[float, float]:
        """Bounds of an outage's seconds: from one that leases outlive to one that they don't."""
        return 0.2, 2 * self.plan.lease_ttl

    @property
    def absence(self) -> tuple[float, float]:
        """Bounds of the seconds that a node is out of sight: the others give it up."""
        return 2 * self.plan.lease_ttl, 4 * self.plan.lease_ttl

    async def hold(self, least: float, most: float) -> None:
        """Leave things as they are for a time between these, by chance."""
        await asyncio.sleep(self.random.uniform(least, most))

    async def heal(self) -> None:
        """Leave things alone for as long as the promises need to hold anew."""
        await asyncio.sleep(self.terms.takeover)

    # -- nodes

    async def kill(self, position: str) -> None:
        """SIGKILL."""
        node = self.nodes.running[position]
        self.recorder.broke("kill", node=node.name)
        node.signal(signal.SIGKILL)
        await node.gone.wait()

    async def leave(self, position: str) -> None:
        """SIGTERM, up to its end."""
        node = self.nodes.running[position]
        self.recorder.broke("terminate", node=node.name)
        node.leaving = True
        node.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(node.gone.wait(), self.plan.drain_window + 40)

    @asynccontextmanager
    async def paused(self, position: str) -> AsyncIterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        node = self.nodes.running[position]
        fault = self.recorder.broke("pause", node=node.name)
        node.paused = True
        node.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.signal(signal.SIGCONT)
            node.paused = False
            self.recorder.mended(fault)

    # -- Redis

    @asynccontextmanager
    async def redis_down(self, *, data: bool) -> AsyncIterator[None]:
        """Killed, and run again at the end, with what it had acknowledged or with nothing."""
        fault = self.recorder.broke("redis-away")
        await self.redis.kill()
        try:
            yield
        finally:
            if not data:
                self.redis.forget()
                self.recorder.broke("redis-wiped")
            await self.redis.start()
            self.recorder.mended(fault)

    async def wipe(self) -> None:
        """FLUSHALL."""
        self.recorder.broke("redis-wiped")
        await self.redis.wipe()

    @asynccontextmanager
    async def redis_silent(self, *positions: str) -> AsyncIterator[None]:
        """The links to Redis carry nothing: those of these positions, or all."""
        nodes = [self.nodes.running[position] for position in positions] or list(self.nodes.running.values())
        if positions:
            faults = [self.recorder.broke("redis-cut", node=node.name) for node in nodes]
        else:
            faults = [self.recorder.broke("redis-away")]
        for node in nodes:
            node.redis.hole()
        try:
            yield
        finally:
            for node in nodes:
                await node.redis.heal()
            for fault in faults:
                self.recorder.mended(fault)

    @asynccontextmanager
    async def redis_slow(self, seconds: float) -> AsyncIterator[None]:
        """Each answer comes so much later, half of it on either way."""
        nodes = list(self.nodes.running.values())
        fault = self.recorder.broke("redis-slow")
        for node in nodes:
            node.redis.delay = seconds / 2
        try:
            yield
        finally:
            for node in nodes:
                node.redis.delay = 0.0
            self.recorder.mended(fault)

    # -- nodes among one another

    @asynccontextmanager
    async def unreachable(self, position: str) -> AsyncIterator[None]:
        """What the other nodes send to this one goes nowhere."""
        node = self.nodes.running[position]
        fault = self.recorder.broke("peer-cut", other=node.name)
        node.peers.hole()
        try:
            yield
        finally:
            await node.peers.heal()
            node.peers.cut()  # what was held back so long is no more waited for
            self.recorder.mended(fault)

    # -- the end

    async def finish(self) -> list[Violation]:
        """End the load and every node in order, wait for what is promised, and judge."""
        await self.crowd.finish()
        await self.until(lambda: not self.backend.undone, self.terms.orphaned + self.terms.takeover)
        await asyncio.gather(*(self.leave(position) for position, node in self.nodes.running.items() if node.up))
        await self._look_back()
        self.recorder.over = True
        return violations(self.recorder.history, self.terms)

    async def _look_back(self) -> None:
        """Write down what Redis still holds of nodes and connections."""
        keys = [key for key in await self.redis.run("KEYS", f"{PREFIX}:*") if "{definitions}" not in key]
        left = [f"{key} is there" for key in keys if key.endswith((":lease", ":records"))]
        if nodes := await self.redis.run("HLEN", f"{PREFIX}:nodes"):
            left.append(f"{nodes} nodes are in the directory")
        for what in left:
            self.recorder.add(Left(at=self.recorder.now(), what=what))

    async def until(self, good: Callable[[], bool], seconds: float) -> bool:
        """Wait for something, for so long at most; whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not good():
                    await asyncio.sleep(0.02)
        return good()


@asynccontextmanager
async def site(plan: Plan, folder: Path) -> AsyncIterator[Site]:
    """An installation under load; everything it started is ended when the block is left."""
    recorder = Recorder()
    async with AsyncExitStack() as stack:
        watch = asyncio.ensure_future(recorder.watch())
        stack.callback(watch.cancel)
        redis = RedisServer(folder / "redis")
        stack.push_async_callback(redis.kill)
        await redis.start()
        flags = ("--lease-ttl", str(plan.lease_ttl), "--drain-window", str(plan.drain_window))
        nodes = Nodes(recorder, folder, redis.port, flags, list(plan.gateway))
        crowd = Crowd(recorder, nodes, plan.load, plan.seed)
        backend = Backend(recorder, crowd.called)
        stack.callback(backend.stop)
        await backend.start()
        (folder / "routes.yaml").write_text(DEFINITION.replace("@port@", str(backend.port)))
        stack.push_async_callback(nodes.aclose)
        await asyncio.gather(*(nodes.start(position) for position in "abcdefgh"[: plan.nodes]))
        stack.push_async_callback(crowd.aclose)
        await crowd.start()
        yield Site(plan, recorder, redis, backend, nodes, crowd)
