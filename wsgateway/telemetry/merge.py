"""Several workers' pages of metrics as one: counters and histograms are summed, and gauges as the catalog says.

A page is read line by line, as `text` and `process` write it. prometheus_client's parser knows all that others write,
and takes 22 s for two workers with 3,000 routes; this takes half a second.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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

COUNTS = ("counter", "histogram")
MOST_PAGE_BYTES = 64 << 20
"""Of one worker's page; one with 10,000 routes in use has 41 MB."""


@dataclass(slots=True)
class Family:
    """What a page says of one metric."""

    name: str
    kind: str
    head: str
    """Its lines of HELP and TYPE."""
    samples: dict[str, float] = field(default_factory=dict)
    """By name and labels, as they stand there."""

    @property
    def join(self) -> Join:
        """What several workers' values make together."""
        if self.kind in COUNTS:
            return added
        ours = BY_NAME.get(self.name)
        return PROCESS.get(self.name, added) if ours is None else ours.join

    def add(self, other: Family) -> None:
        join, samples = self.join, self.samples
        for series, value in other.samples.items():
            before = samples.get(series)
            samples[series] = value if before is None else join(before, value)


class Merged:
    """Pages added one by one; `only_counts` keeps what goes on counting when a process is gone."""

    def __init__(self, *, only_counts: bool = False) -> None:
        self._only_counts = only_counts
        self._families: dict[str, Family] = {}

    def add(self, page: bytes) -> None:
        """*Raises* ValueError where it is no page of metrics."""
        for family in list(families(page.decode())):  # all of it, or nothing
            if family.kind not in COUNTS and self._only_counts:
                continue
            known = self._families.setdefault(family.name, family)
            if known is not family:
                known.add(family)

    def render(self) -> bytes:
        """One page of all of them."""
        parts: list[str] = []
        for family in self._families.values():
            parts.append(family.head)
            parts += [f"{series} {value}\n" for series, value in family.samples.items()]
        return "".join(parts).encode()


def families(page: str) -> Iterator[Family]:
    """The metrics of a page in Prometheus' text format 0.0.4. *Raises* ValueError where it is none of ours."""
    family, text = Family("", "", ""), ""
    for line in page.split("\n"):
        if line.startswith("# HELP "):
            text = f"{line}\n"
        elif line.startswith("# TYPE "):
            if family.name:
                yield family
            name, kind = line[7:].split(" ")
            family, text = Family(name, kind, f"{text}{line}\n"), ""
        elif line:
            series, _, value = line.rpartition(" ")
            if not family.name or not series.startswith(family.name):
                raise ValueError(f"no sample of {family.name or 'any metric'}: {line[:64]!r}")
            family.samples[series] = float(value)
    if family.name:
        yield family


def packed(page: bytes) -> bytes:
    """A page as processes keep it: a thirtieth."""
    return zlib.compress(page, 1)


def unpacked(data: bytes) -> bytes:
    """*Raises* ValueError where that is no packed page."""
    undo = zlib.decompressobj()
    try:
        page = undo.decompress(data, MOST_PAGE_BYTES)
    except zlib.error as error:
        raise ValueError(f"no packed page: {error}") from error
    if not undo.eof:
        raise ValueError(f"no packed page: it is torn, or has more than {MOST_PAGE_BYTES} bytes")
    return page
