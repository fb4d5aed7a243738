"""Tickets of an installation, in Redis.

=========================  ======  ========================================  ======================================
key                        type    holds                                     ends
=========================  ======  ========================================  ======================================
P:ticket:{hexadecimal}     string  what is said of the client that has it    when it is taken, or its time is over
=========================  ======  ========================================  ======================================

P is `--redis-prefix`, the hexadecimal digits are the ticket's digest: who reads Redis finds no ticket. Making one is a
SET, using one a GETDEL, which one node gets of all that ask. How many there are is up to Redis's `maxmemory`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Command = Callable[..., Awaitable[Any]]
"""Runs one command, given as its words; replies are bytes. *Raises* RegistryAway, and nothing else."""


class RedisTickets:
    """Tickets of an installation whose keys begin with `prefix`."""

    def __init__(self, command: Command, prefix: str) -> None:
        self._command = command
        self._prefix = prefix

    async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
        await self._command("SET", self._key(digest), data, "PX", max(1, round(ttl * 1000)))

    async def take(self, digest: bytes) -> bytes | None:
        found: bytes | None = await self._command("GETDEL", self._key(digest))
        return found

    def _key(self, digest: bytes) -> str:
        return f"{self._prefix}:ticket:{digest.hex()}"
