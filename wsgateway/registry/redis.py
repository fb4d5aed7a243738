"""The registry of several nodes, in Redis 6.2 or later (or Valkey): one server, Sentinel or Cluster.

Keys. P is `--redis-prefix`, S a slot as ids of its connections begin; what stands in braces is a Cluster's hash tag, so
that all keys of one script are on one of its nodes.

=====================  ======  =============================================================  ========================
key                    type    holds                                                          ends
=====================  ======  =============================================================  ========================
P:{directory}:nodes    hash    S to the node's entry, MessagePack with a version              a field by retire or leave
P:{directory}:epoch    string  16 bytes, made when there was none                             never
P:{directory}:secret   string  32 bytes, likewise                                             never
P:{S}:lease            string  a token of the process that renews it                          --lease-ttl after renewal
P:{S}:orphans          hash    connection id to the record of what its $disconnect needs      with its last field
P:{S}:claims           hash    connection id to the slot (3 bytes) of who runs $disconnect    a day after the last claim
P:{S}:retired          string  1: the node has ended, with all its connections                after a day
=====================  ======  =============================================================  ========================

Operations (round trips; EVALSHA, unless a command is named):

- connect: a field of an HSET that all connects of one turn of the loop share; disconnect: likewise of an HDEL. Both
  travel in one pipeline. Only connections whose $disconnect has to be delivered have a record.
- message, push: none. A push for a node that is not known to live: 2, at once (`look_up`).
- each node, each lease-ttl/15 (1 s): `view`, 1 and a pipeline of one EXISTS for each node; each lease-ttl/3 (5 s):
  `renew`, 1 and HSET; and HLEN to compare the number of records.
- take-over: for each 64 to 128 connections `page`, `take` (1 for each 500), then the shared HDEL.

Steps that touch both tags are ordered so that a crash between them is mended by what comes anyway: a lease without an
entry is announced by its node's next tick, or runs out; an entry without a lease is a dead node's, which survivors
retire; a retired slot whose entry is still there is retired again.

A lease counts as this process's only if this process has read the answer that said so: each claim or recovery writes a
new token, and `renew` needs the one that was acknowledged. So a recovery whose answer was lost is done once more, and
what others have claimed is not missed.

Whatever is in Redis and can't be read (another version's entry, another program's bytes) is left out, and counted.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from wsgateway.errors import RegistryAway
from wsgateway.registry.base import LookUp, NodeEntry, View
from wsgateway.registry.batches import Batches, Round
from wsgateway.registry.link import Command, Link, blocking, slot_name

DAY = 86_400
"""Seconds that claims, and what is known of ended nodes, are kept."""
LEASE_SECONDS = 2.0
"""For calls that begin a node's work with Redis, the connection included: where Redis is slow, that takes longest."""
MANY_SECONDS = 5.0
"""For all connections of a node at once."""
TAKE_AT_ONCE = 500
TOKEN_BYTES = 16
SLOT_BYTES = 3
OLDEST = (6, 2)
"""The first version that has HRANDFIELD."""


class _Announced(NodeEntry, frozen=True, kw_only=True):
    """A node's entry as it is stored. Fields are only ever added, with a default."""

    v: Literal[1]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Announced)


class RedisNodes:
    """Nodes in Redis; one per process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tokens: dict[bytes, bytes] = {}
        """By slot, that of the lease which is known to be held."""
        self._recent_enough = False
        self.unreadable = 0

    async def claim(self, entry: NodeEntry, ttl: float) -> bool:
        await self._check_version()
        link, slot, token = self._link, entry.slot, secrets.token_bytes(TOKEN_BYTES)
        whole = link.node_keys(slot, "lease", "retired", "orphans", "claims")
        if not await link.script("claim", whole, token, _milliseconds(ttl), seconds=LEASE_SECONDS):
            return False
        if not await link.command("HSETNX", link.key("nodes"), slot_name(slot), _pack(entry)):
            # A dead node's, of which nothing else is left.
            await link.script("release", link.node_keys(slot, "lease"), token)
            return False
        self._tokens[slot] = token
        return True

    async def renew(self, entry: NodeEntry, ttl: float) -> bool:
        lease = self._link.node_keys(entry.slot, "lease")
        refused: bytes | None = None
        # Once more where `recover_now` got another token while this was under way.
        while (token := self._tokens.get(entry.slot)) != refused:
            if token and await self._link.script("renew", lease, token, _milliseconds(ttl), seconds=LEASE_SECONDS):
                await self._announce(entry)
                return True
            refused = token
        return False

    async def recover(self, entry: NodeEntry, ttl: float) -> frozenset[str]:
        claimed = await self._recover(self._link, entry.slot, ttl)
        assert claimed is not None
        await self._announce(entry)
        return claimed

    def recover_now(self, entry: NodeEntry, ttl: float, timeout: float) -> frozenset[str] | None:
        async def ask(link: Link) -> frozenset[str] | None:
            # Without an announcement: an entry outlives its lease; where it doesn't, the next round makes it.
            return await self._recover(link, entry.slot, ttl, self._tokens.get(entry.slot, b""))

        return blocking(self._link, ask, timeout)

    async def _recover(self, link: Link, slot: bytes, ttl: float, held: bytes = b"") -> frozenset[str] | None:
        """None where the lease with token `held` runs."""
        token = secrets.token_bytes(TOKEN_BYTES)
        keys = link.node_keys(slot, "lease", "retired", "claims")
        claimed = await link.script("recover", keys, token, _milliseconds(ttl), held, seconds=LEASE_SECONDS)
        if claimed is None:
            return None
        self._tokens[slot] = token
        return frozenset(_ids(claimed))

    async def _announce(self, entry: NodeEntry) -> None:
        await self._link.command("HSET", self._link.key("nodes"), slot_name(entry.slot), _pack(entry))

    async def view(self, epoch: bytes, secret: bytes) -> View:
        link = self._link
        keys = [link.key(name) for name in ("epoch", "secret", "nodes")]
        found_epoch, found_secret, entries = await link.script("view", keys, epoch, secret)
        nodes = dict(self._entries(entries))
        return View(epoch=found_epoch, secret=found_secret, nodes=nodes, leased=await self._leased(nodes))

    async def living(self) -> list[NodeEntry]:
        """Every node whose lease runs. Nothing is written, as little as where there is no installation."""
        found = await self._link.command("HGETALL", self._link.key("nodes"))
        flat = [part for pair in found.items() for part in pair] if isinstance(found, dict) else found
        nodes = dict(self._entries(flat))
        return [nodes[slot] for slot in await self._leased(nodes)]

    async def _leased(self, nodes: Collection[bytes]) -> frozenset[bytes]:
        """Of these slots, those whose lease runs."""
        link = self._link
        leases = await link.pipeline([("EXISTS", link.node_key(slot, "lease")) for slot in nodes]) if nodes else []
        return frozenset(slot for slot, there in zip(nodes, leases, strict=True) if there)

    async def look_up(self, slot: bytes, connection_id: str) -> LookUp:
        """As the contract says, but in two steps, at once: of the directory, and of the slot."""
        link = self._link
        whole = link.node_keys(slot, "lease", "retired", "orphans", "claims")
        directory, state = await asyncio.gather(
            link.script("entry", [link.key("epoch"), link.key("nodes")], slot_name(slot)),
            link.script("state", whole, connection_id),
        )
        if state[0] != connection_id.encode():
            raise RegistryAway("an answer is about another connection than was asked about")
        return LookUp(
            epoch=directory[0],
            entry=self._entry(slot, directory[1]),
            leased=bool(state[1]),
            retired=bool(state[2]),
            recorded=bool(state[3]),
            claimed=bool(state[4]),
        )

    async def leave(self, slot: bytes) -> None:
        self._tokens.pop(slot, None)
        await self._retire(slot, leave=True)

    async def retire(self, slot: bytes) -> bool:
        return await self._retire(slot, leave=False)

    async def _retire(self, slot: bytes, *, leave: bool) -> bool:
        keys = self._link.node_keys(slot, "lease", "retired", "orphans")
        if not await self._link.script("retire", keys, DAY, int(leave)):
            return False
        await self._link.command("HDEL", self._link.key("nodes"), slot_name(slot))
        return True

    async def aclose(self) -> None:
        await self._link.aclose()

    async def _check_version(self) -> None:
        """*Raises* RegistryAway where Redis is too old; whether it may be asked is up to its ACL."""
        if self._recent_enough:
            return
        version = await self._link.version()
        if version is not None and version < OLDEST:
            raise RegistryAway(
                f"Redis at {self._link.target} has version {'.'.join(map(str, version))}; 6.2 or later is needed"
            )
        self._recent_enough = True

    def _entries(self, flat: Sequence[bytes]) -> Iterator[tuple[bytes, NodeEntry]]:
        for name, value in _pairs(flat):
            slot = _slot(name)
            entry = None if slot is None else self._entry(slot, value)
            if slot is None:
                self.unreadable += 1
            elif entry is not None:
                yield slot, entry

    def _entry(self, slot: bytes, value: bytes | None) -> NodeEntry | None:
        """None where there is none, or none that can be read."""
        if value is None:
            return None
        try:
            found = _decoder.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            found = None
        if found is None or found.slot != slot:
            self.unreadable += 1
            return None
        return NodeEntry(**{name: getattr(found, name) for name in NodeEntry.__struct_fields__})


class RedisOrphans:
    """Orphans in Redis."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._batches = Batches(self._write)
        link.before_closing(self._batches.aclose)
        self.unreadable = 0

    def add(self, slot: bytes, connection_id: str, record: bytes) -> Awaitable[None]:
        return self._batches.put((slot, connection_id), record)

    def remove(self, slot: bytes, connection_id: str) -> Awaitable[None]:
        return self._batches.put((slot, connection_id), None)

    async def _write(self, records: Round) -> None:
        await self._link.pipeline(list(self._commands(records)))

    def _commands(self, records: Round) -> Iterator[Command]:
        """One HSET and one HDEL for each slot: of one connection there is one write, so their order is free."""
        kept: dict[bytes, list[bytes | str | int]] = {}
        removed: dict[bytes, list[bytes | str | int]] = {}
        for (slot, connection_id), record in records.items():
            if record is None:
                removed.setdefault(slot, []).append(connection_id)
            else:
                kept.setdefault(slot, []).extend((connection_id, record))
        for slot, fields in kept.items():
            yield "HSET", self._link.node_key(slot, "orphans"), *fields
        for slot, ids in removed.items():
            yield "HDEL", self._link.node_key(slot, "orphans"), *ids

    async def count(self, slot: bytes) -> int:
        return int(await self._link.command("HLEN", self._link.node_key(slot, "orphans")))

    async def ids(self, slot: bytes) -> frozenset[str]:
        found = await self._link.command("HKEYS", self._link.node_key(slot, "orphans"), seconds=MANY_SECONDS)
        return frozenset(self._known(found))

    async def page(self, slot: bytes, size: int) -> Sequence[tuple[str, bytes | None]]:
        found = await self._link.script("page", self._link.node_keys(slot, "orphans", "claims"), size)
        claims = dict(_pairs(found))
        return [(connection_id, claims[connection_id.encode()] or None) for connection_id in self._known(claims)]

    async def take(
        self, slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]
    ) -> Mapping[str, bytes]:
        """What a call of several steps got before one failed is given; the rest can be asked for again."""
        claims = dict(wanted)
        asked = list(claims)
        taken: dict[str, bytes] = {}
        for begin in range(0, len(asked), TAKE_AT_ONCE):
            some = {connection_id: claims[connection_id] for connection_id in asked[begin : begin + TAKE_AT_ONCE]}
            try:
                taken |= await self._take(slot, claimer, some)
            except RegistryAway:
                if not taken:
                    raise
                break
        return taken

    async def _take(self, slot: bytes, claimer: bytes, claims: Mapping[str, bytes | None]) -> Mapping[str, bytes]:
        values = [value for connection_id, claim in claims.items() for value in (connection_id, claim or b"")]
        keys = self._link.node_keys(slot, "lease", "orphans", "claims")
        records = dict(_pairs(await self._link.script("take", keys, claimer, DAY, *values)))
        # What was not asked about is another call's answer, and nothing of ours.
        return {known: records[known.encode()] for known in self._known(records) if known in claims}

    async def give_back(self, slot: bytes, connection_id: str, claimer: bytes) -> None:
        await self._link.script("give_back", self._link.node_keys(slot, "claims"), connection_id, claimer)

    def _known(self, found: Collection[bytes]) -> list[str]:
        known = list(_ids(found))
        self.unreadable += len(found) - len(known)
        return known


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _pack(entry: NodeEntry) -> bytes:
    return _encode(_Announced(v=1, **msgspec.structs.asdict(entry)))


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _slot(name: bytes) -> bytes | None:
    """The slot that a field of the directory is named for."""
    try:
        slot = urlsafe_b64decode(name)
    except ValueError:
        return None
    return slot if len(slot) == SLOT_BYTES and urlsafe_b64encode(slot) == name else None


def _ids(found: Iterable[bytes]) -> Iterator[str]:
    """Those that can be connection ids, which are ASCII."""
    for name in found:
        try:
            yield name.decode("ascii")
        except UnicodeDecodeError:
            continue
