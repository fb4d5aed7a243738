"""Scrapes: how long a page of metrics holds the loop of a node that has many connections and many routes in use."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import connect

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.limits import allow_open_files
from loadtest.measure import common_arguments, failure
from loadtest.quartiles import Quartiles
from loadtest.results import Row, highest
from wsgateway.transport.files import KEPT, share_out

CONNECTIONS = 20_000
ROUTES = 100
"""Each has two histograms of 17 lines."""
SCRAPES = 20
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
    """One gateway; connections are held while its page is read again and again."""

    name = "scrape"
    about = f"how long a scrape holds the loop at {CONNECTIONS:,} connections and {ROUTES} routes"

    def steps(self, options: Options) -> int:
        """It is one."""
        return 1

    def run(self, bench: Bench) -> list[Row]:
        """Measure."""
        wanted = bench.options.connections or CONNECTIONS
        count = min(wanted, share_out(allow_open_files(2 * wanted + KEPT), None).clients - 1)
        if count < wanted:
            bench.note(f"scrape: {count:,} connections, as the limit of open files (ulimit -Hn) allows")
        with bench.step(self.name), bench.lab() as lab:
            server = lab.gateway(DEFINITION)
            _use_every_route(server.port)
            with _held(lab, server, count):
                pages = [_scrape(server.internal_port) for _ in range(SCRAPES)]
            millis = [took for took, _ in pages]
            sizes = server.rss()
            bench.keep(self.name, "gateway", {"millis": millis, "page_bytes": pages[-1][1], "connections": count})
        return [
            Row(
                scenario=self.name,
                server="gateway",
                measure="ms from a scrape's request to its answer, in which nobody else has a turn",
                value=Quartiles.of(millis),
                runs=len(millis),
                rss=highest([sizes]),
                target=f"at worst ≤ {BOUND_MILLIS:g} ms",
                met=max(millis) <= BOUND_MILLIS,
                note=f"at worst {max(millis):.1f}; {count:,} connections, a page of {pages[-1][1] / 1024:.0f} KiB",
            )
        ]


def _use_every_route(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/dev") as client:
        for number in range(ROUTES):
            client.send(json.dumps({"action": f"route{number}"}))
            client.recv()


@contextmanager
def _held(lab: Lab, server: Server, count: int) -> Iterator[None]:
    driver = lab.driver("idle", *common_arguments(server), "--connections", str(count))
    assert driver.stdout is not None
    if not driver.stdout.readline():  # the driver gives up by itself after 90 s
        raise failure(server, driver.communicate()[1])
    try:
        yield
    finally:
        driver.communicate()  # closes stdin, which ends the driver


def _scrape(port: int) -> tuple[float, int]:
    """Milliseconds to the answer's first bytes, and the bytes of the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    try:
        began = time.perf_counter()
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        took = (time.perf_counter() - began) * 1000
        return took, len(answer.read())
    finally:
        connection.close()


SCRAPE = Scrape()
