"""Scrapes: how long a page of metrics holds the loop of a node that has many connections and many routes in use.

A process may not open as many files as that at most places, so where one node can't hold all connections, workers do.
"""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from urllib.parse import urlsplit

from websockets.sync.client import connect

from loadtest.bench import Bench, Options
from loadtest.errors import LoadTestError
from loadtest.lab import START_SECONDS, Lab, Server
from loadtest.limits import allow_open_files
from loadtest.measure import common_arguments, failure
from loadtest.quartiles import Quartiles
from loadtest.results import Row, highest
from wsgateway.transport.files import KEPT, share_out

CONNECTIONS = 20_000
ROUTES = 100
"""Each has two histograms of 17 lines."""
SCRAPES = 20
DRIVER_CONNECTIONS = 10_000
"""Of one driver, which has the same limit of open files."""
FULL = 0.9
"""Of what a worker can hold, what is meant for it: the kernel does not divide connections evenly."""
BOUND_MILLIS = 50.0
DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      answer:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode":200}'}
        integrationResponses: {$default: {responseTemplates: {$default: '{"said":true}'}}}
    routes:
""" + "".join(f"      route{number}: {{integration: answer, routeResponse: true}}\n" for number in range(ROUTES))


class Scrape:
    """A gateway holds connections while its page is read again and again."""

    name = "scrape"
    about = f"how long a scrape holds the loop at {CONNECTIONS:,} connections and {ROUTES} routes"

    def steps(self, options: Options) -> int:
        """One node, and where it can't hold all of them, workers."""
        wanted = options.connections or CONNECTIONS
        return 1 if _most_on_a_node(wanted) >= wanted else 2

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        wanted = bench.options.connections or CONNECTIONS
        most = _most_on_a_node(wanted)
        rows = self._measure(bench, min(most, wanted), 1)
        if most < wanted:
            bench.note(f"scrape: one node holds {most:,} connections, as the limit of open files (ulimit -Hn) allows")
            rows += self._measure(bench, wanted, ceil(wanted / (FULL * most)))
        return rows

    def _measure(self, bench: Bench, count: int, workers: int) -> list[Row]:
        label = "gateway" if workers == 1 else f"gateway, {workers} workers"
        with bench.step(f"{self.name}: {label}"), bench.lab() as lab:
            flags = () if workers == 1 else ("--workers", str(workers), "--redis-url", lab.redis())
            server = lab.gateway(DEFINITION, *flags)
            ports = [server.internal_port] if workers == 1 else _nodes(server.internal_port, workers)
            _use_every_route(server.port, ports)
            with _held(lab, server, count):
                own = [_scrape(port) for _ in range(SCRAPES) for port in ports]
                whole = [] if workers == 1 else [_scrape(server.internal_port) for _ in range(SCRAPES)]
            sizes = highest([server.rss()])
        held = f"{count:,} connections" + (f" on {workers} workers" if workers > 1 else "")
        rows = [self._row(bench, label, "each node's own page: " if whole else "", own, held, sizes, judged=True)]
        if whole:
            rows.append(self._row(bench, f"{label}, shared port", "all nodes' page: ", whole, held, sizes))
        return rows

    def _row(
        self,
        bench: Bench,
        label: str,
        what: str,
        pages: list[tuple[float, int]],
        held: str,
        sizes: dict[str, int],
        *,
        judged: bool = False,
    ) -> Row:
        millis = [took for took, _ in pages]
        size = max(size for _, size in pages)
        bench.keep(self.name, label, {"millis": millis, "page_bytes": size, "connections": held})
        return Row(
            scenario=self.name,
            server=label,
            measure=f"{what}ms from a scrape's request to its answer; the loop is held for no longer",
            value=Quartiles.of(millis),
            runs=len(millis),
            rss=sizes,
            target=f"at worst ≤ {BOUND_MILLIS:g} ms" if judged else "",
            met=max(millis) <= BOUND_MILLIS if judged else None,
            note=f"at worst {max(millis):.1f}; {held}, a page of {size / 1024:.0f} KiB",
        )


def _most_on_a_node(wanted: int) -> int:
    """How many connections one node can hold, as it shares out its open files, with one more to use the routes."""
    return share_out(allow_open_files(2 * wanted + KEPT), None).clients - 1


def _nodes(port: int, number: int) -> list[int]:
    """The ports of the workers' own pages, once they know one another. *Raises* LoadTestError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        nodes = json.loads(_get(port, "/nodes")[1])["nodes"]
        found = [urlsplit(f"//{node['address']}").port for node in nodes if node["state"] == "live"]
        if len(found) == number:
            return [port for port in found if port is not None]
        time.sleep(0.1)
    raise LoadTestError(f"there are no {number} workers after {START_SECONDS} s")


def _use_every_route(port: int, nodes: list[int]) -> None:
    """On each node; which one a connection gets is chance."""
    last = f'route="route{ROUTES - 1}"'.encode()
    deadline = time.monotonic() + START_SECONDS
    while not all(last in _get(node, "/metrics")[1] for node in nodes):
        if time.monotonic() > deadline:
            raise LoadTestError(f"not every worker got a connection within {START_SECONDS} s")
        with connect(f"ws://127.0.0.1:{port}/dev") as client:
            for number in range(ROUTES):
                client.send(json.dumps({"action": f"route{number}"}))
                client.recv()


@contextmanager
def _held(lab: Lab, server: Server, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        drivers = ceil(count / DRIVER_CONNECTIONS)
        for number in range(drivers):
            share = count // drivers + (number < count % drivers)
            driver = lab.driver("idle", *common_arguments(server), "--connections", str(share))
            assert driver.stdout is not None
            if not driver.stdout.readline():  # the driver gives up by itself after 90 s
                raise failure(server, driver.communicate()[1])
            stack.callback(driver.communicate)  # closes stdin, which ends the driver
        yield


def _scrape(port: int) -> tuple[float, int]:
    """Milliseconds to the answer's first bytes, and the bytes of the page."""
    took, page = _get(port, "/metrics")
    return took, len(page)


def _get(port: int, path: str) -> tuple[float, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    try:
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        took = (time.perf_counter() - began) * 1000
        return took, answer.read()
    finally:
        connection.close()


SCRAPE = Scrape()
