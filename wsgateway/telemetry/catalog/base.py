"""What is said of one metric: what it is, when it is a bad sign, and what to do then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

PREFIX = "wsgateway_"

Join = Callable[[float, float], float]
"""What the values that two workers have of one gauge make together."""


def added(one: float, other: float) -> float:
    """Together they have the sum."""
    return one + other


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `name` is without PREFIX; labels take their values from definitions and from the code alone."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    """What it is, as a page of metrics says it."""
    worry: str
    """When an operator should look at it."""
    act: str
    """And what to do then; Markdown, with links seen from docs/."""
    join: Join = added

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics that belong together, under a heading of the reference."""

    title: str
    metrics: tuple[Metric, ...]


def counter(name: str, text: str, *labels: str, worry: str, act: str) -> Metric:
    """A number that only grows while the process lives; of several workers the sum."""
    return Metric(name=name, kind="counter", labels=labels, help=text, worry=worry, act=act)


def gauge(name: str, text: str, *labels: str, worry: str, act: str, join: Join = added) -> Metric:
    """A number that comes and goes."""
    return Metric(name=name, kind="gauge", labels=labels, help=text, worry=worry, act=act, join=join)


def histogram(name: str, text: str, *labels: str, worry: str, act: str) -> Metric:
    """How many there were up to each bound, and their sum."""
    return Metric(name=name, kind="histogram", labels=labels, help=text, worry=worry, act=act)
