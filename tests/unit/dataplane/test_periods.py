"""Days and periods of quotas."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.periods import Period, date_of, day_from, day_of, first_day

days = st.integers(0, 60_000)


@pytest.mark.parametrize(
    ("period", "date", "begins", "ends"),
    [
        pytest.param("DAY", "2026-11-23", "2026-11-23", "2026-11-24", id="a day"),
        pytest.param("WEEK", "2026-11-22", "2026-11-22", "2026-11-29", id="a week's Sunday"),
        pytest.param("WEEK", "2026-11-28", "2026-11-22", "2026-11-29", id="a week's Saturday"),
        pytest.param("MONTH", "2028-02-29", "2028-02-01", "2028-03-01", id="a leap year's February"),
        pytest.param("MONTH", "2026-12-31", "2026-12-01", "2027-01-01", id="the end of a year"),
    ],
)
def test_where_periods_begin(period: Period, date: str, begins: str, ends: str) -> None:
    day = day_from(date)

    assert date_of(first_day(period, day)) == begins
    assert date_of(first_day(period, day_from(ends))) == ends


@given(day=days, period=st.sampled_from(get_args(Period)))
def test_each_day_is_in_one_period(day: int, period: Period) -> None:
    first = first_day(period, day)

    assert first <= day
    assert {first_day(period, each) for each in range(first, day + 1)} == {first}
    assert first_day(period, day + 1) in (first, day + 1)


@given(days)
def test_days_are_those_of_the_calendar(day: int) -> None:
    said = date_of(day)

    assert date.fromisoformat(said) == date(1970, 1, 1) + timedelta(day)
    assert day_from(said) == day
    midnight = datetime.fromisoformat(said).replace(tzinfo=UTC).timestamp()
    assert (day_of(midnight - 1), day_of(midnight), day_of(midnight + 86_399)) == (day - 1, day, day)


@given(st.text())
def test_what_is_no_date_is_refused(text: str) -> None:
    try:
        day = day_from(text)
    except ValueError:
        return
    assert date_of(day) == text
