"""Take-over: what is left of dead nodes is finished by those that live, one connection at a time.

A connection is claimed before its $disconnect is run, and exactly one node gets the claim. All survivors work on one
dead node at once: each claims what it can run now. Where a claimer dies, too, others claim what it had claimed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from wsgateway.dataplane.identity import slot_text
from wsgateway.dataplane.ledger import BATCH, client_of
from wsgateway.dataplane.peers import Standing
from wsgateway.dataplane.seals import Verb
from wsgateway.errors import RegistryAway

if TYPE_CHECKING:
    from wsgateway.dataplane.compiled import StageRef
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.peers import Peers
    from wsgateway.invocation import Client
    from wsgateway.registry.base import NodeEntry, Nodes, Orphans

AT_ONCE = 64
"""$disconnects that run on this node, its own included, up to which others' are begun."""
MOST_TAKEN = 10_000
"""Others' connections a node holds for another attempt: the rest stays for whoever has room."""
CALLED_AT_ONCE = 16
"""Nodes that are called before they are retired, in one step."""
CODE, REASON = 1006, "Connection closed abnormally"


class Finisher(Protocol):
    """Runs $disconnect, as `Disconnects` does; says `TakeOver.finished` once for each."""

    @property
    def running(self) -> int: ...

    def begin(self, client: Client, ref: StageRef | None, code: int, reason: str, *, owner: bytes) -> None: ...


class TakeOver:
    """What this node does for nodes that are dead. `tick` is in seconds."""

    def __init__(
        self, gateway: Gateway, nodes: Nodes, orphans: Orphans, peers: Peers, finisher: Finisher, *, tick: float
    ) -> None:
        self._gateway = gateway
        self._nodes = nodes
        self._orphans = orphans
        self._peers = peers
        self._finisher = finisher
        self._tick = tick
        self._taken: set[tuple[bytes, str]] = set()
        self._done: dict[tuple[bytes, str], None] = {}
        """Finished, and the record may still be there."""
        self._wake = asyncio.Event()
        self._begun: set[bytes] = set()
        self._answering: set[bytes] = set()
        """Nodes that are dead as the registry has it, and answer."""
        self.connections = 0
        """Connections taken over since the process started."""
        self.bad_records = 0
        """Records that could not be read."""

    def __len__(self) -> int:
        return len(self._taken)

    async def run(self) -> None:
        """Look after dead nodes at each tick, and as soon as there is room for more; until cancelled."""
        while True:
            try:
                await self.step()
            except RegistryAway:
                pass  # the lease tells it; nobody is dead meanwhile
            except Exception as error:
                self._gateway.counters.unexpected_errors += 1
                self._gateway.log("unexpected error", error=error, place="take-over")
            self._wake.clear()
            try:
                async with asyncio.timeout(self._tick):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def step(self) -> None:
        """Claim and begin what there is room for. *Raises* RegistryAway."""
        await self._remove_done()
        if self._gateway.draining or self._gateway.clock() > self._gateway.check_at:
            return
        dead = self._peers.dead
        self._answering &= {entry.slot for entry in dead}
        finished = [entry for entry in dead if not await self._take(entry)]
        # Together, for one that is silent takes its time.
        await asyncio.gather(*(self._retire(entry) for entry in finished[:CALLED_AT_ONCE]))

    def finished(self, owner: bytes, connection_id: str) -> None:
        """A $disconnect was answered or given up: its record goes."""
        key = owner, connection_id
        self._taken.discard(key)
        self._done[key] = None
        if self._finisher.running <= AT_ONCE // 2:
            self._wake.set()

    async def leave(self) -> int:
        """The node ends: what it has not finished may be claimed by others. Gives how many. *Raises* RegistryAway."""
        await self._remove_done()
        left = list(self._taken)
        me = self._gateway.ids.slot
        for start in range(0, len(left), BATCH):
            some = left[start : start + BATCH]
            await asyncio.gather(*(self._orphans.give_back(owner, connection_id, me) for owner, connection_id in some))
        return len(left)

    async def _remove_done(self) -> None:
        done = list(self._done)
        if not done:
            return
        removals = [asyncio.ensure_future(self._orphans.remove(owner, connection_id)) for owner, connection_id in done]
        for key, outcome in zip(done, await asyncio.gather(*removals, return_exceptions=True), strict=True):
            if outcome is None:
                self._done.pop(key, None)
            elif not isinstance(outcome, RegistryAway):
                raise outcome

    async def _take(self, entry: NodeEntry) -> bool:
        """Claim some of a dead node's connections, and begin their $disconnects; False if it left none."""
        room = min(AT_ONCE - self._finisher.running, MOST_TAKEN - len(self._taken))
        if room <= 0:
            return True
        owner, me = entry.slot, self._gateway.ids.slot
        found = await self._orphans.page(owner, 2 * AT_ONCE)
        if not found:
            return False
        if owner not in self._begun:
            self._begun.add(owner)
            self._gateway.log(
                "taking over from a dead node", slot=slot_text(owner), name=entry.name, address=entry.address
            )
        free = [(connection_id, claim) for connection_id, claim in found if self._is_free(owner, connection_id, claim)]
        if not free:
            return True
        records = await self._orphans.take(owner, me, free[:room])
        for connection_id, record in records.items():
            self._begin(owner, connection_id, record)
        if len(free) > room:
            self._wake.set()
        return True

    def _is_free(self, owner: bytes, connection_id: str, claim: bytes | None) -> bool:
        """Whether nobody who lives finishes it; a claim of this node's whose answer was lost is nobody's."""
        if (owner, connection_id) in self._taken or (owner, connection_id) in self._done:
            return False
        if claim is None or claim == self._gateway.ids.slot:
            return True
        standing = self._peers.standing(claim)
        return standing is Standing.DEAD or (standing is Standing.UNKNOWN and self._peers.settled)

    def _begin(self, owner: bytes, connection_id: str, record: bytes) -> None:
        key = owner, connection_id
        self._taken.add(key)
        self.connections += 1
        try:
            client = client_of(connection_id, record)
        except ValueError as error:
            self.bad_records += 1
            self._gateway.log("record of a dead node can't be read", connection_id=connection_id, error=str(error))
            self.finished(owner, connection_id)
            return
        ref = self._gateway.stages.get((client.api_id, client.stage))
        self._finisher.begin(client, ref, CODE, REASON, owner=owner)

    async def _retire(self, entry: NodeEntry) -> None:
        """Have it known that a node has ended, unless it answers: one that is only cut off from the registry holds its
        connections yet. Those that no record is of are nobody's but its own, and it says itself which are gone."""
        if not entry.ended and await self._answers(entry):
            if entry.slot not in self._answering:
                self._answering.add(entry.slot)
                self._gateway.log(
                    "a node without a lease answers, and is not given up",
                    slot=slot_text(entry.slot), name=entry.name, address=entry.address,
                )  # fmt: skip
        elif await self._nodes.retire(entry.slot):
            self._begun.discard(entry.slot)
            self._gateway.log(
                "a dead node is finished", slot=slot_text(entry.slot), name=entry.name, address=entry.address
            )

    async def _answers(self, entry: NodeEntry) -> bool:
        relay = self._gateway.relay
        if relay is None or not relay.able:
            return False
        try:
            return (await relay.ask(entry.slot, entry.address, Verb.STATE)).status == 200
        except ValueError:  # no address
            return False
