"""Median with quartiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.quartiles import Quartiles


def test_quartiles_of_an_odd_number_are_among_the_values() -> None:
    assert Quartiles.of([5, 1, 4, 2, 3]) == Quartiles(2, 3, 4)


def test_a_single_value_is_all_three() -> None:
    assert Quartiles.of([0.7]) == Quartiles(0.7, 0.7, 0.7)


def test_nothing_has_no_quartiles() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Quartiles.of([])


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_quartiles_are_ordered_and_within_the_values(values: list[float]) -> None:
    found = Quartiles.of(values)

    slack = max(values) * 1e-9
    assert min(values) - slack <= found.low <= found.median + slack
    assert found.median - slack <= found.high <= max(values) + slack
