"""Neighbours: what one slow or abusive client or backend does to the others' latency.

Well-behaved clients send at a steady rate, whether or not answers come (an open loop). Each round measures them once in
peace and once beside each kind of abuse; the ratio is that of the two p99 of the same round.
"""

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples
from loadtest.scenarios.paired import SELF_CHECK

# What driver.c calls them, and what they are.
ABUSES = {
    "slow-client": "a client that sends 16 KiB messages and never reads",
    "flood": "a client that sends without waiting for replies",
    "garbage": "a client that sends a malformed frame, reconnects, again",
    "pipeline": "an HTTP client that pipelines requests and reads the answers",
    "pipeline-deaf": "an HTTP client that pipelines requests and never reads",
    "slow-backend": "64 messages in flight to a backend that never answers",
    "dead-backend": "16 messages in flight to a backend that refuses connections",
}
QUIET = "in peace"
MAX_RATIO = 2.0
CONNECTIONS = 50
RATE = 5000.0

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@", slow: "@slow@", dead: "@dead@"}}}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
      slow:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.slow}/slow"
        timeoutInMillis: 1000
      dead:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.dead}/dead"
    routes:
      send: {integration: backend, routeResponse: true}
      slow: {integration: slow, routeResponse: true}
      dead: {integration: dead, routeResponse: true}
      $default: {integration: backend, routeResponse: true}
"""


class Neighbours:
    """The others' p99 beside each abuse / their p99 in peace."""

    name = "neighbours"
    about = "the others' p99 beside one slow or abusive client or backend, against their p99 in peace"

    def steps(self, options: Options) -> int:
        """One in peace and one of each abuse, every round."""
        return options.pairs * (1 + len(ABUSES))

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        rounds: list[dict[str, Sample]] = []
        pairs = bench.options.pairs
        with bench.lab(punctual=True) as lab:
            server = self._server(bench, lab)
            for number in range(pairs):
                kinds = [QUIET, *ABUSES]
                measured: dict[str, Sample] = {}
                for kind in kinds if number % 2 == 0 else reversed(kinds):
                    with bench.step(f"{self.name} {number + 1}/{pairs}: {kind}"):
                        measured[kind] = self._measure(bench, lab, server, kind)
                rounds.append(measured)
        label = SELF_CHECK if bench.options.self_check else "gateway"
        return [self._row(label, kind, rounds) for kind in (QUIET, *ABUSES)]

    def _server(self, bench: Bench, lab: Lab) -> Server:
        backend = lab.backend()
        if bench.options.self_check:
            return lab.peer("relay", str(backend.port))
        addresses = {"backend": backend.port, "slow": lab.backend().port, "dead": lab.refusing_port()}
        definition = DEFINITION
        for name, port in addresses.items():
            definition = definition.replace(f"@{name}@", f"127.0.0.1:{port}")
        return lab.gateway(definition)

    def _measure(self, bench: Bench, lab: Lab, server: Server, kind: str) -> Sample:
        options = bench.options
        words = [
            "--connections",
            options.connections or CONNECTIONS,
            "--size",
            options.size,
            "--seconds",
            options.seconds,
        ]
        words += ["--warmup", options.warmup, "--rate", options.rate or RATE, "--expect", '"action":"send"']
        if kind != QUIET:
            words += ["--abuse", kind]
        sample = drive(
            lab,
            server,
            "load",
            [str(word) for word in words],
            120 + options.warmup + options.seconds,
            may_starve=kind != QUIET,
        )
        bench.keep(self.name, kind, sample)
        return sample

    def _row(self, label: str, kind: str, rounds: list[dict[str, Sample]]) -> Row:
        samples = [measured[kind] for measured in rounds]
        values = [s.p99_us for s in samples]
        if kind == QUIET:
            return row_of_samples(
                samples, scenario=self.name, server=f"{label}, {QUIET}", measure="p99 of the others, µs", values=values
            )
        ratio = Quartiles.of([r[kind].p99_us / r[QUIET].p99_us if r[QUIET].p99_us else 0.0 for r in rounds])
        abused = all(s.abuses for s in samples)
        per_second = sum(s.abuses for s in samples) / sum(s.seconds for s in samples)
        return row_of_samples(
            samples,
            scenario=self.name,
            server=f"{label}, {kind}",
            measure="p99 of the others, µs",
            values=values,
            ratio=ratio,
            target="" if label == SELF_CHECK else f"≤ {MAX_RATIO:g} times p99 {QUIET}",
            met=ratio.median <= MAX_RATIO and not any(s.errors for s in samples)
            if abused and label != SELF_CHECK
            else None,
            note=f"{ABUSES[kind]}; {per_second:,.0f} a second" if abused else "the abuser got nothing done: no verdict",
        )


NEIGHBOURS = Neighbours()
