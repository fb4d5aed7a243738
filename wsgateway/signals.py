"""What the process is told to do while it runs, by signals or otherwise, as one stream."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

import anyio


class Order(Enum):
    """What can be told."""

    RELOAD = "reload"
    DRAIN = "drain"
    LEAVE = "leave"
    """At once, without waiting for anybody."""


class Orders:
    """Orders with their causes, one after the other; several readers share them."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Order, str]](16)

    def give(self, order: Order, cause: str) -> None:
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError):  # sixteen are waiting already, or nobody is left
            self._send.send_nowait((order, cause))

    def __aiter__(self) -> AsyncIterator[tuple[Order, str]]:
        return self._receive

    def close(self) -> None:
        self._send.close()
        self._receive.close()


@asynccontextmanager
async def heard_signals() -> AsyncIterator[Orders]:
    """While inside SIGHUP is an order to reload; the first SIGTERM or SIGINT to drain, any further one to leave."""
    loop = asyncio.get_running_loop()
    orders = Orders()
    ending = (signal.SIGTERM, signal.SIGINT)
    numbers = (*ending, signal.SIGHUP)
    told = Order.DRAIN

    def heard(number: signal.Signals) -> None:
        nonlocal told
        if number in ending:
            orders.give(told, number.name)
            told = Order.LEAVE
        else:
            orders.give(Order.RELOAD, number.name)

    for number in numbers:
        loop.add_signal_handler(number, heard, number)
    try:
        yield orders
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        orders.close()
