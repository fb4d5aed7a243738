"""Several workers' pages of metrics as one: counters and histograms are summed, and gauges as the table here says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

Join = Callable[[float, float], float]


def _sum(one: float, other: float) -> float:
    return one + other


GAUGES: Mapping[str, Join] = {
    "process_max_fds": min,
    "process_open_fds": _sum,
    "process_resident_memory_bytes": _sum,
    "process_start_time_seconds": min,
    "process_virtual_memory_bytes": _sum,
    "python_info": max,
    "wsgateway_authorizer_answers": _sum,
    "wsgateway_aws_credentials_valid": min,
    "wsgateway_broker_up": min,
    "wsgateway_build_info": max,
    "wsgateway_certificate_expires_timestamp_seconds": min,
    "wsgateway_circuit_breaker_state": max,
    "wsgateway_connections": _sum,
    "wsgateway_connections_limit": _sum,
    "wsgateway_definition_mismatch": max,
    "wsgateway_definition_rolled_back": max,
    "wsgateway_definition_valid": min,
    "wsgateway_definitions": max,
    "wsgateway_disconnects_running": _sum,
    "wsgateway_disconnects_waiting": _sum,
    "wsgateway_draining": min,  # while one of them takes clients they don't drain
    "wsgateway_integration_retries_waiting": _sum,
    "wsgateway_limits_alone": max,
    "wsgateway_nodes": max,
    "wsgateway_publishes_pending": _sum,
    "wsgateway_records": _sum,
    "wsgateway_registry_up": min,
    "wsgateway_tails": _sum,
}
"""What becomes of a gauge that several have. A test finds those that are missing; here they are summed."""

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
            counts = family.type in ("counter", "histogram")
            if counts or not self._only_counts:
                self._families.setdefault(family.name, family)
                self._add(family, _sum if counts else GAUGES.get(family.name, _sum))

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

    def render(self, further: Iterable[Metric] = ()) -> bytes:
        """One page of all of them, and of `further` families."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*self.collect(), *further]))
        return generate_latest(registry)


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
