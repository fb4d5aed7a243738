"""Answers of REST APIs that are kept for others who ask the same: the Protocol of the store, and the one in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import Protocol

import msgspec

Stage = tuple[str, str]
"""An API and one of its stages, by name: each has a cache of its own."""

MOST_BYTES = 1_048_576
"""Of one answer that is kept (API Gateway developer guide, "Cache settings for REST APIs")."""
LONGEST_SECONDS = 3600
"""No answer is kept for longer (likewise)."""
MARK_BYTES = 16
NO_MARK = bytes(MARK_BYTES)
ENTRY_BYTES = 256
"""What an answer takes beside its own bytes, about."""


class Looked(msgspec.Struct, frozen=True, gc=False):
    """What a look for an answer found."""

    mark: bytes
    """What the answer is to be put under, if it has to be made: another one after each flush of the stage."""
    data: bytes | None


class Answers(Protocol):
    """Kept answers by stage and digest. What is kept may be forgotten at any time, and what is put may not be kept.

    Digests and data are the caller's, who also tells whether they can be trusted. What has to be waited for *raises*
    RegistryAway where the store can't be asked now.
    """

    def held(self, stage: Stage, digest: bytes) -> Looked | None:
        """What `get` gives, where that is known at once; None where it has to be waited for."""

    async def get(self, stage: Stage, digest: bytes) -> Looked:
        """What was put under a digest; never what was put before the stage was flushed, or what is over."""

    def put(
        self, stage: Stage, digest: bytes, data: bytes, *, mark: bytes, ttl: float, most: int
    ) -> Awaitable[None] | None:
        """Keep `data`, of MOST_BYTES at most, for `ttl` seconds, LONGEST_SECONDS at most; None: that is done.

        Nothing is done where the stage was flushed since the look that gave `mark`. All that a stage keeps is `most`
        bytes at most: others go for it.
        """

    async def flush(self, stage: Stage) -> None:
        """Forget all of a stage, on every node; what is under way is not kept either."""

    def keep_only(self, stages: Collection[Stage]) -> None:
        """Let go of what this process holds for other stages than these."""

    @property
    def bytes_held(self) -> int:
        """What this process holds of all stages."""


class MemoryAnswers:
    """Answers of a single node, in its own memory: what was not asked for longest goes first."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        """`most_bytes` is for all stages together; `clock` gives seconds."""
        self._most = most_bytes
        self._clock = clock
        self._stages: dict[Stage, _Kept] = {}
        self._flushes = 0
        self._marks: dict[Stage, bytes] = {}
        self.bytes_held = 0

    async def get(self, stage: Stage, digest: bytes) -> Looked:
        return self.held(stage, digest)

    def held(self, stage: Stage, digest: bytes) -> Looked:
        mark = self._marks.get(stage, NO_MARK)
        kept = self._stages.get(stage)
        found = None if kept is None else kept.entries.get(digest)
        if kept is None or found is None:
            return Looked(mark, None)
        end, data = found
        if end <= self._clock():
            self._drop(kept, digest)
            return Looked(mark, None)
        kept.entries.move_to_end(digest)
        return Looked(mark, data)

    def put(self, stage: Stage, digest: bytes, data: bytes, *, mark: bytes, ttl: float, most: int) -> None:
        size = len(data) + ENTRY_BYTES
        most = min(most, self._most)
        if mark != self._marks.get(stage, NO_MARK) or size > most:
            return
        kept = self._stages.setdefault(stage, _Kept())
        self._drop(kept, digest)
        while kept.size + size > most:
            self._drop(kept, next(iter(kept.entries)))
        while self.bytes_held + size > self._most:
            largest = max(self._stages.values(), key=lambda each: each.size)
            self._drop(largest, next(iter(largest.entries)))
        kept.entries[digest] = self._clock() + ttl, data
        kept.size += size
        self.bytes_held += size
        self._forget(kept)

    async def flush(self, stage: Stage) -> None:
        self._let_go(stage)
        self._flushes += 1
        self._marks[stage] = self._flushes.to_bytes(MARK_BYTES, "big")

    def keep_only(self, stages: Collection[Stage]) -> None:
        for stage in self._stages.keys() - set(stages):
            self._let_go(stage)

    def _let_go(self, stage: Stage) -> None:
        kept = self._stages.pop(stage, None)
        if kept is not None:
            self.bytes_held -= kept.size

    def _forget(self, kept: _Kept) -> None:
        """Drop some whose time is over: of those that are put, each takes two others with it."""
        now = self._clock()
        for _ in range(2):
            oldest = next(iter(kept.entries))
            if kept.entries[oldest][0] > now:
                return
            self._drop(kept, oldest)

    def _drop(self, kept: _Kept, digest: bytes) -> None:
        found = kept.entries.pop(digest, None)
        if found is not None:
            size = len(found[1]) + ENTRY_BYTES
            kept.size -= size
            self.bytes_held -= size


class _Kept:
    """What is kept of one stage, the least recently asked for first."""

    __slots__ = ("entries", "size")

    def __init__(self) -> None:
        self.entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        """When it is over, and what was put, by digest."""
        self.size = 0
