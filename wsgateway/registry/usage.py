"""What is used of quotas, counted over all nodes: the Protocol of the store behind them, and the one in memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

USAGE_DAYS = 100
"""So many days what was used is known. (AWS's GetUsage tells of 90.)"""
MeterName = tuple[str, str]
"""Whose use is counted: a usage plan, and one of its API keys, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a node asks of one meter. Days are counted from 1970-01-01, in UTC."""

    meter: MeterName
    day: int
    """On which it counts."""
    first: int
    """The first day of the period that the quota is for; at most 31 days before `day`."""
    limit: int | None
    """What may be used in the period; None: as much as anybody likes."""
    offset: int = 0
    """What the period has less if the meter was never used before it."""
    wanted: int
    seen: int
    """What the node knew to be used in the period: less can't have been if the store forgot it, which `mark` tells."""
    mark: str = ""
    """That of the last answer about this meter."""
    spent: int = 0
    """What was used without being asked for; that counts, too, and first. Below 0: what was granted and is given back;
    no more of it counts than was used on the day."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a node gets of a meter."""

    granted: int
    used: int
    """In the period, with what is granted."""
    mark: str
    """The store's for this meter: another one where it forgot all of it in between."""


class Usage(Protocol):
    """What was used of quotas, by meter and day; known for USAGE_DAYS, then forgotten."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Granted]:
        """The answer to each. Never is more granted than `limit` leaves of what all nodes were granted and have spent.

        Where the answer is lost, what it granted counts as used. *Raises* RegistryAway where the store can't be
        reached within 250 ms, or refuses.
        """

    async def read(self, meters: Sequence[MeterName]) -> Sequence[Mapping[int, int]]:
        """What was used of each, by day; what nodes have been granted and hold still counts as used.

        *Raises* RegistryAway.
        """


class MemoryUsage:
    """Usage of a single node, in its own memory; it ends with the process."""

    def __init__(self) -> None:
        self._days: dict[MeterName, dict[int, int]] = {}
        self._first: dict[MeterName, int] = {}
        self._mark = secrets.token_hex(8)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Granted]:
        return [self._claim(claim) for claim in claims]

    def _claim(self, claim: Claim) -> Granted:
        days = self._days.setdefault(claim.meter, {})
        first_used = self._first.get(claim.meter, claim.day)
        known = sum(used for day, used in days.items() if claim.first <= day <= claim.day)
        used = known if claim.mark == self._mark else max(known, claim.seen)
        used = max(used + claim.spent, known - days.get(claim.day, 0))
        granted = claim.wanted
        if claim.limit is not None:
            left = claim.limit - used - (claim.offset if first_used >= claim.first else 0)
            granted = max(0, min(granted, left))
        used += granted
        if used != known:
            days[claim.day] = days.get(claim.day, 0) + used - known
            self._first.setdefault(claim.meter, claim.day)
            for day in [day for day in days if day <= claim.day - USAGE_DAYS]:
                del days[day]
        return Granted(granted, used, self._mark)

    async def read(self, meters: Sequence[MeterName]) -> Sequence[Mapping[int, int]]:
        return [dict(self._days.get(meter, ())) for meter in meters]
