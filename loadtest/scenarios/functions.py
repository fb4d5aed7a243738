"""Functions: a message is carried to a warm local Lambda function, whose result is the reply.

Against serverless-offline, which runs the same handler; and against our own HTTP_PROXY: what a function adds to a
message's latency at a low rate. The processes of functions count as the server's, on both sides.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, failure
from loadtest.npm import installed
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples

SOURCES = Path(__file__).parent.parent / "peers" / "serverless_offline"
CONNECTIONS = 64
RATE = 100.0
"""Messages a second while latency is measured."""
MAX_ADDED_US = 1000.0
WARM_ROUNDS = 15
"""Runs that don't count, at most, before the first that does: the processes of functions start meanwhile."""

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@"}}}
    integrations:
      echo: {integrationType: AWS_PROXY, integrationUri: "function:echo"}
      backend:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
    routes:
      $connect: {integration: echo}
      send: {integration: echo, routeResponse: true}
      relay: {integration: backend, routeResponse: true}
functions:
  echo: {runtime: @runtime@, codeUri: ., handler: echo.handler}
"""


@dataclass(frozen=True, slots=True)
class Language:
    """One kind of function, and what is asked of it."""

    name: str
    runtime: str
    threshold: float
    in_process: bool
    """serverless-offline can run it in its own process, without isolation: measured, too, and not judged by."""


LANGUAGES = (
    Language("Node", "nodejs20.x", 2.5, in_process=True),
    Language("Python", f"python{sys.version_info.major}.{sys.version_info.minor}", 2.0, in_process=False),
)
GATEWAY, PEER, IN_PROCESS = "gateway", "serverless-offline", "serverless-offline useInProcess"
FUNCTION, RELAY = "AWS_PROXY", "HTTP_PROXY"


class Functions:
    """Messages per server CPU-second, gateway / serverless-offline; and p50, AWS_PROXY − HTTP_PROXY."""

    name = "functions"
    about = "AWS_PROXY to a warm local function against serverless-offline, and its latency against HTTP_PROXY"

    def steps(self, options: Options) -> int:
        """A pair is one run of each contender, and one of each kind of integration."""
        return sum(options.pairs * (4 + language.in_process) for language in LANGUAGES)

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        if bench.options.self_check:
            bench.note(f"{self.name}: --self-check changes nothing here; see relay's")
        modules = installed(SOURCES)
        bench.note(f"{self.name}: {_versions()}")
        rows: list[Row] = []
        for language in LANGUAGES:
            with bench.lab() as lab:
                rows += self._throughput(bench, lab, language, modules)
            with bench.lab() as lab:
                rows += self._latency(bench, lab, language)
        return rows

    def _throughput(self, bench: Bench, lab: Lab, language: Language, modules: Path) -> list[Row]:
        servers = {
            GATEWAY: self._gateway(lab, language),
            PEER: self._peer(lab, language, modules),
        }
        if language.in_process:
            servers[IN_PROCESS] = self._peer(lab, language, modules, "in-process")
        rounds: list[dict[str, Sample]] = []
        for number in range(bench.options.pairs):
            measured: dict[str, Sample] = {}
            for label in servers if number % 2 == 0 else reversed(servers):
                with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {language.name}, {label}"):
                    if number == 0:
                        self._warm(bench, lab, servers[label])
                    measured[label] = self._drive(bench, lab, servers[label], "send")
                    bench.keep(f"{self.name} {language.name}", label, measured[label])
            rounds.append(measured)
        return [self._compared(language, rounds), *self._peers(language, rounds)]

    def _latency(self, bench: Bench, lab: Lab, language: Language) -> list[Row]:
        gateway = self._gateway(lab, language)
        actions = {FUNCTION: "send", RELAY: "relay"}
        rounds: list[dict[str, Sample]] = []
        rate = str(bench.options.rate or RATE)
        for number in range(bench.options.pairs):
            measured: dict[str, Sample] = {}
            for label in actions if number % 2 == 0 else reversed(actions):
                with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {language.name}, p50 of {label}"):
                    if number == 0:
                        self._warm(bench, lab, gateway, actions[label], "--rate", rate)
                    measured[label] = self._drive(bench, lab, gateway, actions[label], "--rate", rate)
                    bench.keep(f"{self.name} {language.name}", f"latency of {label}", measured[label])
            rounds.append(measured)
        added = Quartiles.of([r[FUNCTION].p50_us - r[RELAY].p50_us for r in rounds])
        function, relay = [r[FUNCTION] for r in rounds], [r[RELAY] for r in rounds]
        measure = f"p50 at {float(rate):g} messages/s, µs"
        return [
            self._row(
                function,
                server=f"gateway, {language.name} function",
                measure=measure,
                values=[s.p50_us for s in function],
                target=f"≤ {MAX_ADDED_US:g} µs over HTTP_PROXY",
                met=added.median <= MAX_ADDED_US and not any(s.errors for s in function),
                note=f"adds {added.median:.0f} µs [{added.low:.0f} to {added.high:.0f}] to HTTP_PROXY's p50",
            ),
            self._row(relay, server="gateway, HTTP_PROXY", measure=measure, values=[s.p50_us for s in relay]),
        ]

    def _gateway(self, lab: Lab, language: Language) -> Server:
        backend = lab.backend()
        self._handlers(lab)
        definition = DEFINITION.replace("@backend@", f"127.0.0.1:{backend.port}")
        return lab.gateway(definition.replace("@runtime@", language.runtime))

    def _peer(self, lab: Lab, language: Language, modules: Path, *mode: str) -> Server:
        folder = lab.folder / "-".join(("service", *mode))
        folder.mkdir()
        self._handlers(lab, folder)
        (folder / "node_modules").symlink_to(modules)
        return lab.peer("serverless", str(folder), language.runtime, "echo.handler", *mode)

    def _handlers(self, lab: Lab, folder: Path | None = None) -> None:
        for name in ("echo.js", "echo.py"):
            shutil.copy(SOURCES / name, folder or lab.folder)

    def _warm(self, bench: Bench, lab: Lab, server: Server, action: str = "send", *arguments: str) -> None:
        """Until messages are answered and no process of a function starts any more."""
        for _ in range(WARM_ROUNDS):
            before = server.pids()
            sample = self._drive(bench, lab, server, action, *arguments, seconds=2, warmup=2, warming=True)
            if sample.completed > 100 and server.pids() == before:
                return
        raise failure(server, b"it does not get warm")

    def _drive(
        self,
        bench: Bench,
        lab: Lab,
        server: Server,
        action: str,
        *arguments: str,
        seconds: float | None = None,
        warmup: float | None = None,
        warming: bool = False,
    ) -> Sample:
        options = bench.options
        words = {
            "--connections": options.connections or CONNECTIONS,
            "--depth": options.depth,
            "--size": options.size,
            "--seconds": seconds or options.seconds,
            "--warmup": options.warmup if warmup is None else warmup,
            # serverless-offline tells handshakes apart by Sec-WebSocket-Key, and the driver has one key for all.
            "--opening": 1,
            "--action": action,
            "--expect": f'"action":"{action}"',
        }
        before = server.pids()
        listed = [str(word) for pair in words.items() for word in pair]
        limit = 150 + options.warmup + options.seconds
        sample = drive(lab, server, "load", [*listed, *arguments], limit, may_starve=warming)
        if not warming and server.pids() != before:
            bench.note(f"{self.name}: processes of {server.name} came or went during a run, and their CPU is not in it")
        return sample

    def _compared(self, language: Language, rounds: Sequence[dict[str, Sample]]) -> Row:
        ours = [r[GATEWAY] for r in rounds]
        ratios = [r[GATEWAY].per_cpu_second / r[PEER].per_cpu_second if r[PEER].per_cpu_second else 0.0 for r in rounds]
        wall = median(r[GATEWAY].completed / r[GATEWAY].seconds / (r[PEER].completed / r[PEER].seconds) for r in rounds)
        ratio = Quartiles.of(ratios)
        return self._row(
            ours,
            server=f"gateway, {language.name} function",
            measure="messages per server CPU-second",
            values=[s.per_cpu_second for s in ours],
            ratio=ratio,
            target=f"≥ {language.threshold:g} times {PEER}",
            met=ratio.median >= language.threshold and not any(s.errors for s in ours),
            note=f"{wall:.2f} times {PEER}'s messages per second of wall time",
        )

    def _peers(self, language: Language, rounds: Sequence[dict[str, Sample]]) -> list[Row]:
        return [
            self._row(
                [r[label] for r in rounds],
                server=f"{label}, {language.name} function",
                measure="messages per server CPU-second",
                values=[r[label].per_cpu_second for r in rounds],
                note="runs handlers in its own process, where nothing ends one that hangs"
                if label == IN_PROCESS
                else "",
            )
            for label in rounds[0]
            if label != GATEWAY
        ]

    def _row(
        self,
        samples: Sequence[Sample],
        *,
        server: str,
        measure: str,
        values: Sequence[float],
        ratio: Quartiles | None = None,
        target: str = "",
        met: bool | None = None,
        note: str = "",
    ) -> Row:
        row = row_of_samples(
            samples,
            scenario=self.name,
            server=server,
            measure=measure,
            values=values,
            ratio=ratio,
            target=target,
            met=met,
            note=note,
        )
        return replace(row, rss=_together(row.rss))


def _versions() -> str:
    """What the peer is, and what Node functions run on."""
    packages = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    return ", ".join([f"Node.js {node}", *(f"{name} {version}" for name, version in packages.items())])


def _together(sizes: dict[str, int]) -> dict[str, int]:
    """One figure for all processes: there may be a hundred."""
    return {f"{len(sizes)} processes" if len(sizes) > 1 else "1 process": sum(sizes.values())}


FUNCTIONS = Functions()
