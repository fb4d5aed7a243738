"""Idle memory: resident bytes a connection adds, each time in a fresh process."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from loadtest.bench import Bench, Options
from loadtest.errors import LoadTestError
from loadtest.lab import Lab, Server
from loadtest.limits import allow_open_files
from loadtest.measure import common_arguments, failure
from loadtest.quartiles import Quartiles
from loadtest.results import Row, highest
from loadtest.scenarios.connect import DEFINITION
from loadtest.scenarios.paired import SELF_CHECK

CONNECTIONS = 10_000
MAX_KIB = 16.0
ROUNDS = 3
SETTLE_SECONDS = 1.0
PEER = "bare ServerProtocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one server grew by."""

    connections: int
    kib_each: float
    errors: int
    first_error: str
    rss: dict[int, int]


class Idle:
    """RSS after minus RSS before, divided by the connections; pings are answered, nothing else is sent."""

    name = "idle"
    about = f"resident memory per idle connection at {CONNECTIONS:,}, against bare ServerProtocol's"

    def steps(self, options: Options) -> int:
        """Memory repeats well: at most three rounds."""
        return 2 * min(options.pairs, ROUNDS) + 1

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        wanted = bench.options.connections or CONNECTIONS
        count = min(wanted, allow_open_files(wanted + 200) - 200)
        if count < wanted:
            bench.note(
                f"idle: only {count:,} connections instead of {wanted:,}: "
                "the hard limit of open files (ulimit -Hn) is in the way"
            )
        if count < 1:
            raise LoadTestError("the limit of open files leaves no connections")
        subject = SELF_CHECK if bench.options.self_check else "gateway"
        grown: dict[str, list[Growth]] = {subject: [], PEER: [], "ceiling: C server": []}
        rounds = min(bench.options.pairs, ROUNDS)
        for number in range(rounds):
            for label in (subject, PEER) if number % 2 == 0 else (PEER, subject):
                self._measure(bench, label, count, grown[label])
        self._measure(bench, "ceiling: C server", count, grown["ceiling: C server"])
        return [_row(label, growth) for label, growth in grown.items()]

    def _measure(self, bench: Bench, label: str, count: int, growth: list[Growth]) -> None:
        with bench.step(f"{self.name}: {label}"), bench.lab() as lab:
            if label == "gateway":
                server = lab.gateway(DEFINITION)
            elif label.startswith("ceiling"):
                server = lab.c_server("echo")
            else:
                server = lab.peer("handshake")
            growth.append(_hold(lab, server, count))
            bench.keep(self.name, label, asdict(growth[-1]))


def _hold(lab: Lab, server: Server, count: int) -> Growth:
    """Open the connections, look, let them go."""
    time.sleep(SETTLE_SECONDS)
    before = sum(server.rss().values())
    driver = lab.driver("idle", *common_arguments(server), "--connections", str(count))
    assert driver.stdout is not None
    opened = driver.stdout.readline()  # the driver gives up by itself after 90 s
    if not opened:
        raise failure(server, driver.communicate()[1])
    time.sleep(SETTLE_SECONDS)
    after = server.rss()
    output, complaint = driver.communicate(timeout=30)  # closes stdin, which ends the driver
    if driver.returncode:
        raise failure(server, complaint)
    result: dict[str, Any] = json.loads(output)
    return Growth(
        connections=count,
        kib_each=(sum(after.values()) - before) / count / 1024,
        errors=result["errors"] + count - result["alive"],
        first_error=result["first_error"],
        rss=after,
    )


def _row(label: str, growth: list[Growth]) -> Row:
    value = Quartiles.of([g.kib_each for g in growth])
    errors = sum(g.errors for g in growth)
    judged = label == "gateway"
    return Row(
        scenario=IDLE.name,
        server=label,
        measure="KiB resident per connection",
        value=value,
        runs=len(growth),
        errors=errors,
        first_error=next((g.first_error for g in growth if g.first_error), ""),
        rss=highest(g.rss for g in growth),
        target=f"≤ {MAX_KIB:g} KiB" if judged else "",
        met=value.median <= MAX_KIB and not errors if judged else None,
        note=f"at {growth[0].connections:,} connections",
    )


IDLE = Idle()
