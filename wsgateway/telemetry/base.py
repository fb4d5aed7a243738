"""What telemetry reads of a node: numbers, taken at scrape time."""

from __future__ import annotations

from collections.abc import Mapping

from wsgateway.tally import Histogram

Table = (
    Mapping[str, float]
    | Mapping[tuple[str, str], float]
    | Mapping[tuple[str, str, str], float]
    | Mapping[tuple[str, str, str, str], float]
    | Mapping[tuple[str, str, str], Histogram]
)
"""Numbers by the value of a metric's label, or by those of its labels; or histograms."""

Value = float | Histogram | Table | None
"""What a metric has now; None where the node has no such thing."""

Values = Mapping[str, Value]
"""By the metric's name. One that is missing is like None."""
