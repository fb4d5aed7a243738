"""`/metrics`: the node's plain integers as Prometheus samples, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.samples import Sample

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


def family_of(metric: Metric, value: float | Table) -> Family:
    """The samples of one metric."""
    family = Family(metric.full_name.removesuffix("_total"), metric.help, metric.kind)
    family.samples = list(_samples(metric, value))
    return family


def _samples(metric: Metric, value: float | Table) -> Iterator[Sample]:
    if not isinstance(value, Mapping):
        yield Sample(metric.full_name, {}, float(value))
        return
    for key, number in sorted(value.items()):
        labels = (key,) if isinstance(key, str) else key
        yield Sample(metric.full_name, dict(zip(metric.labels, labels, strict=True)), number)
