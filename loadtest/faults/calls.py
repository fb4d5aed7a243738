"""Promises to whoever is called: the backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from loadtest.faults.excuses import Excuses
from loadtest.faults.history import ABNORMAL, Breakage
from loadtest.faults.story import Call, Connection, Story
from loadtest.faults.verdict import Promise, Violation

FAILING_NODES: tuple[Breakage, ...] = ("kill", "pause", "redis-cut")


def silence(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A message without call or error frame, though a later one of its connection was replied to, or the close behind
    it was answered: what is sent first is begun first. Those sent last before another end are told by the end."""
    for connection in story.connections.values():
        unheard = [
            (at, message)
            for message, at in connection.sent.items()
            if message not in story.calls_of_message and at < connection.last_heard
        ]
        errors = sum(not text.startswith(("push ", "reply ")) for _, text in connection.received)
        for at, message in unheard[errors:]:
            yield Violation(
                Promise.NOT_IN_SILENCE, at, f"message {message} of {connection.client} at {connection.node}"
            )


def repeated(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A message, or a handshake, that was called for twice."""
    for message, calls in story.calls_of_message.items():
        for call in calls[1:]:
            yield Violation(Promise.ONE_CALL, call.at, f"message {message} once more")
    handshakes = Counter[str]()
    for call in story.calls.values():
        if call.kind == "CONNECT":
            handshakes[call.client] += 1
            if handshakes[call.client] > 1:
                yield Violation(Promise.ONE_CALL, call.at, f"$connect of {call.client} once more")


def unbidden(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A 101 before $connect's yes; a message's call before it; a $disconnect of a handshake that had none, unless its
    node died in it, or may have been unable to take the record of a refused handshake back."""
    for connection in story.connections.values():
        if connection.was_open and connection.accepted > connection.opened:
            yield Violation(Promise.CONNECT_FIRST, connection.opened, f"101 for {connection.client} without a yes")
    for call in story.calls.values():
        if call.kind == "CONNECT":
            continue
        connections = [c for c in story.called[call.connection] if c.kind == "CONNECT"]
        if any(connect.accepted for connect in connections):
            continue
        if call.kind == "DISCONNECT" and any(_unfinished(story, excuses, connect) for connect in connections):
            continue
        if call.kind == "DISCONNECT" and not connections and _left_behind(story, call):
            continue
        yield Violation(Promise.CONNECT_FIRST, call.at, f"{call.kind} of {call.connection}, whose $connect said no yes")


def _unfinished(story: Story, excuses: Excuses, connect: Call) -> bool:
    """Whether the node that called died before it can have finished with the answer."""
    connection = story.connections.get(connect.client)
    return connection is not None and any(
        connect.at - excuses.terms.slack <= fault.begun <= connect.answered + excuses.terms.slack
        for fault in story.faults_of("kill", "pause", node=connection.node)
    )


def _left_behind(story: Story, call: Call) -> bool:
    """Whether a record may have been written, and its node not have heard of it: then no $connect was called."""
    return any(fault.begun < call.at for fault in story.faults_of("kill", "pause", "redis-away", "redis-cut"))


def unfinished(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A yes without an answered $disconnect at the end; one too many; other requestIds; another code than 1006 for a
    connection that died with its node; one for a connection that lived on."""
    for connection in story.connections.values():
        if not connection.accepted < story.end:
            continue
        calls = story.disconnects(connection.id)
        named = f"{connection.client} ({connection.id}) of {connection.node}"
        answered = [call for call in calls if call.accepted]
        if not answered:
            yield Violation(Promise.DISCONNECT, connection.accepted, f"no $disconnect of {named}")
            continue
        allowed = _allowed(story, connection, calls)
        if len(answered) > allowed:
            yield Violation(
                Promise.DISCONNECT, answered[-1].at, f"{len(answered)} answered $disconnects of {named}, not {allowed}"
            )
        if len({call.request_id for call in calls}) > 1:
            yield Violation(Promise.DISCONNECT, calls[-1].at, f"$disconnects of {named} under several requestIds")
        if calls[0].at < connection.last_alive and not excuses.isolated(connection.node, calls[0].at):
            yield Violation(Promise.DISCONNECT, calls[0].at, f"$disconnect of {named}, which lived on")
        if _died_with_its_node(story, connection, calls[0]) and calls[0].code != ABNORMAL:
            yield Violation(Promise.DISCONNECT, calls[0].at, f"code {calls[0].code} of {named}, which was killed")


def _allowed(story: Story, connection: Connection, calls: list[Call]) -> int:
    """One; where its node failed, one more, and one more for each claimer that failed as well."""
    failed = [fault for fault in story.faults_of(*FAILING_NODES) if fault.begun <= calls[-1].at]
    if not any(fault.node == connection.node for fault in failed):
        return 1
    return 1 + sum(fault.ended >= min(connection.ended, calls[0].at) - 1 for fault in failed)


def _died_with_its_node(story: Story, connection: Connection, first: Call) -> bool:
    return connection.closing > first.at and any(
        connection.opened <= fault.begun <= connection.ended and fault.begun < first.at
        for fault in story.faults_of("kill", node=connection.node)
    ) and connection.code == ABNORMAL  # fmt: skip


def late(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """The first $disconnect call came later than promised after the end of its connection."""
    terms = excuses.terms
    for connection in story.connections.values():
        calls = story.disconnects(connection.id)
        if not calls or not connection.accepted < story.end or connection.ended > calls[0].at:
            continue
        due = max(connection.ended, connection.accepted) + terms.last_call
        for fault in story.faults_of("pause", "redis-cut", node=connection.node):
            if fault.begun <= due:
                due = max(due, fault.ended + terms.orphaned)
        for fault in story.faults_of("kill", "terminate", node=connection.node):
            if fault.begun <= due:
                died = max(fault.begun, connection.ended)
                due = max(due, excuses.postponed(died, terms.orphaned, *story.nodes))
        if calls[0].at > due:
            yield Violation(
                Promise.DISCONNECT_IN_TIME,
                calls[0].at,
                f"$disconnect of {connection.client} of {connection.node} {calls[0].at - connection.ended:.2f} s after "
                f"its end, {calls[0].at - due:.2f} s too late",
            )
