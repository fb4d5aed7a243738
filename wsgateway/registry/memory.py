"""`memory://`: the registry of a single node, in its own memory. It ends with the process."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import monotonic

from wsgateway.registry.base import KEPT, LookUp, NodeEntry, Stored, View


class MemoryStore:
    """The state of all kinds; `clock` gives seconds, and runs leases out."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.epoch: bytes | None = None
        self.secret: bytes | None = None
        self.nodes: dict[bytes, NodeEntry] = {}
        self.leases: dict[bytes, float] = {}
        self.retired: set[bytes] = set()
        self.records: dict[bytes, dict[str, bytes]] = {}
        self.claims: dict[bytes, dict[str, bytes]] = {}
        self.mark: bytes | None = None
        self.kept: dict[str, tuple[bytes, bytes]] = {}
        """Record and text of each deployment, the oldest first."""
        self.instead: dict[str, tuple[int, bytes]] = {}

    def leased(self, slot: bytes) -> bool:
        return self.leases.get(slot, 0.0) > self.clock()


class MemoryNodes:
    """Nodes of a MemoryStore."""

    unreadable = 0

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def claim(self, entry: NodeEntry, ttl: float) -> bool:
        store, slot = self._store, entry.slot
        known = slot in store.nodes or slot in store.retired or store.records.get(slot) or store.claims.get(slot)
        if store.leased(slot) or known:
            return False
        self._lease(entry, ttl)
        return True

    async def renew(self, entry: NodeEntry, ttl: float) -> bool:
        if not self._store.leased(entry.slot):
            return False
        self._lease(entry, ttl)
        return True

    async def recover(self, entry: NodeEntry, ttl: float) -> frozenset[str]:
        self._lease(entry, ttl)
        return frozenset(self._store.claims.get(entry.slot, ()))

    def recover_now(self, entry: NodeEntry, ttl: float, timeout: float) -> frozenset[str] | None:
        if self._store.leased(entry.slot):
            return None
        self._lease(entry, ttl)
        return frozenset(self._store.claims.get(entry.slot, ()))

    def _lease(self, entry: NodeEntry, ttl: float) -> None:
        store = self._store
        store.nodes[entry.slot] = entry
        store.leases[entry.slot] = store.clock() + ttl
        store.retired.discard(entry.slot)

    async def view(self, epoch: bytes, secret: bytes) -> View:
        store = self._store
        store.epoch = store.epoch or epoch
        store.secret = store.secret or secret
        return View(
            epoch=store.epoch,
            secret=store.secret,
            nodes=dict(store.nodes),
            leased=frozenset(slot for slot in store.nodes if store.leased(slot)),
        )

    async def look_up(self, slot: bytes, connection_id: str) -> LookUp:
        store = self._store
        return LookUp(
            epoch=store.epoch,
            entry=store.nodes.get(slot),
            leased=store.leased(slot),
            retired=slot in store.retired,
            recorded=connection_id in store.records.get(slot, ()),
            claimed=connection_id in store.claims.get(slot, ()),
        )

    async def leave(self, slot: bytes) -> None:
        self._store.leases.pop(slot, None)
        await self.retire(slot)

    async def retire(self, slot: bytes) -> bool:
        store = self._store
        if store.leased(slot) or store.records.get(slot):
            return False
        store.nodes.pop(slot, None)
        store.leases.pop(slot, None)
        store.retired.add(slot)
        return True

    async def aclose(self) -> None:
        """Nothing is held."""


class MemoryOrphans:
    """Orphans of a MemoryStore."""

    unreadable = 0

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def add(self, slot: bytes, connection_id: str, record: bytes) -> Awaitable[None]:
        self._store.records.setdefault(slot, {})[connection_id] = record
        return _done()

    def remove(self, slot: bytes, connection_id: str) -> Awaitable[None]:
        self._store.records.get(slot, {}).pop(connection_id, None)
        return _done()

    async def count(self, slot: bytes) -> int:
        return len(self._store.records.get(slot, ()))

    async def ids(self, slot: bytes) -> frozenset[str]:
        return frozenset(self._store.records.get(slot, ()))

    async def page(self, slot: bytes, size: int) -> Sequence[tuple[str, bytes | None]]:
        ids = list(self._store.records.get(slot, ()))
        claims = self._store.claims.get(slot, {})
        return [(chosen, claims.get(chosen)) for chosen in random.sample(ids, min(size, len(ids)))]

    async def take(
        self, slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]
    ) -> Mapping[str, bytes]:
        store = self._store
        taken: dict[str, bytes] = {}
        if store.leased(slot):
            return taken
        records = store.records.get(slot, {})
        claims = store.claims.setdefault(slot, {})
        for connection_id, claim in wanted:
            if connection_id in records and claims.get(connection_id) in (claim, claimer):
                claims[connection_id] = claimer
                taken[connection_id] = records[connection_id]
        return taken

    async def give_back(self, slot: bytes, connection_id: str, claimer: bytes) -> None:
        claims = self._store.claims.get(slot, {})
        if claims.get(connection_id) == claimer:
            del claims[connection_id]


class MemoryDefinitions:
    """DefinitionStore of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def mark(self) -> bytes | None:
        return self._store.mark

    async def read(self) -> Stored:
        store = self._store
        return Stored(
            mark=store.mark,
            kept=tuple((digest, record) for digest, (record, _) in reversed(store.kept.items())),
            instead={digest: record for digest, (_, record) in store.instead.items()},
        )

    async def text(self, digest: str) -> bytes | None:
        kept = self._store.kept.get(digest)
        return None if kept is None else kept[1]

    async def keep(self, digest: str, record: bytes, text: bytes) -> None:
        kept = self._store.kept
        before = kept.get(digest)
        if before is not None and before[1] == text and next(reversed(kept)) == digest:
            return
        kept.pop(digest, None)
        kept[digest] = record, text
        while len(kept) > KEPT:
            oldest = next(iter(kept))
            del kept[oldest]
            self._store.instead.pop(oldest, None)
        self._changed()

    async def put_instead(self, digest: str, stamp: int, record: bytes) -> None:
        store = self._store
        if digest in store.instead and store.instead[digest][0] >= stamp:
            return
        store.instead[digest] = stamp, record
        store.instead = {key: said for key, said in store.instead.items() if key in store.kept or key == digest}
        self._changed()

    def _changed(self) -> None:
        self._store.mark = secrets.token_bytes(8)


def _done() -> Awaitable[None]:
    """Nothing to wait for."""
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
