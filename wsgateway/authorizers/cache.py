"""Answers of an authorizer, kept for who brings the same again: bounded in time and in memory.

API Gateway developer guide, "Use API Gateway Lambda authorizers", on caching: an answer holds for its time whoever is
let in by it, and says yes or no to each route by itself. A failure is never kept. While an answer is waited for, others
who bring the same wait for it, too.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, TypeVar

MAX_BYTES = 32 << 20
"""Of the answers kept for one authorizer; the oldest goes first."""
OVERHEAD = 200
"""Bytes that each costs besides."""

T = TypeVar("T")


def key_of(values: Sequence[str]) -> bytes:
    """The key of who brings `values`: with the length of each, so that no two lists have the same; no secret is in
    it."""
    digest = sha256()
    for value in values:
        data = value.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    expires: float
    size: int


class Answers(Generic[T]):
    """Those of one authorizer, each kept for `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float], most: int = MAX_BYTES) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._kept: dict[bytes, _Kept[T]] = {}  # the oldest first: all are kept for the same time
        self._bytes = 0
        self._asking: dict[bytes, Task[T]] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> T | None:
        """The answer that still holds."""
        kept = self._kept.get(key)
        return None if kept is None or self._clock() >= kept.expires else kept.value

    def forget(self) -> int:
        """Drop all, and keep nothing of what is being asked now; gives how many were kept."""
        count = len(self._kept)
        self._kept.clear()
        self._asking.clear()  # whoever comes now asks anew
        self._bytes = 0
        self._forgotten += 1
        return count

    async def ask(self, key: bytes, ask: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        """What `ask` gives, with its size in bytes; one call for all who wait. *Raises* what it raises."""
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._fresh(key, ask))
            task.add_done_callback(lambda task: self._asked(key, task))
        return await asyncio.shield(task)  # whoever began it may have gone, and others wait

    async def _fresh(self, key: bytes, ask: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        forgotten = self._forgotten
        value, size = await ask()
        if forgotten == self._forgotten:
            self._keep(key, value, size + OVERHEAD)
        return value

    def _asked(self, key: bytes, task: Task[T]) -> None:
        if self._asking.get(key) is task:
            del self._asking[key]
        if not task.cancelled():
            task.exception()  # whoever waited has been told; perhaps nobody did

    def _keep(self, key: bytes, value: T, size: int) -> None:
        now = self._clock()
        self._drop(key)
        self._kept[key] = _Kept(value, now + self._seconds, size)
        self._bytes += size
        while self._kept:
            oldest = next(iter(self._kept))
            if self._bytes <= self._most and now < self._kept[oldest].expires:
                break
            self._drop(oldest)

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size
