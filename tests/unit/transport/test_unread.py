"""Answers that a client does not take: what is counted of them, and how long they wait."""

from __future__ import annotations

import asyncio

from wsgateway.bodies import BodyMemory
from wsgateway.transport.unread import STALL_SECONDS, Unread

LARGE = 1 << 20


class Waiting(asyncio.Transport):
    """A transport in which so many bytes wait."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def get_write_buffer_size(self) -> int:
        return self.size


def test_what_waits_is_counted_until_nearly_all_is_taken() -> None:
    bodies, transport = BodyMemory(), Waiting(3 * LARGE)
    unread = Unread(transport, bodies.hold("unread"))

    unread.begin(0.0)
    assert bodies.held["unread"] == 3 * LARGE
    transport.size = LARGE
    assert not unread.stalled(1.0)
    assert bodies.held["unread"] == LARGE
    unread.end()
    assert bodies.taken == 0

    unread.begin(2.0)
    assert bodies.taken == LARGE


def test_a_client_has_so_long_from_the_last_byte_that_it_took() -> None:
    """However long all of a large answer takes it."""
    transport = Waiting(3 * LARGE)
    unread = Unread(transport, BodyMemory().hold("unread"))
    unread.begin(0.0)
    for second in range(50, 1000, 50):
        transport.size -= 1
        assert not unread.stalled(float(second))

    assert not unread.stalled(950.0 + STALL_SECONDS - 1)
    assert unread.stalled(950.0 + STALL_SECONDS)
