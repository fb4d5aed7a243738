"""What every scenario is given: the options, the progress bar, and a place to leave notes and samples."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.lab import Lab
from loadtest.measure import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    pairs: int
    seconds: float
    warmup: float
    size: int
    connections: int | None
    depth: int
    rate: float | None
    gateway_command: str | None
    self_check: bool


@dataclass(slots=True)
class Bench:
    """One call of the load test."""

    options: Options
    announce: Callable[[str], None]
    """Shows what is being measured."""
    advance: Callable[[], None]
    """One step is done."""
    notes: list[str] = field(default_factory=list)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def lab(self, *, punctual: bool = False) -> Lab:
        """Processes that end with the `with` block."""
        return Lab(self.options.gateway_command, punctual=punctual)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """One measurement, shown in the progress bar."""
        self.announce(text)
        yield
        self.advance()

    def note(self, text: str) -> None:
        """Something the reader of the table must know; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def keep(self, scenario: str, server: str, sample: Sample | dict[str, Any]) -> None:
        """Keep the raw figures for the JSON."""
        figures = asdict(sample) if isinstance(sample, Sample) else sample
        self.samples.setdefault(f"{scenario}: {server}", []).append(figures)
