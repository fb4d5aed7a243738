"""Autobahn's test cases by kosoku, against an echo through a backend, in both profiles."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import backend, gateway

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LEFT_OUT = ("9.*", "12.*", "13.*")
"""Limits and performance, and compression, which is not negotiated."""

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}


def definition(profile: str, port: int) -> str:
    echo = {
        "integrationType": "HTTP_PROXY",
        "integrationMethod": "POST",
        "integrationUri": f"http://127.0.0.1:{port}/echo",
    }
    api = {
        "protocolType": "WEBSOCKET",
        "profile": profile,
        "routeSelectionExpression": "$request.body.action",
        # Autobahn counts on replies in the order of its messages.
        "messageOrdering": "SEQUENTIAL",
        "stages": {"dev": {}},
        "routes": {"$default": {"integration": echo, "routeResponse": True}},
    }
    return json.dumps({"apis": {"echo": api}})


async def verdicts(profile: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What kosoku says of each case."""
    kosoku = Path(sys.executable).with_name("kosoku")
    reports = folder / "reports"
    async with backend() as echo, gateway(definition(profile, echo.port), folder) as running:
        process = await asyncio.create_subprocess_exec(
            str(kosoku), running.ws(), "-o", str(reports), "-p", "4", *(f"-x{glob}" for glob in LEFT_OUT),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(110):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert not [line for line in running.log if "unexpected error" in line]
    index = reports / "index.json"
    assert index.exists(), output.decode()
    (cases,) = json.loads(index.read_text()).values()
    assert len(cases) == 247, output.decode()
    return dict(cases)


def failed(cases: dict[str, dict[str, Any]]) -> dict[str, int | None]:
    """Cases that did not pass, with the code we closed with."""
    return {
        case: verdict["remoteCloseCode"]
        for case, verdict in cases.items()
        if verdict["behavior"] not in PASSED or verdict["behaviorClose"] not in PASSED
    }


MAY_FAIL = {"7.1.5"}
"""A close in the middle of a fragmented message: `websockets` takes it for an error and answers 1002."""


async def test_the_open_profile_passes_every_case(tmp_path: Path) -> None:
    wrong = failed(await verdicts("open", tmp_path))

    assert wrong.keys() <= MAY_FAIL
    assert set(wrong.values()) <= {1002}


AWS_REFUSES = {
    **dict.fromkeys(("1.1.6", "1.1.7", "1.1.8"), 1009),  # a text frame of 64 KiB; AWS takes 32 KiB a frame
    **dict.fromkeys(("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5"), 1003),  # binary
    **dict.fromkeys(("1.2.6", "1.2.7", "1.2.8"), 1009),  # binary, and of 64 KiB: the size is on the header
}


async def test_the_aws_profile_fails_where_aws_does_and_nowhere_else(tmp_path: Path) -> None:
    """API Gateway quotas: "WebSocket frame size" 32 KB; no binary frames from clients."""
    wrong = failed(await verdicts("aws", tmp_path))

    assert {case: code for case, code in wrong.items() if case not in MAY_FAIL} == AWS_REFUSES
