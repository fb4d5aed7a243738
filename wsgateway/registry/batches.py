"""Writes of records that travel together: what one turn of the loop asks for is one round trip.

One round is under way at a time; what is asked for meanwhile is the next one. Of several writes about one record that
wait together the last one counts, which is what doing them in order ends with. A round that fails because Redis is
silent takes with it what gathered meanwhile, so that nobody waits for one such round after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice

from wsgateway.errors import RegistryAway

Key = tuple[bytes, str]
"""A slot and a connection id."""
Round = Mapping[Key, bytes | None]
"""The record to keep, None to remove it."""

ROUND_WRITES = 1000
ROUND_BYTES = 1 << 20
MOST_WRITES = 100_000
"""Writes that wait; one more is refused at once."""
SILENT_SECONDS = 0.5
"""A round that took longer and failed says that the next one would, too."""
MOST_BYTES = 64 << 20
"""Bytes of records that wait; likewise."""


class Batches:
    """Gathers writes; `send` does a round and *raises* RegistryAway, which then all its callers get."""

    def __init__(self, send: Callable[[Round], Awaitable[None]]) -> None:
        self._send = send
        self._records: dict[Key, bytes | None] = {}
        self._waiting: dict[Key, list[asyncio.Future[None]]] = {}
        self._bytes = self._writes = 0
        self._sending: asyncio.Task[None] | None = None

    def put(self, key: Key, record: bytes | None) -> Awaitable[None]:
        """Write it with the next round; the answer resolves when that is acknowledged. Cancelling it undoes nothing."""
        done = asyncio.get_running_loop().create_future()
        grown = len(record or b"") - len(self._records.get(key) or b"")
        if self._writes >= MOST_WRITES or self._bytes + grown > MOST_BYTES:
            done.set_exception(RegistryAway("too many records wait to be written"))
            return done
        self._bytes += grown
        self._writes += 1
        self._records[key] = record
        self._waiting.setdefault(key, []).append(done)
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._run())  # begins when this turn is over
        return done

    async def aclose(self) -> None:
        """Refuse what waits."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        self._refuse_all(RegistryAway("the node ends"))

    async def _run(self) -> None:
        try:
            while self._records:
                await self._round()
        finally:
            self._sending = None

    async def _round(self) -> None:
        records = self._next()
        waiting = [done for key in records for done in self._waiting.pop(key)]
        for key, record in records.items():
            del self._records[key]
            self._bytes -= len(record or b"")
        self._writes -= len(waiting)
        error: RegistryAway | None = RegistryAway("the node ends")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await self._send(records)
            error = None
        except RegistryAway as away:
            error = away
            if loop.time() - begun > SILENT_SECONDS:
                self._refuse_all(away)
        except Exception as unexpected:
            error = RegistryAway(f"unexpected: {type(unexpected).__name__}")
            error.__cause__ = unexpected
        finally:
            _tell(waiting, error)

    def _next(self) -> dict[Key, bytes | None]:
        """The first that wait, as many as make a round."""
        records: dict[Key, bytes | None] = {}
        size = 0
        for key, record in islice(self._records.items(), ROUND_WRITES):
            size += len(record or b"")
            if records and size > ROUND_BYTES:
                break
            records[key] = record
        return records

    def _refuse_all(self, error: RegistryAway) -> None:
        for waiting in self._waiting.values():
            _tell(waiting, error)
        self._records.clear()
        self._waiting.clear()
        self._bytes = self._writes = 0


def _tell(waiting: list[asyncio.Future[None]], error: RegistryAway | None) -> None:
    for done in waiting:
        if done.done():
            continue  # its caller went away
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
