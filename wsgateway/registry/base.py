"""What the nodes of an installation share: small Protocols, one per kind of state, with two stores behind them.

The store is an index. The truth of a connection is in the memory of the node that holds its socket; the store may be
emptied, stale or out of reach at any time, and nothing here may be taken for more than what the store said just now.

A node is named by its *slot*, 3 random bytes that it claims when it starts and that are in the id of each of its
connections. It holds a *lease* on its slot, which the store lets run out where nobody renews it; how long is measured
by the store's clock alone.

Every method *raises* RegistryAway where the store can't be reached in time, refuses, or is no longer (or not yet) one
that takes writes. Nothing is known then: a write may or may not have been done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Annotated, Protocol

import msgspec

from wsgateway.errors import RegistryAway

__all__ = [
    "DefinitionStore",
    "Grant",
    "LookUp",
    "NodeEntry",
    "Nodes",
    "Orphans",
    "RegistryAway",
    "Shares",
    "Stored",
    "Tickets",
    "View",
    "Want",
]

KEPT = 10
"""Deployments that are kept."""

_LINE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
Line = Annotated[str, msgspec.Meta(max_length=512, pattern=_LINE)]
"""Text that people are shown as it is: nothing in it moves a terminal's cursor."""
Millis = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
"""Since the epoch, before the year 10000."""


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a node tells the others of itself. A store leaves out an entry that does not hold to these types."""

    slot: bytes
    address: Line
    """HOST:PORT of its internal listener, as other nodes reach it."""
    name: Line = ""
    """For people: the machine's name and the process id."""
    version: Line = ""
    started: Millis = 0
    digest: Line = ""
    """Of the definitions it executes."""
    file_digest: Line = ""
    """Of what its definition file says, which is not what it executes where that was rolled back."""
    draining: bool = False
    ended: bool = False
    """It has no connection any more and never will; others finish what is recorded of it."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the store's directory of nodes."""

    epoch: bytes
    """Made when the store was first written to: another value means that it was emptied in between."""
    secret: bytes
    """The installation's, by which nodes know one another."""
    nodes: Mapping[bytes, NodeEntry]
    """Every node that announced itself and is not retired, by slot; this one, too."""
    leased: frozenset[bytes]
    """Of these, the slots whose lease runs."""


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds about one connection and its node, read in one step."""

    epoch: bytes | None
    """None: the store is empty, so that nothing else here means anything."""
    entry: NodeEntry | None
    """The node's, whether or not its lease runs; None where it never announced itself, or is retired."""
    leased: bool
    retired: bool
    """The node is known to have ended, with all its connections."""
    recorded: bool
    """A record of the connection is there: its $disconnect has not been answered."""
    claimed: bool
    """Another node runs, or ran, the $disconnect of the connection."""


class Nodes(Protocol):
    """Slots, leases and addresses."""

    unreadable: int
    """Entries that were left out, each time they were met: another version's, or another program's."""

    async def claim(self, entry: NodeEntry, ttl: float) -> bool:
        """Take a slot that nobody ever had, and announce it; False where somebody has. `ttl` is in seconds."""

    async def renew(self, entry: NodeEntry, ttl: float) -> bool:
        """Have the lease run for `ttl` from now, and announce `entry` anew; False, and nothing done, where it had run
        out, or is not known to be this process's: the answer to a claim or recovery was lost. Recover it then."""

    async def recover(self, entry: NodeEntry, ttl: float) -> frozenset[str]:
        """Lease the slot again after it had run out; gives the connections that other nodes have claimed by then.

        No claim on this slot's connections succeeds after it.
        """

    def recover_now(self, entry: NodeEntry, ttl: float, timeout: float) -> frozenset[str] | None:
        """As `recover`, if the lease has run out or is not known to be this process's, else None; blocks for `timeout`
        seconds at most."""

    async def view(self, epoch: bytes, secret: bytes) -> View:
        """All nodes. Where the store has no epoch or secret, these become them."""

    async def look_up(self, slot: bytes, connection_id: str) -> LookUp: ...

    async def leave(self, slot: bytes) -> None:
        """End the lease at once, and `retire` the slot if nothing is recorded of it."""

    async def retire(self, slot: bytes) -> bool:
        """Forget a node whose lease has run out and that left no record; it is known as retired for a day. False, and
        nothing done, where there is a lease or a record."""

    async def aclose(self) -> None: ...


class Orphans(Protocol):
    """What has to be finished where a node dies: a record for each connection whose $disconnect must be run.

    Records are under the slot of the node that holds the connection.
    """

    unreadable: int
    """Connections that were left out, each time they were met, because their ids are none."""

    def add(self, slot: bytes, connection_id: str, record: bytes) -> Awaitable[None]:
        """Keep a record. Calls of one turn of the loop travel together, and in order with `remove`; the answer is
        there, or known not to come, within 2 s."""

    def remove(self, slot: bytes, connection_id: str) -> Awaitable[None]:
        """Its $disconnect has been answered. A claim outlives the record, by a day after the slot's last."""

    async def count(self, slot: bytes) -> int: ...

    async def ids(self, slot: bytes) -> frozenset[str]:
        """All connections with a record; what changes meanwhile may or may not be there."""

    async def page(self, slot: bytes, size: int) -> Sequence[tuple[str, bytes | None]]:
        """Up to `size` connections with a record, at random, each with the slot of the node that claimed it."""

    async def take(
        self, slot: bytes, claimer: bytes, wanted: Collection[tuple[str, bytes | None]]
    ) -> Mapping[str, bytes]:
        """Claim connections for the node with slot `claimer`; gives the records of those it got.

        Each is claimed where the slot has no lease, the record is there, and the claim on it is the one given beside
        it (None: no claim), or is the claimer's already: a call whose answer was lost can be made again. Of several
        nodes that try one gets it.
        """

    async def give_back(self, slot: bytes, connection_id: str, claimer: bytes) -> None:
        """Undo a claim by `claimer`, so that another node can have it."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the deployments that are kept, without their texts."""

    mark: bytes | None
    """Another one after each change; None: nothing was ever kept, or the store was emptied."""
    kept: tuple[tuple[str, bytes], ...]
    """Digest and record of each, the newest first, KEPT at most."""
    instead: Mapping[str, bytes]
    """By the digest of what a definition file says: the record of what is used in its place."""


class DefinitionStore(Protocol):
    """The last deployments of an installation, and which of them are used in place of others.

    Digests are hexadecimal; records and texts are the caller's, who also tells whether they can be trusted.
    """

    async def mark(self) -> bytes | None:
        """`Stored.mark` alone: cheap enough to ask for every other second."""

    async def read(self) -> Stored: ...

    async def text(self, digest: str) -> bytes | None:
        """What a deployment says; None where it is not kept, or no longer."""

    async def keep(self, digest: str, record: bytes, text: bytes) -> None:
        """Put a deployment on top; beyond KEPT the lowest goes, and what `instead` has under its digest.

        Nothing is done where it is on top already, with this text.
        """

    async def put_instead(self, digest: str, stamp: int, record: bytes) -> None:
        """Say what is used in place of `digest`, unless that was said with the same or a higher stamp (48 bits).

        What `instead` has under digests that are not kept goes then, but for this one.
        """


class Tickets(Protocol):
    """What is said of clients that may come once, each with a ticket, until they do or their time is over.

    The store knows a ticket by a digest alone; what is kept under it is the caller's, who also tells whether it can be
    trusted. How much is kept is bounded by how long: `put` *raises* RegistryAway where there is no room.
    """

    async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
        """Keep `data` for `ttl` seconds, by the store's clock. A digest is put once: tickets are random."""

    async def take(self, digest: bytes) -> bytes | None:
        """What was put, to one caller on one node; None to all others, and when its time is over. Where the answer is
        lost it may have been taken, and nobody gets it."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that a node wants of one bucket."""

    name: tuple[str, ...]
    rate: float
    """Tokens the bucket gets a second; above 0."""
    burst: float
    """Tokens it holds; above 0."""
    tokens: int
    """0 where the node only tells what it spent."""
    level: float | None = None
    """What the bucket holds by now as far as the node knows; None where it knows nothing, and a new one is full."""
    spent: float = 0.0
    """Tokens the node let pass without asking while the store was away, and that its share has not got again."""


class Grant(msgspec.Struct, frozen=True):
    """What a node got of a bucket."""

    tokens: int
    """Up to those that were wanted."""
    level: float
    """What the bucket holds after that; below 0 where more was spent than it had."""


class Shares(Protocol):
    """Token buckets that the nodes share. Tokens are taken and never given back; time is the store's own.

    A bucket that the store does not know begins with `Want.level`, so that a store that was emptied fills none. What
    nodes `spent` is taken from it, down to -burst.
    """

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        """Take tokens of several buckets, each of them named once; gives a Grant for each, in order."""
