"""Promises to whoever pushes."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.faults.excuses import Excuses
from loadtest.faults.story import Connection, Push, Story
from loadtest.faults.verdict import Promise, Violation

ANSWERS = (200, 410, 503)
DOUBT_SECONDS = 3.0
NOTICE_SECONDS = 1.0
"""A reset, and a clean close, are known everywhere after so long."""


def lost(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """200 for what never arrived, though the connection went on or was closed in an orderly way; and 200 for a
    connection that was no more."""
    for push, connection in _of_connections(story):
        if push.status != 200 or push.name in arrivals(connection):
            continue
        if connection.cleanly_closed or connection.last_alive > push.told:
            yield Violation(Promise.HANDED_OVER, push.told, f"{_said(push, connection)}, which never arrived")
        elif push.asked > connection.ended + (NOTICE_SECONDS if connection.dropped == connection.ended else 0):
            yield Violation(
                Promise.HANDED_OVER,
                push.told,
                f"{_said(push, connection)} {push.asked - connection.ended:.2f} s after its end",
            )


def false_gone(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """410 for a connection that had been opened before the push was begun and was live after it was answered, unless
    its node had been given up by the others."""
    for push, connection in _of_connections(story):
        if push.status != 410 or connection.opened >= push.asked or connection.last_alive <= push.told:
            continue
        if not excuses.given_up(connection, push.told):
            promise = Promise.ADDRESSABLE if push.during in ("open", "first") else Promise.NO_FALSE_GONE
            yield Violation(promise, push.told, f"{_said(push, connection)}, which lived on")


def too_early(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """Anything but 410 or an explained 503 inside $connect."""
    for push, connection in _of_connections(story):
        if push.during == "connect" and push.status == 200:
            yield Violation(Promise.ADDRESSABLE, push.told, f"{_said(push, connection)}, whose $connect was running")


def doubts(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """503 without a fault that explains it, or late; no answer; an answer that is none of the three."""
    for push, connection in _of_connections(story):
        if push.status is None:
            continue
        here_failed = (
            excuses.killed(push.node, push.told)
            or excuses.leaving(push.node, push.told)
            or any(fault.begun <= push.told for fault in story.faults_of("pause", node=push.node))
        )
        if push.status == 503 and not excuses.doubt(push, connection):
            yield Violation(Promise.PROMPT, push.told, f"{_said(push, connection)} without a cause")
        if push.status == 503 and push.told - push.asked > DOUBT_SECONDS + excuses.terms.slack and not here_failed:
            yield Violation(
                Promise.PROMPT, push.told, f"{_said(push, connection)} after {push.told - push.asked:.2f} s"
            )
        if push.status == 0 and not here_failed:
            yield Violation(Promise.PROMPT, push.told, f"no answer: {_said(push, connection)}")
        if push.status and push.status not in ANSWERS:
            yield Violation(Promise.PROMPT, push.told, _said(push, connection))


def disorder(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A push begun after the 200 of another arrived before it."""
    for connection in story.connections.values():
        places = arrivals(connection)
        for name, place in places.items():
            before = story.pushes[name].before if name in story.pushes else ""
            if before in places and places[before] > place and story.pushes[before].status == 200:
                at = connection.received[place][0]
                yield Violation(Promise.ORDER, at, f"push {name} before {before} at {connection.client}")


def duplicates(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A payload that arrived twice, wherever."""
    seen: set[str] = set()
    for connection in story.connections.values():
        for at, text in connection.received:
            if text.startswith("push "):
                name = text.split(" ")[1]
                if name in seen:
                    yield Violation(Promise.ONCE, at, f"push {name} once more, at {connection.client}")
                seen.add(name)


def misdelivered(story: Story, excuses: Excuses) -> Iterator[Violation]:
    """A payload that was meant for another connection, or that nobody pushed; a reply to another's message."""
    for connection in story.connections.values():
        for at, text in connection.received:
            match text.split(" "):
                case ["push", name, client]:
                    right = client == connection.client and name in story.pushes
                case ["reply", message]:
                    right = message in connection.sent
                case _:
                    continue
            if not right:
                yield Violation(Promise.RIGHT_SOCKET, at, f"{text!r} at {connection.client}")


def arrivals(connection: Connection) -> dict[str, int]:
    """The pushes a client has read, with the place of each among all it has read."""
    return {
        text.split(" ")[1]: place
        for place, (_, text) in reversed(list(enumerate(connection.received)))
        if text.startswith("push ")
    }


def _of_connections(story: Story) -> Iterator[tuple[Push, Connection]]:
    for push in story.pushes.values():
        connection = story.connections.get(push.client)
        if connection is not None:
            yield push, connection


def _said(push: Push, connection: Connection) -> str:
    return (
        f"push {push.name} through {push.node} to {connection.client} of {connection.node} "
        f"({push.asked:.3f} to {push.told:.3f}) was answered {push.status}"
    )
