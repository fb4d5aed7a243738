"""The process as an orchestrator sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_a_started_gateway_is_live_and_ready(path: str, tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path) as running:
        answer = await http(running.internal_port, "GET", path)

        assert (answer.status, answer.body) == (200, b"ok\n")


async def test_probes_are_not_on_the_public_listener(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path) as running:
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


async def test_metrics_and_version_are_served(tmp_path: Path) -> None:
    async with gateway(DEFINITION, tmp_path) as running:
        assert (await running.metrics())["wsgateway_connections"] == 0
        assert "version" in (await http(running.internal_port, "GET", "/version")).json()
