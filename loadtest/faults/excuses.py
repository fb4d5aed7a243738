"""Which doubts a fault explains, and for how long; anything outside is a broken promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.faults.story import Connection, Fault, Push, Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the promises' times are for these nodes. They are promised for a lease of 15 s and shrink with it, down to
    what is not made of leases (a renewed TCP connection, a Redis client's own pause)."""

    lease_ttl: float
    drain_window: float
    slack: float = 1.0
    """For a busy machine, and whatever the recorder itself was late."""

    @property
    def takeover(self) -> float:
        """From a node's death to 410 for its connections."""
        return min(30.0, 2 * self.lease_ttl + 2) + self.slack

    @property
    def back(self) -> float:
        """From Redis' or a node's return to no more doubt."""
        return min(10.0, self.lease_ttl * 2 / 3 + 2) + self.slack

    @property
    def orphaned(self) -> float:
        """From a node's death to the first $disconnect call of each of its connections."""
        return min(60.0, 4 * self.lease_ttl + 2) + self.slack

    @property
    def isolation(self) -> float:
        """A node out of Redis' sight for so long may be given up by the others."""
        return self.lease_ttl * 2 / 3

    @property
    def last_call(self) -> float:
        """From a close to its $disconnect call on a node that is well: the messages in flight have 5 s."""
        return 5.0 + self.slack


class Excuses:
    """Faults of a story, as reasons."""

    def __init__(self, story: Story, terms: Terms) -> None:
        self.story = story
        self.terms = terms

    def doubt(self, push: Push, connection: Connection) -> bool:
        """Whether 503 may be said to this push."""
        return any(push.asked <= end and push.told >= start for start, end in self._doubtful(push, connection))

    def _doubtful(self, push: Push, connection: Connection) -> Iterator[tuple[float, float]]:
        story, terms, owner = self.story, self.terms, connection.node
        for fault in story.faults_of("kill", node=owner):
            yield fault.begun, self.postponed(fault.begun, terms.takeover, push.node)
        for node in (owner, push.node):
            for fault in story.faults_of("pause", node=node):
                yield fault.begun, fault.ended + terms.back
        for fault in story.faults_of("terminate", node=owner):
            yield fault.begun, story.nodes[owner].exited + 1 + terms.slack
        for fault in story.faults_of("redis-cut", node=owner):
            yield fault.begun + terms.isolation, fault.ended + terms.back
        for fault in story.faults_of("peer-cut"):
            if fault.other == owner and push.node != owner:
                yield fault.begun, fault.ended + terms.back
        for fault in story.faults_of("redis-away", "redis-wiped"):
            yield _end(fault), _end(fault) + terms.back
        for fault in self.outages(push.node):
            if not self._known(connection, fault):
                yield fault.begun, _end(fault) + terms.back

    def _known(self, connection: Connection, fault: Fault) -> bool:
        """Whether every node had the owner's address when Redis went, and the owner is there to answer by itself."""
        node = self.story.nodes.get(connection.node)
        if node is None or node.exited <= _end(fault) + self.terms.back:
            return False
        return node.ready + self.terms.lease_ttl / 5 + self.terms.slack <= fault.begun

    def outages(self, node: str) -> Iterator[Fault]:
        """When this node had no Redis, or an emptied one."""
        return (
            fault
            for fault in self.story.faults_of("redis-away", "redis-cut", "redis-wiped", "standstill")
            if fault.kind != "redis-cut" or fault.node == node
        )

    def postponed(self, start: float, span: float, *nodes: str) -> float:
        """When something that takes `span` is over, which an outage of Redis at one of these nodes begins anew."""
        until = start + span
        outages = {(fault.begun, _end(fault)) for node in nodes for fault in self.outages(node)}
        for begun, ended in sorted(outages):
            if begun <= until and ended >= start:
                until = max(until, ended + span)
        return until

    def isolated(self, node: str, at: float) -> bool:
        """Whether the others may have given this living node up by then."""
        return any(
            fault.begun + self.terms.isolation <= at <= fault.ended + self.terms.back
            for fault in self.story.faults_of("pause", "redis-cut", node=node)
        )

    def given_up(self, connection: Connection, at: float) -> bool:
        """Whether the others had taken the connection over by then: its $disconnect had begun."""
        return any(
            call.at <= at + self.terms.slack and self.isolated(connection.node, call.at)
            for call in self.story.disconnects(connection.id)
        )

    def killed(self, node: str, at: float) -> bool:
        """Whether the node was killed by then."""
        return any(fault.begun <= at for fault in self.story.faults_of("kill", node=node))

    def leaving(self, node: str, at: float) -> bool:
        """Whether the node had been told to end by then."""
        return any(fault.begun <= at for fault in self.story.faults_of("terminate", node=node))


def _end(fault: Fault) -> float:
    return fault.begun if fault.kind == "redis-wiped" else fault.ended
