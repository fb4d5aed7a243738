"""Promises to clients and operators: who stays connected, who gets in, and how a node leaves."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.faults.excuses import Excuses
from loadtest.faults.history import ABNORMAL, NO
from loadtest.faults.story import Connection, Story
from loadtest.faults.verdict import Promise, Violation

GOING_AWAY = 1001
GRACE_SECONDS = 35.0
"""A node's own bound on a drain, behind the window."""


def cut(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """Connections that ended otherwise than by their client, their node's death or its leave, or by the take-over of
    a node that was out of sight."""
    for connection in story.connections.values():
        if not connection.was_open or connection.code is None or excuses.killed(connection.node, connection.ended):
            continue
        leaving = excuses.leaving(connection.node, connection.ended)
        named = f"{connection.code} at {connection.client} of {connection.node}"
        if connection.code == ABNORMAL:
            yield Violation(Promise.DRAIN if leaving else Promise.STAYS, connection.ended, named)
        elif connection.code == connection.closing_code:
            continue
        elif connection.code != GOING_AWAY or not (leaving or _taken_over(story, excuses, connection)):
            yield Violation(Promise.STAYS, connection.ended, f"{named}, without a cause")


def _taken_over(story: Story, excuses: Excuses, connection: Connection) -> bool:
    return any(
        fault.begun + excuses.terms.isolation <= connection.ended
        for fault in story.faults_of("pause", "redis-cut", node=connection.node)
    )


def kept_out(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """Handshakes refused, though their node was well and $connect said yes or was not asked."""
    for connection in story.connections.values():
        status = connection.refused
        if status is None or (status == NO and connection.rejected):
            continue
        node, ended = connection.node, connection.ended
        excused = (
            excuses.killed(node, ended)
            or excuses.leaving(node, ended)
            or any(fault.begun <= ended for fault in story.faults_of("pause", node=node))
            or (status == 503 and _without_redis(excuses, connection))
        )
        if not excused:
            yield Violation(Promise.STAYS, ended, f"handshake of {connection.client} at {node} was answered {status}")


def _without_redis(excuses: Excuses, connection: Connection) -> bool:
    return any(
        fault.begun <= connection.ended
        and connection.begun <= (fault.begun if fault.kind == "redis-wiped" else fault.ended) + excuses.terms.back
        for fault in excuses.outages(connection.node)
    )


def bad_leaves(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A node that was told to leave and ended otherwise than with 0, late or never; one that ended by itself."""
    for name, node in story.nodes.items():
        told = min((fault.begun for fault in story.faults_of("terminate", node=name)), default=None)
        if excuses.killed(name, node.exited):
            continue
        if told is None:
            if node.status is not None:
                yield Violation(Promise.STAYS, node.exited, f"{name} ended by itself, with {node.status}")
        elif node.status != 0 or node.exited > told + excuses.terms.drain_window + GRACE_SECONDS:
            ended = "never" if node.status is None else f"after {node.exited - told:.1f} s with {node.status}"
            yield Violation(Promise.DRAIN, min(node.exited, story.end), f"{name} was told to leave and ended {ended}")


def left_behind(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """What was in Redis after the last node's orderly end."""
    for left in story.left:
        yield Violation(Promise.NOTHING_LEFT, left.at, left.what)
