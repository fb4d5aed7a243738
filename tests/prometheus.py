"""A real Prometheus: Debian's package `prometheus`, with its `promtool`.

Without it tests are skipped, but in CI they fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults import HOST, free_port
from tests.harness import http, parse_answer, raw

INTERVAL = "1s"
"""Between two scrapes, and two looks at the rules; a scrape has as long, on a busy machine too."""
SECONDS = 60.0
"""A server takes 5 s by itself before it scrapes for the first time."""


def program(name: str) -> str:
    """Its path."""
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("CI"), f"CI needs {name}, of Debian's package prometheus"
        pytest.skip(f"{name} is not on PATH; Debian's package prometheus has it")
    return found


class Prometheus:
    """One server, asked by its HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, path: str) -> Any:
        """The data of an answer; *raises* AssertionError with what is wrong with the question."""
        # HTTP/1.0, in which nothing is chunked.
        asked = await raw(self.port, f"GET /api/v1/{path} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        answer = parse_answer(asked).json()
        assert answer["status"] == "success", f"{path}: {answer.get('error')}"
        return answer["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of now."""
        found: list[dict[str, Any]] = (await self.ask(f"query?query={quote(expression)}"))["result"]
        return found

    async def firing(self) -> set[str]:
        """The names of alerts that fire."""
        alerts = (await self.ask("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def until(self, good: Callable[[], Awaitable[bool]]) -> None:
        """Ask again and again until it is so."""
        async with asyncio.timeout(SECONDS):
            while not await good():
                await asyncio.sleep(0.05)


def _configure(folder: Path, targets: list[int], rules: object) -> None:
    folder.mkdir()
    (folder / "rules.yaml").write_text(json.dumps(rules))  # which is YAML, too
    scraped = {"job_name": "wsgateway", "static_configs": [{"targets": [f"{HOST}:{port}" for port in targets]}]}
    config = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scraped],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))


@asynccontextmanager
async def prometheus(folder: Path, targets: list[int], rules: object) -> AsyncIterator[Prometheus]:
    """Run one that scrapes these ports of loopback and watches these rules; ready when it yields."""
    _configure(folder, targets, rules)
    server = Prometheus(free_port())
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{server.port}",
            stdout=log,
            stderr=log,
        )
    try:
        await server.until(lambda: _is_ready(server.port, process))
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _is_ready(port: int, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, "its log, in its folder, says why it ended"
    try:
        return (await http(port, "GET", "/-/ready")).status == 200
    except OSError:
        return False
