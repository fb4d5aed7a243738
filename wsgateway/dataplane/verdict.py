"""Whether a connection that is not here is gone, who can say so, or whether nobody knows: a pure function.

Only what is known is said: 410 for a connection that has ended for certain, else its node is asked, which alone knows;
where it can't be, 503. The store may be stale, emptied or away, so that "it holds nothing about it" means something
only to a node that has read it without a break for long enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wsgateway.dataplane.peers import Standing

if TYPE_CHECKING:
    from wsgateway.dataplane.peers import Peers
    from wsgateway.registry.base import LookUp


class Doubt(Enum):
    """Why nobody can say what became of a connection; each is a 503."""

    REGISTRY_AWAY = "registry_away"
    """The store can't be read, and the node's address is not known here."""
    UNKNOWN_NODE = "unknown_node"
    """The store knows nothing of the node, but has not been read for long enough to mean something."""
    LEASE_LOST = "lease_lost"
    """The node's lease is gone; it may come back, or be taken over."""
    TAKE_OVER = "take_over"
    """The node is dead, and another one is to end its connection."""
    UNREACHABLE = "unreachable"
    """The node is there, says the store, but takes no connection."""
    SILENT = "silent"
    """The node takes connections and does not answer in time."""
    BROKEN = "broken"
    """Its connection broke twice behind the request."""
    MOVED = "moved"
    """At its address is another node."""
    STRANGER = "stranger"
    """At its address something answers that is no node of this installation, or has another secret."""
    BUSY = "busy"
    """Too many calls wait for the node or for the store, or this node ends."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Call the node at `address`: its answer counts.

    Where it takes no connection or is another one, the answer is 410 if `otherwise` is None, else 503 for that cause.
    """

    address: str
    otherwise: Doubt | None


class Gone(Enum):
    """The connection has ended, for certain."""

    GONE = "gone"


GONE = Gone.GONE
LOOK_UP = None
"""Ask the store first."""

Verdict = Ask | Gone | Doubt


def at_first(peers: Peers, slot: bytes) -> Ask | Doubt | None:
    """What follows from what this node knows of the slot of another; LOOK_UP where that is not enough."""
    address = peers.address(slot)
    if peers.away:
        return _ask(address, Doubt.REGISTRY_AWAY)
    if peers.standing(slot) is Standing.LIVE and address is not None:
        return Ask(address, Doubt.UNREACHABLE)
    return LOOK_UP


def looked_up(peers: Peers, slot: bytes, found: LookUp | None) -> Verdict:
    """What follows from what the store said just now; None: it could not be read."""
    known = peers.address(slot)
    if found is None:
        return _ask(known, Doubt.REGISTRY_AWAY)
    if found.epoch is None:
        return _ask(known, Doubt.UNKNOWN_NODE)
    entry = found.entry
    if found.retired or (entry is not None and entry.ended):
        return GONE
    address = known if entry is None else entry.address
    if found.leased:
        return _ask(address, Doubt.UNREACHABLE)
    if found.claimed:
        return GONE
    if found.recorded:
        return _ask(address, Doubt.TAKE_OVER if peers.standing(slot) is Standing.DEAD else Doubt.LEASE_LOST)
    same = found.epoch == peers.epoch  # else what was read before says nothing of this store
    if same and (peers.settled if entry is None else peers.standing(slot) is Standing.DEAD):
        return GONE if address is None else Ask(address, None)
    return _ask(address, Doubt.UNKNOWN_NODE if entry is None else Doubt.LEASE_LOST)


def _ask(address: str | None, otherwise: Doubt) -> Ask | Doubt:
    return otherwise if address is None else Ask(address, otherwise)
