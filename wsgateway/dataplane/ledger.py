"""The records of this node's connections: what other nodes need to run $disconnect if this one dies.

Written before the $connect integration is called, removed when $disconnect was answered. The truth is here; what the
registry holds is compared with it, and mended, whenever it may have lost something.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Collection
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec

from wsgateway.dataplane.identity import slot_text
from wsgateway.errors import RegistryAway
from wsgateway.invocation import Client

if TYPE_CHECKING:
    from wsgateway.dataplane.compiled import CompiledStage
    from wsgateway.dataplane.connection import Connection
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.registry.base import Orphans

MAX_RECORD_BYTES = 65_536
"""No record is larger: it repeats some of a request's head, which is bounded, each part twice at most."""
BATCH = 500
"""Records written at a time where many are."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a DISCONNECT event says of its connection. Fields are only ever added, with a default: nodes of two versions
    read each other's."""

    v: Literal[1]
    api: str
    stage: str
    connected_at: int
    domain_name: str
    source_ip: str
    user_agent: str | None = None
    callback_url: str
    forwarded: bytes
    authorizer: dict[str, str | dict[str, str]] = {}
    identity: dict[str, str] = {}


_decoder = msgspec.msgpack.Decoder(Record)
_encode = msgspec.msgpack.Encoder().encode
_whole_lines = re.compile(rb"(?:X-Forwarded-(?:For|Proto|Port): [^\r\n\0]*\r\n)*").fullmatch


def record_of(client: Client) -> bytes:
    """A client's record, as MessagePack."""
    return _encode(
        Record(
            v=1,
            api=client.api_id,
            stage=client.stage,
            connected_at=client.connected_at,
            domain_name=client.domain_name,
            source_ip=client.source_ip,
            user_agent=client.user_agent,
            callback_url=client.callback_url,
            forwarded=client.forwarded,
            authorizer=dict(client.authorizer),
            # Who reads the registry is told which API key it is, and not the key itself.
            identity={name: value for name, value in client.identity.items() if name != "apiKey"},
        )
    )


def client_of(connection_id: str, data: bytes) -> Client:
    """The client that a record is about. *Raises* ValueError where it is no record."""
    if len(data) > MAX_RECORD_BYTES:
        raise ValueError(f"it has {len(data)} bytes; {MAX_RECORD_BYTES} are the most")
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if _whole_lines(record.forwarded) is None:
        raise ValueError("`forwarded`, which is sent to backends as it is, holds other lines than it may")
    client = Client(
        api_id=record.api,
        stage=record.stage,
        connection_id=connection_id,
        connected_at=record.connected_at,
        domain_name=record.domain_name,
        source_ip=record.source_ip,
        user_agent=record.user_agent,
        callback_url=record.callback_url,
        forwarded=record.forwarded,
    )
    client.authorizer, client.identity = record.authorizer, record.identity
    return client


class Ledger:
    """The connections of this node that have a record, or are to have one.

    `accepting` says that a connection is taken though its record can't be written now; it is written later.
    """

    def __init__(self, gateway: Gateway, orphans: Orphans, *, accepting: bool) -> None:
        self._gateway = gateway
        self._orphans = orphans
        self._accepting = accepting
        self._entered: dict[str, Connection] = {}
        self._held = False
        """The slot is this node's. A record under any other would be nobody's, and keep the slot from being claimed."""
        self._claimed: frozenset[str] = frozenset()
        """Connections of this node's slot that others have claimed. Their records are not this node's any more."""
        self._outdated: set[str] = set()
        """Connections whose record may say what is not known of their client any more."""
        self._changes = self._open_writes = 0
        self._to_compare = self._to_count = False
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self.mended = 0
        """Records written or removed because the registry's did not agree with what is here."""

    def __len__(self) -> int:
        return len(self._entered)

    def wants(self, stage: CompiledStage) -> bool:
        """Whether a stage's connections have something to be finished."""
        return stage.owes_disconnect

    async def enter(self, connection: Connection) -> None:
        """Have the connection recorded, before its $connect integration is called.

        *Raises* RegistryAway where that is not known to have been done, and connections are not taken then.
        """
        client = connection.client
        if not self._held and not self._accepting:
            raise RegistryAway("this node has no slot yet")
        self._entered[client.connection_id] = connection
        if not self._held:
            return  # `claimed` has it written
        write = self._write(self._orphans.add(self._slot, client.connection_id, record_of(client)))
        try:
            await write
        except RegistryAway:
            self.compare()
            if not self._accepting:
                self._entered.pop(client.connection_id, None)
                raise

    def opened(self, connection: Connection) -> None:
        """A connection opened. What was deployed during its $connect may want a record of it."""
        if self.wants(connection.stage) and connection.client.connection_id not in self._entered:
            self._entered[connection.client.connection_id] = connection
            self.compare()

    def amend(self, connection: Connection) -> None:
        """What is known of a client has changed; its record follows."""
        if connection.client.connection_id in self._entered and self._held:
            self._put(connection)

    def leave(self, connection_id: str) -> None:
        """Nothing is left to be finished: it was refused, or its $disconnect has been answered or given up."""
        if self._entered.pop(connection_id, None) is not None and self._held:
            self._write(self._orphans.remove(self._slot, connection_id))

    def lost(self, claimed: Collection[str]) -> int:
        """Other nodes run $disconnect for these connections: close those that are here. Gives how many were."""
        self._claimed = frozenset(claimed)
        self._gateway.disconnects.forget(self._claimed)
        found = [self._entered.pop(connection_id) for connection_id in claimed if connection_id in self._entered]
        for connection in found:
            connection.taken_over()
        return len(found)

    def deployed(self) -> None:
        """Definitions have changed: some connections may have a $disconnect now, or none any more."""
        for connection in self._gateway.hub:
            if self.wants(connection.stage):
                self.opened(connection)
            else:
                self.leave(connection.client.connection_id)

    async def settle(self) -> None:
        """Have every write so far acknowledged, and what failed made up for. *Raises* RegistryAway."""
        while self._open_writes:
            self._settled.clear()
            await self._settled.wait()
        await self.mend()

    # Compared and mended

    def claimed(self) -> None:
        """The slot is this node's: what came before can be entered."""
        self._held = True
        self.compare()

    def renewed(self) -> None:
        """See soon whether the registry has as many records as there are."""
        self._to_count = True
        self._wake.set()

    def compare(self) -> None:
        """Compare every record soon."""
        self._to_compare = True
        self._wake.set()

    async def run(self) -> None:
        """Compare whenever that is asked for, until cancelled. While the registry is away there is nothing to do: when
        it is back, it is asked for again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.mend()
            except RegistryAway:
                pass
            except Exception as error:
                self._gateway.counters.unexpected_errors += 1
                self._gateway.log("unexpected error", error=error, place="ledger")

    async def mend(self) -> None:
        """Do what was asked for. *Raises* RegistryAway."""
        if not self._held:
            return
        if self._to_count and not self._to_compare:
            self._to_count = False
            self._to_compare = not await self._agrees()
        if self._to_compare:
            self._to_compare = self._to_count = False
            try:
                await self._compare()
            except BaseException:
                self._to_compare = True
                raise

    async def _agrees(self) -> bool:
        """Whether the registry's count is one that the writes under way explain."""
        doubt = self._open_writes
        before = self._changes
        expected = len(self._entered)
        recorded = await self._orphans.count(self._slot)
        slack = doubt + self._changes - before
        return expected - slack <= recorded <= expected + len(self._claimed) + slack

    async def _compare(self) -> None:
        slot, entered = self._slot, self._entered
        recorded = await self._orphans.ids(slot)
        self._outdated &= entered.keys()
        missing = iter([one for one in entered if one not in recorded or one in self._outdated])
        written = removed = 0
        while batch := list(islice(missing, BATCH)):
            # In one turn with the look whether it is still here, so that no record comes after its removal.
            writes = [
                self._put(connection)
                for connection_id in batch
                if (connection := entered.get(connection_id)) is not None
            ]
            written += len(writes)
            await _all(writes)
        surplus = iter(recorded - self._claimed)
        while batch := list(islice(surplus, BATCH)):
            writes = [
                self._write(self._orphans.remove(slot, connection_id))
                for connection_id in batch
                if connection_id not in entered
            ]
            removed += len(writes)
            await _all(writes)
        self.mended += written + removed
        if written or removed:
            self._gateway.log("records entered anew", slot=slot_text(slot), written=written, removed=removed)

    @property
    def _slot(self) -> bytes:
        return self._gateway.ids.slot

    def _put(self, connection: Connection) -> asyncio.Future[None]:
        """Write a record as it is now."""
        connection_id = connection.client.connection_id
        self._outdated.discard(connection_id)
        write = self._write(self._orphans.add(self._slot, connection_id, record_of(connection.client)))
        write.add_done_callback(partial(self._was_put, connection_id))
        return write

    def _was_put(self, connection_id: str, write: asyncio.Future[None]) -> None:
        if write.cancelled() or write.exception() is not None:
            self._outdated.add(connection_id)

    def _write(self, write: Awaitable[None]) -> asyncio.Future[None]:
        self._changes += 1
        self._open_writes += 1
        future = asyncio.ensure_future(write)
        future.add_done_callback(self._written)
        return future

    def _written(self, future: asyncio.Future[None]) -> None:
        self._open_writes -= 1
        if not self._open_writes:
            self._settled.set()
        if not future.cancelled() and (error := future.exception()) is not None:
            self._to_compare = True  # when the registry is back
            if not isinstance(error, RegistryAway):
                self._gateway.counters.unexpected_errors += 1
                self._gateway.log("unexpected error", error=error, place="ledger")


async def _all(writes: list[asyncio.Future[None]]) -> None:
    if writes:
        await asyncio.gather(*writes)
