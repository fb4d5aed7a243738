"""What a listener does to the sockets it accepts."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import ssl
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.certificates import Authority
from tests.wire import wire
from wsgateway.dataplane.admission import Admission
from wsgateway.dataplane.counters import Counters
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.transport.certificates import Certificates, CertificateSet, read_pair
from wsgateway.transport.http import HttpConnection
from wsgateway.transport.listener import Entrance, Listener
from wsgateway.transport.proxies import TrustedProxies

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's"),
]


class Watched(Listener):
    """Keeps what was accepted."""

    accepted: HttpConnection

    def admit(self, connection: HttpConnection, address: str) -> bool:
        self.accepted = connection
        return super().admit(connection, address)


class Mortal(HttpConnection):
    """Can be seen to go."""

    __slots__ = ("__weakref__",)
    made: ClassVar[weakref.WeakSet[Mortal]] = weakref.WeakSet()

    def __init__(self, listener: Listener, entrance: Entrance) -> None:
        super().__init__(listener, entrance)
        self.made.add(self)


async def test_tls_connections_leave_no_garbage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Each has large buffers, and clients choose how many fail: they go at once, not when the collector comes."""
    monkeypatch.setattr("wsgateway.transport.listener.HttpConnection", Mortal)
    authority = Authority(tmp_path)
    certificate, key = authority.issue_to("127.0.0.1")
    certificates = Certificates(CertificateSet(default=read_pair(Path(certificate), Path(key))))
    counters = Counters()
    listener = Listener(handler=lambda _: HttpResponse(200), upgrade=nothing, report=nothing, counters=counters)
    await listener.start_tls("127.0.0.1", 0, certificates, name="public")
    request.addfinalizer(gc.enable)
    gc.disable()
    try:
        async with wire(listener.tls_port, tls=authority.client()) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await client.answer()).status == 200
        async with wire(listener.tls_port) as client:
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            await client.closed()
        with pytest.raises(ssl.SSLError):
            async with wire(listener.tls_port, tls=ssl.create_default_context()):
                pass
        async with asyncio.timeout(10):
            while len(listener) or counters.tls_handshakes_failed < 2 or len(Mortal.made):
                await asyncio.sleep(0)
    finally:
        listener.close()


def nothing(*_: object) -> Any:
    raise AssertionError


async def accepted_by(listener: Watched) -> socket.socket:
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    async with asyncio.timeout(10):
        while not hasattr(listener, "accepted"):
            await asyncio.sleep(0.001)
    accepted: socket.socket = listener.accepted.transport.get_extra_info("socket")
    copy = socket.fromfd(accepted.fileno(), socket.AF_INET, socket.SOCK_STREAM)
    writer.close()
    del listener.accepted
    return copy


async def test_the_kernel_gives_up_peers_that_acknowledge_nothing() -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        raise AssertionError

    def report(error: BaseException, method: str, target: str) -> None:
        raise error

    listener = Watched(handler=answer, upgrade=answer, report=report, counters=Counters())
    await listener.start("127.0.0.1", 0, name="public")
    try:
        with await accepted_by(listener) as first:
            listener.patience(stalled_write=300.0)
            with await accepted_by(listener) as second:
                for accepted, seconds in ((first, 60), (second, 315)):
                    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == seconds * 1000
    finally:
        listener.close()


@pytest.mark.parametrize("trusted", [False, True])
async def test_one_address_has_so_many_connections_that_have_said_nothing(
    monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """But a proxy that is trusted has as many as it likes: its clients are told apart behind their heads."""
    monkeypatch.setattr("wsgateway.dataplane.admission.UNFINISHED_PER_SOURCE", 2)
    monkeypatch.setattr("wsgateway.dataplane.admission.is_loopback", lambda _: False)
    logged: list[str] = []
    admission = Admission(lambda: 1.0, lambda event, **_: logged.append(event))
    counters = Counters()
    listener = Listener(
        handler=lambda _: HttpResponse(200),
        report=nothing,
        counters=counters,
        proxies=TrustedProxies([ipaddress.ip_network("127.0.0.0/8")] if trusted else []),
        admission=admission,
    )
    await listener.start("127.0.0.1", 0, name="public")
    try:
        async with wire(listener.port) as first, wire(listener.port) as second, wire(listener.port) as third:
            if not trusted:
                await third.closed()
                assert admission.refused == {("", "unfinished_per_source"): 1}
                assert logged == ["new connections are refused"]
                assert admission.crowded("127.0.0.1")
            for client in (first, second):
                await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await client.answer()).status == 200
            async with wire(listener.port) as fourth:
                await fourth.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await fourth.answer()).status == 200
            assert not admission.crowded("127.0.0.1")
        assert counters.connections_refused == (0 if trusted else 1)
    finally:
        listener.close()


async def test_who_waits_to_be_accepted_when_the_port_closes_is_answered() -> None:
    listener = Listener(handler=lambda _: HttpResponse(503, close=True), report=nothing, counters=Counters())
    await listener.start("127.0.0.1", 0, name="public")
    clients = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(20)]  # the loop does not turn

    listener.drain()
    listener.stop_accepting()

    assert listener.awaited
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port))
    for client in clients:
        client.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
        writer.close()
    async with asyncio.timeout(10):
        while listener.awaited or len(listener):
            await asyncio.sleep(0)
    listener.close()


async def test_who_is_being_accepted_when_a_listener_is_closed_is_cut() -> None:
    listener = Listener(handler=lambda _: HttpResponse(200), report=nothing, counters=Counters())
    await listener.start("127.0.0.1", 0, name="public")
    client = socket.create_connection(("127.0.0.1", listener.port))  # the loop does not turn
    client.setblocking(False)

    listener.stop_accepting()
    listener.close()

    async with asyncio.timeout(10):
        with client:
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        while listener.awaited or len(listener):
            await asyncio.sleep(0)


async def test_a_drain_ends_silent_connections_but_not_those_that_are_about_to_ask() -> None:
    """Browsers open some on suspicion; they are as idle as others once they are a second old."""
    listener = Listener(handler=lambda _: HttpResponse(200), report=nothing, counters=Counters())
    now = 1000.0
    listener.clock = lambda: now
    await listener.start("127.0.0.1", 0, name="public")
    try:
        async with wire(listener.port) as old:
            await until(lambda: len(listener) == 1)
            now += 0.9
            async with wire(listener.port) as new:
                await until(lambda: len(listener) == 2)
                now += 0.2

                listener.drain()
                assert await old.closed() == b""
                assert listener.awaited
                await new.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                answer = await new.answer()
                assert (answer.status, answer.header("connection")) == (200, "close")
                await new.closed()
        await until(lambda: not listener.awaited)
    finally:
        listener.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)
