"""Memory and Redis side by side, driven by anything, against a model of what the contract says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.redis import RedisServer
from wsgateway.registry.base import LookUp, NodeEntry, View
from wsgateway.registry.link import slot_name
from wsgateway.registry.memory import MemoryNodes, MemoryOrphans, MemoryStore
from wsgateway.registry.url import open_registry

T = TypeVar("T")
LONG = 600.0
SLOTS = st.sampled_from([b"aaa", b"\x00\xff}", b":*{"])
IDS = st.sampled_from(["one==", "{two}", "*"])
RECORDS = st.binary(max_size=4)
ADDRESSES = st.sampled_from(["127.0.0.1:1", "[::1]:2"])


def key(slot: bytes, name: str) -> str:
    """As the first lines of registry/redis.py have it."""
    return f"p:{{{slot_name(slot)}}}:{name}"


class Model:
    """What the contract says, with leases that run until they are ended by name."""

    def __init__(self) -> None:
        self.epoch: bytes | None = None
        self.secret: bytes | None = None
        self.leased: set[bytes] = set()
        self.nodes: dict[bytes, NodeEntry] = {}
        self.retired: set[bytes] = set()
        self.records: dict[tuple[bytes, str], bytes] = {}
        self.claims: dict[tuple[bytes, str], bytes] = {}

    def has(self, slot: bytes, kept: dict[tuple[bytes, str], bytes]) -> bool:
        return any(owner == slot for owner, _ in kept)

    def claimed(self, slot: bytes) -> frozenset[str]:
        return frozenset(name for owner, name in self.claims if owner == slot)

    def lease(self, entry: NodeEntry) -> None:
        self.leased.add(entry.slot)
        self.nodes[entry.slot] = entry
        self.retired.discard(entry.slot)


class Stores:
    """Both stores, on a loop of their own."""

    def __init__(self, server: RedisServer, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.server = server
        self.now = 0.0
        self.memory = MemoryStore(lambda: self.now)

        async def open_both() -> Any:
            await server.wipe()
            return open_registry(server.url, "p")

        self.redis = runner.run(open_both())
        self.pairs = [
            (MemoryNodes(self.memory), MemoryOrphans(self.memory)),
            (self.redis.nodes, self.redis.orphans),
        ]

    def run(self, call: Awaitable[T]) -> T:
        async def waited() -> T:
            return await call

        return self.runner.run(waited())

    def lapse(self, slot: bytes) -> None:
        self.memory.leases.pop(slot, None)
        self.run(self.server.run("DEL", key(slot, "lease")))

    def close(self) -> None:
        self.run(self.redis.nodes.aclose())


class Registry(RuleBasedStateMachine):
    server: RedisServer
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.stores = Stores(self.server, self.runner)

    def teardown(self) -> None:
        self.stores.close()

    def _both(self, kind: int, method: str, *arguments: object) -> Any:
        """What both stores answer, which is one and the same."""

        async def call(port: Any) -> Any:
            return await getattr(port, method)(*arguments)

        memory, redis = (self.stores.run(call(pair[kind])) for pair in self.stores.pairs)
        assert memory == redis, method
        return memory

    def nodes(self, method: str, *arguments: object) -> Any:
        return self._both(0, method, *arguments)

    def orphans(self, method: str, *arguments: object) -> Any:
        return self._both(1, method, *arguments)

    @rule(slot=SLOTS, address=ADDRESSES)
    def claim(self, slot: bytes, address: str) -> None:
        model, entry = self.model, NodeEntry(slot=slot, address=address)
        free = not (
            slot in model.leased
            or slot in model.nodes
            or slot in model.retired
            or model.has(slot, model.records)
            or model.has(slot, model.claims)
        )
        assert self.nodes("claim", entry, LONG) is free
        if free:
            model.lease(entry)

    @rule(slot=SLOTS, address=ADDRESSES)
    def renew(self, slot: bytes, address: str) -> None:
        entry = NodeEntry(slot=slot, address=address)
        assert self.nodes("renew", entry, LONG) is (slot in self.model.leased)
        if slot in self.model.leased:
            self.model.lease(entry)

    @rule(slot=SLOTS, address=ADDRESSES)
    def recover(self, slot: bytes, address: str) -> None:
        entry = NodeEntry(slot=slot, address=address)
        assert self.nodes("recover", entry, LONG) == self.model.claimed(slot)
        self.model.lease(entry)

    @rule(slot=SLOTS)
    def lapse(self, slot: bytes) -> None:
        self.stores.lapse(slot)
        self.model.leased.discard(slot)

    @rule(slot=SLOTS)
    def leave(self, slot: bytes) -> None:
        self.nodes("leave", slot)
        self.model.leased.discard(slot)
        self._retired(slot)

    @rule(slot=SLOTS)
    def retire(self, slot: bytes) -> None:
        assert self.nodes("retire", slot) is self._retired(slot)

    def _retired(self, slot: bytes) -> bool:
        model = self.model
        if slot in model.leased or model.has(slot, model.records):
            return False
        model.nodes.pop(slot, None)
        model.retired.add(slot)
        return True

    @rule(epoch=st.binary(min_size=1, max_size=2), secret=st.binary(min_size=1, max_size=2))
    def view(self, epoch: bytes, secret: bytes) -> None:
        model = self.model
        model.epoch, model.secret = model.epoch or epoch, model.secret or secret
        assert self.nodes("view", epoch, secret) == View(
            epoch=model.epoch,
            secret=model.secret,
            nodes=model.nodes,
            leased=frozenset(model.leased & set(model.nodes)),
        )

    @rule(slot=SLOTS, name=IDS)
    def look_up(self, slot: bytes, name: str) -> None:
        model = self.model
        assert self.nodes("look_up", slot, name) == LookUp(
            epoch=model.epoch,
            entry=model.nodes.get(slot),
            leased=slot in model.leased,
            retired=slot in model.retired,
            recorded=(slot, name) in model.records,
            claimed=(slot, name) in model.claims,
        )

    @rule(slot=SLOTS, name=IDS, record=RECORDS)
    def add(self, slot: bytes, name: str, record: bytes) -> None:
        self.orphans("add", slot, name, record)
        self.model.records[slot, name] = record

    @rule(slot=SLOTS, name=IDS)
    def remove(self, slot: bytes, name: str) -> None:
        self.orphans("remove", slot, name)
        self.model.records.pop((slot, name), None)

    @rule(slot=SLOTS)
    def list_records(self, slot: bytes) -> None:
        names = {name for owner, name in self.model.records if owner == slot}
        assert self.orphans("ids", slot) == names
        assert self.orphans("count", slot) == len(names)
        for _, orphans in self.stores.pairs:
            page = self.stores.run(orphans.page(slot, 10))
            assert dict(page) == {name: self.model.claims.get((slot, name)) for name in names}
            assert len(self.stores.run(orphans.page(slot, 1))) == min(1, len(names))

    @rule(slot=SLOTS, claimer=SLOTS, wanted=st.dictionaries(IDS, st.none() | SLOTS))
    def take(self, slot: bytes, claimer: bytes, wanted: dict[str, bytes | None]) -> None:
        model = self.model
        got = {
            name: model.records[slot, name]
            for name, claim in wanted.items()
            if slot not in model.leased
            and (slot, name) in model.records
            and model.claims.get((slot, name)) in (claim, claimer)
        }
        assert self.orphans("take", slot, claimer, list(wanted.items())) == got
        model.claims |= {(slot, name): claimer for name in got}

    @rule(slot=SLOTS, name=IDS, claimer=SLOTS)
    def give_back(self, slot: bytes, name: str, claimer: bytes) -> None:
        self.orphans("give_back", slot, name, claimer)
        if self.model.claims.get((slot, name)) == claimer:
            del self.model.claims[slot, name]

    @rule()
    def wipe(self) -> None:
        self.stores.run(self.server.wipe())
        self.stores.memory.clear()
        self.model = Model()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
        runner.run(server.start())
        try:
            yield server, runner
        finally:
            runner.run(server.kill())


def test_memory_and_redis_do_what_the_contract_says(running: tuple[RedisServer, asyncio.Runner]) -> None:
    driven = type("Driven", (Registry,), {"server": running[0], "runner": running[1]})
    run_state_machine_as_test(
        driven,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
