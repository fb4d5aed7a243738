"""`/metrics`: the node's plain integers as Prometheus samples, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from wsgateway.telemetry.base import Values
from wsgateway.telemetry.catalog import OF_NODE
from wsgateway.telemetry.text import text_of

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Renders the samples of one node, with the process's own (memory, CPU, file descriptors).

    `values` gives what the metrics of the catalog have now; `shown` is told of every page before it is seen.
    """

    def __init__(self, values: Callable[[], Values], shown: Callable[[bytes], None] | None = None) -> None:
        self._values = values
        self._shown = shown
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    def render(self) -> bytes:
        values = self._values()
        parts: list[str] = []
        for metric in OF_NODE:
            value = values.get(metric.name)
            if value is not None:
                parts.extend(text_of(metric, value))
        page = "".join(parts).encode() + generate_latest(self._process)
        if self._shown is not None:
            self._shown(page)
        return page
