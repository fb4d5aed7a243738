"""What was used of quotas, in Redis.

One hash a meter, `P:{usage:PLAN/KEY}` with both names quoted as in URLs: by day (counted from 1970-01-01, in UTC) what
was used on it, under `first` the first of all days, and under `mark` random digits, made with the hash: by these a node
knows that all of it was lost in between. It ends 100 days after the last day on which it was used.

Operations: `claim`, an EVALSHA for each meter, all of them in one pipeline; `read`, an HGETALL for each likewise.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from redis.exceptions import NoScriptError

from wsgateway.errors import RegistryAway
from wsgateway.registry.link import Link, script_of
from wsgateway.registry.usage import USAGE_DAYS, Claim, Granted, MeterName

CLAIM_SECONDS = 0.25
"""A client waits for it."""


class RedisUsage:
    """Usage of an installation."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Granted]:
        text, digest = script_of("claim_usage")
        asked = [(1, self._key(claim.meter), *_words(claim)) for claim in claims]
        answers = await self._link.answers([("EVALSHA", digest, *words) for words in asked], seconds=CLAIM_SECONDS)
        unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # a new server, or one that was restarted: nothing was done
            again = [("EVAL", text, *asked[number]) for number in unknown]
            for number, answer in zip(unknown, await self._link.answers(again, seconds=CLAIM_SECONDS), strict=True):
                answers[number] = answer
        return [self._granted(answer) for answer in answers]

    async def read(self, meters: Sequence[MeterName]) -> Sequence[Mapping[int, int]]:
        if not meters:
            return []
        return [_days(flat) for flat in await self._link.pipeline([("HGETALL", self._key(meter)) for meter in meters])]

    def _key(self, meter: MeterName) -> str:
        plan, key = meter
        return f"{self._link.prefix}:{{usage:{quote(plan, safe='')}/{quote(key, safe='')}}}"

    def _granted(self, answer: Any) -> Granted:
        if isinstance(answer, Exception):
            raise RegistryAway(f"Redis at {self._link.target}: {self._link.reason(answer)}") from answer
        granted, used, mark = answer
        return Granted(int(granted), int(used), mark.decode())


def _words(claim: Claim) -> tuple[str | int, ...]:
    limit = "" if claim.limit is None else claim.limit
    counts = claim.offset, claim.wanted, claim.seen, claim.spent
    return claim.day, claim.first, limit, *counts, USAGE_DAYS, claim.mark, secrets.token_hex(8)


def _days(found: Any) -> dict[int, int]:
    """A hash as redis-py gives it, without what is no day's."""
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    days: dict[int, int] = {}
    for day, used in pairs:
        with suppress(ValueError):  # `first` and `mark`
            days[int(day)] = int(used)
    return days
