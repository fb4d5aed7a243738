"""What a publisher is: the link to one broker. One file beside this one adds one kind of broker."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from wsgateway.model.publish import Host, Mode
from wsgateway.upstream.tls import TlsSettings

OPEN_SECONDS = 5.0

Fields = list[tuple[str, str]]


class BrokerAway(Exception):
    """There is no link to the broker, for the reason given; what was being sent may have been taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker is and who we are there: integrations with equal ones share a link. Its text holds no secret."""

    kind: Literal["redis", "nats"]
    hosts: tuple[Host, ...]
    mode: Mode = "single"
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsSettings | None = None

    def __str__(self) -> str:
        hosts = ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        name = "Redis" if self.kind == "redis" else "NATS"
        return f"{name} at {self.service} of {hosts}" if self.service else f"{name} at {hosts}"


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One message on its way to a broker.

    `name` is its stream or subject; `fields` are what is told besides the body, in order, names without repetition.
    `max_length` is for Redis, `jetstream` for NATS.
    """

    name: str
    body: bytes
    fields: Fields
    max_length: int = 0
    jetstream: bool = False

    @property
    def size(self) -> int:
        """About what it takes to hold it, in bytes."""
        return 500 + len(self.body) + sum([len(value) for _, value in self.fields])


class Refused(msgspec.Struct, frozen=True):
    """What a broker answered to a message it does not take; another time it may, where this is `transient`.

    `result` is what is counted.
    """

    reason: str
    transient: bool = True
    result: str = "refused"


Outcome = bytes | Refused
"""What became of one publication; bytes are the acknowledgement, as JSON."""


class Publisher(Protocol):
    """The link to one broker. One call of it runs at a time.

    It sends each publication once, and never again by itself: nobody knows whether a failed one was taken.
    """

    lost: Callable[[str], None]
    """Set by its owner, who is told the reason when the link ends while nothing is being sent, if that is noticed."""

    async def open(self) -> None:
        """Make the link, and be sure that the broker lets us in. Takes `OPEN_SECONDS` at most.

        *Raises* BrokerAway.
        """

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Outcome | Future[Outcome]]:
        """Hand over publications in their order, on a link that is open, and wait until the broker has them.

        Gives what tells of each: the broker's acknowledgement as JSON, or its refusal; as a future where that takes
        longer than others should wait. It always ends, and may be cancelled. An acknowledged one is in the broker: what
        that is worth is the broker's to say.

        *Raises* BrokerAway where the link is lost or `seconds` are over; then each of them may have been taken or not,
        and the link has to be opened anew.
        """

    async def aclose(self) -> None:
        """End the link, if there is one. It may be opened again."""
