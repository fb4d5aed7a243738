"""What a check finds: a verdict, and in words what it is, where, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How bad it is. What FAILED keeps the gateway, or a part of what it serves, from working; a WARNING will, may, or
    makes it worse than it could be."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` is empty where there is nothing to do."""

    check: str
    where: str
    verdict: Verdict
    found: str
    mend: str = ""


def ok(check: str, where: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, where, Verdict.OK, found)


def warning(check: str, where: str, found: str, mend: str) -> Finding:
    """An operator should know."""
    return Finding(check, where, Verdict.WARNING, found, mend)


def failed(check: str, where: str, found: str, mend: str = "") -> Finding:
    """It has to be mended. `found` may say how by itself."""
    return Finding(check, where, Verdict.FAILED, found, mend)


def address(host: str, port: int) -> str:
    """HOST:PORT."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
