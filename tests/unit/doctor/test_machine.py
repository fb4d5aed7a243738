"""Verdicts about the machine: files, waiting connections, memory, CPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.doctor.base import Verdict
from wsgateway.doctor.machine import backlog, cpus, large, machine, memory, open_files
from wsgateway.model.loader import parse
from wsgateway.settings import Settings
from wsgateway.transport.files import share_out

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
MIB = 1 << 20
FILE = Path("routes.yaml")
CHAT = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {integration: {integrationType: MOCK}}}
"""
COMPRESSED = CHAT.replace("    stages:", "    compression: {serverNoContextTakeover: false}\n    stages:")
SHOP = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {cacheClusterEnabled: true}}
    paths: {/: {GET: {integration: {type: MOCK}}}}
"""


def settings(**flags: object) -> Settings:
    return Settings(file=FILE, dev=False, **flags)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [pytest.param(1024, WARNING, id="few"), pytest.param(4096, OK, id="enough"), pytest.param(1 << 20, OK, id="many")],
)
def test_open_files(limit: int, verdict: Verdict) -> None:
    assert open_files(share_out(limit, None)).verdict is verdict


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        pytest.param("4096\n", OK, id="as many as asked for"),
        pytest.param("128\n", WARNING, id="fewer"),
        pytest.param(None, WARNING, id="unknown"),
        pytest.param("garbage", WARNING, id="nothing that can be read"),
    ],
)
def test_backlog(content: str | None, verdict: Verdict, tmp_path: Path) -> None:
    file = tmp_path / "somaxconn"
    if content is not None:
        file.write_text(content)

    assert backlog(4096, file).verdict is verdict


@pytest.mark.parametrize(
    ("flags", "there", "verdict"),
    [
        pytest.param({}, 2048 * MIB, OK, id="enough"),
        pytest.param({}, 1024 * MIB, WARNING, id="the processes' own is missing"),
        pytest.param({}, 768 * MIB, WARNING, id="there is no room for copies"),
        pytest.param({"body_memory": 16 * MIB, "message_memory": 16 * MIB}, 128 * MIB, OK, id="less is asked for"),
        pytest.param({"workers": 4, "redis_url": "redis://a"}, 2048 * MIB, WARNING, id="each worker has as much"),
    ],
)
def test_large_bodies_and_messages(flags: dict[str, object], there: int, verdict: Verdict) -> None:
    assert large(settings(**flags), there).verdict is verdict


@pytest.mark.parametrize(
    ("definition", "clients", "flags", "there", "mend"),
    [
        pytest.param(CHAT, 10_000, {}, 128 * MIB, "", id="enough"),
        pytest.param(CHAT, 1_000_000, {}, 512 * MIB, "--max-connections to 154282 or less", id="too many clients"),
        pytest.param(COMPRESSED, 10_000, {}, 128 * MIB, "--max-connections to 1392 or less", id="compression"),
        pytest.param(SHOP, 1000, {}, 256 * MIB, "more memory, or run fewer workers", id="kept answers"),
        pytest.param(
            SHOP, 1000, {"redis_url": "redis://db"}, 256 * MIB, "", id="answers that are kept in Redis"
        ),
        pytest.param(
            CHAT, 1000, {"redis_url": "redis://db", "workers": 4}, 200 * MIB, "run fewer workers", id="workers"
        ),
    ],
)  # fmt: skip
def test_memory(definition: str, clients: int, flags: dict[str, object], there: int, mend: str) -> None:
    finding = memory(settings(**flags), parse(definition, "r", {}, Path()).definitions, clients, there)

    assert finding.verdict is (WARNING if mend else OK)
    assert mend in finding.mend


@pytest.mark.parametrize(("workers", "there", "verdict"), [(1, 1, OK), (4, 8, OK), (4, 2, WARNING)])
def test_cpus(workers: int, there: int, verdict: Verdict) -> None:
    assert cpus(workers, there).verdict is verdict


def test_more_connections_than_files_are_told_as_a_start_would() -> None:
    (finding,) = [each for each in machine(settings(max_connections=10**9), None) if each.check == "open files"]

    assert finding.verdict is FAILED
    assert "--max-connections 1000000000 needs" in finding.found


def test_it_names_what_it_is_made_of() -> None:
    (finding,) = [each for each in machine(settings(), None) if each.check == "versions"]

    assert finding.verdict is OK
    assert all(name in finding.found for name in ("wsgateway", "Python", "uvloop", "httptools"))
