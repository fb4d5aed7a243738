"""What one more connection and one more push cost, from one node to four and from 1,000 connections to 20,000."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.limits import allow_open_files
from loadtest.measure import Sample, common_arguments, drive, failure
from loadtest.quartiles import Quartiles
from loadtest.results import Row, highest
from loadtest.scenarios.push import DEFINITION as PUSHES
from loadtest.scenarios.registry import DEFINITION as RECORDS
from wsgateway.transport.files import KEPT, share_out

NODES = (1, 2, 4)
CONNECTIONS = (1_000, 20_000)
BOUND = 1.25
"""How much more than with one node and the fewest connections it may cost: what repeats differ by."""
ROUNDS = 3
HANDSHAKES = 1_000
"""Open at a time, beside the connections held, where handshakes are measured."""
CONNECT, PUSH, HOP, IDLE, BARE = (
    "µs of all nodes' CPU per handshake",
    "µs of all nodes' CPU per push through the owner",
    "µs of all nodes' CPU per push through another node",
    "KiB resident per connection",
    "µs of the C server's CPU per push",
)
BESIDE_BARE = (PUSH, HOP)
"""Compared with the C server's growth: sockets that no longer fit the processor's caches cost the kernel more, too."""


@dataclass(frozen=True, slots=True)
class Size:
    """An installation: so many nodes, and so many connections on all of them together."""

    nodes: int
    connections: int

    def __str__(self) -> str:
        return f"{self.nodes} node{'s' * (self.nodes > 1)}, {self.connections:,} connections"


class Growth:
    """Each size in a fresh installation; the connections are spread evenly over its nodes."""

    name = "growth"
    about = f"cost per connection and per push at 1 to {NODES[-1]} nodes and {CONNECTIONS[0]:,} to {CONNECTIONS[-1]:,}"

    def steps(self, options: Options) -> int:
        """A size is one step."""
        return min(options.pairs, ROUNDS) * len(self._sizes(options.connections))

    def _sizes(self, most: int | None) -> list[Size]:
        counts = CONNECTIONS if most is None else (most // 20 or 1, most)
        return [Size(nodes, max(1, count)) for count in counts for nodes in NODES]

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        sizes = self._sizes(bench.options.connections)
        most = _most_on_a_node(max(size.connections for size in sizes))
        for size in sizes:
            if size.connections > most * size.nodes:
                bench.note(f"growth: {size}: {most:,} a node, as the limit of open files (ulimit -Hn) allows")
        sizes = [Size(size.nodes, min(size.connections, most * size.nodes)) for size in sizes]
        found: dict[tuple[str, Size], list[float]] = {}
        samples: dict[tuple[str, Size], list[Sample]] = {}
        for number in range(min(bench.options.pairs, ROUNDS)):
            for size in sizes if number % 2 == 0 else reversed(sizes):
                with bench.step(f"{self.name} {number + 1}: {size}"):
                    for measure, value, sample in _measure(bench, size):
                        found.setdefault((measure, size), []).append(value)
                        samples.setdefault((measure, size), []).append(sample)
        return list(_rows(found, samples))


def _most_on_a_node(wanted: int) -> int:
    """How many of `wanted` connections one node can hold while it takes handshakes, as it shares out its open files."""
    files = allow_open_files(2 * (wanted + HANDSHAKES) + KEPT)
    return min(wanted, share_out(files, None).clients - HANDSHAKES)


def _measure(bench: Bench, size: Size) -> Iterator[tuple[str, float, Sample]]:
    options = bench.options
    pushing = ["--connections", str(max(1, size.connections // size.nodes)), "--posters", "64"]
    timing = ["--size", str(options.size), "--seconds", str(options.seconds), "--warmup", str(options.warmup)]
    limit = 240 + options.warmup + options.seconds
    with bench.lab() as lab:
        nodes = _nodes(lab, size, PUSHES.replace("@backend@", f"127.0.0.1:{lab.backend().port}"))
        all_of_them = replace(nodes[0], beside=tuple(nodes[1:]))
        with _held(lab, nodes[1:], size):
            sample = drive(lab, all_of_them, "push", [*pushing, *timing], limit)
            bench.keep("growth", f"{PUSH}, {size}", sample)
            yield PUSH, _cost(sample), sample
            if size.nodes > 1:
                to_other = replace(all_of_them, internal_port=nodes[1].internal_port)
                sample = drive(lab, to_other, "push", [*pushing, *timing], limit)
                bench.keep("growth", f"{HOP}, {size}", sample)
                yield HOP, _cost(sample), sample
        lab.stop(*nodes)
        sample = drive(lab, lab.c_server("id", None), "push", [*pushing, *timing], limit)
        bench.keep("growth", f"{BARE}, {size}", sample)
        yield BARE, _cost(sample), sample
    with bench.lab() as lab:
        nodes = _nodes(lab, size, RECORDS)
        all_of_them = replace(nodes[0], beside=tuple(nodes[1:]))
        before = sum(all_of_them.rss().values())
        with _held(lab, nodes, size):
            grown = (sum(all_of_them.rss().values()) - before) / size.connections / 1024
            sample = drive(
                lab,
                all_of_them,
                "connect",
                ["--connections", str(HANDSHAKES), *timing[2:]],
                limit + 30 * options.seconds,
            )
            bench.keep("growth", f"{CONNECT}, {size}", asdict(sample) | {"kib_each": grown})
            yield IDLE, grown, sample
            yield CONNECT, _cost(sample), sample


def _nodes(lab: Lab, size: Size, definition: str) -> list[Server]:
    redis = lab.redis()
    return [lab.gateway(definition, "--redis-url", redis) for _ in range(size.nodes)]


@contextmanager
def _held(lab: Lab, nodes: list[Server], size: Size) -> Iterator[None]:
    """Each node's share of connections, open and idle."""
    with ExitStack() as stack:
        for node in nodes:
            driver = lab.driver(
                "idle", *common_arguments(node), "--connections", str(max(1, size.connections // size.nodes))
            )
            assert driver.stdout is not None
            if not driver.stdout.readline():
                raise failure(node, driver.communicate()[1])
            stack.callback(driver.communicate)  # closes stdin, which ends the driver
        yield


def _cost(sample: Sample) -> float:
    return 1e6 * sample.server_cpu / max(1, sample.completed)


def _rows(found: dict[tuple[str, Size], list[float]], samples: dict[tuple[str, Size], list[Sample]]) -> Iterator[Row]:
    for measure in (IDLE, CONNECT, BARE, PUSH, HOP):
        sizes = [size for name, size in found if name == measure]
        for size in sizes:
            values, runs = found[measure, size], samples[measure, size]
            errors = sum(sample.errors for sample in runs)
            ratio, target = None, ""
            if size != sizes[0]:
                ratio, target = _grown(found, measure, sizes[0], size), _target(measure)
            yield Row(
                scenario=GROWTH.name,
                server=str(size),
                measure=measure,
                value=Quartiles.of(values),
                runs=len(values),
                errors=errors,
                first_error=next((sample.first_error for sample in runs if sample.first_error), ""),
                rss=highest(sample.rss for sample in runs),
                ratio=ratio,
                target=target,
                met=ratio.median <= BOUND and not errors if ratio is not None and target else None,
            )


def _grown(found: dict[tuple[str, Size], list[float]], measure: str, least: Size, size: Size) -> Quartiles:
    """What a measure at `size` is of that at `least`; a push's, of what the C server's grows by."""
    ratios = [here / there for here, there in zip(found[measure, size], found[measure, least], strict=True)]
    if measure in BESIDE_BARE:
        bare = zip(found[BARE, size], found[BARE, least], strict=True)
        ratios = [ratio * there / here for ratio, (here, there) in zip(ratios, bare, strict=True)]
    return Quartiles.of(ratios)


def _target(measure: str) -> str:
    if measure == BARE:
        return ""
    return f"≤ {BOUND:g} times the smallest" + (", beside the C server's" if measure in BESIDE_BARE else "")


GROWTH = Growth()
