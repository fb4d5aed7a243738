"""The way of one HTTP connection to a WebSocket: the handshake is checked, decided and answered, and handed over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from wsgateway import http1
from wsgateway.messages import HttpResponse
from wsgateway.transport import deflate, handshake
from wsgateway.transport.answers import INTERNAL_ERROR, ending
from wsgateway.transport.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from wsgateway.dataplane.websocket import Accepted
    from wsgateway.messages import HttpRequest
    from wsgateway.transport.head import Incoming
    from wsgateway.transport.http import HttpConnection


def answer(connection: HttpConnection, incoming: Incoming, request: HttpRequest) -> None:
    """Answer a handshake, not before the loop's next turn if it is well-formed.

    What is decided later is decided even if the client leaves: its $connect integration may have said yes, and then
    $disconnect must run.
    """
    listener = connection.listener
    announces_body = any(
        name.lower() == b"transfer-encoding" or (name.lower() == b"content-length" and value != b"0")
        for name, value in request.headers
    )
    refusal = handshake.refuse(request, incoming.version, announces_body)
    if refusal is not None:
        listener.counters.handshakes_malformed += 1
        connection.respond(incoming, refusal)
        return
    try:
        decision = listener.upgrade(request)
    except Exception as error:
        decision = connection.fault(error, incoming)
    if isinstance(decision, HttpResponse) or not hasattr(decision, "__await__"):
        # Reading a handshake and answering it are a turn each, for others' messages come in between.
        asyncio.get_running_loop().call_soon(_finish, connection, incoming, request, decision)
    else:
        later = cast("Awaitable[HttpResponse | Accepted]", decision)
        listener.own(asyncio.ensure_future(_finish_later(connection, incoming, request, later)))


async def _finish_later(
    connection: HttpConnection, incoming: Incoming, request: HttpRequest, later: Awaitable[HttpResponse | Accepted]
) -> None:
    try:
        decision = await later
    except Exception as error:
        decision = connection.fault(error, incoming)
    _finish(connection, incoming, request, decision)


def _finish(
    connection: HttpConnection, incoming: Incoming, request: HttpRequest, decision: HttpResponse | Accepted
) -> None:
    """Switch to the WebSocket, or say why not."""
    if isinstance(decision, HttpResponse):
        connection.respond(incoming, ending(decision))
        return
    listener, transport, client = connection.listener, connection.transport, decision.connection
    if connection.lost or connection.ended or transport.is_closing():
        client.abandoned()
        connection.close()
        return
    try:
        negotiated = deflate.negotiate(request, client.quotas, listener.counters)
        extensions = None if negotiated is None else negotiated.answer
        head = handshake.accept(request, decision.subprotocol, extensions)
    except http1.UnsafeHeader as error:
        listener.unexpected(error, request.method, request.target)
        client.abandoned()
        connection.respond(incoming, INTERNAL_ERROR)
        return
    socket = WebSocket(listener, transport, client, negotiated)
    connection.hand_over(socket)
    # Addressable before the client can have read the 101.
    client.opened(socket)
    transport.write(head)
    if connection.paused:
        transport.resume_reading()
    if incoming.behind:
        socket.data_received(b"".join(incoming.behind))
