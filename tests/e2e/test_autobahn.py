"""Autobahn's test cases by kosoku, against an echo through a backend, in both profiles. The long ones are nightly."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import backend, gateway

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

BASIC = [f"-x{glob}" for glob in ("9.*", "12.*", "13.*")]
"""All but limits and performance, and compression."""

COMPRESSION = ["-i12.*", "-i13.*"]
LIMITS = ["-i9.*"]

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}


def definition(profile: str, port: int, **more: Any) -> str:
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
    return json.dumps({"apis": {"echo": api | more}})


async def verdicts(
    profile: str, folder: Path, chosen: list[str], count: int, *, seconds: float = 110, **more: Any
) -> dict[str, dict[str, Any]]:
    """What kosoku says of each of the `count` chosen cases."""
    kosoku = Path(sys.executable).with_name("kosoku")
    reports = folder / "reports"
    async with backend() as echo, gateway(definition(profile, echo.port, **more), folder) as running:
        process = await asyncio.create_subprocess_exec(
            str(kosoku), running.ws(), "-o", str(reports), "-p", "4", *chosen,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert not [line for line in running.log if "unexpected error" in line]
    index = reports / "index.json"
    assert index.exists(), output.decode()
    (cases,) = json.loads(index.read_text()).values()
    assert len(cases) == count, output.decode()
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
    wrong = failed(await verdicts("open", tmp_path, BASIC, 247))

    assert wrong.keys() <= MAY_FAIL
    assert set(wrong.values()) <= {1002}


ALL = {"minimumCompressionSize": 0}
"""Compresses messages of any size."""

TAKEOVER = {"serverNoContextTakeover": False, "clientNoContextTakeover": False}


@pytest.mark.parametrize("compression", [ALL, ALL | TAKEOVER], ids=["each by itself", "context taken over"])
async def test_some_cases_of_compression(tmp_path: Path, compression: dict[str, Any]) -> None:
    """One of each kind: whole and fragmented messages, text and binary, every offer."""
    chosen = ["12.1.2", "12.3.11", *(f"13.{offer}.2" for offer in range(1, 8))]
    cases = await verdicts("open", tmp_path, [f"-i{case}" for case in chosen], 9, compression=compression)

    assert failed(cases) == {}


async def test_with_compression_allowed_the_open_profile_passes_every_other_case(tmp_path: Path) -> None:
    wrong = failed(await verdicts("open", tmp_path, BASIC, 247, compression=ALL))

    assert wrong.keys() <= MAY_FAIL


@pytest.mark.nightly
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("compression", [ALL, ALL | TAKEOVER], ids=["each by itself", "context taken over"])
async def test_every_case_of_compression(tmp_path: Path, compression: dict[str, Any]) -> None:
    cases = await verdicts("open", tmp_path, COMPRESSION, 216, seconds=1200, compression=compression)

    assert failed(cases) == {}


async def test_limits_and_performance(tmp_path: Path) -> None:
    """Messages of up to 16 MiB."""
    limits = {"maxMessageBytes": 16 << 20}
    cases = await verdicts("open", tmp_path, LIMITS, 54, limits=limits, compression=ALL)

    # 65,536 and 16,384 fragments a message; 4,096 are taken.
    assert failed(cases) == dict.fromkeys(("9.3.1", "9.3.2", "9.4.1", "9.4.2"), 1008)


AWS_REFUSES = {
    **dict.fromkeys(("1.1.6", "1.1.7", "1.1.8"), 1009),  # a text frame of 64 KiB; AWS takes 32 KiB a frame
    **dict.fromkeys(("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5"), 1003),  # binary
    **dict.fromkeys(("1.2.6", "1.2.7", "1.2.8"), 1009),  # binary, and of 64 KiB: the size is on the header
}


async def test_the_aws_profile_fails_where_aws_does_and_nowhere_else(tmp_path: Path) -> None:
    """API Gateway quotas: "WebSocket frame size" 32 KB; no binary frames from clients."""
    wrong = failed(await verdicts("aws", tmp_path, BASIC, 247))

    assert {case: code for case, code in wrong.items() if case not in MAY_FAIL} == AWS_REFUSES
