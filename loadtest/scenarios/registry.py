"""Connect rate with Redis, where each connection whose $disconnect must be run leaves a record, beside `memory://`."""

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples
from loadtest.scenarios.connect import DEFINITION as HANDSHAKES

DEFINITION = f"{HANDSHAKES}      $disconnect: {{integration: accept}}\n"
MEMORY = "memory://"
REDIS = "redis://"
THRESHOLD = 0.7
ROUND = 1000


class Registry:
    """Two gateways, one with Redis. CPU is the gateway's alone."""

    name = "registry"
    about = "handshakes with Redis, a record each, against handshakes with memory://"

    def steps(self, options: Options) -> int:
        """Two a pair."""
        return 2 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        kept: dict[str, list[Sample]] = {MEMORY: [], REDIS: []}
        with bench.lab() as lab:
            servers = {
                MEMORY: lab.gateway(DEFINITION),
                REDIS: lab.gateway(DEFINITION, "--redis-url", lab.redis()),
            }
            for number in range(bench.options.pairs):
                for label in (MEMORY, REDIS) if number % 2 == 0 else (REDIS, MEMORY):
                    with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {label}"):
                        kept[label].append(connect(bench, lab, servers[label]))
                        bench.keep(self.name, label, kept[label][-1])
        ratio = Quartiles.of(
            [
                ours.per_cpu_second / theirs.per_cpu_second
                for ours, theirs in zip(kept[REDIS], kept[MEMORY], strict=True)
            ]
        )
        return [
            row_of_samples(
                samples,
                scenario=self.name,
                server=label,
                measure="handshakes per server CPU-second",
                values=[sample.per_cpu_second for sample in samples],
                ratio=ratio if label == REDIS else None,
                target=f"≥ {THRESHOLD:g} times memory://" if label == REDIS else "",
                met=ratio.median >= THRESHOLD and not any(s.errors for s in samples) if label == REDIS else None,
            )
            for label, samples in kept.items()
        ]


def connect(bench: Bench, lab: Lab, server: Server) -> Sample:
    """One run of handshakes."""
    options = bench.options
    common = {
        "--connections": options.connections or ROUND,
        "--seconds": options.seconds,
        "--warmup": options.warmup,
    }
    words = flags(common)
    return drive(lab, server, "connect", words, 120 + options.warmup + 30 * options.seconds)


REGISTRY = Registry()
