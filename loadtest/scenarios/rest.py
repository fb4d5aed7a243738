"""REST: GETs of a REST API by HTTP_PROXY and MOCK, beside messages of a WebSocket API and an aiohttp proxy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples

DEFINITION = """\
defaultApi: shop
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@"}}}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
    routes:
      send: {integration: backend, routeResponse: true}
  shop:
    protocolType: REST
    stages: {dev: {variables: {backend: "@backend@"}}}
    paths:
      /pets/{petId}:
        GET:
          integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://${stageVariables.backend}/pets"}
      /here:
        GET:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 200}'}
            integrationResponses: {"200": {responseTemplates: {application/json: '{"made":"here"}'}}}
"""

RELAY, PROXY, MOCK, AIOHTTP = "messages", "HTTP_PROXY", "MOCK", "aiohttp proxy"
OF_RELAY, OF_AIOHTTP, OF_PROXY = 0.8, 3.0, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One rate held against another of the same round."""

    label: str
    than: str
    least: float


TARGETS = (
    Target(label=PROXY, than=RELAY, least=OF_RELAY),
    Target(label=PROXY, than=AIOHTTP, least=OF_AIOHTTP),
    Target(label=MOCK, than=PROXY, least=OF_PROXY),
)


class Rest:
    """All four in each round, forwards and backwards in turn."""

    name = "rest"
    about = "GETs of a REST API against messages of a WebSocket API and against an aiohttp proxy"

    def steps(self, options: Options) -> int:
        """Four a round."""
        return 4 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all rounds."""
        kept: dict[str, list[Sample]] = {}
        with bench.lab() as lab:
            ways = _ways(bench, lab)
            for number in range(bench.options.pairs):
                for label in list(ways)[:: 1 if number % 2 == 0 else -1]:
                    with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {label}"):
                        kept.setdefault(label, []).append(ways[label]())
                        bench.keep(self.name, label, kept[label][-1])
        return [_row(self.name, kept, label) for label in kept] + [_compared(self.name, kept, each) for each in TARGETS]


def _ways(bench: Bench, lab: Lab) -> Mapping[str, Callable[[], Sample]]:
    backend = lab.backend()
    gateway = lab.gateway(DEFINITION.replace("@backend@", f"127.0.0.1:{backend.port}"))
    peer = lab.peer("aiohttp_proxy", str(backend.port))
    relay = {"--action": "send", "--expect": '"action":"send"', "--depth": 1, "--size": bench.options.size}
    return {
        RELAY: partial(_drive, bench, lab, gateway, "load", relay),
        PROXY: partial(_drive, bench, lab, gateway, "get", {"--path": "/dev/pets/7"}),
        AIOHTTP: partial(_drive, bench, lab, peer, "get", {"--path": "/pets"}),
        MOCK: partial(_drive, bench, lab, gateway, "get", {"--path": "/dev/here", "--expect": '{"made":"here"}'}),
    }


def _drive(bench: Bench, lab: Lab, server: Server, mode: str, more: Mapping[str, object]) -> Sample:
    options = bench.options
    words = {"--connections": options.connections or 64, "--seconds": options.seconds, "--warmup": options.warmup}
    return drive(lab, server, mode, flags({**words, **more}), 120 + options.warmup + options.seconds)


def _row(name: str, kept: Mapping[str, list[Sample]], label: str) -> Row:
    unit = "messages" if label == RELAY else "GETs"
    return row_of_samples(
        kept[label],
        scenario=name,
        server=label,
        measure=f"{unit} per server CPU-second",
        values=[sample.per_cpu_second for sample in kept[label]],
    )


def _compared(name: str, kept: Mapping[str, list[Sample]], target: Target) -> Row:
    pairs = zip(kept[target.label], kept[target.than], strict=True)
    ratio = Quartiles.of([ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in pairs])
    sound = not any(sample.errors for sample in kept[target.label])
    return Row(
        scenario=name,
        server=f"{target.label} / {target.than}",
        measure="times as many per server CPU-second",
        value=ratio,
        runs=len(kept[target.label]),
        ratio=ratio,
        target=f"≥ {target.least:g}",
        met=ratio.median >= target.least and sound,
        rss={},
    )


REST = Rest()
