"""Samples as text, read by prometheus_client's parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from wsgateway.tally import BOUNDS, Histogram
from wsgateway.telemetry.catalog.base import counter, gauge, histogram
from wsgateway.telemetry.text import text_of


def read(*parts: str) -> Family:
    (family,) = text_string_to_metric_families("".join(parts))
    return family


@given(st.tuples(st.text(), st.text()), st.floats(allow_nan=False))
def test_whatever_a_label_and_a_value_are_is_read_again(labels: tuple[str, str], value: float) -> None:
    family = read(*text_of(gauge("x", "X.", "one", "other", worry="", act=""), {labels: value}))

    (sample,) = family.samples
    assert sample.labels == {"one": labels[0], "other": labels[1]}
    assert sample.value == value


def test_a_counter_has_its_name_and_its_labels_in_order() -> None:
    metric = counter("calls_total", "Calls.", "service", "action", worry="", act="")

    assert "".join(text_of(metric, {("sqs", "SendMessage"): 2})) == (
        "# HELP wsgateway_calls_total Calls.\n# TYPE wsgateway_calls_total counter\n"
        'wsgateway_calls_total{action="SendMessage",service="sqs"} 2.0\n'
    )


@given(st.lists(st.floats(0, 100)))
def test_the_buckets_of_a_histogram_hold_those_below(times: list[float]) -> None:
    made = Histogram()
    for seconds in times:
        made.add(seconds)
    family = read(
        *text_of(histogram("x_seconds", "X.", "api", "stage", "route", worry="", act=""), {("a", "b", "c"): made})
    )

    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert buckets.pop("+Inf") == len(times)
    assert {float(bound): number for bound, number in buckets.items()} == {
        bound: sum(seconds <= bound for seconds in times) for bound in BOUNDS
    }
    rest = {sample.name: sample.value for sample in family.samples if "le" not in sample.labels}
    assert rest == {"wsgateway_x_seconds_count": len(times), "wsgateway_x_seconds_sum": made.seconds}
