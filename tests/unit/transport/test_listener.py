"""What a listener does to the sockets it accepts."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from wsgateway.dataplane.counters import Counters
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.transport.http import HttpConnection
from wsgateway.transport.listener import Listener

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


async def accepted_by(listener: Watched) -> socket.socket:
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    async with asyncio.timeout(10):
        while not hasattr(listener, "accepted"):
            await asyncio.sleep(0.001)
    accepted: socket.socket = listener.accepted._transport.get_extra_info("socket")
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
        listener.stop_accepting()
        listener.abort()
