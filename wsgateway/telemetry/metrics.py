"""`/metrics`: the node's plain integers as Prometheus samples, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from wsgateway.tally import BOUNDS, Histogram
from wsgateway.telemetry.base import Table, Values
from wsgateway.telemetry.catalog import OF_NODE, Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Renders the samples of one node, with the process's own (memory, CPU, file descriptors).

    `values` gives what the metrics of the catalog have now; `shown` is told of every page before it is seen.
    """

    def __init__(self, values: Callable[[], Values], shown: Callable[[bytes], None] | None = None) -> None:
        self._values = values
        self._shown = shown
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self) -> bytes:
        page = generate_latest(self._registry)
        if self._shown is not None:
            self._shown(page)
        return page

    def collect(self) -> Iterator[Family]:
        """As a collector of prometheus_client."""
        values = self._values()
        for metric in OF_NODE:
            value = values.get(metric.name)
            if value is not None:
                yield family_of(metric, value)


def family_of(metric: Metric, value: float | Histogram | Table) -> Family:
    """The samples of one metric."""
    family = Family(metric.full_name.removesuffix("_total"), metric.help, metric.kind)
    family.samples = list(_samples(metric, value))
    return family


def _samples(metric: Metric, value: float | Histogram | Table) -> Iterator[Sample]:
    if not isinstance(value, Mapping):
        yield from _of_one(metric.full_name, {}, value)
        return
    table: Mapping[Any, float | Histogram] = value  # all keys of one table are alike
    for key, one in sorted(table.items(), key=itemgetter(0)):
        labels = (key,) if isinstance(key, str) else key
        yield from _of_one(metric.full_name, dict(zip(metric.labels, labels, strict=True)), one)


def _of_one(name: str, labels: dict[str, str], value: float | Histogram) -> Iterator[Sample]:
    if not isinstance(value, Histogram):
        yield Sample(name, labels, float(value))
        return
    number = 0
    for bound, count in zip(_BOUNDS, value.counts, strict=True):
        number += count
        yield Sample(f"{name}_bucket", {**labels, "le": bound}, number)
    yield Sample(f"{name}_count", labels, number)
    yield Sample(f"{name}_sum", labels, value.seconds)


_BOUNDS = (*map(floatToGoString, BOUNDS), "+Inf")
