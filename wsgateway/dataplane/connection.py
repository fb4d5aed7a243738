"""One connection's life, from its handshake on: opened, pushed to, closed, its $disconnect. Its messages: `inbound`.

Lifecycle and close codes: API Gateway developer guide, "Working with WebSocket APIs".
"""

from __future__ import annotations

import time
from asyncio import TimerHandle
from typing import TYPE_CHECKING

from wsgateway.dataplane.counters import count
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.inbound import Messages
from wsgateway.invocation import Client
from wsgateway.messages import Message

if TYPE_CHECKING:
    from wsgateway.authorizers.base import Identity
    from wsgateway.dataplane.compiled import StageRef
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.hub import Socket

DISCONNECT_SECONDS = 5.0
"""$disconnect runs after the last message in flight, or this long after the close, whichever is first."""


class Connection(Messages):
    """One client's connection, from its handshake on."""

    __slots__ = (
        "_disconnect_timer",
        "_opened_at",
        "counted_as",
        "last_sent",
        "subprotocol",
        "taken",
    )

    def __init__(self, gateway: Gateway, stage: StageRef, client: Client) -> None:
        super().__init__(gateway, stage, client)
        self.last_sent = 0.0
        self._opened_at = 0.0
        self.counted_as = ""
        """The source it takes a place of, "" for none."""
        self.subprotocol = b""
        """What the 101 names where $connect picks none."""
        self._disconnect_timer: TimerHandle | None = None
        self.taken = False
        """Another node took this one for dead, has claimed the connection and runs its $disconnect."""

    @property
    def last_active(self) -> float:
        """Loop time of the last message or push."""
        return max(self.last_heard, self.last_sent)

    def identified(self, identity: Identity) -> None:
        """An authorizer has said who the client is."""
        client = self.client
        client.authorizer, client.claims, client.identity = identity.context, identity.claims, identity.identity
        client.expires = identity.expires
        client.usage_key = identity.usage_key
        self.subprotocol = identity.subprotocol.encode()

    def renewed(self, identity: Identity) -> None:
        """The client has shown another token, which counts from now on."""
        client = self.client
        client.authorizer, client.claims, client.expires = identity.context, identity.claims, identity.expires
        self._gateway.counters.token_refreshes += 1
        if self._gateway.ledger is not None:
            self._gateway.ledger.amend(self)

    # Called by transport

    def opened(self, socket: Socket) -> None:
        """The 101 is about to be written: from here on the connection can be pushed to."""
        self._gateway.opening -= 1
        self.socket = socket
        self._opened_at = self.last_heard = self._gateway.loop.time()
        count(self._gateway.counters.connects, 101)
        self._gateway.hub.add(self)
        if self.taken or self._gateway.stages.get((self.client.api_id, self.client.stage)) is not self._stage:
            # Its stage went while $connect ran. The 101 is written first.
            self._gateway.loop.call_soon(self.close, 1001, "Going away", "stage_gone")
        if self._gateway.ledger is not None and not self.taken:
            self._gateway.ledger.opened(self)

    def abandoned(self) -> None:
        """The client had gone before the 101. $connect said yes, so $disconnect runs."""
        self._gateway.opening -= 1
        count(self._gateway.counters.connects, 499)
        self.on_close(1006, "Connection closed abnormally")

    def on_close(self, code: int, reason: str) -> None:
        """A close has begun on either side, or the TCP connection is lost. Called once."""
        gateway = self._gateway
        self.closed = (code, reason)
        self.socket = None
        gateway.hub.discard(self)
        self.give_up_place()
        count(gateway.counters.close_codes, code)
        if code not in _ORDINARY:
            gateway.faults.closed(api=self.api_id, connection_id=self.client.connection_id, code=code, reason=reason)
        gateway.closing += 1
        if self._in_flight:
            self._disconnect_timer = gateway.loop.call_later(DISCONNECT_SECONDS, self._disconnect)
        else:
            self._disconnect()

    def taken_over(self) -> None:
        """Another node has claimed it while this one was out of reach, and runs its $disconnect: here it just ends."""
        self.taken = True
        self.close(1001, "Going away")
        if self.closed is not None:
            self._disconnect()

    def take_place(self, source: str) -> None:
        """Count as one of the source's connections."""
        self._gateway.admission.entered(self.api_id, source)
        self.counted_as = source

    def give_up_place(self) -> None:
        """The handshake was refused, or a close has begun: its source may have another connection."""
        if self.counted_as:
            self._gateway.admission.left(self.api_id, self.counted_as)
            self.counted_as = ""

    def push(self, message: Message) -> Sent:
        """Hand a backend's message to the socket."""
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        socket = self.socket
        if socket is None:
            return Sent.GONE
        sent = socket.send(message)
        if sent is Sent.QUEUED:
            self.last_sent = self._gateway.loop.time()
            self._gateway.counters.messages_out += 1
        return sent

    def leave(self) -> None:
        """Close (1001) behind the replies to its messages in flight. No other message is begun: it is not read."""
        if not self._in_flight:
            self.close(1001, "Going away", "drain")
            return
        self._leaving = True
        if not self._paused and self.socket is not None:
            self._paused = True
            self.socket.pause()

    def close(self, code: int, reason: str, cause: str = "") -> None:
        """Begin the close handshake; `cause` is what it is counted as where the gateway gives up on its own."""
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if self.socket is not None:
            if cause:
                self._gateway.counters.given_up[cause] += 1
            self.socket.close(code, reason)

    def sweep(self, now: float) -> None:
        """Close what is idle or too old (1001 `Going away`, as AWS does); `now` is loop time."""
        quotas = self.quotas
        if self._paused:
            # We hold its messages, so it can't be blamed for silence.
            self.last_heard = now
        elif now - self.last_active >= quotas.idle_timeout:
            self.close(1001, "Going away", "idle")
            return
        if self.client.expires is not None and time.time() >= self.client.expires:
            self.close(4401, "Token expired", "token_expired")
            return
        if quotas.max_connection and now - self._opened_at >= quotas.max_connection:
            self.close(1001, "Going away", "too_old")

    # $disconnect

    def _disconnect(self) -> None:
        """Run $disconnect, once."""
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if self._disconnected:
            return
        self._disconnected = True
        if self._disconnect_timer is not None:
            self._disconnect_timer.cancel()
        while self._waiting:
            # What has not started by now ends with the connection: nothing follows $disconnect.
            self._give_back(self._waiting.popleft()[0])
        gateway = self._gateway
        gateway.closing -= 1
        if self.closed is not None and not self.taken:
            gateway.disconnects.begin(self.client, self._stage, *self.closed, owner=gateway.ids.slot)


_ORDINARY = frozenset({1000, 1001, 1005})
