"""Gateway against peer, turn by turn: the scenarios whose answer is a ratio of rates."""

from dataclasses import dataclass

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.quartiles import Quartiles
from loadtest.results import Row, row_of_samples

SELF_CHECK = "the peer again (self-check)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One of the two: its name in the table, and what the driver is told beside the common arguments."""

    label: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A ratio per server CPU-second: gateway / peer, in pairs measured one after the other, the order alternating."""

    name: str
    about: str
    mode: str
    """The driver's mode."""
    unit: str
    """What is counted."""
    definition: str
    """The gateway's routes.yaml; @backend@ stands for the backend's host and port."""
    gateway: Contender
    peer: Contender
    peer_module: str
    ceiling: str
    """What the C server does with WebSocket messages in the gateway's place."""
    backend: bool
    peer_needs_backend: bool
    threshold: float
    connections: int

    def steps(self, options: Options) -> int:
        """Two a pair, and the ceiling."""
        return 2 * options.pairs + 1

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs, then the ceiling."""
        pairs: list[tuple[Sample, Sample]] = []
        with bench.lab() as lab:
            backend = lab.backend() if self.backend else None
            gateway_label, gateway = self._subject(bench, lab, backend)
            peer = self._peer(lab, backend)
            contenders = [
                (gateway_label, gateway, self._subject_arguments(bench)),
                (self.peer.label, peer, self.peer.arguments),
            ]
            for number in range(bench.options.pairs):
                measured: dict[int, Sample] = {}
                for which in (0, 1) if number % 2 == 0 else (1, 0):
                    label, server, arguments = contenders[which]
                    with bench.step(f"{self.name} {number + 1}/{bench.options.pairs}: {label}"):
                        measured[which] = self._measure(bench, lab, label, server, arguments)
                pairs.append((measured[0], measured[1]))
            lab.stop(gateway, peer)
            with bench.step(f"{self.name}: ceiling"):
                c_server = lab.c_server(self.ceiling, backend if self.ceiling == "relay" else None)
                ceiling = self._measure(bench, lab, "ceiling", c_server, ())
        return self._rows(gateway_label, pairs, ceiling)

    def _subject(self, bench: Bench, lab: Lab, backend: Server | None) -> tuple[str, Server]:
        if bench.options.self_check:
            return SELF_CHECK, self._peer(lab, backend)
        address = f"127.0.0.1:{backend.port}" if backend else ""
        return self.gateway.label, lab.gateway(self.definition.replace("@backend@", address))

    def _subject_arguments(self, bench: Bench) -> tuple[str, ...]:
        return self.peer.arguments if bench.options.self_check else self.gateway.arguments

    def _peer(self, lab: Lab, backend: Server | None) -> Server:
        return lab.peer(self.peer_module, *([str(backend.port)] if backend and self.peer_needs_backend else []))

    def _measure(self, bench: Bench, lab: Lab, label: str, server: Server, arguments: tuple[str, ...]) -> Sample:
        options = bench.options
        common = {
            "--connections": options.connections or self.connections,
            "--depth": options.depth,
            "--size": options.size,
            "--seconds": options.seconds,
            "--warmup": options.warmup,
        }
        words = flags(common)
        limit = 120 + options.warmup + options.seconds * (30 if self.mode == "connect" else 1)
        sample = drive(lab, server, self.mode, [*words, *arguments], limit)
        bench.keep(self.name, label, sample)
        return sample

    def _rows(self, gateway_label: str, pairs: list[tuple[Sample, Sample]], ceiling: Sample) -> list[Row]:
        ratio = Quartiles.of([a.per_cpu_second / b.per_cpu_second if b.per_cpu_second else 0.0 for a, b in pairs])
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        judged = gateway_label != SELF_CHECK
        measure = f"{self.unit} per server CPU-second"
        driver = ceiling.completed / ceiling.driver_cpu if ceiling.driver_cpu else 0.0
        return [
            row_of_samples(
                ours,
                scenario=self.name,
                server=gateway_label,
                measure=measure,
                values=[s.per_cpu_second for s in ours],
                ratio=ratio,
                target=f"≥ {self.threshold:g} times {self.peer.label}" if judged else "",
                met=ratio.median >= self.threshold and not any(s.errors for s in ours) if judged else None,
            ),
            row_of_samples(
                theirs,
                scenario=self.name,
                server=self.peer.label,
                measure=measure,
                values=[s.per_cpu_second for s in theirs],
            ),
            row_of_samples(
                [ceiling],
                scenario=self.name,
                server="ceiling: C server",
                measure=measure,
                values=[ceiling.per_cpu_second],
                note=f"the driver itself manages {driver:,.0f} {self.unit} a second of its own CPU",
            ),
        ]
