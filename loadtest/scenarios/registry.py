"""Connect rate with Redis, where each connection whose $disconnect must be run leaves a record, beside `memory://`."""

from functools import partial

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.results import Row
from loadtest.scenarios.connect import DEFINITION as HANDSHAKES
from loadtest.scenarios.versus import versus

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
        with bench.lab() as lab:
            memory = lab.gateway(DEFINITION)
            redis = lab.gateway(DEFINITION, "--redis-url", lab.redis())
            ways = {MEMORY: partial(connect, bench, lab, memory), REDIS: partial(connect, bench, lab, redis)}
            return versus(bench, self.name, ways, unit="handshakes", threshold=THRESHOLD)


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
