"""Several workers' pages of metrics as one: counters and histograms are summed, and gauges as the catalog says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from wsgateway.telemetry.catalog import BY_NAME
from wsgateway.telemetry.catalog.base import Join, added

PROCESS: Mapping[str, Join] = {
    "process_max_fds": min,
    "process_open_fds": max,  # each may open so many, so that their share of that is the fullest one's
    "process_resident_memory_bytes": added,
    "process_start_time_seconds": min,
    "process_virtual_memory_bytes": added,
    "python_info": max,
}
"""What becomes of a gauge of processes that several have; the catalog says it of ours."""


def join_of(family: Metric) -> Join:
    """What several workers' values of a family make together."""
    if family.type in COUNTS:
        return added
    ours = BY_NAME.get(family.name)
    return PROCESS.get(family.name, added) if ours is None else ours.join


COUNTS = ("counter", "histogram")

Key = tuple[str, tuple[tuple[str, str], ...]]


class Merged:
    """Pages added one by one; `only_counts` keeps what goes on counting when a process is gone."""

    def __init__(self, *, only_counts: bool = False) -> None:
        self._only_counts = only_counts
        self._families: dict[str, Metric] = {}
        self._samples: dict[str, dict[Key, float]] = {}

    def add(self, page: bytes) -> None:
        """*Raises* ValueError where it is no page of metrics."""
        for family in list(text_string_to_metric_families(page.decode())):  # all of it, or nothing
            if family.type in COUNTS or not self._only_counts:
                self._families.setdefault(family.name, family)
                self._add(family, join_of(family))

    def _add(self, family: Metric, join: Join) -> None:
        samples = self._samples.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            before = samples.get(key)
            samples[key] = sample.value if before is None else join(before, sample.value)

    def collect(self) -> Iterator[Metric]:
        """As a collector of prometheus_client."""
        for name, family in self._families.items():
            whole = Metric(name, family.documentation, family.type)
            whole.samples = [Sample(key[0], dict(key[1]), value) for key, value in self._samples[name].items()]
            yield whole

    def render(self) -> bytes:
        """One page of all of them."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)
