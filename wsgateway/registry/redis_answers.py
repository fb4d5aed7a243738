"""Kept answers of an installation, in Redis. S is API/STAGE, both quoted as in URLs; a stage's keys have one hash tag.

=====================  ======  =====================================================  ================================
key                    type    holds                                                  ends
=====================  ======  =====================================================  ================================
P:{answers:S}:mark     string  16 random bytes, new at each flush                     never
P:{answers:S}:a:NAME   string  the mark, the digest, and what was put                 when its time is over
P:{answers:S}:order    zset    names in the order in which they were put              two hours after the last
P:{answers:S}:sizes    hash    bytes by name, `bytes`: of all, `last`: a number       likewise
=====================  ======  =====================================================  ================================

A look is one MGET of the mark and the answer, a put one EVALSHA, a flush a SET and then EVALSHAs that each free some.
Looks have connections of their own: however many there are, and however large, leases and records don't wait for them.
Where Redis did not answer, nobody asks it for a second: then every request goes to its backend, and none waits for it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from functools import partial
from time import monotonic
from urllib.parse import quote

from wsgateway.errors import RegistryAway
from wsgateway.registry.answers import ENTRY_BYTES, LONGEST_SECONDS, MARK_BYTES, NO_MARK, Looked, Stage
from wsgateway.registry.link import Link

LOOK_SECONDS = 0.25
"""For a look; a client waits for it."""
REST_SECONDS = 1.0
"""How long nobody asks after there was no answer."""
LOOKS_AT_ONCE = 256
"""Looks that wait for their turn; for others nothing is kept."""
INDEX_MILLIS = 2 * LONGEST_SECONDS * 1000
AT_ONCE = 500
"""Answers that one script forgets: nobody else's command waits for long."""


class RedisAnswers:
    """Answers in Redis; `link` is theirs alone, and `clock` gives seconds."""

    bytes_held = 0

    def __init__(self, link: Link, clock: Callable[[], float] = monotonic) -> None:
        self._link = link
        self._clock = clock
        self._rests_until = 0.0
        self._asking: set[asyncio.Future[list[bytes | None]]] = set()

    def held(self, stage: Stage, digest: bytes) -> None:
        """Redis has to be asked."""

    async def get(self, stage: Stage, digest: bytes) -> Looked:
        self._awake()
        if len(self._asking) >= LOOKS_AT_ONCE:
            raise RegistryAway(f"{LOOKS_AT_ONCE} kept answers are being looked for")
        try:
            mark, found = await self._look(self._key(stage, "mark"), self._answer(stage, digest))
        except RegistryAway:
            self._rest()
            raise
        mark = mark or NO_MARK
        head = mark + digest
        # Of another time, or another question: a reply that is not the one that was waited for, or a foreign value.
        return Looked(mark, found[len(head) :] if found is not None and found.startswith(head) else None)

    async def _look(self, *keys: str) -> list[bytes | None]:
        """What Redis has under these keys, or RegistryAway, in LOOK_SECONDS: a call whose connection is being made when
        its time is over takes longer to end."""
        asking: asyncio.Future[list[bytes | None]] = asyncio.ensure_future(
            self._link.command("MGET", *keys, seconds=LOOK_SECONDS)
        )
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        try:
            await asyncio.wait([asking], timeout=LOOK_SECONDS)
            if asking.done():
                return asking.result()
            raise RegistryAway(f"Redis at {self._link.target}: no answer within {LOOK_SECONDS:g} s")
        finally:
            asking.cancel()

    def _asked(self, asking: asyncio.Future[list[bytes | None]]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever waited for it has gone

    async def put(self, stage: Stage, digest: bytes, data: bytes, *, mark: bytes, ttl: float, most: int) -> None:
        self._awake()
        keys = [*(self._key(stage, name) for name in ("mark", "order", "sizes")), self._answer(stage, digest)]
        size, life = len(data) + ENTRY_BYTES, max(1, round(ttl * 1000))
        begins = self._key(stage, "a:")
        values = (mark, digest.hex(), mark + digest + data, life, size, most, begins, INDEX_MILLIS)
        await self._link.script("keep_answer", keys, *values)  # looks go on where that is refused: Redis may be full

    async def flush(self, stage: Stage) -> None:
        """None is had any more once the mark is set; then the room is freed."""
        await self._link.command("SET", self._key(stage, "mark"), secrets.token_bytes(MARK_BYTES))
        index = [self._key(stage, "order"), self._key(stage, "sizes")]
        drop = partial(self._link.script, "drop_answers", index, AT_ONCE, self._key(stage, "a:"))
        for _ in range(-(-int(await drop()) // AT_ONCE)):  # what is put meanwhile stays
            await drop()

    def keep_only(self, stages: Collection[Stage]) -> None:
        """Nothing is held here; what Redis holds ends by itself."""

    def _awake(self) -> None:
        if self._clock() < self._rests_until:
            raise RegistryAway(f"Redis at {self._link.target} did not answer just now")

    def _rest(self) -> None:
        self._rests_until = self._clock() + REST_SECONDS

    def _answer(self, stage: Stage, digest: bytes) -> str:
        return self._key(stage, f"a:{digest.hex()}")

    def _key(self, stage: Stage, name: str) -> str:
        api_id, stage_name = (quote(part, safe="") for part in stage)
        return f"{self._link.prefix}:{{answers:{api_id}/{stage_name}}}:{name}"
