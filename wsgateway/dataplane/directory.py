"""All nodes and their connections, for people and tools: each node is asked, and one that doesn't answer is named."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wsgateway.dataplane.answers import JSON, page, pretty
from wsgateway.dataplane.identity import slot_text
from wsgateway.dataplane.peers import Standing
from wsgateway.dataplane.seals import Verb
from wsgateway.invocation import iso_time
from wsgateway.messages import Handler, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.peers import Peers
    from wsgateway.registry.base import NodeEntry

AT_ONCE = 16
"""Nodes asked at a time."""

is_token = re.compile(r"[A-Za-z0-9_-]{0,26}={0,2}").fullmatch
"""What may be the id that a page begins behind."""

STATES = {
    Standing.LIVE: "live",
    Standing.DOUBTFUL: "lease lost",
    Standing.DEAD: "being taken over",
    Standing.UNKNOWN: "unknown",
}
Json = dict[str, Any]


class Directory:
    """What the nodes of the installation hold. Without `peers` this one is all there is."""

    def __init__(self, gateway: Gateway, me: Callable[[], NodeEntry], peers: Peers | None = None) -> None:
        self._gateway = gateway
        self._me = me
        self._peers = peers

    async def connections(self, api_id: str, after: str, size: int) -> Json:
        """Up to `size` connections of an API, in id order, behind the id `after`, with each one's node.

        An id begins with its node's slot, so that nodes are asked in this order, and no further than the page reaches.
        """
        items: list[Json] = []
        incomplete: list[Json] = []
        nodes = sorted(
            ((slot_text(entry.slot), entry) for entry in self._known() if self._holds(entry)), key=lambda node: node[0]
        )
        for some in _batched([entry for owner, entry in nodes if owner >= after[:4]]):
            pages = await asyncio.gather(*(self._page(entry, api_id, after, size) for entry in some))
            for entry, found in zip(some, pages, strict=True):
                if found is None:
                    if len(items) < size:
                        incomplete.append({"node": entry.name, "slot": slot_text(entry.slot), "address": entry.address})
                else:
                    items += found if self._peers is None else [item | {"node": entry.name} for item in found]
            if len(items) >= size:
                break
        return _listed(items, size) | ({"incomplete": incomplete} if incomplete else {})

    async def nodes(self) -> Json:
        """Every node that is known, this one included, in the order of their slots."""
        entries = sorted(self._known(), key=lambda entry: slot_text(entry.slot))
        told: list[Json] = []
        for some in _batched(entries):
            told += await asyncio.gather(*map(self._node, some))
        registry = "memory" if self._peers is None else "away" if self._peers.away else "present"
        return {"registry": registry, "nodes": told}

    async def forget_authorizations(self, api_id: str, stage: str) -> list[str]:
        """Have every node forget what authorizers said at a stage; gives the names of those that don't say they did."""
        silent: list[str] = []
        path = f"/{quote(api_id, safe='')}/{quote(stage, safe='')}"
        me = self._gateway.ids.slot
        for some in _batched([entry for entry in self._known() if entry.slot != me and self._holds(entry)]):
            answers = await asyncio.gather(*(self._ask(entry, Verb.FORGET, path) for entry in some))
            silent += [entry.name for entry, answer in zip(some, answers, strict=True) if not answer]
        self._gateway.forget_authorizations(api_id, stage)
        return silent

    def living(self) -> list[NodeEntry]:
        """What each node whose lease runs tells of itself, this one included."""
        return [entry for entry in self._known() if self._standing(entry) is Standing.LIVE]

    def place_of(self, slot: bytes) -> tuple[str, str]:
        """`(name, address)` of a node."""
        for entry in self._known():
            if entry.slot == slot:
                return entry.name, entry.address
        return "", ""

    def _known(self) -> Iterator[NodeEntry]:
        me = self._me()
        yield me
        if self._peers is not None:
            yield from (entry for entry in self._peers.known if entry.slot != me.slot)

    def _standing(self, entry: NodeEntry) -> Standing:
        if entry.slot == self._gateway.ids.slot or self._peers is None:
            return Standing.LIVE
        return self._peers.standing(entry.slot)

    def _holds(self, entry: NodeEntry) -> bool:
        """Whether a node may hold connections."""
        return self._standing(entry) is not Standing.DEAD

    async def _page(self, entry: NodeEntry, api_id: str, after: str, size: int) -> list[Json] | None:
        """A page of one node's connections, None where it doesn't answer."""
        if entry.slot == self._gateway.ids.slot:
            return page(self._gateway, api_id, after, size)
        answer = await self._ask(entry, Verb.LIST, f"/{api_id}/{size}/{after}")
        found = answer.get("items")
        if isinstance(found, list) and all(
            isinstance(item, dict) and isinstance(item.get("connectionId"), str) for item in found
        ):
            return found
        return None

    async def _node(self, entry: NodeEntry) -> Json:
        state = STATES[self._standing(entry)]
        connections: object = len(self._gateway.hub)
        if entry.slot != self._gateway.ids.slot:
            connections = None
            if self._holds(entry):
                connections = (await self._ask(entry, Verb.STATE)).get("connections")
        return {
            "slot": slot_text(entry.slot),
            "name": entry.name,
            "address": entry.address,
            "state": "draining" if entry.draining and state == "live" else state,
            "connections": connections,
            "definitions": entry.digest,
            "version": entry.version,
            "startedAt": iso_time(entry.started),
        }

    async def _ask(self, entry: NodeEntry, verb: Verb, path: str = "") -> Json:
        """What a node answers; {} where it doesn't, and `{"items": []}` where it is known to have ended."""
        relay = self._gateway.relay
        if relay is None or not relay.able:
            return {}
        try:
            answer = await relay.ask(entry.slot, entry.address, verb, path.encode())
            if answer.status == 410:
                return {"items": []}
            said = json.loads(answer.body) if answer.status == 200 and isinstance(answer.body, bytes) else {}
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


def _batched(entries: list[NodeEntry]) -> Iterator[list[NodeEntry]]:
    return (entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE))


def _listed(items: list[Json], size: int) -> Json:
    """A page of what was found: the first `size`, and where the next page begins if there may be one."""
    items = items[:size]
    answer: Json = {"items": items}
    if len(items) == size:
        answer["nextToken"] = items[-1]["connectionId"]
    return answer


class NodesPage:
    """A Handler: `GET /nodes` of the internal listener, and everything else to `otherwise`."""

    def __init__(self, directory: Directory, otherwise: Handler) -> None:
        self._directory = directory
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if request.target.partition("?")[0] != "/nodes":
            return self._otherwise(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, (JSON, (b"Allow", b"GET, HEAD")), b'{"message":"use GET"}')
        return self._answer()

    async def _answer(self) -> HttpResponse:
        return HttpResponse(200, (JSON,), pretty(await self._directory.nodes()))
