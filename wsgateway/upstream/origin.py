"""One backend as one integration calls it: its connections, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from time import monotonic

from wsgateway.bodies import BodyMemory
from wsgateway.errors import UNSENT, BadGateway, GatewayError, IntegrationFailure, ServiceUnavailable
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.outbox import Outbox
from wsgateway.upstream.connection import Connection, early
from wsgateway.upstream.deadlines import Deadlines
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.exchange import Exchange, Gate, refused
from wsgateway.upstream.heads import KnownHeads

SWEEP_SECONDS = 0.5
TURN_DIALS = 1  # attempts to connect that begin before the loop turns; each costs as much as several messages

DOWN_SECONDS = 0.02
DOWN_ATTEMPTS = 2
"""After so many failed attempts to connect in so short a time, calls without a connection fail the same way until it is
over, and then one attempt is made at a time: a backend that is down costs a hundred attempts a second, not one for each
call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one origin may hold.

    `connections` at a time; `waiting` exchanges without one, beyond which calls fail with ServiceUnavailable. A
    connection is dropped after `idle_seconds`, or a second before the backend would (`Keep-Alive: timeout`).
    """

    connections: int = 1000
    waiting: int = 10_000
    idle_seconds: float = 1.5


class Origin:
    """One backend, as (scheme, host, port, TLS settings, share).

    What is sent starts in the order of the `send` calls. A free connection goes to the exchange that has waited
    longest; of several the last used is taken first. The counters only grow.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dialer: Dialer,
        deadlines: Deadlines,
        bounds: Bounds,
        bodies: BodyMemory,
    ) -> None:
        self.url = dialer.url
        self.host = dialer.host
        self.heads = KnownHeads()
        self.outbox = Outbox(loop)
        self.bodies = bodies
        self.idle_seconds = bounds.idle_seconds
        self.closing = False
        self.avoided_until = 0.0
        """Monotonic time until which another target of its link is asked instead; 0 where it takes connections."""
        self._down: GatewayError | None = None
        self._down_until = 0.0
        self._down_attempts = 0
        self.opened = 0
        self.reused = 0
        self.unreachable = 0
        self.bad_answers = 0
        self.overflows = 0
        self.loop = loop
        self._dialer = dialer
        self._deadlines = deadlines
        self._bounds = bounds
        self._idle: list[Connection] = []  # the last used last
        self._held: set[Connection] = set()  # idle or in use
        self._sockets: set[Connection] = set()  # not closed yet, dropped ones too
        self._opening: dict[asyncio.Task[Connection], None] = {}  # oldest first
        self._waiting: OrderedDict[Exchange, tuple[EndpointRequest, int]] = OrderedDict()
        self._turn_over = False  # as many attempts have begun as one turn of the loop takes
        self._sweeper: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()

    @property
    def dialer(self) -> Dialer:
        """How it is reached."""
        return self._dialer

    @property
    def waiting(self) -> int:
        """Exchanges without a connection."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """Connections, idle or in use."""
        return len(self._held)

    @property
    def load(self) -> int:
        """Exchanges under way."""
        return len(self._held) - len(self._idle) + len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether anything is open or awaited."""
        return bool(self._sockets or self._waiting or self._opening)

    def send(
        self,
        request: EndpointRequest,
        timeout: float,
        *,
        max_body: int,
        gate: Gate | None = None,
        exchange: Exchange | None = None,
    ) -> asyncio.Future[EndpointResponse]:
        """Send `request`, now or when a connection is free, and give its answer.

        The answer *raises* IntegrationFailure (no connection), BadGateway (no usable answer), IntegrationTimeout
        (`timeout` seconds over, waiting and connecting included), ServiceUnavailable (`gate` or the queue is full).
        Nothing is ever sent twice. Cancelling the future drops the connection it used. `exchange` is one of the
        caller's own kind, new; its gate must have room.
        """
        loop = self.loop
        if gate is not None:
            if gate.in_flight >= gate.limit:
                gate.refused += 1
                return refused(loop, ServiceUnavailable(f"{gate.limit} calls to {self.url} are under way"))
            gate.in_flight += 1
        if exchange is None:
            exchange = Exchange(loop=loop)
        exchange.gate = gate
        exchange.place = self
        now = monotonic()
        self._deadlines.begin(exchange, now, timeout)
        if not self._start(exchange, request, max_body, now):
            self._wait(exchange, request, max_body)
        return exchange

    def take(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        """Carry on with an exchange that another origin found no connection for; its deadline and its gate are kept."""
        exchange.place = self
        if not self._start(exchange, request, max_body, monotonic()):
            self._wait(exchange, request, max_body)

    def _start(self, exchange: Exchange, request: EndpointRequest, max_body: int, now: float) -> bool:
        """Begin on a free connection, if there is one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if now < connection.expires and connection.usable():
                self.reused += 1
                connection.start(exchange, request, max_body)
                return True
            self.drop(connection)
        return False

    # Who waits

    def _wait(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        """Queue `exchange`; see that a connection is coming."""
        if self.closing:
            exchange.fail(ServiceUnavailable("the gateway is closing"))
        elif self._down is not None and self._is_down(monotonic()):
            self.unreachable += 1
            exchange.fail(type(self._down)(self._down.reason, failure=UNSENT))
        elif len(self._waiting) >= self._bounds.waiting:
            self.overflows += 1
            exchange.fail(ServiceUnavailable(f"{len(self._waiting)} calls wait for backend {self.url}"))
        else:
            self._waiting[exchange] = (request, max_body)
            self._replenish()

    def again(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        if self._start(exchange, request, max_body, monotonic()):
            return
        exchange.place = self
        # Back among the first, in the order of the deadlines: that is, of one integration's, the order of the calls.
        mine = exchange.pending[exchange]
        older = list(takewhile(lambda other: other.pending[other] < mine, self._waiting))
        self._waiting[exchange] = (request, max_body)
        for first in (exchange, *reversed(older)):
            self._waiting.move_to_end(first, last=False)
        self._replenish()

    @property
    def stage(self) -> str:
        return f"a connection to backend {self.url}"

    def leave(self, exchange: Exchange) -> None:
        """A waiting exchange is over. The oldest attempt to connect may be what it waited for in vain."""
        self._waiting.pop(exchange, None)
        if len(self._opening) > len(self._waiting):
            for task in self._opening:
                if not task.cancelling():
                    task.cancel()
                    break

    def _start_next(self, connection: Connection) -> None:
        exchange, (request, max_body) = self._waiting.popitem(last=False)
        connection.start(exchange, request, max_body)

    def _fail_next(self, error: BaseException) -> None:
        if isinstance(error, GatewayError):
            error.failure = UNSENT
        if isinstance(error, IntegrationFailure):
            now = monotonic()
            if now >= self._down_until:
                self._down_until = now + DOWN_SECONDS
                self._down_attempts = 0
            self._down = error
            self._down_attempts += 1
            if self._is_down(now):
                while self._waiting:
                    self._fail_first(type(error)(error.reason, failure=UNSENT))
                return
        if len(self._waiting) > len(self._opening):  # else another attempt is under way for each of them
            self._fail_first(error)

    def _fail_first(self, error: BaseException) -> None:
        self.unreachable += 1
        exchange, _ = self._waiting.popitem(last=False)
        exchange.fail(error)

    def _is_down(self, now: float) -> bool:
        """Whether enough attempts failed of late, and nothing else says that the backend is there."""
        return self._down_attempts >= DOWN_ATTEMPTS and now < self._down_until and not self._held

    # Connections that come

    def _replenish(self) -> None:
        """Have as many connections coming as exchanges wait, within the bound; one, while the backend is down."""
        if self._turn_over:
            return
        probing = self._down is not None and not self._held
        room = (1 if probing else self._bounds.connections - len(self._held)) - len(self._opening)
        wanted = len(self._waiting) - len(self._opening)
        for _ in range(0 if self.closing else min(room, wanted, TURN_DIALS)):
            if not self._turn_over:
                self._turn_over = True
                self.loop.call_soon(self._next_turn)
            task = self.loop.create_task(self._dialer.dial(lambda: Connection(self), probe=probing))
            self._opening[task] = None
            task.add_done_callback(self._dialled)

    def _next_turn(self) -> None:
        self._turn_over = False
        self._replenish()

    def _dialled(self, task: asyncio.Task[Connection]) -> None:
        """An attempt is over: whoever waits longest gets the connection, or hears why there is none."""
        del self._opening[task]
        if task.cancelled():
            pass
        elif (error := task.exception()) is not None:
            self._fail_next(error)
        elif (connection := task.result()).over:
            self._fail_next(connection.rejection(connection.error) or BadGateway(early(self.url)))
        else:
            self._welcome(connection)
        self._replenish()

    def _welcome(self, connection: Connection) -> None:
        self._down = None
        self.avoided_until = 0.0
        self.opened += 1
        self._held.add(connection)
        self._sockets.add(connection)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
        if self._waiting:
            self._start_next(connection)
        else:
            self.release(connection)

    def release(self, connection: Connection) -> None:
        if self._waiting:
            if connection.usable():
                self.reused += 1
                connection.fresh = False
                self._start_next(connection)
            else:
                self.drop(connection)
        elif connection.idle_seconds > 0:
            connection.fresh = False
            connection.expires = monotonic() + connection.idle_seconds
            self._idle.append(connection)
        else:
            self.drop(connection)

    # Connections that go

    def _sweep(self) -> None:
        """Drop what has been idle too long. One timer for all, so this may be late; `send` looks for itself."""
        now = monotonic()
        for connection in [connection for connection in self._idle if connection.expires <= now]:
            self.drop(connection)
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep) if self._held else None

    def drop(self, connection: Connection) -> None:
        if connection in self._held:
            self._held.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            connection.transport.abort()
            self._replenish()

    def lost(self, connection: Connection) -> None:
        self._sockets.discard(connection)
        if not self._sockets:
            self._all_closed.set()

    def retire(self) -> None:
        """Close what is idle. Calls that run, wait or still come end as they would, and their connections with them."""
        self.idle_seconds = 0.0
        self.heads = KnownHeads()  # each knows how long its connection may be kept
        for connection in self._held:
            connection.idle_seconds = 0.0
        for connection in tuple(self._idle):
            self.drop(connection)

    async def aclose(self) -> None:
        """Close every connection and wait until they are."""
        self.closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in tuple(self._held):
            self.drop(connection)
        while self._sockets:
            self._all_closed.clear()
            await self._all_closed.wait()
