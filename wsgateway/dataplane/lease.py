"""This node's membership: it claims a slot, keeps the lease on it, and reads who else is there.

Nothing here is on the way of a message, and no fault of the registry ends the process: a node that can't reach it
serves the connections it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from wsgateway.dataplane.identity import new_slot, slot_text
from wsgateway.ids import random_bytes
from wsgateway.registry.base import NodeEntry, Nodes, RegistryAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.peers import Peers

EPOCH_BYTES = 16
SECRET_BYTES = 32
AWAKE_SECONDS = 1.0
"""How long a node that slept past its lease may ask for what became of its connections before it goes on."""


class Holdings(Protocol):
    """The records of this node's connections, as its lease sees them."""

    def claimed(self) -> None:
        """The slot is this node's from now on: until then nothing may be written under it."""

    def lost(self, claimed: Collection[str]) -> int:
        """Other nodes have claimed these connections: let go of them. Gives how many were here."""

    def renewed(self) -> None:
        """The lease runs: it is time to compare what is recorded."""

    def compare(self) -> None:
        """The store may have lost anything: compare everything."""


class Counts:
    """What happened to the lease since the process started."""

    __slots__ = ("away", "fenced", "missed")

    def __init__(self) -> None:
        self.missed = 0
        """Times the lease had run out when it was looked at."""
        self.fenced = 0
        """Connections closed because another node had taken them over meanwhile."""
        self.away = 0
        """Times the registry went away."""


class Lease:
    """A slot and the lease on it. `announce` makes the node's entry; `clock` gives seconds.

    `accepting` says that clients are taken while the registry is away; else they are refused then. `secret` is the
    installation's where it was set by hand.
    """

    def __init__(
        self,
        gateway: Gateway,
        nodes: Nodes,
        peers: Peers,
        holdings: Holdings,
        announce: Callable[[], NodeEntry],
        *,
        ttl: float,
        accepting: bool,
        secret: bytes | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._gateway = gateway
        self._nodes = nodes
        self._peers = peers
        self._holdings = holdings
        self._announce = announce
        self._ttl = ttl
        self._tick = ttl / 15
        self._accepting = accepting
        self._chosen_secret = secret
        self._clock = clock
        self._renew_at = 0.0
        self._unheard = False
        """The slot may have been leased again by a call whose answer, the claims of others, was lost."""
        self._away_since: float | None = None
        self._known_secret = random_bytes(SECRET_BYTES)
        self._hurry = asyncio.Event()
        self._turn = asyncio.Lock()
        self._left = False
        self.held = False
        """Whether the slot is this node's: it was claimed."""
        self.claimed = asyncio.Event()
        """Set once the slot was claimed and the directory read."""
        self.counts = Counts()
        gateway.awoken = self.awoken
        gateway.registry_away = not accepting

    @property
    def slot(self) -> bytes:
        return self._gateway.ids.slot

    @property
    def secret(self) -> bytes:
        """What the nodes of this installation know one another by."""
        return self._chosen_secret or self._known_secret

    # The loop

    async def run(self) -> None:
        """Claim a slot, then renew and read, until cancelled."""
        while True:
            await self.tick()
            self._hurry.clear()
            try:
                async with asyncio.timeout(self._tick):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    def announce_now(self) -> None:
        """What the node says of itself has changed: say so without waiting for the next renewal."""
        self._renew_at = 0.0
        self._hurry.set()

    async def tick(self) -> None:
        """One round; it doesn't raise."""
        async with self._turn:
            if not self._left:
                await self._round()

    async def _round(self) -> None:
        try:
            async with self._in_time():
                await self._keep()
                await self._read()
                if self.slot not in self._peers.leased:
                    # The lease that was just renewed or was to run on is not there: the store lost it.
                    await self._renew()
        except RegistryAway as error:
            self._away(error)
        except Exception as error:
            self._gateway.counters.unexpected_errors += 1
            self._gateway.log("unexpected error", error=error, place="lease")
        else:
            self._back()

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """A round that takes as long as the time between two renewals has failed."""
        try:
            async with asyncio.timeout(self._ttl / 3):
                yield
        except TimeoutError as error:
            raise RegistryAway(f"no answer within {self._ttl / 3:g} s") from error

    async def _keep(self) -> None:
        if not self.held:
            await self._claim()
        elif self._clock() >= self._renew_at:
            await self._renew()

    async def _claim(self) -> None:
        """Take a slot that nobody ever had."""
        while True:
            start = self._clock()
            entry = self._announce()
            if await self._nodes.claim(entry, self._ttl):
                break
            view = await self._nodes.view(random_bytes(EPOCH_BYTES), self._known_secret)
            found = view.nodes.get(self.slot)
            if found is not None and (found.name, found.started) == (entry.name, entry.started):
                break  # an earlier try whose answer was lost
            for connection in self._gateway.hub:
                connection.close(1001, "Going away")  # its id names another node's slot
            self._gateway.ids.slot = new_slot()
        self._extend(start)
        self.held = True
        self._gateway.log("slot claimed", slot=slot_text(self.slot), address=entry.address)
        self._holdings.claimed()

    async def _renew(self) -> None:
        start = self._clock()
        entry = self._announce()
        if not self._unheard and await self._nodes.renew(entry, self._ttl):
            self._extend(start)
            self._holdings.renewed()
        else:
            self._unheard = True
            self._recovered(start, await self._nodes.recover(entry, self._ttl))

    def _extend(self, start: float) -> None:
        """The lease runs for its time from `start` on, when it was asked for."""
        self._renew_at = start + self._ttl / 3
        self._gateway.check_at = start + self._ttl

    async def _read(self) -> None:
        peers = self._peers
        before = peers.epoch
        view = await self._nodes.view(random_bytes(EPOCH_BYTES), self._known_secret)
        self._known_secret = view.secret
        peers.read(view)
        if before not in (None, view.epoch):
            self._gateway.log("the registry was emptied, or is another one: this node's connections are entered anew")
            self._holdings.compare()

    async def leave(self, *, unfinished: bool = False) -> None:
        """The node ends: its connections are gone from here on, and no round follows, which would find the lease lost
        and take another. `unfinished`: others take over what is recorded of it, at once."""
        async with self._turn:
            self._left = True
            self._gateway.check_at = inf
            if not self.held:
                return
            self.held = False
            try:
                async with self._in_time():
                    if unfinished:
                        await self._nodes.renew(replace(self._announce(), ended=True), self._ttl)
                    await self._nodes.leave(self.slot)
            except RegistryAway as error:
                self._gateway.log("the lease is left to run out", error=str(error))

    # Loss

    def awoken(self) -> None:
        """The time of the lease is over and nobody renewed it: this process slept. Before anything is written, learn
        what others did meanwhile; blocks for a second at most."""
        start = self._clock()
        gateway = self._gateway
        slept = start - gateway.check_at
        gateway.check_at = inf  # what is closed meanwhile looks at it again
        entry = self._announce()
        unheard, self._unheard = self._unheard, True
        try:
            claimed = self._nodes.recover_now(entry, self._ttl, AWAKE_SECONDS)
        except RegistryAway as error:
            self._away(error)
            return
        except Exception as error:
            gateway.check_at = start + self._ttl
            gateway.counters.unexpected_errors += 1
            gateway.log("unexpected error", error=error, place="lease")
            return
        gateway.log("this node slept past its lease", over=round(slept, 3), lease_kept=claimed is None)
        if claimed is None:
            self._unheard = unheard
            self._extend(start)
        else:
            self._recovered(start, claimed)
        self.announce_now()  # for how long it runs is not known, nor whether anybody knows the node

    def _recovered(self, start: float, claimed: Collection[str]) -> None:
        self._unheard = False
        self._extend(start)
        closed = self._holdings.lost(claimed)
        self.counts.missed += 1
        self.counts.fenced += closed
        self._gateway.log("lease was lost and is held again", claimed_by_others=len(claimed), closed=closed)
        self._holdings.compare()

    def _away(self, error: RegistryAway) -> None:
        self._peers.failed()
        if self._clock() > self._gateway.check_at:
            # While the registry is known to be away this moves on in time: so the round failed because this process
            # slept, and that must not hide that it did.
            self.awoken()
            return
        now = self._clock()
        if self.held:
            # It is known that nobody can be asked; what was claimed meanwhile shows when the registry is back.
            self._gateway.check_at = now + self._ttl
        self._gateway.registry_away = not self._accepting
        if self._away_since is None:
            self._away_since = now
            self.counts.away += 1
            held = "the connections here go on" if self.held else "no slot is claimed yet"
            self._gateway.log("registry away", error=str(error), meanwhile=held)

    def _back(self) -> None:
        self._gateway.registry_away = False
        self.claimed.set()
        if self._away_since is not None:
            self._gateway.log("registry back", away_seconds=round(self._clock() - self._away_since, 1))
            self._away_since = None
            self._holdings.compare()
