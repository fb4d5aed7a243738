"""A push through a node that does not hold the connection, beside the same push through the one that does."""

from dataclasses import dataclass, replace

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples
from loadtest.scenarios.push import DEFINITION

OWNER = "through the owner"
OTHER = "through another node"
ALONE = ", one at a time"
CPU_TARGET = 2.5
P50_TARGET = 3.0


@dataclass(frozen=True, slots=True)
class Way:
    """Whom pushes are sent to, and how many at a time."""

    label: str
    server: Server
    posters: int


class Hop:
    """Two nodes with one Redis; the clients are all on the first. CPU is that of both nodes."""

    name = "hop"
    about = "a push through another node against a push through the owner"

    def steps(self, options: Options) -> int:
        """Both ways, crowded and alone, in each pair."""
        return 4 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        kept: dict[str, list[Sample]] = {}
        with bench.lab() as lab:
            owner, other = two_nodes(lab)
            ways = [
                Way(OWNER, owner, 64),
                Way(OTHER, other, 64),
                Way(OWNER + ALONE, owner, 1),
                Way(OTHER + ALONE, other, 1),
            ]
            for number in range(bench.options.pairs):
                for way in ways if number % 2 == 0 else reversed(ways):
                    with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {way.label}"):
                        kept.setdefault(way.label, []).append(measure(bench, lab, self.name, way))
        return _rows(kept)


def two_nodes(lab: Lab) -> tuple[Server, Server]:
    """The same clients' side and CPU twice: with pushes to the owner, and to the other node."""
    redis = lab.redis()
    definition = DEFINITION.replace("@backend@", f"127.0.0.1:{lab.backend().port}")
    first = lab.gateway(definition, "--redis-url", redis)
    second = lab.gateway(definition, "--redis-url", redis)
    owner = replace(first, beside=(second,))
    return owner, replace(owner, internal_port=second.internal_port)


def measure(bench: Bench, lab: Lab, scenario: str, way: Way) -> Sample:
    """One run of pushes."""
    options = bench.options
    common = {
        "--connections": options.connections or 64,
        "--posters": way.posters,
        "--size": options.size,
        "--seconds": options.seconds,
        "--warmup": options.warmup,
    }
    words = flags(common)
    sample = drive(lab, way.server, "push", words, 120 + options.warmup + options.seconds)
    bench.keep(scenario, way.label, sample)
    return sample


def _rows(kept: dict[str, list[Sample]]) -> list[Row]:
    rows = []
    for label, samples in kept.items():
        alone = label.endswith(ALONE)
        costs = [_cost(sample, alone) for sample in samples]
        ratio = target = met = None
        if label.startswith(OTHER):
            against = [_cost(sample, alone) for sample in kept[label.replace(OTHER, OWNER)]]
            ratio = Quartiles.of([there / here for there, here in zip(costs, against, strict=True)])
            bound = P50_TARGET if alone else CPU_TARGET
            target = f"≤ {bound:g} times through the owner"
            met = ratio.median <= bound and not any(sample.errors for sample in samples)
        measure = "µs p50" if alone else "µs of all nodes' CPU per push"
        row = row_of_samples(
            samples,
            scenario=HOP.name,
            server=label,
            measure=measure,
            values=costs,
            ratio=ratio,
            target=target or "",
            met=met,
        )
        rows.append(row)
    return rows


def _cost(sample: Sample, alone: bool) -> float:
    return sample.p50_us if alone else 1e6 * sample.server_cpu / max(1, sample.completed)


HOP = Hop()
