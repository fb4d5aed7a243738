"""Token buckets that the nodes of an installation share, in Redis.

P:{buckets}:KIND:DIGEST     string  how long until it is full: see lua/lease.lua     when it is full again

P is `--redis-prefix`, KIND the kind of bucket, such as `route`, and DIGEST what names it, hashed: of users and
addresses nothing is told by a key. All are under one hash tag, so that in a Cluster one node has them and one script
takes from many. A node asks for many buckets with one EVALSHA, and ahead of its need: a busy bucket costs about ten a
second, one that is exhausted twenty, a message none.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from wsgateway.errors import RegistryAway
from wsgateway.registry.base import Grant, Want
from wsgateway.registry.link import Link

AT_ONCE = 500
"""Buckets of one script: nobody else's command waits for long."""
ANSWER_SECONDS = 0.25
"""For a call; a message may wait for it."""

_encode = msgspec.msgpack.Encoder().encode


class RedisShares:
    """Shares in Redis."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        """What a call of several steps got before one failed is lost, as with any answer that does not come."""
        grants: list[Grant] = []
        for begin in range(0, len(wants), AT_ONCE):
            grants += await self._lease(wants[begin : begin + AT_ONCE])
        return grants

    async def _lease(self, wants: Sequence[Want]) -> list[Grant]:
        values: list[str | int] = []
        for want in wants:
            level = want.burst if want.level is None else want.level
            values += (repr(want.rate), repr(want.burst), want.tokens, repr(level), repr(want.spent))
        keys = [self._key(want.name) for want in wants]
        answer = await self._link.script("lease", keys, *values, seconds=ANSWER_SECONDS)
        grants = [Grant(int(tokens), float(level)) for tokens, level in zip(answer[::2], answer[1::2], strict=True)]
        if any(not 0 <= got.tokens <= want.tokens for got, want in zip(grants, wants, strict=True)):
            raise RegistryAway("an answer is about other buckets than were asked about")
        return grants

    def _key(self, name: tuple[str, ...]) -> str:
        digest = urlsafe_b64encode(blake2b(_encode(name), digest_size=15).digest()).decode()
        return f"{self._link.prefix}:{{buckets}}:{name[0]}:{digest}"
