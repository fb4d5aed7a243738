"""One hop of a relayed call, or of several: to its owner and back, and what the answer means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from wsgateway.dataplane import batch
from wsgateway.dataplane.answers import DONE
from wsgateway.dataplane.identity import slot_text
from wsgateway.dataplane.seals import SEAL_HEADER
from wsgateway.dataplane.verdict import Doubt
from wsgateway.errors import BadGateway, IntegrationFailure, IntegrationTimeout
from wsgateway.messages import EndpointResponse, HttpResponse, PromptAnswer
from wsgateway.upstream.exchange import Exchange
from wsgateway.upstream.origin import Origin

if TYPE_CHECKING:
    from wsgateway.dataplane.seals import Seals
    from wsgateway.upstream.pool import Upstream

_KEPT = frozenset({b"Content-Type", b"x-amzn-ErrorType"})


class Lands(Protocol):
    """What hears of the end of a call's first hop: the relay."""

    def landed(self, call: Call, link: Link, outcome: HttpResponse | Doubt) -> None: ...


class Link:
    """The way to one node, at one address. *Raises* ValueError for what is no HOST:PORT."""

    __slots__ = ("address", "busy", "failing", "gathered", "head", "key", "origin", "owner", "seal", "slot", "told")

    def __init__(self, slot: bytes, address: str, upstream: Upstream, seals: Seals) -> None:
        host, port = host_and_port(address)
        self.slot = slot
        self.owner = slot_text(slot)
        self.address = address
        self.head = b" HTTP/1.1\r\nHost: %b\r\n" % address.encode("ascii")
        self.origin: Origin = upstream.origin("http", host, port)
        self.key = seals.current
        self.seal = seals.answer(self.owner)
        self.busy = 0
        """First tries under way. While there are some, the pushes of a turn are gathered; else one goes at once."""
        self.gathered: list[Call] = []
        self.failing = False
        self.told = float("-inf")


class Call(PromptAnswer):
    """One relayed call, which ends in what the caller hears. Its attributes are set at once by `Relay.call`."""

    __slots__ = ("begun", "body", "finish", "hop", "signed", "slot", "subject", "task")

    slot: bytes
    subject: str
    """The connection's id; "" where the call is about none."""
    signed: bytes
    body: bytes
    begun: float
    finish: Callable[[HttpResponse], HttpResponse]
    hop: Hop | None
    task: asyncio.Task[None] | None

    def cancel(self, msg: Any | None = None) -> bool:
        """End because nobody waits any more."""
        if not super().cancel(msg):
            return False
        if self.hop is not None:
            self.hop.cancel()
            self.hop = None
        if self.task is not None:
            self.task.cancel()
        return True


class Hop(Exchange):
    """The first try of a call. What it ends in goes to the relay: nobody waits for it itself."""

    __slots__ = ("call", "link", "relay")

    relay: Lands
    call: Call
    link: Link

    def answer(self, response: EndpointResponse) -> None:
        self._release()
        self.link.busy -= 1
        self.call.hop = None
        self.relay.landed(self.call, self.link, read(self.link, response))

    def fail(self, error: BaseException) -> None:
        self._release()
        self.link.busy -= 1
        self.call.hop = None
        self.relay.landed(self.call, self.link, doubt_of(error))

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.link.busy -= 1
        return True


class ManyHop(Exchange):
    """The first try of the pushes of one turn."""

    __slots__ = ("calls", "link", "relay")

    relay: Lands
    calls: list[Call]
    link: Link

    def answer(self, response: EndpointResponse) -> None:
        self._release()
        self.link.busy -= 1
        outcome = read(self.link, response)
        found = None
        if isinstance(outcome, HttpResponse):
            found = batch.answers(response.body or b"", len(self.calls)) if outcome.status == 200 else None
            outcome = Doubt.STRANGER
        if found is None:
            self._end(outcome)
            return
        for call, answer in zip(self.calls, found, strict=True):
            self.relay.landed(call, self.link, answer)

    def fail(self, error: BaseException) -> None:
        self._release()
        self.link.busy -= 1
        self._end(doubt_of(error))

    def _end(self, doubt: Doubt) -> None:
        for call in self.calls:
            self.relay.landed(call, self.link, doubt)


def read(link: Link, response: EndpointResponse) -> HttpResponse | Doubt:
    """What the owner did; a Doubt where it is not the owner who answers."""
    for name, value in response.headers:
        if name == SEAL_HEADER and value == link.seal:
            break
    else:
        return Doubt.MOVED if response.status == 421 else Doubt.STRANGER
    if response.status == 200 and not response.body:
        return DONE
    headers = tuple([header for header in response.headers if header[0] in _KEPT])
    return HttpResponse(response.status, headers, response.body or b"")


def doubt_of(error: BaseException) -> Doubt:
    """What a hop that failed means."""
    match error:
        case IntegrationFailure():
            return Doubt.UNREACHABLE
        case IntegrationTimeout():
            return Doubt.SILENT
        case BadGateway():
            return Doubt.BROKEN
        case _:
            return Doubt.BUSY


def host_and_port(address: str) -> tuple[str, int]:
    """Both parts of HOST:PORT, an IPv6 address without its brackets. *Raises* ValueError."""
    match = _address(address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return match[1].removeprefix("[").removesuffix("]"), int(match[2])


_address = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})").fullmatch
