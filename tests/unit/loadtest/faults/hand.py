"""Histories made by hand: one connection at a time, with times as they are needed."""

from __future__ import annotations

from itertools import count
from math import inf

from loadtest.faults.checker import violations
from loadtest.faults.excuses import Terms
from loadtest.faults.history import (
    Answered,
    AnyEvent,
    Asked,
    Breakage,
    Broke,
    Called,
    Closed,
    Closing,
    Dropped,
    During,
    Exited,
    Handshake,
    Mended,
    Opened,
    Ready,
    Received,
    Refused,
    Sent,
    Told,
    pushed,
    reply,
)

TERMS = Terms(lease_ttl=15, drain_window=25, slack=1)


class Hand:
    """Three nodes since time 0, and what is added; `broken` gives the names of the promises it breaks."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = [Ready(at=0, node=node) for node in ("a", "b", "c")]
        self._numbers = count(1)

    def broken(self) -> list[str]:
        history = sorted(self.events, key=lambda event: event.at)
        return [violation.promise.name for violation in violations(history, TERMS)]

    def add(self, *events: AnyEvent) -> None:
        self.events += events

    def call(
        self,
        kind: str,
        at: float,
        *,
        client: str = "x",
        message: str = "",
        status: int | None = 200,
        request_id: str = "r",
        code: int = 1000,
        took: float = 0.1,
    ) -> None:
        """A call of the backend for the connection of a client, answered where `status` is given."""
        number = next(self._numbers)
        self.add(
            Called(
                at=at,
                call=number,
                kind=kind,  # type: ignore[arg-type]  # tests name it
                connection=f"id-{client}",
                request_id=request_id,
                client=client if kind == "CONNECT" else "",
                message=message,
                code=code if kind == "DISCONNECT" else 0,
            )
        )
        if status is not None:
            self.add(Answered(at=at + took, call=number, status=status))

    def dials(self, client: str = "x", *, at: float = 10, node: str = "a", status: int = 200) -> None:
        """A handshake up to $connect's answer."""
        self.add(Handshake(at=at, client=client, node=node))
        self.call("CONNECT", at + 0.1, client=client, status=status)

    def opens(self, client: str = "x", *, at: float = 10, node: str = "a") -> None:
        """A handshake with its 101 at `at` + 0.3."""
        self.dials(client, at=at, node=node)
        self.add(Opened(at=at + 0.3, client=client))

    def refused(self, client: str = "x", *, at: float, status: int) -> None:
        self.add(Refused(at=at, client=client, status=status))

    def says(self, message: str, *, at: float, client: str = "x", called: bool = True, replied: bool = True) -> None:
        self.add(Sent(at=at, client=client, message=message))
        if called:
            self.call("MESSAGE", at + 0.05, client=client, message=message)
        if replied:
            self.hears(reply(message), at=at + 0.2, client=client)

    def hears(self, text: str, *, at: float, client: str = "x") -> None:
        self.add(Received(at=at, client=client, text=text))

    def push(
        self,
        name: str,
        *,
        at: float,
        status: int | None = 200,
        client: str = "x",
        node: str = "b",
        during: During = "",
        before: str = "",
        arrives: bool | None = None,
        took: float = 0.1,
    ) -> None:
        """A push, which arrives as its answer comes if that is 200 or `arrives` says so."""
        connection = f"id-{client}"
        self.add(Asked(at=at, push=name, connection=connection, client=client, node=node, during=during, before=before))
        if status is not None:
            self.add(Told(at=at + took, push=name, status=status))
        if status == 200 if arrives is None else arrives:
            self.hears(pushed(name, client), at=at + took, client=client)

    def leaves(self, client: str = "x", *, at: float, code: int = 1000, answered: bool = True) -> None:
        """The client closes; `answered`: its $disconnect runs at once."""
        self.add(Closing(at=at, client=client, code=code), Closed(at=at + 0.1, client=client, code=code))
        if answered:
            self.call("DISCONNECT", at + 0.2, client=client, code=code)

    def ends(self, client: str = "x", *, at: float, code: int = 1006, disconnect: float | None = None) -> None:
        """The gateway's end of it."""
        self.add(Closed(at=at, client=client, code=code))
        if disconnect is not None:
            self.call("DISCONNECT", disconnect, client=client, code=code)

    def drops(self, client: str = "x", *, at: float, disconnect: float | None = None) -> None:
        self.add(Dropped(at=at, client=client))
        if disconnect is not None:
            self.call("DISCONNECT", disconnect, client=client, code=1006)

    def breaks(self, kind: Breakage, *, at: float, until: float = inf, node: str = "", other: str = "") -> None:
        number = next(self._numbers)
        self.add(Broke(at=at, fault=number, kind=kind, node=node, other=other))
        if until < inf:
            self.add(Mended(at=until, fault=number))

    def kills(self, node: str = "a", *, at: float) -> None:
        self.breaks("kill", at=at, node=node)
        self.add(Exited(at=at + 0.01, node=node, status=-9))

    def terminates(self, node: str = "a", *, at: float, exited: float = inf, status: int = 0) -> None:
        self.breaks("terminate", at=at, node=node)
        if exited < inf:
            self.add(Exited(at=exited, node=node, status=status))
