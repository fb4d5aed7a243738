"""Observed: what an access log, traces that are not sampled and scrapes leave of the rate of relayed messages.

Counting can't be turned off: both gateways count, and of one nobody reads it. Each run has a gateway of its own: of two
processes that do the same, one may be 10 % faster than the other for as long as they live.
"""

import http.client
import threading
from collections.abc import Callable
from functools import partial

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.results import Row
from loadtest.scenarios.relay import ARGUMENTS, DEFINITION
from loadtest.scenarios.versus import versus

FORMAT = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime",'
    '"routeKey":"$context.routeKey","eventType":"$context.eventType","status":"$context.status",'
    '"connectionId":"$context.connectionId","integrationLatency":"$context.integrationLatency"}'
)
STAGE = 'dev: {stageVariables: {backend: "@backend@"}}'
LOGGED = f"dev: {{stageVariables: {{backend: \"@backend@\"}}, accessLogSettings: {{format: '{FORMAT}'}}}}"
PLAIN, WATCHED = "nobody looks", "observed"
THRESHOLD = 0.85
SCRAPED_SECONDS = 1.0
"""Between two scrapes: often, as Prometheus goes."""


class Observed:
    """A gateway and a backend for each run."""

    name = "observed"
    about = "messages with an access log, unsampled traces and scrapes against messages without"

    def steps(self, options: Options) -> int:
        """Two a pair."""
        return 2 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        ways: dict[str, Callable[[], Sample]] = {PLAIN: partial(_plain, bench), WATCHED: partial(_observed, bench)}
        return versus(bench, self.name, ways, unit="messages", threshold=THRESHOLD)


def _plain(bench: Bench) -> Sample:
    with bench.lab() as lab:
        return _relay(bench, lab, lab.gateway(DEFINITION.replace("@backend@", _backend(lab))))


def _observed(bench: Bench) -> Sample:
    assert STAGE in DEFINITION
    with bench.lab() as lab:
        server = lab.gateway(
            DEFINITION.replace(STAGE, LOGGED).replace("@backend@", _backend(lab)),
            "--access-log",
            str(lab.folder / "access.rows"),
            environ={
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{lab.refusing_port()}",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0",
            },
        )
        return _scraped(bench, lab, server)


def _backend(lab: Lab) -> str:
    return f"127.0.0.1:{lab.backend().port}"


def _relay(bench: Bench, lab: Lab, server: Server) -> Sample:
    options = bench.options
    words = {
        "--connections": options.connections or 64,
        "--depth": options.depth,
        "--size": options.size,
        "--seconds": options.seconds,
        "--warmup": options.warmup,
    }
    limit = 120 + options.warmup + options.seconds
    return drive(lab, server, "load", [*flags(words), *ARGUMENTS], limit)


def _scraped(bench: Bench, lab: Lab, server: Server) -> Sample:
    """One run, with somebody who reads the metrics all the while."""
    over = threading.Event()
    reader = threading.Thread(target=_scrape, args=(server.internal_port, over), daemon=True)
    reader.start()
    try:
        return _relay(bench, lab, server)
    finally:
        over.set()
        reader.join()


def _scrape(port: int, over: threading.Event) -> None:
    while not over.wait(SCRAPED_SECONDS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        connection.close()


OBSERVED = Observed()
