"""The process as an orchestrator sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.harness import gateway, http

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {}}
"""


async def test_a_started_gateway_is_live_and_ready_and_says_so_inside_alone(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path) as running:
        for path in ("/livez", "/readyz", "/startupz"):
            answer = await http(running.internal_port, "GET", path)
            assert (answer.status, answer.body) == (200, b"ok\n")

        for path in ("/livez", "/readyz", "/metrics", "/version"):
            assert (await http(running.port, "GET", path)).status == 403


async def test_the_ready_file_says_what_the_ready_line_says(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    async with gateway(DEFINITION, tmp_path, "--ready-file", str(ready)) as running:
        assert json.loads(ready.read_text()) == {
            "public": running.public,
            "internal": running.internal,
            "pid": running.pid,
        }


async def test_metrics_and_version_are_served_to_who_reads(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path) as running:
        assert (await running.metrics())["wsgateway_connections"] == 0
        assert (await http(running.internal_port, "GET", "/version")).json().keys() == {"version", "python"}
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await http(running.internal_port, "POST", path)).status == 405
            assert (await http(running.internal_port, "HEAD", path)).status == 200


async def test_a_probe_that_is_asked_for_more_tells_what_was_looked_at(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path, "--max-connections", "1") as running:
        answer = await http(running.internal_port, "GET", "/readyz?verbose")
        lines = answer.body.decode().splitlines()
        assert answer.status == 200
        assert lines[:3] == ["[+] start: over", "[+] drain: none", "[+] connections: 0 of 1"]
        assert lines[3].startswith("[+] definition: ")
        assert lines[4:] == ["ok"]
        assert (await http(running.internal_port, "GET", "/startupz?verbose")).body == b"[+] start: over\nok\n"
        assert (await http(running.internal_port, "GET", "/readyz?verbose=0")).body == b"ok\n"

        (tmp_path / "routes.yaml").write_text("apis: {")
        running.reload()
        await running.logged("definition refused")
        async with connect(running.ws()):
            answer = await http(running.internal_port, "GET", "/readyz?verbose")
        assert answer.status == 200
        assert "[!] connections: 1 of 1: new ones get 503" in answer.body.decode()
        assert "[!] definition: the last one was refused" in answer.body.decode()
