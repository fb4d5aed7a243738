"""One connection's life, from its handshake on: messages in, replies and pushes out, $disconnect.

One place shows each event's whole way. Lifecycle, error frames and close codes: API Gateway developer guide, "Working
with WebSocket APIs".
"""

from __future__ import annotations

import time
from asyncio import Future, TimerHandle, ensure_future
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.dataplane.counters import count
from wsgateway.dataplane.execution_log import ExecutionLog
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.reply import error_text, reply_of
from wsgateway.errors import GatewayError, ServiceUnavailable, Throttled
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointResponse, Message

if TYPE_CHECKING:
    from wsgateway.authorizers.base import Identity
    from wsgateway.dataplane.compile import CompiledStage, Operation, StageRef
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.hub import Socket

DISCONNECT_SECONDS = 5.0
"""$disconnect runs after the last message in flight, or this long after the close, whichever is first."""


class Connection:
    """One client's connection, from its handshake on. Messages start in order and are not serialised.

    At most `maxInFlight` messages and twice `maxMessageBytes` are in flight; then reading pauses. With
    `messageOrdering: SEQUENTIAL` one message runs at a time and the others count as in flight. While what limits a
    message has to be asked, it and those behind it count so, too.
    """

    __slots__ = (
        "_admitting",
        "_bytes",
        "_disconnect_timer",
        "_disconnected",
        "_gateway",
        "_in_flight",
        "_leaving",
        "_opened_at",
        "_paused",
        "_sequential",
        "_stage",
        "_waiting",
        "client",
        "closed",
        "counted_as",
        "last_heard",
        "last_sent",
        "quotas",
        "socket",
        "subprotocol",
        "taken",
    )

    def __init__(self, gateway: Gateway, stage: StageRef, client: Client) -> None:
        self._gateway = gateway
        self._stage = stage
        self.client = client
        self.quotas = stage.current.quotas
        """The limits when it connected; a deployment's new limits hold for new connections."""
        self.socket: Socket | None = None
        self.last_heard = 0.0
        """Loop time of the last message from the client (in the open profile: of its pongs, too)."""
        self.last_sent = 0.0
        self._opened_at = 0.0
        self._in_flight = 0
        self._bytes = 0
        self._paused = False
        self._leaving = False
        """The node drains, and its turn has come."""
        self._sequential = stage.current.sequential
        self._admitting = False
        """What limits its next message is being asked."""
        self._waiting: deque[Message] | None = None
        """Messages that can't start yet; None before the first."""
        self.closed: tuple[int, str] | None = None
        """Code and reason, once a close has begun."""
        self.counted_as = ""
        """The source it takes a place of, "" for none."""
        self.subprotocol = b""
        """What the 101 names where $connect picks none."""
        self._disconnected = False
        self._disconnect_timer: TimerHandle | None = None
        self.taken = False
        """Another node took this one for dead, has claimed the connection and runs its $disconnect."""

    @property
    def stage(self) -> CompiledStage:
        """What its stage executes now."""
        return self._stage.current

    @property
    def last_active(self) -> float:
        """Loop time of the last message or push."""
        return max(self.last_heard, self.last_sent)

    @property
    def in_flight(self) -> int:
        """Messages whose integration has not answered."""
        return self._in_flight

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
            self._gateway.loop.call_soon(self.close, 1001, "Going away")
        if self._gateway.ledger is not None and not self.taken:
            self._gateway.ledger.opened(self)

    def abandoned(self) -> None:
        """The client had gone before the 101. $connect said yes, so $disconnect runs."""
        self._gateway.opening -= 1
        count(self._gateway.counters.connects, 499)
        self.on_close(1006, "Connection closed abnormally")

    def on_message(self, message: Message) -> None:
        """Carry one message to its integration; what goes back to the client follows when the answer is there."""
        gateway = self._gateway
        if gateway.clock() > gateway.check_at:
            gateway.awoken()
            if self.closed is not None:
                return
        self.last_heard = gateway.loop.time()
        gateway.counters.messages_in += 1
        if self._admitting or (self._sequential and self._in_flight):
            self._take(message)
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(message)
            return
        self._start(message)

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

    # Messages

    def _start(self, message: Message) -> None:
        stage = self._stage.current
        operation = (stage.select_binary if message.binary else stage.select)(message.data)
        invocation = Invocation(self.client, EventType.MESSAGE, operation.key, stage.variables, message=message)
        if operation.logging is not None:
            invocation.trace = ExecutionLog(self._gateway.log, operation.logging, invocation)
        if operation.admit is not None:
            try:
                pending = operation.admit(invocation)
            except Exception as error:
                self._fail(error, invocation)
                return
            if pending is not None:
                self._take(message)
                self._admitting = True
                ensure_future(pending).add_done_callback(partial(self._admitted, operation, invocation))
                return
        self._run(operation, invocation, message)

    def _admitted(self, operation: Operation, invocation: Invocation, future: Future[Identity | None]) -> None:
        """What limits the message has been asked: it goes on or is refused, and those behind it start."""
        message = invocation.message
        assert message is not None  # MESSAGE events have one
        error = ServiceUnavailable("the node is closing") if future.cancelled() else future.exception()
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        self._admitting = False
        self._give_back(message)
        if self._disconnected:
            return  # nothing follows $disconnect
        if error is None:
            identity = future.result()
            if identity is not None:
                self.renewed(identity)
            self._run(operation, invocation, message)
        else:
            self._gateway.faults.refused(self._key(invocation), error, connection_id=self.client.connection_id)
            self._fail(error, invocation)
        self._go_on()

    def _run(self, operation: Operation, invocation: Invocation, message: Message) -> None:
        try:
            for check in operation.checks:
                check(invocation)
            answer = operation.integrate(invocation)
        except Exception as error:
            self._fail(error, invocation)
            return
        if isinstance(answer, EndpointResponse):
            self._answer(operation, invocation, answer)
            return
        self._take(message)
        future = answer if isinstance(answer, Future) else ensure_future(answer)
        future.add_done_callback(partial(self._landed, operation, invocation))

    def _take(self, message: Message) -> None:
        """Count a message as in flight; at the bound, stop reading."""
        self._in_flight += 1
        self._gateway.running += 1
        self._bytes += len(message.data)
        quotas = self.quotas
        if (self._in_flight >= quotas.max_in_flight or self._bytes >= 2 * quotas.max_message_bytes) and (
            not self._paused and self.socket is not None
        ):
            self._paused = True
            self.socket.pause()

    def _landed(self, operation: Operation, invocation: Invocation, future: Future[EndpointResponse]) -> None:
        """The integration has answered, or failed."""
        message = invocation.message
        assert message is not None  # MESSAGE events have one
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if future.cancelled():
            self._fail(ServiceUnavailable("the node is closing"), invocation)
        elif (error := future.exception()) is not None:
            self._fail(error, invocation)
        else:
            self._answer(operation, invocation, future.result())
        self._give_back(message)
        self._go_on()

    def _go_on(self) -> None:
        """A message is through, or is running: those that waited for that start, and reading goes on."""
        waiting = self._waiting
        while waiting and not self._admitting and (not self._sequential or self._in_flight == len(waiting)):
            following = waiting.popleft()
            self._give_back(following)
            self._start(following)
        if self.closed is not None:
            if not self._in_flight:
                self._disconnect()
        elif self._leaving:
            if not self._in_flight:
                self.close(1001, "Going away")
        elif self._paused:
            quotas = self.quotas
            if self._in_flight < quotas.max_in_flight and self._bytes < 2 * quotas.max_message_bytes:
                self._paused = False
                if self.socket is not None:
                    self.socket.resume()

    def _give_back(self, message: Message) -> None:
        self._in_flight -= 1
        self._gateway.running -= 1
        self._bytes -= len(message.data)

    def _answer(self, operation: Operation, invocation: Invocation, answer: EndpointResponse) -> None:
        """Send the reply of a two-way route; a one-way route's answer is dropped."""
        faults = self._gateway.faults
        if faults.failing:
            faults.succeeded(self._key(invocation))
        reply = reply_of(operation, invocation, answer, self.quotas)
        if invocation.trace is not None:
            invocation.trace.note("frame", reply)
        if reply is not None:
            self._reply(reply)

    def _fail(self, error: BaseException, invocation: Invocation) -> None:
        """Tell the client, on one-way and two-way routes alike; the connection stays open."""
        fault = self._gateway.fault_of(error, invocation)
        if invocation.trace is not None:
            invocation.trace.note("error", fault)
        if isinstance(fault, Throttled) and self._beyond(fault):
            return
        errors = self._gateway.counters.route_errors
        key = (self.api_id, invocation.route_key, fault.response_type)
        errors[key] = errors.get(key, 0) + 1
        self._reply(Message(self.error_text(fault, invocation).encode()))

    def _beyond(self, fault: Throttled) -> bool:
        """A message beyond a limit: count it; whether the client is told otherwise than by an error."""
        self._gateway.throttled(fault, self.client)
        match self.stage.on_limit:
            case "ERROR":
                return False
            case "CLOSE":
                self.close(1008, fault.detail)
            case "DROP":
                pass
        return True

    def _reply(self, message: Message) -> Sent:
        socket = self.socket
        if socket is None:
            return Sent.GONE
        sent = socket.send(message)
        match sent:
            case Sent.QUEUED:
                self._gateway.counters.messages_out += 1
            case Sent.FULL:
                # Nobody else would hear of a reply that is dropped; so the connection ends, with a code.
                self._gateway.counters.slow_clients += 1
                socket.close(1008, "Client does not read its replies")
            case Sent.GONE:
                pass
        return sent

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
            self.close(1001, "Going away")
            return
        self._leaving = True
        if not self._paused and self.socket is not None:
            self._paused = True
            self.socket.pause()

    def close(self, code: int, reason: str) -> None:
        """Begin the close handshake."""
        if self._gateway.clock() > self._gateway.check_at:
            self._gateway.awoken()
        if self.socket is not None:
            self.socket.close(code, reason)

    def sweep(self, now: float) -> None:
        """Close what is idle or too old (1001 `Going away`, as AWS does); `now` is loop time."""
        quotas = self.quotas
        if self._paused:
            # We hold its messages, so it can't be blamed for silence.
            self.last_heard = now
        elif now - self.last_active >= quotas.idle_timeout:
            self.close(1001, "Going away")
            return
        if self.client.expires is not None and time.time() >= self.client.expires:
            self.close(4401, "Token expired")
            return
        if quotas.max_connection and now - self._opened_at >= quotas.max_connection:
            self.close(1001, "Going away")

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
            self._give_back(self._waiting.popleft())
        gateway = self._gateway
        gateway.closing -= 1
        if self.closed is not None and not self.taken:
            gateway.disconnects.begin(self.client, self._stage, *self.closed, owner=gateway.ids.slot)

    # Errors

    @property
    def api_id(self) -> str:
        return self.client.api_id

    def _key(self, invocation: Invocation) -> tuple[str, str, str]:
        return self.client.api_id, self.client.stage, invocation.route_key

    def error_text(self, fault: GatewayError, invocation: Invocation) -> str:
        """AWS's error frame, spaced as AWS spaces it; in `dev` with our `reason` behind."""
        reason = fault.reason if self._gateway.show_reasons else ""
        return error_text(fault.detail, self.client.connection_id, invocation.request_id, reason)


_ORDINARY = frozenset({1000, 1001, 1005})
