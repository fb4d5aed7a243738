"""Calls for connections of other nodes: one hop to the node that holds the socket, whose answer is the answer.

Order: a push is answered after its owner answered, and the owner answers when the message is in the connection's
outbox. So of two pushes, the second begun after the first's answer, the second comes to the outbox behind the first,
whichever nodes they came in at. (What was answered 503 may yet arrive, late: nobody knows what became of it.)

Nothing is delivered twice by us: a call that is repeated has the same number, and its owner does it once (`once.py`).
A call is repeated where its connection broke, or before anything was sent; silence is a 503 after 2 s. The store is
asked where the directory as last read is not enough (`verdict.py`): never on the way of a push to a living node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count as count_from
from typing import TYPE_CHECKING

from wsgateway.dataplane import batch
from wsgateway.dataplane.answers import GONE, dressed, problem
from wsgateway.dataplane.counters import count
from wsgateway.dataplane.hop import Call, Hop, Link, ManyHop, doubt_of, read
from wsgateway.dataplane.identity import slot_of, slot_text
from wsgateway.dataplane.seals import Verb
from wsgateway.dataplane.verdict import Ask, Doubt, at_first, looked_up
from wsgateway.errors import GatewayError, RegistryAway
from wsgateway.messages import EndpointRequest, HttpResponse
from wsgateway.upstream.origin import Bounds

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.peers import Peers
    from wsgateway.dataplane.seals import Seals
    from wsgateway.registry.base import LookUp, Nodes
    from wsgateway.upstream.pool import Upstream

HOP_SECONDS = 2.0
"""From the call's beginning to the last byte of its answer, a repetition with it."""
LOOK_UP_SECONDS = 0.8
CALL_SECONDS = HOP_SECONDS + LOOK_UP_SECONDS
"""Of a call for which the store had to be asked."""
BOUNDS = Bounds(connections=256, waiting=4096, idle_seconds=30.0)
"""Calls to one node at a time, and how many may wait for one of these; beyond, 503."""
MAX_SLOW = 1000
"""Calls at a time that are repeated, or for which the store is asked; beyond, 503."""
MAX_ANSWER = 64 * 1024 * 1024
TELL_SECONDS = 10.0

_PUSHES = (Verb.TEXT.value, Verb.BINARY.value)
_WORTH_ANOTHER = frozenset({Doubt.UNREACHABLE, Doubt.MOVED, Doubt.BROKEN})
_NOT_THERE = frozenset({Doubt.UNREACHABLE, Doubt.MOVED, Doubt.SILENT})


class Relay:
    """Calls other nodes. Of everything here only `call` is on the way of a push.

    `upstream` is the relay's own, with an egress policy that lets nodes be called. It is ended by whoever made it.
    """

    def __init__(self, gateway: Gateway, peers: Peers, nodes: Nodes, seals: Seals, upstream: Upstream) -> None:
        self._gateway = gateway
        self._peers = peers
        self._nodes = nodes
        self._seals = seals
        self._upstream = upstream
        self._links: dict[str, Link] = {}
        self._slow = 0
        self._numbers = count_from(1)
        self._ids = gateway.ids
        self._refusals = {doubt: self._refusal(doubt) for doubt in Doubt}

    def call(
        self,
        verb: Verb,
        api_id: str,
        connection_id: str,
        body: bytes = b"",
        finish: Callable[[HttpResponse], HttpResponse] = dressed,
    ) -> HttpResponse | Call:
        """Do `verb` to a connection of another node; its id must be a valid one. The answer is passed to `finish`."""
        peers = self._peers
        owner = connection_id[:4]
        link = self._links.get(owner)
        if link is None or link.slot not in peers.leased or not self._holds(link):
            slot = slot_of(connection_id)
            first = at_first(peers, slot) if self._seals.current is not None else Doubt.REGISTRY_AWAY
            if isinstance(first, Doubt):
                return finish(self._doubtful(first))
            try:
                link = None if first is None else self._link(slot, first.address)
            except ValueError:
                return finish(self._doubtful(Doubt.UNREACHABLE))
        else:
            slot = link.slot
        signed = b"%b%b%b%x/%b/%b" % (
            owner.encode(), verb.value, self._ids.begin.encode(), next(self._numbers),
            api_id.encode(), connection_id.encode(),
        )  # fmt: skip
        return self._begin(slot, connection_id, link, signed, body, finish)

    def ask(self, slot: bytes, address: str, verb: Verb, path: bytes = b"") -> Call:
        """What a node says about itself: `path` follows the call's number. The answer is as the node made it.

        *Raises* ValueError where `address` is none.
        """
        caller, number = self._ids.begin.encode(), next(self._numbers)
        signed = b"%b%b%b%x%b" % (slot_text(slot).encode(), verb.value, caller, number, path)
        return self._begin(slot, "", self._link(slot, address), signed, b"", _as_it_is)

    @property
    def able(self) -> bool:
        """Whether there is a secret to call others with."""
        return self._seals.current is not None

    def elsewhere(self, connection_id: str) -> bool:
        """Whether another node made an id. What this one made and does not hold is gone."""
        return connection_id[:4] != self._ids.begin

    def tidy(self) -> None:
        """Forget the ways to nodes that are no longer known."""
        for owner, link in tuple(self._links.items()):
            if self._peers.address(link.slot) != link.address:
                del self._links[owner]
        self._upstream.keep_only({link.origin for link in self._links.values()})

    def _begin(
        self,
        slot: bytes,
        connection_id: str,
        link: Link | None,
        signed: bytes,
        body: bytes,
        finish: Callable[[HttpResponse], HttpResponse],
    ) -> Call:
        loop = self._gateway.loop
        call = Call(loop=loop)
        call.slot = slot
        call.subject = connection_id
        call.signed = signed
        call.body = body
        call.begun = loop.time()
        call.finish = finish
        call.hop = call.task = call.told = None
        if link is None:
            self._try_on(call, None, None)
        elif link.busy and connection_id and len(body) <= batch.LARGEST and signed[4:5] in _PUSHES:
            if not link.gathered:
                loop.call_soon(self._leave, link)
            link.gathered.append(call)
        else:
            self._send(call, link)
        return call

    def _leave(self, link: Link) -> None:
        """The pushes of this turn leave. One goes as it is: nothing has to be unpacked."""
        gathered, link.gathered = link.gathered, []
        for start in range(0, len(gathered), batch.MOST):
            calls = gathered[start : start + batch.MOST]
            if len(calls) == 1:
                if not calls[0].done():
                    self._send(calls[0], link)
            else:
                self._send_many(calls, link)

    def _send(self, call: Call, link: Link) -> None:
        hop = call.hop = Hop(loop=self._gateway.loop)
        hop.relay = self
        hop.call = call
        hop.link = link
        link.busy += 1
        link.origin.send(self._request(call, link), HOP_SECONDS, max_body=MAX_ANSWER, exchange=hop)

    def _send_many(self, calls: list[Call], link: Link) -> None:
        body = batch.pack([(*call.signed.decode().split("/"), call.body) for call in calls])
        signed = b"%bm%b%x" % (link.owner.encode(), self._ids.begin.encode(), next(self._numbers))
        hop = ManyHop(loop=self._gateway.loop)
        hop.relay = self
        hop.calls = calls
        hop.link = link
        head = b"POST %b%b" % (self._seals.target(signed, body), link.head)
        link.busy += 1
        link.origin.send(EndpointRequest(head, body), HOP_SECONDS, max_body=MAX_ANSWER, exchange=hop)

    def _request(self, call: Call, link: Link) -> EndpointRequest:
        return EndpointRequest(b"POST %b%b" % (self._seals.target(call.signed), link.head), call.body)

    def landed(self, call: Call, link: Link, outcome: HttpResponse | Doubt) -> None:
        """The first try is over."""
        if call.done():
            return
        if link.failing or isinstance(outcome, Doubt):
            self._tell(link, outcome)
        if isinstance(outcome, HttpResponse):
            self._end(call, outcome)
        elif outcome in _WORTH_ANOTHER:
            self._try_on(call, link, outcome)
        else:
            self._end(call, self._doubtful(outcome))

    def _end(self, call: Call, response: HttpResponse) -> None:
        if not call.done():
            count(self._gateway.counters.relays, response.status)
            call.tell(call.finish(response))

    def _doubtful(self, doubt: Doubt) -> HttpResponse:
        causes = self._gateway.counters.relay_doubts
        causes[doubt.value] = causes.get(doubt.value, 0) + 1
        return self._refusals[doubt]

    def _refusal(self, doubt: Doubt) -> HttpResponse:
        reason = f"the connection's node: {doubt.value}" if self._gateway.show_reasons else ""
        return problem(503, "ServiceUnavailableException", "Service Unavailable", reason, (b"Retry-After", b"1"))

    # Ways

    def _holds(self, link: Link) -> bool:
        """Whether the way is as the directory and the secret have it."""
        entry = self._peers.nodes.get(link.slot)
        return entry is not None and entry.address == link.address and link.key is self._seals.current

    def _link(self, slot: bytes, address: str) -> Link:
        owner = slot_text(slot)
        link = self._links.get(owner)
        if link is None or link.address != address or link.key is not self._seals.current:
            link = self._links[owner] = Link(slot, address, self._upstream, self._seals)
        return link

    def _tell(self, link: Link, outcome: HttpResponse | Doubt) -> None:
        """A line when a node begins or ends to be out of reach."""
        failing = isinstance(outcome, Doubt)
        now = self._gateway.loop.time()
        if failing is link.failing or (failing and now - link.told < TELL_SECONDS):
            return
        link.failing = failing
        if isinstance(outcome, Doubt):
            link.told = now
            self._gateway.log("node can't be relayed to", slot=link.owner, address=link.address, cause=outcome.value)
        else:
            self._gateway.log("node is relayed to again", slot=link.owner, address=link.address)

    # The ways that are not straight

    def _try_on(self, call: Call, link: Link | None, doubt: Doubt | None) -> None:
        if self._slow >= MAX_SLOW:
            self._end(call, self._doubtful(Doubt.BUSY))
            return
        self._slow += 1
        call.task = self._gateway.loop.create_task(self._settle(call, link, doubt))

    async def _settle(self, call: Call, link: Link | None, doubt: Doubt | None) -> None:
        try:
            outcome = await self._tried_on(call, link, doubt)
        except Exception as error:
            self._gateway.counters.unexpected_errors += 1
            self._gateway.log("unexpected error", error=error, connection_id=call.subject)
            outcome = Doubt.UNREACHABLE
        finally:
            self._slow -= 1
            call.task = None
        self._end(call, self._doubtful(outcome) if isinstance(outcome, Doubt) else outcome)

    async def _tried_on(self, call: Call, link: Link | None, doubt: Doubt | None) -> HttpResponse | Doubt:
        """What becomes of a call whose first try ended in `doubt`, or that could not be tried yet."""
        if link is not None and doubt is Doubt.BROKEN:
            outcome = await self._try(call, link, HOP_SECONDS)  # the same node, the same number
            if outcome not in (Doubt.UNREACHABLE, Doubt.MOVED):
                return outcome
        verdict = looked_up(self._peers, call.slot, await self._look_up(call))
        if isinstance(verdict, Doubt):
            return verdict
        if not isinstance(verdict, Ask):
            return GONE
        try:
            link = self._link(call.slot, verdict.address)
        except ValueError:
            return Doubt.UNREACHABLE
        outcome = await self._try(call, link, CALL_SECONDS)
        if outcome is Doubt.BROKEN and doubt is not Doubt.BROKEN:
            outcome = await self._try(call, link, CALL_SECONDS)
        if isinstance(outcome, HttpResponse) or outcome not in _NOT_THERE:
            return outcome
        if verdict.otherwise is None:
            return GONE
        return verdict.otherwise if outcome is Doubt.UNREACHABLE else outcome

    async def _look_up(self, call: Call) -> LookUp | None:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await self._nodes.look_up(call.slot, call.subject)
        except (TimeoutError, RegistryAway):
            return None

    async def _try(self, call: Call, link: Link, until: float) -> HttpResponse | Doubt:
        """One hop, which ends `until` seconds after the call began."""
        left = min(HOP_SECONDS, call.begun + until - self._gateway.loop.time())
        if left <= 0:
            return Doubt.SILENT
        outcome: HttpResponse | Doubt
        try:
            sent = link.origin.send(self._request(call, link), left, max_body=MAX_ANSWER)
            outcome = read(link, await sent)
        except GatewayError as error:
            outcome = doubt_of(error)
        self._tell(link, outcome)
        return outcome


def _as_it_is(response: HttpResponse) -> HttpResponse:
    return response
