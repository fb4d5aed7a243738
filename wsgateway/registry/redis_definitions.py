"""The deployments that are kept, in Redis.

Keys begin with the installation's prefix and `:{definitions}:`, so that in a Cluster they lie in one place. None of
them runs out; together they hold ten texts at most, of 6 MiB each.

| key | type | |
| --- | --- | --- |
| `mark` | string | another random value after each change |
| `order` | list | digests, the newest first |
| `records`, `texts` | hash | by digest |
| `instead` | hash | by digest: the stamp in 12 hexadecimal digits, and the record behind it |

Each node asks for the mark every other second (one GET), and reads the rest, without the texts, after a change. A
deployment, and pointing back to one, is one script per node.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from wsgateway.registry.base import KEPT, Stored

Command = Callable[..., Awaitable[Any]]
"""Runs one command, given as its words; replies are bytes. *Raises* RegistryAway, and nothing else."""
NAMES = ("mark", "order", "records", "texts", "instead")
STAMP_DIGITS = 12

READ = """
return {redis.call('GET', KEYS[1]), redis.call('LRANGE', KEYS[2], 0, -1), redis.call('HGETALL', KEYS[3]),
  redis.call('HGETALL', KEYS[5])}
"""

# ARGV: mark, how many are kept, digest, record, text
KEEP = """
if redis.call('LINDEX', KEYS[2], 0) == ARGV[3] and redis.call('HGET', KEYS[4], ARGV[3]) == ARGV[5] then
  return 0
end
redis.call('LREM', KEYS[2], 0, ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[4], ARGV[3], ARGV[5])
while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[2]) do
  local oldest = redis.call('RPOP', KEYS[2])
  for number = 3, 5 do
    redis.call('HDEL', KEYS[number], oldest)
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""

# ARGV: mark, digest, stamp, record
PUT_INSTEAD = """
local before = redis.call('HGET', KEYS[5], ARGV[2])
if before and string.sub(before, 1, #ARGV[3]) >= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[5], ARGV[2], ARGV[3] .. ARGV[4])
for _, digest in ipairs(redis.call('HKEYS', KEYS[5])) do
  if digest ~= ARGV[2] and redis.call('HEXISTS', KEYS[3], digest) == 0 then
    redis.call('HDEL', KEYS[5], digest)
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""


class RedisDefinitions:
    """DefinitionStore of an installation whose keys begin with `prefix`."""

    def __init__(self, command: Command, prefix: str) -> None:
        self._command = command
        self._keys = [f"{prefix}:{{definitions}}:{name}" for name in NAMES]

    async def mark(self) -> bytes | None:
        found: bytes | None = await self._command("GET", self._keys[0])
        return found

    async def read(self) -> Stored:
        mark, order, records, instead = await self._script(READ)
        known = _pairs(records)
        return Stored(
            mark=mark,
            kept=tuple((_text(digest), known[digest]) for digest in order[:KEPT] if digest in known),
            instead={_text(digest): record[STAMP_DIGITS:] for digest, record in _pairs(instead).items()},
        )

    async def text(self, digest: str) -> bytes | None:
        found: bytes | None = await self._command("HGET", self._keys[3], digest)
        return found

    async def keep(self, digest: str, record: bytes, text: bytes) -> None:
        await self._script(KEEP, _new_mark(), KEPT, digest, record, text)

    async def put_instead(self, digest: str, stamp: int, record: bytes) -> None:
        await self._script(PUT_INSTEAD, _new_mark(), digest, f"{stamp:0{STAMP_DIGITS}x}", record)

    async def _script(self, script: str, *arguments: str | int | bytes) -> Any:
        return await self._command("EVAL", script, len(self._keys), *self._keys, *arguments)


def _new_mark() -> bytes:
    return secrets.token_bytes(8)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _text(digest: bytes) -> str:
    return digest.decode("utf-8", "replace")
