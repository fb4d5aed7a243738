"""What this node knows of the other nodes, from its own readings of the directory alone.

A node is dead only if its lease was missing in every reading of a time in which it would have renewed it twice: so a
restart of the store, an old replica of it or an emptied one never makes a living node look dead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from wsgateway.registry.base import NodeEntry, View

MAX_GONE = 1000
"""Addresses kept of nodes that are no longer in the directory; the oldest go first."""


class Standing(Enum):
    """What can be said of a slot."""

    LIVE = "live"
    """Its lease ran when the directory was last read."""
    DOUBTFUL = "doubtful"
    """Its lease is missing, but not for long enough, or the store is away."""
    DEAD = "dead"
    """Its lease has been missing for long enough, or it said that it ended."""
    UNKNOWN = "unknown"
    """It has not been seen in the directory."""


class Peers:
    """Every node this one has seen, this one included. `ttl`: a lease's seconds; `clock` gives seconds.

    Whoever reads the directory says so by `read` or `failed`. Before the first reading the store is away.
    """

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._patience = ttl * 2 / 3
        self._gap = ttl / 3
        self._gone: dict[bytes, NodeEntry] = {}
        self._missing: dict[bytes, float] = {}
        """When a slot's lease was first missing, in readings without a break since."""
        self._since = self._read_at = 0.0
        """When the readings without a break began, and when the last one was."""
        self._count = 0
        self.away = True
        """The last reading failed: nothing is known of what the store holds now."""
        self.epoch: bytes | None = None
        self.nodes: Mapping[bytes, NodeEntry] = {}
        """The directory as last read: every node that is not retired, by slot."""
        self.leased: frozenset[bytes] = frozenset()
        """The slots whose lease ran then."""
        self.heard: Callable[[], None] = lambda: None
        """Called after each reading."""

    def read(self, view: View) -> None:
        """Take in a reading of the directory."""
        now = self._clock()
        if self.away or view.epoch != self.epoch or now - self._read_at > self._gap:
            # What was missing before says nothing of what this store, or the store since then, holds.
            self._missing.clear()
            self._since = now
        self._remember(view)
        self.away, self.epoch, self._read_at = False, view.epoch, now
        self.nodes, self.leased = view.nodes, view.leased
        self._count = len(self.leased) if self.settled else max(self._count, len(self.leased))
        known = self.nodes.keys() | self._gone.keys()
        self._missing = {slot: self._missing.get(slot, now) for slot in known - self.leased}
        self.heard()

    def failed(self) -> None:
        """A reading failed."""
        self.away = True

    @property
    def settled(self) -> bool:
        """Whether the directory has been read without a break, and without being emptied, for so long that every
        living node is in it."""
        return (
            not self.away
            and self._read_at - self._since >= self._patience
            and self._clock() - self._read_at <= self._gap
        )

    @property
    def count(self) -> int:
        """Nodes that may live, 1 at least; until the readings are settled no fewer than when they last were, for in a
        store that was emptied the leases of most are missing at first."""
        return max(1, self._count)

    @property
    def digests(self) -> Mapping[bytes, str]:
        """Of the definitions that each living node executes."""
        return {slot: entry.digest for slot, entry in self.nodes.items() if slot in self.leased}

    @property
    def dead(self) -> list[NodeEntry]:
        """The nodes of the directory that are dead."""
        return [entry for slot, entry in self.nodes.items() if self.standing(slot) is Standing.DEAD]

    @property
    def known(self) -> list[NodeEntry]:
        """The nodes of the directory, and those that left it and may yet live."""
        gone = [entry for slot, entry in self._gone.items() if self.standing(slot) is not Standing.DEAD]
        return [*self.nodes.values(), *gone]

    def address(self, slot: bytes) -> str | None:
        """HOST:PORT of a node's internal listener, as it last announced it, whether or not its lease runs."""
        entry = self.nodes.get(slot) or self._gone.get(slot)
        return None if entry is None else entry.address

    def standing(self, slot: bytes) -> Standing:
        """What the readings say of a slot."""
        if slot in self.leased:
            return Standing.LIVE
        if slot not in self.nodes and slot not in self._gone:
            return Standing.UNKNOWN
        if not self.away and self._ended(slot):
            return Standing.DEAD
        missing = self._missing.get(slot)
        if self.away or missing is None or self._read_at - missing < self._patience:
            return Standing.DOUBTFUL
        return Standing.DEAD

    def _ended(self, slot: bytes) -> bool:
        entry = self.nodes.get(slot) or self._gone.get(slot)
        return entry is not None and entry.ended

    def _remember(self, view: View) -> None:
        """Keep the addresses of nodes that left the directory: where the store was emptied they may live."""
        for slot, entry in self.nodes.items():
            if slot not in view.nodes:
                self._gone[slot] = entry
        for slot in view.nodes:
            self._gone.pop(slot, None)
        while len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]
