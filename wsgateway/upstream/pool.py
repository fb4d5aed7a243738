"""The HTTP/1.1 client to backends: origins, and the connections each of them keeps."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from wsgateway.errors import IntegrationFailure, ServiceUnavailable
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.upstream.connection import Connection
from wsgateway.upstream.deadlines import Deadlines
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.exchange import Exchange, Gate, refused
from wsgateway.upstream.heads import KnownHeads
from wsgateway.upstream.resolver import Resolver
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings, context

SWEEP_SECONDS = 0.5


class Upstream:
    """Every backend this process calls; one per event loop, made inside it.

    `connections` and `waiters` bound each origin. The counters only grow and are read by whoever wants to know.
    """

    def __init__(
        self, *, egress: Egress, connections: int = 64, waiters: int = 10_000, idle_seconds: float = 1.5
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.egress = egress
        self.connections = connections
        self.waiters = waiters
        self.idle_seconds = idle_seconds
        self.deadlines = Deadlines(self.loop)
        self.closing = False
        self._origins: dict[tuple[str, str, int, TlsSettings, bool], Origin] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All that were asked for, with their counters."""
        return tuple(self._origins.values())

    @property
    def in_flight(self) -> int:
        """Exchanges begun and not ended, waiting ones included."""
        return len(self.deadlines)

    @property
    def timeouts(self) -> int:
        """Exchanges ended by their deadline."""
        return self.deadlines.expired

    def origin(
        self, scheme: str, host: str, port: int, *, tls: TlsSettings = DEFAULT_TLS, trusted: bool = True
    ) -> Origin:
        """The backend at `host` (a name, or an address without brackets); the same arguments give the same object.

        `trusted` says that an operator wrote the host. *Raises* ValueError for a scheme other than http and https,
        OSError or ssl.SSLError if the files of `tls` can't be used.
        """
        key = (scheme, host, port, tls, trusted)
        origin = self._origins.get(key)
        if origin is None:
            if scheme not in ("http", "https"):
                raise ValueError(f"backends are called by http or https, not {scheme}")
            dialer = Dialer(
                url=f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}",
                host=host,
                port=port,
                trusted=trusted,
                secure=context(tls) if scheme == "https" else None,
                server_name=tls.server_name or host,
                egress=self.egress,
                resolver=Resolver(self.loop, host),
            )
            origin = self._origins[key] = Origin(self, dialer)
        return origin

    def sweep_later(self) -> None:
        """Look for idle connections to drop, in a while."""
        if self._sweeper is None and not self.closing:
            self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.loop.time()
        if any([origin.drop_expired(now) for origin in self._origins.values()]):
            self.sweep_later()

    async def aclose(self) -> None:
        """End everything: exchanges under way fail with ServiceUnavailable, later ones at once."""
        self.closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for exchange in self.deadlines.exchanges():
            exchange.fail(ServiceUnavailable("the gateway is closing"))
            exchange.place.leave(exchange)
        await asyncio.gather(*(origin.aclose() for origin in self._origins.values()))


class Origin:
    """One backend: (scheme, host, port, TLS settings), its connections and who waits for one.

    What is sent starts in the order of the `send` calls. A connection is used by the exchange that has waited longest,
    and among idle ones the last used is taken first.
    """

    def __init__(self, upstream: Upstream, dialer: Dialer) -> None:
        self.url = dialer.url
        self.opened = 0
        self.reused = 0
        self.unreachable = 0
        self.bad_answers = 0
        self.overflows = 0
        self._upstream = upstream
        self._loop = upstream.loop
        self.heads = KnownHeads()
        self._dialer = dialer
        self._idle: list[Connection] = []  # least recently used first
        self._held: set[Connection] = set()  # idle or in use: what counts against the bound
        self._sockets: set[Connection] = set()  # not closed yet, dropped ones too
        self._opening: dict[asyncio.Task[Connection], None] = {}  # oldest first
        self._waiting: OrderedDict[Exchange, tuple[EndpointRequest, int]] = OrderedDict()
        self._all_closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Exchanges without a connection."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """Connections in the pool, idle or in use."""
        return len(self._held)

    @property
    def stage(self) -> str:
        return f"waiting for a connection to backend {self.url}"

    def send(
        self, request: EndpointRequest, timeout: float, *, max_body: int, gate: Gate | None = None
    ) -> asyncio.Future[EndpointResponse]:
        """Send `request`, now or when a connection is free, and give its answer.

        The answer *raises* IntegrationFailure (no connection), BadGateway (no usable answer), IntegrationTimeout
        (`timeout` seconds over, waiting and connecting included), ServiceUnavailable (`gate` or the queue is full).
        Nothing is ever sent twice. Cancelling the future drops the connection it used.
        """
        upstream = self._upstream
        if gate is not None:
            if gate.in_flight >= gate.limit:
                gate.refused += 1
                return refused(self._loop, ServiceUnavailable(f"{gate.limit} calls to {self.url} are under way"))
            gate.in_flight += 1
        queue = upstream.deadlines.queue(timeout)
        exchange = Exchange(self._loop, gate, queue.pending, self)
        now = self._loop.time()
        queue.add(exchange, now)
        idle = self._idle
        while idle:
            connection = idle.pop()
            if now < connection.expires and connection.usable():
                self.reused += 1
                connection.start(exchange, request, max_body)
                return exchange
            self.drop(connection)
        self._wait(exchange, request, max_body)
        return exchange

    def _wait(self, exchange: Exchange, request: EndpointRequest, max_body: int) -> None:
        """Queue `exchange`; see that a connection is coming."""
        if self._upstream.closing:
            exchange.fail(ServiceUnavailable("the gateway is closing"))
        elif len(self._waiting) >= self._upstream.waiters:
            self.overflows += 1
            exchange.fail(ServiceUnavailable(f"{len(self._waiting)} calls wait for backend {self.url}"))
        else:
            self._waiting[exchange] = (request, max_body)
            self._replenish()

    def leave(self, exchange: Exchange) -> None:
        """A waiting exchange is over. The oldest attempt to connect may be what it waited for in vain."""
        self._waiting.pop(exchange, None)
        if len(self._opening) > len(self._waiting):
            next(iter(self._opening)).cancel()

    # Connections

    def release(self, connection: Connection) -> None:
        if not self._waiting:
            self._rest(connection)
        elif connection.usable():
            self.reused += 1
            self._start_next(connection)
        else:
            self.drop(connection)

    def _start_next(self, connection: Connection) -> None:
        exchange, (request, max_body) = self._waiting.popitem(last=False)
        connection.start(exchange, request, max_body)

    def _rest(self, connection: Connection) -> None:
        idle_seconds = min(self._upstream.idle_seconds, connection.idle_seconds)
        if idle_seconds > 0:
            connection.expires = self._loop.time() + idle_seconds
            self._idle.append(connection)
        else:
            self.drop(connection)

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

    def drop_expired(self, now: float) -> bool:
        """Drop what has been idle too long; whether connections are left to look after."""
        for connection in [connection for connection in self._idle if connection.expires <= now]:
            self.drop(connection)
        return bool(self._held)

    def _replenish(self) -> None:
        """Have as many connections coming as exchanges wait, within the bound."""
        room = self._upstream.connections - len(self._held) - len(self._opening)
        wanted = len(self._waiting) - len(self._opening)
        for _ in range(0 if self._upstream.closing else min(room, wanted)):
            task = self._loop.create_task(self._dialer.dial(lambda: Connection(self)))
            self._opening[task] = None
            task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[Connection]) -> None:
        """An attempt is over: whoever waits longest gets the connection, or hears why there is none."""
        del self._opening[task]
        if task.cancelled():
            pass
        elif (error := task.exception()) is not None:
            self._unreachable(error)
        elif (connection := task.result()).transport.is_closing():
            connection.transport.abort()
            self._unreachable(IntegrationFailure(f"backend {self.url} closed the connection at once"))
        else:
            self._welcome(connection)
        self._replenish()

    def _welcome(self, connection: Connection) -> None:
        self.opened += 1
        self._held.add(connection)
        self._sockets.add(connection)
        self._upstream.sweep_later()
        if self._upstream.closing:
            self.drop(connection)
        elif self._waiting:
            self._start_next(connection)
        else:
            self._rest(connection)

    def _unreachable(self, error: BaseException) -> None:
        if len(self._waiting) > len(self._opening):  # else another attempt is under way for each of them
            self.unreachable += 1
            exchange, _ = self._waiting.popitem(last=False)
            exchange.fail(error)

    async def aclose(self) -> None:
        """Close every connection and wait until they are."""
        for task in tuple(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, self._dialer.resolver.aclose(), return_exceptions=True)
        for connection in tuple(self._held):
            self.drop(connection)
        while self._sockets:
            self._all_closed.clear()
            await self._all_closed.wait()
