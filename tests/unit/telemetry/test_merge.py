"""One page of metrics for several workers, and whether all of them are ready."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from wsgateway.tally import Histogram
from wsgateway.telemetry.base import Value
from wsgateway.telemetry.catalog import BY_NAME, OF_NODE, Metric
from wsgateway.telemetry.merge import MOST_PAGE_BYTES, PROCESS, Merged, packed, unpacked
from wsgateway.telemetry.metrics import SLICE, Metrics
from wsgateway.telemetry.unit import fetch, readiness
from wsgateway.workers import Board, State

pytestmark = pytest.mark.anyio

PAGE = b"""\
# HELP wsgateway_connections Open WebSocket connections.
# TYPE wsgateway_connections gauge
wsgateway_connections 3.0
# HELP wsgateway_definition_valid 0 while refused.
# TYPE wsgateway_definition_valid gauge
wsgateway_definition_valid 1.0
# HELP wsgateway_build_info The running version.
# TYPE wsgateway_build_info gauge
wsgateway_build_info{version="1"} 1.0
# HELP wsgateway_pushes_total POSTs.
# TYPE wsgateway_pushes_total counter
wsgateway_pushes_total{status="200"} 5.0
# HELP wsgateway_seconds Time.
# TYPE wsgateway_seconds histogram
wsgateway_seconds_bucket{le="1.0"} 1.0
wsgateway_seconds_bucket{le="+Inf"} 2.0
wsgateway_seconds_count 2.0
wsgateway_seconds_sum 7.5
"""
OTHER = (
    PAGE.replace(b"connections 3", b"connections 4")
    .replace(b"valid 1", b"valid 0")
    .replace(b'status="200"} 5', b'status="410"} 1')
    .replace(b'version="1"', b'version="2"')
)


def samples(page: bytes) -> dict[str, float]:
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.decode().splitlines()
        if not line.startswith("#")
    }


Labels = frozenset[tuple[str, str]]


def families(page: bytes) -> dict[str, tuple[str, str, dict[tuple[str, Labels], float]]]:
    """Types, texts and samples by name and labels."""
    return {
        family.name: (
            family.type,
            family.documentation,
            {(sample.name, frozenset(sample.labels.items())): sample.value for sample in family.samples},
        )
        for family in text_string_to_metric_families(page.decode())
    }


def values(value: float = 1) -> dict[str, Value]:
    """Every metric there, each with each of its labels."""
    return {metric.name: _value(metric, value) for metric in OF_NODE}


def _value(metric: Metric, value: float) -> Value:
    histogram = Histogram()
    histogram.add(value)
    match metric.kind, len(metric.labels):
        case "histogram", 0:
            return histogram
        case "histogram", _:
            return {("x", "y", "z"): histogram}
        case _, 0:
            return value
        case _, 1:
            return {"x": value}
        case _, 2:
            return {("x", "y"): value}
        case _, 3:
            return {("x", "y", "z"): value}
        case _:
            return {("x", "y", "z", "a"): value}


def test_counters_and_histograms_are_summed_and_gauges_as_the_table_says() -> None:
    merged = Merged()
    merged.add(PAGE)
    merged.add(OTHER)

    assert samples(merged.render()) == {
        "wsgateway_connections": 7,
        "wsgateway_definition_valid": 0,
        'wsgateway_build_info{version="1"}': 1,
        'wsgateway_build_info{version="2"}': 1,
        'wsgateway_pushes_total{status="200"}': 5,
        'wsgateway_pushes_total{status="410"}': 1,
        'wsgateway_seconds_bucket{le="1.0"}': 2,
        'wsgateway_seconds_bucket{le="+Inf"}': 4,
        "wsgateway_seconds_count": 4,
        "wsgateway_seconds_sum": 15,
    }


def test_what_is_left_of_a_process_that_is_gone_are_its_counts() -> None:
    merged = Merged(only_counts=True)
    merged.add(PAGE)
    merged.add(merged.render())

    found = samples(merged.render())
    assert found['wsgateway_pushes_total{status="200"}'] == 10
    assert found["wsgateway_seconds_count"] == 4
    assert not any(name.startswith(("wsgateway_connections", "wsgateway_build")) for name in found)


def test_open_files_are_compared_with_what_each_process_may_open() -> None:
    """Three workers that are half full are no node that is 150 % full."""
    merged = Merged()
    for number in (40, 50, 45):
        merged.add(
            f"# TYPE process_open_fds gauge\nprocess_open_fds {number}\n"
            "# TYPE process_max_fds gauge\nprocess_max_fds 100\n".encode()
        )

    found = samples(merged.render())
    assert found["process_open_fds"] / found["process_max_fds"] == 0.5


async def test_a_page_of_one_comes_out_as_it_went_in() -> None:
    page = await Metrics(values).render()
    merged = Merged()
    merged.add(page)

    assert families(merged.render()) == families(page)


@pytest.mark.parametrize(
    "page", [b"no page\xff", b"{", b"wsgateway_connections", b"a b c d", b"other 1.0", b"# TYPE x"]
)
def test_what_is_no_page_is_refused_and_nothing_of_it_kept(page: bytes) -> None:
    merged = Merged()
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own words
        merged.add(PAGE + page)

    assert samples(merged.render()) == {}


def test_labels_stay_as_they_are_written() -> None:
    """Stages and routes are named by people: a route key may be anything."""
    page = '# TYPE wsgateway_x_total counter\nwsgateway_x_total{route="a \\"b\\\\ } 1\x85\r\\n"} 2.0\n'.encode()
    merged = Merged()
    merged.add(page)
    merged.add(page)

    assert merged.render() == page.replace(b"2.0", b"4.0")


@given(st.text(max_size=200))
def test_any_text_is_a_page_or_refused(text: str) -> None:
    with suppress(ValueError):
        Merged().add(text.encode(errors="surrogatepass"))


@pytest.mark.parametrize("packet", [b"", b"no", packed(PAGE)[:-3], packed(bytes(MOST_PAGE_BYTES + 1))])
def test_what_is_no_packed_page_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match="no packed page"):
        unpacked(packet)


def test_a_packed_page_comes_out_whole() -> None:
    assert unpacked(packed(PAGE)) == PAGE


async def test_a_page_that_is_shown_later_says_no_less() -> None:
    """Two scrapes at once, of more series than are written in one turn."""
    shown: list[bytes] = []
    number = 0

    def counted() -> dict[str, Value]:
        nonlocal number
        number += 1
        return {"messages_total": {str(each): number for each in range(3 * SLICE)}}

    metrics = Metrics(counted, lambda page: shown.append(unpacked(page)))
    pages = await asyncio.gather(metrics.render(), metrics.render(), metrics.render())

    assert shown == sorted(pages, key=lambda page: samples(page)['wsgateway_messages_total{direction="0"}'])
    assert [set(_values(page, "wsgateway_messages_total")) for page in shown] == [{1}, {2}, {3}]


def _values(page: bytes, name: str) -> list[float]:
    return [value for series, value in samples(page).items() if series.startswith(name)]


async def test_of_every_gauge_it_is_decided_what_becomes_of_it() -> None:
    page = (await Metrics(values).render()).decode()
    gauges = {family.name for family in text_string_to_metric_families(page) if family.type == "gauge"}

    assert gauges - PROCESS.keys() - BY_NAME.keys() == set(), "say in telemetry/merge.py what several make together"


@pytest.mark.parametrize(
    ("states", "why_not", "started", "ready", "text"),
    [
        pytest.param(["ready", "ready"], "", True, True, "ok", id="all"),
        pytest.param(["ready", "down"], "", True, True, "ok, but worker 1 is down", id="one crashed"),
        pytest.param(["ready", "ready"], "draining", True, True, "ok, but worker 0 is draining", id="this one ends"),
        pytest.param(["ready", "starting"], "", False, False, "starting: worker 1 is starting", id="first start"),
        pytest.param(
            ["draining", "down"], "draining", True, False, "worker 0 is draining, worker 1 is down", id="nobody"
        ),
    ],
)
def test_readiness(states: list[State], why_not: str, started: bool, ready: bool, text: str) -> None:
    assert readiness(Board(states=tuple(states), started=started), 0, why_not) == (ready, text)


def test_nobody_is_ready_when_all_are_to_end() -> None:
    board = Board(states=("ready", "ready"), started=True, draining=True)

    assert readiness(board, 0, "") == (False, "draining")


async def test_a_page_whose_worker_ends_in_the_middle_of_it_is_none() -> None:
    """Its lines are good ones: without those that are missing counts would fall, and begin anew for whoever reads."""
    pages = [PAGE, PAGE[: PAGE.index(b"# HELP wsgateway_seconds")]]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), pages.pop(0)))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await fetch("127.0.0.1", port, "/metrics") == PAGE
        with pytest.raises(EOFError):
            await fetch("127.0.0.1", port, "/metrics")
