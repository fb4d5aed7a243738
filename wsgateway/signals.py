"""The signals of the process as one stream, instead of a handler each."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio


@asynccontextmanager
async def heard_signals() -> AsyncIterator[AsyncIterator[int]]:
    """SIGTERM, SIGINT and SIGHUP while inside, one after the other; several readers share them."""
    send, receive = anyio.create_memory_object_stream[int](16)
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def heard(number: int) -> None:
        with suppress(anyio.WouldBlock):  # sixteen are waiting already
            send.send_nowait(number)

    for number in numbers:
        loop.add_signal_handler(number, heard, number)
    try:
        with send, receive:
            yield receive
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
