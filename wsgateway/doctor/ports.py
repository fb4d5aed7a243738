"""Whether the listeners can have their ports, or a gateway has them already."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException

from wsgateway.app import LOOPBACK
from wsgateway.doctor.base import Finding, address, failed, ok, warning
from wsgateway.errors import StartError
from wsgateway.ports import reserve
from wsgateway.settings import Settings
from wsgateway.telemetry.health import Health

SECONDS = 2.0
MOST_BYTES = 65_536
_REMARK = f"{Health.FAIR.value} "


@dataclass(frozen=True, slots=True)
class Port:
    """What a listener binds to; `refusal` says why it can't, "" where it can."""

    name: str
    host: str
    port: int
    refusal: str = ""

    @property
    def place(self) -> str:
        return address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Running:
    """The gateway that answers at the internal port.

    `refusal` is why it is not ready, "" where it is; `remarks` are what it says of itself for an operator to look at.
    """

    version: str
    refusal: str = ""
    remarks: tuple[str, ...] = ()


async def ports(settings: Settings) -> list[Finding]:
    """Each port is had for a moment; where the internal one is taken, whoever has it is asked who they are."""
    tried = await asyncio.to_thread(_tried, _wanted(settings))
    running = None
    if any(port.refusal and port.name == "internal" for port in tried):
        host = LOOPBACK.get(settings.internal_host, settings.internal_host)
        running = await asyncio.to_thread(_gateway, host, settings.internal_port)
    return verdicts(tried, running)


def verdicts(tried: Sequence[Port], running: Running | None) -> list[Finding]:
    """What is to be said of ports, given the gateway that runs here, if one does."""
    findings = [_verdict(port, running) for port in tried]
    if running is None:
        return findings
    where = next(port.place for port in tried if port.name == "internal")
    if running.refusal:
        findings.append(failed("gateway", where, f"it is not ready: {running.refusal}", _LOG))
    else:
        findings.append(ok("gateway", where, f"one runs here, version {running.version}, and is ready"))
    return [*findings, *(warning("gateway", where, remark, _LOG) for remark in running.remarks)]


_LOG = "its log says more"


def _verdict(port: Port, running: Running | None) -> Finding:
    check = f"{port.name} port"
    if not port.refusal:
        return ok(check, port.place, "any free one" if not port.port else "free")
    if running is not None:
        return ok(check, port.place, "taken, and a gateway runs here")
    return failed(check, port.place, port.refusal)


def _wanted(settings: Settings) -> list[Port]:
    found = [Port("public", settings.host, settings.port)]
    if settings.tls_port is not None:
        found.append(Port("public TLS", settings.host, settings.tls_port))
    return [*found, Port("internal", settings.internal_host, settings.internal_port)]


def _tried(wanted: Sequence[Port]) -> list[Port]:
    """All are had at once, so that no two are the same."""
    tried = []
    with ExitStack() as had:
        for port in wanted:
            try:
                had.enter_context(closing(reserve(port.host, port.port, name=port.name)))
            except StartError as error:
                port = replace(port, refusal=str(error))
            tried.append(port)
    return tried


def _gateway(host: str, port: int) -> Running | None:
    """The gateway that answers there; None where it is something else, or says nothing in time."""
    try:
        status, body = _asked(host, port, "/version")
        version = json.loads(body)["version"] if status == 200 else None
        status, body = _asked(host, port, "/readyz?verbose")
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None
    if not isinstance(version, str):
        return None
    lines = body.decode("utf-8", "replace").split("\n")
    said = [line for line in lines if line]
    remarks = tuple(line.removeprefix(_REMARK) for line in said if line.startswith(_REMARK))
    return Running(version, "" if status == 200 else (said or [f"/readyz answers {status}"])[-1], remarks)


def _asked(host: str, port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    finally:
        connection.close()
