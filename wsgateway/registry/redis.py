"""Nodes and Orphans in Redis (6.2 or later), alone, behind Sentinels or as a Cluster.

Keys, with PREFIX before each; SLOT is a node's slot in base64:

| key | kind | what | lives |
| --- | --- | --- | --- |
| `epoch` | string | made with the first write: another one means that Redis was emptied | for ever |
| `secret` | string | by which nodes know one another | for ever |
| `nodes` | hash | slot → NodeEntry (MessagePack) | until the slot is retired |
| `retired` | sorted set | slots of nodes that have ended, by the second | a day each |
| `{SLOT}:lease` | string | there while the node renews it | `--lease-ttl` |
| `{SLOT}:records` | hash | connection id → record, while its $disconnect is to be run | with its fields |
| `{SLOT}:claims` | hash | connection id → slot of the node that runs its $disconnect | a day after the last |

What it costs: a connection whose stage has a `$disconnect` that is delivered at least once is one field of one HSET
when it opens and of one HDEL when its $disconnect has been answered, together with all others of the same moment; any
other connection, a message and a push are nothing. A node renews its lease (SET, HSET, ZREM, HLEN) three times a lease,
and reads the directory (GET twice, HGETALL, an EXISTS for each node) fifteen times a lease.

A claim of a slot, a renewal and a claim of connections are one atomic step each (SET NX, SET XX, a script). What takes
more than one is in an order in which a crash between two is harmless: a lease without an entry runs out; a slot is
known as retired before its entry goes; and a lease always weighs more than being retired.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from redis.exceptions import RedisError

from wsgateway.errors import RegistryAway
from wsgateway.registry.base import LookUp, NodeEntry, View
from wsgateway.registry.link import Link, Script, reason, sentinels_of

DAY = 86_400
BATCH = 1_000
"""Fields of one HSET or HDEL: what Redis does in about a millisecond."""
PIECES = 64
"""Of them in one pipeline."""

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(NodeEntry).decode


class RedisNodes:
    """Slots, leases and addresses in Redis."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._retire = Script("retire")
        self.bad_entries = 0
        """Entries of the directory that could not be read."""

    async def claim(self, entry: NodeEntry, ttl: float) -> bool:
        link, slot = self._link, entry.slot
        async with link.step() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.hexists(link.key("nodes"), slot)
            pipeline.zscore(link.key("retired"), slot)
            known, retired = await pipeline.execute()
            if known or retired is not None:
                return False
            if not await client.set(link.node_key(slot, "lease"), _token(entry), nx=True, px=_millis(ttl)):
                return False
            await client.hset(link.key("nodes"), slot, _encode(entry))
            return True

    async def renew(self, entry: NodeEntry, ttl: float) -> bool:
        link = self._link
        async with link.step() as client:
            lease = link.node_key(entry.slot, "lease")
            if not await client.set(lease, _token(entry), xx=True, px=_millis(ttl)):
                return False
            await self._announce(client, entry)
            return True

    async def recover(self, entry: NodeEntry, ttl: float) -> frozenset[str]:
        link, slot = self._link, entry.slot
        async with link.step() as client:
            # Two steps, in this order: nobody claims anything any more once the lease is there.
            await client.set(link.node_key(slot, "lease"), _token(entry), px=_millis(ttl))
            claimed = await client.hkeys(link.node_key(slot, "claims"))
            await self._announce(client, entry)
            return _ids(claimed)

    def recover_now(self, entry: NodeEntry, ttl: float, timeout: float) -> frozenset[str] | None:
        # In a thread, for a hard limit of time, whatever the client and its servers do.
        outcome: deque[frozenset[str] | BaseException | None] = deque()
        worker = threading.Thread(target=self._recover, args=(entry, ttl, outcome), daemon=True)
        worker.start()
        worker.join(timeout)
        if not outcome:
            raise RegistryAway(f"no answer within {timeout:g} s")
        found = outcome.popleft()
        if isinstance(found, (RedisError, OSError)):
            raise RegistryAway(reason(found)) from found
        if isinstance(found, BaseException):
            raise found
        return found

    def _recover(self, entry: NodeEntry, ttl: float, outcome: deque[frozenset[str] | BaseException | None]) -> None:
        link, slot = self._link, entry.slot
        try:
            client = link.target.open_blocking()
            try:
                if client.set(link.node_key(slot, "lease"), _token(entry), nx=True, px=_millis(ttl)):
                    outcome.append(_ids(client.hkeys(link.node_key(slot, "claims"))))
                else:
                    outcome.append(None)
            finally:
                for used in (client, *sentinels_of(client)):
                    used.close()
        except Exception as error:
            outcome.append(error)

    async def _announce(self, client: object, entry: NodeEntry) -> None:
        link = self._link
        pipeline = client.pipeline(transaction=False)  # type: ignore[attr-defined]
        pipeline.hset(link.key("nodes"), entry.slot, _encode(entry))
        pipeline.zrem(link.key("retired"), entry.slot)
        await pipeline.execute()

    async def view(self, epoch: bytes, secret: bytes) -> View:
        link = self._link
        async with link.step() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.get(link.key("epoch"))
            pipeline.get(link.key("secret"))
            pipeline.hgetall(link.key("nodes"))
            found_epoch, found_secret, entries = await pipeline.execute()
            nodes = self._read(entries)
            pipeline = client.pipeline(transaction=False)
            for slot in nodes:
                pipeline.exists(link.node_key(slot, "lease"))
            leases = await pipeline.execute() if nodes else []
            return View(
                epoch=found_epoch or await self._first(client, "epoch", epoch),
                secret=found_secret or await self._first(client, "secret", secret),
                nodes=nodes,
                leased=frozenset(slot for slot, lease in zip(nodes, leases, strict=True) if lease),
            )

    async def _first(self, client: object, name: str, value: bytes) -> bytes:
        """What the key holds: `value`, if nothing else was put there before."""
        key = self._link.key(name)
        await client.set(key, value, nx=True)  # type: ignore[attr-defined]
        found = await client.get(key)  # type: ignore[attr-defined]
        if not isinstance(found, bytes):
            raise RegistryAway(f"{key} went as soon as it was written")
        return found

    def _read(self, entries: Mapping[bytes, bytes]) -> dict[bytes, NodeEntry]:
        nodes = {}
        for slot, data in entries.items():
            entry = self._entry(slot, data)
            if entry is not None:
                nodes[slot] = entry
        return nodes

    def _entry(self, slot: bytes, data: bytes) -> NodeEntry | None:
        """What a node told of itself; None, and counted, where it makes no sense."""
        try:
            entry = _decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            entry = None
        if entry is None or entry.slot != slot:
            self.bad_entries += 1
            return None
        return entry

    async def look_up(self, slot: bytes, connection_id: str) -> LookUp:
        link = self._link
        async with link.step() as client:
            pipeline = client.pipeline(transaction=False)
            # The lease last: one that is missing then was missing when the claim was looked for, or came after it.
            pipeline.get(link.key("epoch"))
            pipeline.hget(link.key("nodes"), slot)
            pipeline.zscore(link.key("retired"), slot)
            pipeline.hexists(link.node_key(slot, "records"), connection_id)
            pipeline.hexists(link.node_key(slot, "claims"), connection_id)
            pipeline.exists(link.node_key(slot, "lease"))
            epoch, data, retired, recorded, claimed, leased = await pipeline.execute()
            return LookUp(
                epoch=epoch,
                entry=None if data is None else self._entry(slot, data),
                leased=bool(leased),
                retired=retired is not None,
                recorded=bool(recorded),
                claimed=bool(claimed),
            )

    async def leave(self, slot: bytes) -> None:
        link = self._link
        async with link.step() as client:
            await client.delete(link.node_key(slot, "lease"))
        await self.retire(slot)

    async def retire(self, slot: bytes) -> bool:
        link = self._link
        keys = [link.node_key(slot, name) for name in ("lease", "records", "claims")]
        async with link.step() as client:
            if not await link.run(client, self._retire, keys, []):
                return False
            now = int(time.time())
            pipeline = client.pipeline(transaction=False)
            pipeline.zadd(link.key("retired"), {slot: now})
            pipeline.zremrangebyscore(link.key("retired"), "-inf", now - DAY)
            await pipeline.execute()
            await client.hdel(link.key("nodes"), slot)
            return True

    async def aclose(self) -> None:
        await self._link.aclose()


class RedisOrphans:
    """Records and claims in Redis.

    Writes gather while one batch is under way, and leave together as the next; of several to one record the last one
    counts. A batch fails as a whole, within a time limit: so no more can wait than comes in that time.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._take = Script("take")
        self._give_back = Script("give_back")
        self._waiting: dict[tuple[bytes, str], bytes | None] = {}
        self._promise: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    def add(self, slot: bytes, connection_id: str, record: bytes) -> Awaitable[None]:
        return self._write((slot, connection_id), record)

    def remove(self, slot: bytes, connection_id: str) -> Awaitable[None]:
        return self._write((slot, connection_id), None)

    def _write(self, key: tuple[bytes, str], record: bytes | None) -> asyncio.Future[None]:
        self._waiting[key] = record
        if self._promise is None:
            loop = asyncio.get_running_loop()
            self._promise = loop.create_future()
            self._promise.add_done_callback(_heard)
            if self._writer is None:
                self._writer = loop.create_task(self._write_all())
        return asyncio.shield(self._promise)

    async def _write_all(self) -> None:
        """Write batch after batch while there is something to write."""
        try:
            while self._promise is not None:
                promise, batch = self._promise, self._waiting
                self._promise, self._waiting = None, {}
                try:
                    await self._write_batch(batch)
                except BaseException as error:
                    away = error if isinstance(error, RegistryAway) else RegistryAway("the write was given up")
                    promise.set_exception(away)
                    if away is not error:
                        raise
                else:
                    promise.set_result(None)
        finally:
            self._writer = None

    async def _write_batch(self, batch: Mapping[tuple[bytes, str], bytes | None]) -> None:
        added: dict[bytes, list[str | bytes]] = {}
        removed: dict[bytes, list[str | bytes]] = {}
        for (slot, connection_id), record in batch.items():
            if record is None:
                removed.setdefault(slot, []).append(connection_id)
            else:
                added.setdefault(slot, []).extend((connection_id, record))
        commands = [("HSET", slot, piece) for slot, fields in added.items() for piece in _pieces(fields, 2 * BATCH)]
        commands += [("HDEL", slot, piece) for slot, fields in removed.items() for piece in _pieces(fields, BATCH)]
        for piece in _pieces(commands, PIECES):
            async with self._link.step() as client:
                pipeline = client.pipeline(transaction=False)
                for command, slot, fields in piece:
                    pipeline.execute_command(command, self._link.node_key(slot, "records"), *fields)
                await pipeline.execute()

    async def count(self, slot: bytes) -> int:
        async with self._link.step() as client:
            return int(await client.hlen(self._link.node_key(slot, "records")))

    async def ids(self, slot: bytes) -> frozenset[str]:
        async with self._link.step() as client:
            return _ids(await client.hkeys(self._link.node_key(slot, "records")))

    async def page(self, slot: bytes, size: int) -> Sequence[tuple[str, bytes | None]]:
        link = self._link
        async with link.step() as client:
            chosen = await client.hrandfield(link.node_key(slot, "records"), size)
            if not chosen:
                return []
            claims = await client.hmget(link.node_key(slot, "claims"), chosen)
            return [(connection_id.decode(), claim) for connection_id, claim in zip(chosen, claims, strict=True)]

    async def take(
        self, slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]
    ) -> Mapping[str, bytes]:
        link = self._link
        keys = [link.node_key(slot, name) for name in ("lease", "records", "claims")]
        words = [word for connection_id, claim in wanted for word in (connection_id, claim or b"")]
        async with link.step() as client:
            found = await link.run(client, self._take, keys, [claimer, *words])
            return {found[i].decode(): found[i + 1] for i in range(0, len(found), 2)}

    async def give_back(self, slot: bytes, connection_id: str, claimer: bytes) -> None:
        link = self._link
        async with link.step() as client:
            await link.run(client, self._give_back, [link.node_key(slot, "claims")], [connection_id, claimer])


def _token(entry: NodeEntry) -> str:
    """What a lease holds is for people who look at it."""
    return f"{entry.name} {entry.address}"


def _millis(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _ids(found: Iterable[bytes]) -> frozenset[str]:
    return frozenset(connection_id.decode("latin-1") for connection_id in found)


def _pieces(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _heard(promise: asyncio.Future[None]) -> None:
    """Who wrote may not wait; that is no unhandled error."""
    if not promise.cancelled():
        promise.exception()
