"""What is counted of each route."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import AccessDenied, BadGateway, Throttled
from wsgateway.tally import BOUNDS, Histogram, Routes, Tallies, Tally


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_each_time_in_the_first_bucket_that_holds_it(times: list[float]) -> None:
    histogram = Histogram()
    for seconds in times:
        histogram.add(seconds)

    assert sum(histogram.counts) == len(times)
    for number, bound in enumerate(BOUNDS):
        assert sum(histogram.counts[: number + 1]) == sum(seconds <= bound for seconds in times)
    assert histogram.seconds == pytest.approx(sum(times))


def test_a_message_is_counted_with_both_its_times() -> None:
    tally = Tally()
    tally.landed(0.02, 0.004)
    tally.over(3.0)

    assert (sum(tally.latency.counts), tally.latency.seconds) == (2, 3.02)
    assert (sum(tally.integration_latency.counts), tally.integration_latency.seconds) == (1, 0.004)
    assert tally.latency.counts[BOUNDS.index(0.025)] == tally.latency.counts[BOUNDS.index(5.0)] == 1


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        pytest.param(AccessDenied(), (1, 0, 0), id="no route"),
        pytest.param(Throttled(), (1, 0, 0), id="throttled"),
        pytest.param(BadGateway(), (0, 0, 1), id="no answer"),
        pytest.param(RuntimeError(), (0, 0, 1), id="our own fault"),
        pytest.param((404, False), (0, 1, 0), id="the backend's 404"),
        pytest.param((503, False), (0, 1, 0), id="the backend's 503"),
        pytest.param((403, True), (1, 0, 0), id="a function's 403"),
        pytest.param((503, True), (0, 0, 1), id="a function's 503"),
    ],
)
def test_errors_have_the_classes_that_aws_counts(
    fault: Exception | tuple[int, bool], counted: tuple[int, int, int]
) -> None:
    """API Gateway developer guide, "Monitor WebSocket API execution with CloudWatch metrics"."""
    tally = Tally()
    if isinstance(fault, tuple):
        tally.refused(fault[0], by_function=fault[1])
    else:
        tally.failed(fault)

    assert (tally.client_errors, tally.integration_errors, tally.execution_errors) == counted


def test_a_route_keeps_its_tally() -> None:
    tallies = Tallies()
    tallies["chat", "dev"]["say"].over(1.0)

    assert sum(tallies["chat", "dev"]["say"].latency.counts) == 1
    assert list(tallies) == [("chat", "dev")]


def test_what_is_counted_together_changes_and_nothing_counted_is_lost() -> None:
    routes = Routes()
    routes["say"].over(1.0)
    routes.share({"say", "join"})
    before = routes["say"]
    before.over(1.0)
    routes["join"].over(1.0)
    routes["ping"].over(1.0)
    routes.share(())
    routes["join"].over(1.0)
    before.over(1.0)  # an event that began before

    assert {name: sum(tally.latency.counts) for name, tally in routes.kept.items()} == {
        "say": 1, "": 3, "ping": 1, "join": 1,
    }  # fmt: skip
    assert [tally.route for tally in routes.kept.values()] == list(routes.kept)
