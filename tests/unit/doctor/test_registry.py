"""Verdicts about Redis, and that every command is tried which the gateway sends."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import wsgateway.registry
from wsgateway.doctor.base import Finding, Verdict
from wsgateway.doctor.registry import clock, commands, eviction, nodes, refusals, room, version
from wsgateway.registry.base import NodeEntry

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
NOW = 1_800_000_000.0


def verdict(finding: Finding | None) -> Verdict | None:
    return None if finding is None else finding.verdict


@pytest.mark.parametrize(
    ("told", "said"),
    [("7.2.4", OK), ("6.2.0", OK), ("6.0.16", FAILED), ("5", FAILED), ("", WARNING), ("unknown", WARNING)],
)
def test_version(told: str, said: Verdict) -> None:
    assert version("r", {"redis_version": told}).verdict is said


@pytest.mark.parametrize(
    ("micros", "said"),
    [
        pytest.param(int(NOW * 1e6) + 900_000, OK, id="the same"),
        pytest.param(int(NOW * 1e6) - 5_000_000, WARNING, id="ahead"),
        pytest.param(int(NOW * 1e6) + 5_000_000, WARNING, id="behind"),
        pytest.param(None, None, id="not told"),
    ],
)
def test_clock(micros: int | None, said: Verdict | None) -> None:
    assert verdict(clock("r", {} if micros is None else {"server_time_usec": micros}, NOW)) is said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"maxmemory_policy": "noeviction", "maxmemory": 100}, OK),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 100}, WARNING),
        ({"maxmemory_policy": "volatile-lru", "maxmemory": 0}, WARNING),
        ({}, None),
    ],
)
def test_eviction(told: dict[str, Any], said: Verdict | None) -> None:
    assert verdict(eviction("r", told)) is said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"used_memory": 95, "maxmemory": 100}, WARNING),
        ({"used_memory": 50, "maxmemory": 100}, None),
        ({"used_memory": 50, "maxmemory": 0}, None),
        ({}, None),
    ],
)
def test_room(told: dict[str, Any], said: Verdict | None) -> None:
    assert verdict(room("r", told)) is said


def test_refusals_are_told_by_their_reason() -> None:
    refused = [("SET", "the user may not do this"), ("HSET", "it is a replica"), ("GET", "the user may not do this")]

    first, second = refusals("r", "p", refused)

    assert (first.verdict, first.found) == (FAILED, "SET, GET: the user may not do this")
    assert "~p:*" in first.mend
    assert (second.found, second.mend) == ("HSET: it is a replica", "")


def test_every_command_that_is_sent_is_tried() -> None:
    package = files(wsgateway.registry)
    texts = [Path(str(file)).read_text() for file in (*package.iterdir(), *package.joinpath("lua").iterdir())
             if file.name.endswith((".lua", ".py"))]  # fmt: skip
    text = "\n".join(texts)
    sent = set(re.findall(r"redis\.p?call\('([A-Z]+)'", text)) | set(re.findall(r"\(\s*\"([A-Z]{3,})\",", text))

    assert {"HSET", "ZPOPMIN", "GETDEL", "LPUSH"} <= sent
    assert sent <= {str(command[0]) for command in commands("p:")} | {"EVAL", "EVALSHA", "INFO"}


def node(name: str, *, digest: str = "", version: str = "1.0") -> NodeEntry:
    return NodeEntry(slot=b"abc", address="127.0.0.1:1", name=name, digest=digest, version=version)


@pytest.mark.parametrize(
    ("living", "fingerprint", "unreadable", "said"),
    [
        pytest.param([], "d1", 0, [OK], id="nobody there"),
        pytest.param([node("a", digest="d1")], "d1", 0, [OK], id="with the same definition"),
        pytest.param([node("a", digest="d2"), node("b", digest="d1")], "d1", 0, [WARNING], id="another definition"),
        pytest.param([node("a", digest="d2")], None, 0, [OK], id="the definition is invalid"),
        pytest.param([node("a")], "d1", 0, [OK], id="a node that starts"),
        pytest.param([node("a"), node("b", version="2.0")], "d1", 0, [WARNING, OK], id="two versions"),
        pytest.param([], "d1", 3, [WARNING, OK], id="somebody else's entries"),
    ],
)
def test_nodes(living: list[NodeEntry], fingerprint: str | None, unreadable: int, said: list[Verdict]) -> None:
    assert [each.verdict for each in nodes("p", living, fingerprint, unreadable)] == said
