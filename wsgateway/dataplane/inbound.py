"""The messages of one connection, from their arrival to what is said to the client: limits, checks, integration, reply.

One place shows a message's whole way. Error frames: API Gateway developer guide, "Working with WebSocket APIs".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Future, ensure_future
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.bodies import UNCOUNTED_BYTES
from wsgateway.dataplane.event_traces import trace_of
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.reply import error_text, reply_of
from wsgateway.errors import GatewayError, ServiceUnavailable, Throttled
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointResponse, Message

if TYPE_CHECKING:
    from wsgateway.authorizers.base import Identity
    from wsgateway.bodies import Hold
    from wsgateway.dataplane.compiled import CompiledStage, Operation, StageRef
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.hub import Socket


class Messages(ABC):
    """What a Connection does with its client's messages. They start in order and are not serialised.

    At most `maxInFlight` messages and twice `maxMessageBytes` are in flight; then reading pauses. With
    `messageOrdering: SEQUENTIAL` one message runs at a time and the others count as in flight. While what limits a
    message has to be asked, it and those behind it count so, too.
    """

    __slots__ = (
        "_admitting",
        "_bytes",
        "_disconnected",
        "_gateway",
        "_held",
        "_in_flight",
        "_leaving",
        "_mark",
        "_paused",
        "_sequential",
        "_stage",
        "_waiting",
        "_watching",
        "client",
        "closed",
        "last_heard",
        "quotas",
        "socket",
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
        self._in_flight = 0
        self._bytes = 0
        self._mark = min(UNCOUNTED_BYTES, 2 * self.quotas.max_message_bytes)
        """Bytes in flight from which on they are looked at."""
        self._held: Hold | None = None
        """Counts them; made the first time."""
        self._watching = False
        """They are counted, or reading pauses, until enough of them are through."""
        self._paused = False
        self._leaving = False
        """The node drains, and its turn has come."""
        self._sequential = stage.current.sequential
        self._admitting = False
        """What limits its next message is being asked."""
        self._waiting: deque[tuple[Message, float]] | None = None
        """Messages that can't start yet, and when they came; None before the first."""
        self.closed: tuple[int, str] | None = None
        """Code and reason, once a close has begun."""
        self._disconnected = False
        """$disconnect has begun: nothing follows it."""

    @abstractmethod
    def renewed(self, identity: Identity) -> None:
        """The client has shown another token, which counts from now on."""

    @abstractmethod
    def close(self, code: int, reason: str, cause: str = "") -> None:
        """Begin the close handshake; `cause` is what it is counted as where the gateway gives up on its own."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Run $disconnect, once."""

    @property
    def stage(self) -> CompiledStage:
        """What its stage executes now."""
        return self._stage.current

    @property
    def api_id(self) -> str:
        return self.client.api_id

    @property
    def in_flight(self) -> int:
        """Messages whose integration has not answered."""
        return self._in_flight

    # Called by transport

    def on_message(self, message: Message) -> None:
        """Carry one message to its integration; what goes back to the client follows when the answer is there."""
        gateway = self._gateway
        now = gateway.clock()
        if now > gateway.check_at:
            gateway.awoken()
            if self.closed is not None:
                return
        self.last_heard = gateway.loop.time()
        gateway.counters.messages_in += 1
        if self._admitting or (self._sequential and self._in_flight):
            self._take(message)
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append((message, now))
            return
        self._start(message, now)

    # The way of a message

    def _start(self, message: Message, arrived: float) -> None:
        stage = self._stage.current
        operation = (stage.select_binary if message.binary else stage.select)(message.data)
        invocation = Invocation(
            self.client,
            EventType.MESSAGE,
            operation.key,
            stage.variables,
            message=message,
            tally=self._stage.tallies[operation.key],
            arrived=arrived,
        )
        if operation.logging is not None or stage.access is not None or self._gateway.tracing is not None:
            invocation.trace = trace_of(self._gateway, invocation, stage.access, operation.logging)
        if operation.admit is not None:
            try:
                pending = operation.admit(invocation)
            except Exception as error:
                self._over(invocation)
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
            self._over(invocation)
            self._fail(error, invocation)
        self._go_on()

    def _run(self, operation: Operation, invocation: Invocation, message: Message) -> None:
        try:
            for check in operation.checks:
                check(invocation)
            invocation.called = self._gateway.clock()
            answer = operation.integrate(invocation)
        except Exception as error:
            self._over(invocation)
            self._fail(error, invocation)
            return
        if isinstance(answer, EndpointResponse):
            self._over(invocation)
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
        if self._in_flight >= self.quotas.max_in_flight or self._bytes >= self._mark:
            self._weigh()

    def _weigh(self) -> None:
        """Many messages are in flight, or large ones: count them; at the bound, or without room, stop reading."""
        quotas, memory, size = self.quotas, self._gateway.messages, self._bytes
        if size > UNCOUNTED_BYTES:
            self._held = self._held or memory.hold("running")
            self._held.count(size)
            self._watching = True
        full = self._in_flight >= quotas.max_in_flight or size >= 2 * quotas.max_message_bytes
        if (full or memory.taken > memory.limit) and not self._paused and self.socket is not None:
            self._paused = self._watching = True
            self.socket.pause()

    def _ease(self) -> None:
        """Fewer are in flight: read on below the bound."""
        quotas = self.quotas
        if self._held is not None:
            self._held.count(self._bytes)
        if self._in_flight < quotas.max_in_flight and self._bytes < 2 * quotas.max_message_bytes:
            self._watching = self._bytes > UNCOUNTED_BYTES
            if self._paused:
                self._paused = False
                if self.socket is not None:
                    self.socket.resume()

    def _landed(self, operation: Operation, invocation: Invocation, future: Future[EndpointResponse]) -> None:
        """The integration has answered, or failed."""
        message = invocation.message
        assert message is not None  # MESSAGE events have one
        now = self._gateway.clock()
        if now > self._gateway.check_at:
            self._gateway.awoken()
        invocation.tally.landed(now - invocation.arrived, now - invocation.called)
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
            following, arrived = waiting.popleft()
            self._give_back(following)
            self._start(following, arrived)
        if self.closed is not None:
            if not self._in_flight:
                if self._held is not None:
                    self._held.give_back()
                self._disconnect()
        elif self._leaving:
            if not self._in_flight:
                self.close(1001, "Going away", "drain")
        elif self._watching:
            self._ease()

    def _give_back(self, message: Message) -> None:
        self._in_flight -= 1
        self._gateway.running -= 1
        self._bytes -= len(message.data)

    def _answer(self, operation: Operation, invocation: Invocation, answer: EndpointResponse) -> None:
        """Send the reply of a two-way route; a one-way route's answer is dropped."""
        faults = self._gateway.faults
        if faults.failing:
            faults.succeeded(self._key(invocation))
        if answer.status >= 400:
            invocation.tally.refused(answer.status, by_function=operation.by_function)
        reply = reply_of(operation, invocation, answer, self.quotas)
        if invocation.trace is not None:
            invocation.trace.answered(answer, reply)
        if reply is not None:
            self._reply(reply)

    def _over(self, invocation: Invocation) -> None:
        """Count a message that no integration was waited for."""
        invocation.tally.over(self._gateway.clock() - invocation.arrived)

    def _fail(self, error: BaseException, invocation: Invocation) -> None:
        """Tell the client, on one-way and two-way routes alike; the connection stays open."""
        fault = self._gateway.fault_of(error, invocation)
        invocation.tally.failed(fault)
        if invocation.trace is not None:
            invocation.trace.note("error", fault)
        if isinstance(fault, Throttled) and self._beyond(fault, invocation):
            return
        errors = self._gateway.counters.route_errors
        key = (self.api_id, invocation.tally.route, fault.response_type)
        errors[key] = errors.get(key, 0) + 1
        self._reply(Message(self.error_text(fault, invocation).encode()))

    def _beyond(self, fault: Throttled, invocation: Invocation) -> bool:
        """A message beyond a limit: count it; whether the client is told otherwise than by an error."""
        self._gateway.throttled(fault, invocation)
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

    def _key(self, invocation: Invocation) -> tuple[str, str, str]:
        return self.client.api_id, self.client.stage, invocation.route_key

    def error_text(self, fault: GatewayError, invocation: Invocation) -> str:
        """AWS's error frame, spaced as AWS spaces it; in `dev` with our `reason` behind."""
        reason = fault.reason if self._gateway.show_reasons else ""
        return error_text(fault.detail, self.client.connection_id, invocation.request_id, reason)
