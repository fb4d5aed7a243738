"""Two ways for the gateway to do the same, turn by turn: the scenarios that ask what a feature leaves of the rate."""

from collections.abc import Callable, Mapping

from loadtest.bench import Bench
from loadtest.measure import Sample
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples


def versus(
    bench: Bench, name: str, ways: Mapping[str, Callable[[], Sample]], *, unit: str, threshold: float
) -> list[Row]:
    """Measure the ways, the plain one first, in pairs whose order alternates; the ratio is the other's to its rate."""
    plain, other = ways
    kept: dict[str, list[Sample]] = {plain: [], other: []}
    for number in range(bench.options.pairs):
        for label in (plain, other) if number % 2 == 0 else (other, plain):
            with bench.step(f"{name} {number + 1}/{bench.options.pairs}: {label}"):
                kept[label].append(ways[label]())
                bench.keep(name, label, kept[label][-1])
    ratio = Quartiles.of(
        [ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in zip(kept[other], kept[plain], strict=True)]
    )
    return [
        row_of_samples(
            samples,
            scenario=name,
            server=label,
            measure=f"{unit} per server CPU-second",
            values=[sample.per_cpu_second for sample in samples],
            ratio=ratio if label == other else None,
            target=f"≥ {threshold:g} times {plain}" if label == other else "",
            met=ratio.median >= threshold and not any(s.errors for s in samples) if label == other else None,
        )
        for label, samples in kept.items()
    ]
