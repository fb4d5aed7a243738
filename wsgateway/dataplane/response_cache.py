"""Answers that are kept for others who ask the same, on all stages: the way to the store, and what was found there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from time import monotonic
from typing import TYPE_CHECKING, Literal

from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.kept_answer import Cipher
from wsgateway.errors import RegistryAway
from wsgateway.registry.answers import MOST_BYTES, Answers, Looked, MemoryAnswers, Stage

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Log

PUTS_AT_ONCE = 64
"""Answers on their way to the store; others are not kept."""
LINES_RATE = 0.2
LINES_BURST = 10.0
"""Lines a second about a store that comes and goes."""
HAD = "kept answers can't be had; backends are asked instead", "kept answers can be had again"
KEPT = "answers can't be kept", "answers can be kept again"
"""What is told when it fails, and when it works again."""


class ResponseCache:
    """What the cached methods of a node share. Where the store is away nothing is kept, and nobody hears of it."""

    def __init__(self, log: Log, store: Answers | None = None) -> None:
        self.store = store or MemoryAnswers(0)
        """Where they are kept; nowhere, until that is said."""
        self.cipher = Cipher(None)
        self.results: dict[tuple[str, str, str], int] = {}
        """Requests by apiId, stage and whether they were answered with what was kept: hit or miss."""
        self.failures = 0
        """Looks and puts that the store did not answer."""
        self.unreadable = 0
        """What was found in the store and no node of this version and secret wrote."""
        self._log = log
        self._told: set[tuple[str, str]] = set()
        """What fails now, and was told."""
        self._lines = Allowance(LINES_RATE, LINES_BURST)
        self._puts: set[asyncio.Future[None]] = set()

    def encrypt_with(self, secret: bytes | None) -> None:
        """The installation's secret, before anything is compiled."""
        self.cipher = Cipher(secret)

    def count(self, stage: Stage, result: Literal["hit", "miss"]) -> None:
        key = (*stage, result)
        self.results[key] = self.results.get(key, 0) + 1

    async def get(self, stage: Stage, digest: bytes) -> Looked | None:
        """What the store has; None where it can't be asked."""
        try:
            found = await self.store.get(stage, digest)
        except RegistryAway as error:
            self._fails(HAD, error)
            return None
        self._works(HAD)
        return found

    def put(self, stage: Stage, digest: bytes, data: bytes, *, mark: bytes, ttl: float, most: int) -> None:
        """Keep an answer, if the store can and it is not too large."""
        if len(data) > MOST_BYTES or len(self._puts) >= PUTS_AT_ONCE:
            return
        putting = self.store.put(stage, digest, data, mark=mark, ttl=ttl, most=most)
        if putting is not None:
            task = asyncio.ensure_future(putting)
            self._puts.add(task)
            task.add_done_callback(self._over)

    def _over(self, put: asyncio.Future[None]) -> None:
        self._puts.discard(put)
        error = None if put.cancelled() else put.exception()
        if isinstance(error, RegistryAway):
            self._fails(KEPT, error)
        elif error is not None:
            raise error
        elif not put.cancelled():
            self._works(KEPT)

    def keep_only(self, stages: Collection[Stage]) -> None:
        """Let go of what this process holds for other stages."""
        self.store.keep_only(stages)

    async def aclose(self) -> None:
        """Keep nothing any more."""
        for task in list(self._puts):
            task.cancel()
        await asyncio.gather(*self._puts, return_exceptions=True)

    def _fails(self, what: tuple[str, str], error: RegistryAway) -> None:
        self.failures += 1
        if what not in self._told and self._lines.take(monotonic()):
            self._told.add(what)
            self._log(what[0], error=error)

    def _works(self, what: tuple[str, str]) -> None:
        if what in self._told:
            self._told.discard(what)
            self._log(what[1])
