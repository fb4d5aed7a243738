"""What waits behind the encryption, counted as what was written."""

from __future__ import annotations

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from wsgateway.transport.tls import TlsTransport

RECORD = 22
"""Bytes a record adds to what is in it."""


class Raw(asyncio.Transport):
    """A socket that takes as much as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.takes = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def put(self, size: int) -> None:
        self.waiting += size
        taken = min(self.takes, self.waiting)
        self.waiting -= taken
        self.takes -= taken


class Inner(asyncio.Transport):
    """Encrypts; one record a write."""

    def __init__(self, raw: Raw) -> None:
        super().__init__()
        self.raw = raw
        self.writes: list[bytes] = []

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        self.raw.put(len(data) + RECORD)


def made() -> tuple[TlsTransport, Inner, Raw]:
    raw = Raw()
    inner = Inner(raw)
    return TlsTransport(inner, cast("asyncio.Transport", raw)), inner, raw


@given(st.lists(st.integers(0, 100), min_size=1))
def test_a_socket_that_takes_nothing_has_all_that_was_written(sizes: list[int]) -> None:
    """So that written less waiting stands still, however much is written: that is what a stalled client is known by."""
    transport, _, _ = made()
    for size in sizes:
        transport.write(b"x" * size)

    assert transport.get_write_buffer_size() == max(1, sum(sizes))


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 100)), min_size=1))
def test_a_socket_that_takes_something_is_seen_to(steps: list[tuple[int, int]]) -> None:
    transport, _, raw = made()
    written = 0
    for size, taken in steps:
        written += size
        transport.write(b"x" * size)
        before = written - transport.get_write_buffer_size()
        raw.takes = taken
        raw.put(0)
        raw.takes = 0
        after = written - transport.get_write_buffer_size()
        assert (after > before) is (taken > 0) or transport.get_write_buffer_size() <= 1
    assert (transport.get_write_buffer_size() == 0) is (raw.waiting == 0)


def test_many_chunks_are_one_record() -> None:
    transport, inner, _ = made()

    transport.writelines([b"a", b"b", b"c"])

    assert inner.writes == [b"abc"]
