"""Days and periods of quotas, in UTC: a day begins at 00:00, a week on Sunday, a month on its first.

Where a week begins: AWS::ApiGateway::UsagePlan QuotaSettings, "an offset of 0 starts on Sunday".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

Period = Literal["DAY", "WEEK", "MONTH"]
DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SUNDAY = 3
"""1970-01-04."""


def day_of(now: float) -> int:
    """The day of a Unix time, counted from 1970-01-01."""
    return int(now // DAY)


def first_day(period: Period, day: int) -> int:
    """The first day of the period that `day` is in."""
    match period:
        case "DAY":
            return day
        case "WEEK":
            return day - (day - _FIRST_SUNDAY) % 7
        case "MONTH":
            return day - (_EPOCH + timedelta(day)).day + 1
        case _:
            assert_never(period)


def date_of(day: int) -> str:
    """2026-11-23."""
    return f"{_EPOCH + timedelta(day):%Y-%m-%d}"


def day_from(date: str) -> int:
    """Which day 2026-11-23 is. *Raises* ValueError for what is no such date."""
    if len(date) != len("YYYY-MM-DD"):
        raise ValueError("a date is written YYYY-MM-DD")
    return (datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC) - _EPOCH).days
