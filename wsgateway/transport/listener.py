"""One listening address and the TCP connections it accepted."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from wsgateway.bodies import UNCOUNTED_BYTES, BodyMemory, MessageMemory
from wsgateway.dataplane.admission import Cause
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.sources import is_loopback
from wsgateway.outbox import Outbox
from wsgateway.ports import taken
from wsgateway.transport.answers import no_upgrade
from wsgateway.transport.files import BACKLOG
from wsgateway.transport.heads import KnownHeads
from wsgateway.transport.http import HttpConnection
from wsgateway.transport.proxies import TrustedProxies

if TYPE_CHECKING:
    from wsgateway.dataplane.admission import Admission
    from wsgateway.dataplane.websocket import Accepted
    from wsgateway.messages import Handler, HttpRequest, HttpResponse
    from wsgateway.transport.certificates import Certificates
    from wsgateway.transport.websocket import WebSocket

SILENT_SECONDS = 60.0
"""A peer that acknowledges nothing for so long is gone; for those that pings and write timers do not find."""
PROBE_SECONDS = 15

NEW_SECONDS = 1.0
"""So long after it was made a connection's first request is expected; later it is as idle as others."""

LOOKED_AT = 32
"""How many HTTP connections are looked at to find one that may go; after that the new one is turned away."""

Upgrade = Callable[["HttpRequest"], "HttpResponse | Accepted | Awaitable[HttpResponse | Accepted]"]


class Report(Protocol):
    """Where faults of our own are told to the operator."""

    def __call__(self, error: BaseException, method: str, target: str) -> None: ...


class AtLimit(Protocol):
    """Told once when a listener is full, and again only after it had room."""

    def __call__(self, limit: int) -> None: ...


def _silent(limit: int) -> None: ...


class Entrance:
    """One port of a listener. With `certificates` it speaks TLS and nothing else."""

    __slots__ = ("certificates", "port", "scheme")

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.certificates = certificates
        self.scheme = "http" if certificates is None else "https"
        self.port = 0


class Listener:
    """Accepts on one address, or on two of which one speaks TLS; the limits hold for both together. Every
    connection speaks HTTP/1.1 to `handler` and may become a WebSocket by `upgrade`.
    """

    def __init__(
        self,
        *,
        handler: Handler,
        upgrade: Upgrade = no_upgrade,
        report: Report,
        counters: Counters,
        proxies: TrustedProxies | None = None,
        limit: int = sys.maxsize,
        at_limit: AtLimit = _silent,
        admission: Admission | None = None,
        bodies: BodyMemory | None = None,
        messages: MessageMemory | None = None,
    ) -> None:
        """`bodies` counts answers that clients don't take, `messages` what WebSockets hold."""
        self.handler = handler
        self.bodies = BodyMemory() if bodies is None else bodies
        self.messages = MessageMemory() if messages is None else messages
        self.upgrade = upgrade
        self.unexpected = report
        self.counters = counters
        self.proxies = proxies or TrustedProxies()
        self._limit = limit
        """TCP connections, of either kind."""
        self._at_limit = at_limit
        self._full = False
        self._silent_seconds = SILENT_SECONDS
        self.head_seconds = 10.0
        """A whole request head must have come by then."""
        self.behind_bytes = UNCOUNTED_BYTES
        """Frames kept while `$connect` runs; the rest waits in the socket."""
        self._plain = Entrance()
        self._secure: Entrance | None = None
        self.draining = False
        loop = asyncio.get_running_loop()
        self.clock = loop.time
        self.outbox = Outbox(loop)
        self.heads = KnownHeads()
        self._connections: set[HttpConnection | WebSocket] = set()
        self._http: dict[HttpConnection, float] = {}
        """Those that are not WebSockets, and when each was last looked at: the first are the longest idle."""
        self._admission = admission
        self._unfinished: dict[HttpConnection, str] = {}
        """Those whose first head has not come, by the peer's address where that is counted, else ""."""
        self._handshakes: set[asyncio.Future[None]] = set()
        self._accepting: set[asyncio.Future[tuple[asyncio.Transport, HttpConnection]]] = set()
        """The last that came in before the ports closed."""
        self._closed = False
        self._servers: list[tuple[asyncio.Server, Entrance]] = []

    @property
    def port(self) -> int:
        """The port, once it is had."""
        return self._plain.port

    @property
    def tls_port(self) -> int:
        """The port that speaks TLS, 0 where none does."""
        return 0 if self._secure is None else self._secure.port

    async def start(self, host: str, port: int, *, name: str, backlog: int = BACKLOG, share_port: bool = False) -> None:
        """Begin to accept. *Raises* StartError where the address can't be had.

        With `share_port` other processes of this user may accept there as well.
        """
        await self._open(self._plain, host, port, name, backlog, share_port)

    async def start_tls(
        self,
        host: str,
        port: int,
        certificates: Certificates,
        *,
        name: str,
        backlog: int = BACKLOG,
        share_port: bool = False,
    ) -> None:
        """Begin to accept TLS beside it. *Raises* StartError where the address can't be had."""
        entrance = Entrance(certificates)
        await self._open(entrance, host, port, name, backlog, share_port)
        self._secure = entrance

    async def _open(self, entrance: Entrance, host: str, port: int, name: str, backlog: int, share_port: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                partial(HttpConnection, self, entrance), host, port, backlog=backlog, reuse_port=share_port
            )
        except OSError as error:
            raise taken(name, host, port, error) from error
        entrance.port = server.sockets[0].getsockname()[1]
        self._servers.append((server, entrance))
        self._guard()

    def patience(self, *, stalled_write: float) -> None:
        """Let a client take nothing for so long: Linux counts that as silence too, if longer than it should."""
        self._silent_seconds = max(SILENT_SECONDS, min(stalled_write, 1_000_000.0) + PROBE_SECONDS)
        self._guard()

    def _guard(self) -> None:
        """Have the kernel give up silent peers. Accepted sockets inherit it."""
        for listening in (listening for server, _ in self._servers for listening in server.sockets):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if sys.platform == "linux":
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(SILENT_SECONDS) - PROBE_SECONDS)
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._silent_seconds * 1000))

    def stop_accepting(self) -> None:
        """Let no new TCP connection in. Those that wait to be accepted still come in: the kernel would reset them."""
        loop = asyncio.get_running_loop()
        for server, entrance in self._servers:
            ports = [socket.socket(fileno=os.dup(listening.fileno())) for listening in server.sockets]
            server.close()
            for port in ports:
                with port:
                    for accepted in _waiting(port):
                        made = loop.connect_accepted_socket(partial(HttpConnection, self, entrance), accepted)
                        self._accepting.add(task := asyncio.ensure_future(made))
                        task.add_done_callback(self._accepting.discard)

    def __len__(self) -> int:
        return len(self._connections)

    # Called by connections

    def admit(self, connection: HttpConnection, address: str) -> bool:
        """Take a new TCP connection, unless there are too many, or too many of its address that said nothing yet."""
        room = not self._closed and (len(self._connections) < self._limit or self._make_room())
        self._connections.add(connection)
        if not room:
            return False
        admission, counted = self._admission, ""
        if admission is not None and not self.proxies.trusts(address):  # a proxy's have many clients behind them
            if admission.crowded(address):
                self.counters.connections_refused += 1
                admission.refuse("", Cause.UNFINISHED_PER_SOURCE, address)
                return False
            admission.begin(address)
            counted = address
        self._unfinished[connection] = counted
        self._http[connection] = self.clock()
        return True

    def _make_room(self) -> bool:
        """End the HTTP connection that has been idle for longest, if one is."""
        self.counters.connections_refused += 1
        if not self._full:
            self._full = True
            self._at_limit(self._limit)
        now = self.clock()
        for _ in range(min(LOOKED_AT, len(self._http))):
            connection, looked_at = next(iter(self._http.items()))
            del self._http[connection]
            if connection.active_at <= looked_at:
                connection.abort()
                return True
            self._http[connection] = now  # it was used since
        return False

    def head_read(self, connection: HttpConnection) -> None:
        """The first request head is complete."""
        address = self._unfinished.pop(connection, "")
        if address and self._admission is not None:
            self._admission.end(address)

    def replace(self, connection: HttpConnection, socket: WebSocket) -> None:
        self._connections.discard(connection)
        self._http.pop(connection, None)
        self._connections.add(socket)

    def forget(self, connection: HttpConnection | WebSocket) -> None:
        self._connections.discard(connection)
        if isinstance(connection, HttpConnection):
            self._http.pop(connection, None)
            self.head_read(connection)

    def misdirected(self, server_name: str, host: str, peer: str) -> bool:
        """Whether a request for `host` came on a connection whose TLS was begun for another name.

        A proxy that is trusted may begin its own TLS as it likes.
        """
        entrance = self._secure
        if entrance is None or entrance.certificates is None or entrance.certificates.current.agrees(server_name, host):
            return False
        if self.proxies.trusts(peer):
            return False
        self.counters.misdirected += 1
        return True

    def own(self, handshake: asyncio.Future[None]) -> None:
        """Keep a handshake that outlives its TCP connection, until it is through."""
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    # Called by the node

    def sweep(self, now: float) -> None:
        """Run the timers of every connection; `now` is loop time."""
        if self._full and len(self._connections) < self._limit * 0.9:
            self._full = False
        for connection in list(self._connections):
            connection.sweep(now)

    def drain(self) -> None:
        """Answer what is being asked, end what is idle, keep no connection alive. A new one is about to ask."""
        self.draining = True
        new = self._new()
        for connection in list(self._connections):
            if isinstance(connection, HttpConnection) and connection.idle and connection not in new:
                connection.close()

    def close(self) -> None:
        """Accept no more, and cut what is connected, or was accepted just now."""
        self._closed = True
        for server, _ in self._servers:
            server.close()
        self.abort()

    def abort(self) -> None:
        """Cut every connection."""
        for connection in list(self._connections):
            connection.abort()

    @property
    def busy(self) -> bool:
        """Whether a WebSocket, a request or a handshake is left."""
        return bool(self._handshakes) or any(not connection.idle for connection in self._connections)

    @property
    def awaited(self) -> bool:
        """Whether a connection is left that is about to ask for something, or is being answered."""
        return bool(self._accepting or self._new()) or self.busy

    def _new(self) -> set[HttpConnection]:
        """Those just made, whose first request may be under way."""
        since = self.clock() - NEW_SECONDS
        return {connection for connection in self._unfinished if connection.active_at > since}


def _waiting(port: socket.socket) -> Iterator[socket.socket]:
    """The TCP connections that wait to be accepted now."""
    port.setblocking(False)
    with suppress(OSError):  # there are no more, or no more files
        while True:
            accepted, _ = port.accept()
            yield accepted


def is_loopback_host(host: str) -> bool:
    """Whether a bind address is reachable from this machine alone."""
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(is_loopback(str(info[4][0])) for info in infos)
