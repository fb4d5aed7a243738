"""A burst, then a rate."""

from __future__ import annotations

from wsgateway.dataplane.allowance import Allowance


def test_a_burst_then_so_many_a_second() -> None:
    allowance = Allowance(rate=2.0, burst=3.0)

    assert [allowance.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.take(10.5)
    assert not allowance.take(10.5)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False], "it never grows past the burst"
