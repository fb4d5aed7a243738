"""Every metric, in one table: pages of metrics, the reference and the sums over workers are made from it."""

from wsgateway.telemetry.catalog.access import ACCESS
from wsgateway.telemetry.catalog.backends import BACKENDS
from wsgateway.telemetry.catalog.base import PREFIX, Metric, Section
from wsgateway.telemetry.catalog.clients import CLIENTS
from wsgateway.telemetry.catalog.nodes import NODES
from wsgateway.telemetry.catalog.process import PROCESS, WORKERS
from wsgateway.telemetry.catalog.traffic import TRAFFIC

SECTIONS = (CLIENTS, TRAFFIC, BACKENDS, ACCESS, NODES, PROCESS, WORKERS)
OF_NODE = tuple(metric for section in SECTIONS if section is not WORKERS for metric in section.metrics)
"""What every node has."""
BY_NAME = {metric.full_name: metric for section in SECTIONS for metric in section.metrics}

__all__ = ["BY_NAME", "OF_NODE", "PREFIX", "SECTIONS", "WORKERS", "Metric", "Section"]
