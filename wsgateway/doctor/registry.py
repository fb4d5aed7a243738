"""The Redis of an installation: whether it can be reached, is fit for it, and who else is there."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import NoScriptError

from wsgateway.doctor.base import Finding, address, failed, ok, warning
from wsgateway.doctor.trials import MOST, connects
from wsgateway.errors import RegistryAway
from wsgateway.model.fingerprint import short
from wsgateway.redis.target import Target
from wsgateway.registry.base import NodeEntry
from wsgateway.registry.link import Command, Link
from wsgateway.registry.redis import OLDEST, RedisNodes

PINGS = 5
SLOW_MILLIS = 50
"""A handshake waits for Redis, and Redis's calls may take a second."""
SKEW_SECONDS = 2.0
FULL = 0.9
SCRATCH_MILLIS = 10_000
"""How long what is written to try Redis out stays there, should nobody remove it."""


async def registry(target: Target, prefix: str, fingerprint: str | None) -> list[Finding]:
    """What is to be said of the Redis at a place; `fingerprint` is that of the definition, where it is valid."""
    link, where = Link(target, prefix), f"Redis at {target}"
    try:
        findings = await _named(target)
        try:
            findings.append(await latency(link, where))
        except RegistryAway as error:
            mend = "see --redis-url, and that Redis runs; without it no node takes connections"
            return [*findings, failed("redis", where, str(error).removeprefix(f"{where}: "), mend)]
        for look, mend in _LOOKS:
            try:
                findings += await look(link, where, fingerprint)
            except RegistryAway as error:
                findings.append(failed("redis", where, str(error).removeprefix(f"{where}: "), mend))
        return findings
    finally:
        await link.aclose()


async def _named(target: Target) -> list[Finding]:
    """Of several places that a URL names, those where nobody is; one that answers is enough."""
    if len(target.addresses) < 2:
        return []
    refusals = await asyncio.gather(*(connects(*place) for place in target.addresses))
    what = "Sentinel" if target.kind == "sentinel" else "server of the Cluster"
    return [
        warning("redis", address(*place), f"this {what} can't be reached: {refusal}", "start it, or leave it out")
        for place, refusal in zip(target.addresses, refusals, strict=True)
        if refusal
    ]


async def latency(link: Link, where: str) -> Finding:
    """How long an answer takes. *Raises* RegistryAway."""
    await link.command("PING")  # a connection is made for it
    taken = []
    for _ in range(PINGS):
        begun = time.perf_counter()
        await link.command("PING")
        taken.append((time.perf_counter() - begun) * 1000)
    millis = statistics.median(taken)
    found = f"answers in {millis:.1f} ms"
    if millis >= SLOW_MILLIS:
        return warning("redis", where, found, "put it nearer, or give it more CPU: handshakes wait for it")
    return ok("redis", where, found)


async def _servers(link: Link, where: str, _: str | None) -> list[Finding]:
    """What servers say of themselves, if the user may ask."""
    try:
        before = time.time()
        servers = await link.information("server")
        now = (before + time.time()) / 2
        memories = await link.information("memory")
    except RegistryAway as error:
        found = f"what it is can't be asked: {str(error).removeprefix(f'{where}: ')}"
        return [warning("redis version", where, found, "let the user run INFO (+info)")]
    return _distinct(
        [
            *(version(where, one) for one in servers),
            *(clock(where, one, now) for one in servers),
            *(eviction(where, one) for one in memories),
            *(room(where, one) for one in memories),
        ]
    )


def _distinct(found: Sequence[Finding | None]) -> list[Finding]:
    """What several servers of a Cluster have in common is said once."""
    return list(dict.fromkeys(each for each in found if each is not None))


def version(where: str, told: Mapping[str, Any]) -> Finding:
    """Of Valkey: the version of Redis that it is compatible with."""
    text = str(told.get("redis_version", ""))
    try:
        number = tuple(int(part) for part in text.split(".")[:2])
    except ValueError:
        return warning("redis version", where, "it tells none", "6.2 or later is needed")
    if number < OLDEST:
        return failed("redis version", where, f"version {text}", "6.2 or later is needed")
    return ok("redis version", where, text)


def clock(where: str, told: Mapping[str, Any], now: float) -> Finding | None:
    """Whether the machine's clock, `now` in seconds since the epoch, is that of Redis; None where it tells none."""
    micros = told.get("server_time_usec")
    if not isinstance(micros, int):
        return None
    skew = now - micros / 1e6
    if abs(skew) < SKEW_SECONDS:
        return ok("clock", where, f"within {SKEW_SECONDS:g} s of this machine's")
    found = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} it"
    mend = "synchronise both by NTP: signatures and tokens are good by this machine's clock, quotas end by each node's"
    return warning("clock", where, found, mend)


def eviction(where: str, told: Mapping[str, Any]) -> Finding | None:
    """Whether Redis may forget keys; None where it does not tell."""
    policy = told.get("maxmemory_policy")
    if policy is None:
        return None
    if policy == "noeviction":
        return ok("redis eviction", where, "noeviction")
    when = "where its memory is full" if told.get("maxmemory") else "once it is given a maxmemory"
    found = f"maxmemory-policy is {policy}: {when}, records of connections are evicted and $disconnects lost"
    return warning("redis eviction", where, found, "CONFIG SET maxmemory-policy noeviction")


def room(where: str, told: Mapping[str, Any]) -> Finding | None:
    """Whether there is memory left; None where there is no limit."""
    used, limit = told.get("used_memory"), told.get("maxmemory")
    if not isinstance(used, int) or not isinstance(limit, int) or not limit or used < FULL * limit:
        return None
    found = f"{used / limit:.0%} of maxmemory is used"
    return warning("redis memory", where, found, "raise maxmemory: where it is full no client can connect")


# Commands


def commands(scratch: str) -> list[Command]:
    """Every command that the gateway sends, itself or in scripts, for keys that begin so. They leave nothing."""
    text, fields, scores, items = (scratch + kind for kind in "shzl")
    return [
        ("SET", text, "1", "PX", SCRATCH_MILLIS), ("GET", text), ("MGET", text), ("EXISTS", text), ("PTTL", text),
        ("EXPIRE", text, 10), ("GETDEL", text),
        ("HSET", fields, "a", "1"), ("PEXPIRE", fields, SCRATCH_MILLIS), ("HSETNX", fields, "b", "1"),
        ("HGET", fields, "a"), ("HMGET", fields, "a"), ("HGETALL", fields), ("HEXISTS", fields, "a"),
        ("HINCRBY", fields, "a", 1), ("HKEYS", fields), ("HLEN", fields), ("HRANDFIELD", fields, 1),
        ("HDEL", fields, "a", "b"),
        ("ZADD", scores, 1, "a"), ("PEXPIRE", scores, SCRATCH_MILLIS), ("ZCARD", scores), ("ZRANGE", scores, 0, -1),
        ("ZREM", scores, "b"), ("ZPOPMIN", scores),
        ("LPUSH", items, "a"), ("PEXPIRE", items, SCRATCH_MILLIS), ("LINDEX", items, 0), ("LLEN", items),
        ("LRANGE", items, 0, -1), ("LREM", items, 0, "b"), ("RPOP", items),
        ("DEL", text), ("UNLINK", fields),
    ]  # fmt: skip


async def _commands(link: Link, where: str, _: str | None) -> list[Finding]:
    """Whether it does what is asked of it: by trying, for only so a full disk, a replica or an ACL is seen."""
    scratch = f"{link.prefix}:{{doctor}}:{secrets.token_hex(8)}:"
    wanted = commands(scratch)
    answers = await link.answers(wanted)
    refused = [(str(command[0]), link.reason(a)) for command, a in zip(wanted, answers, strict=True) if _is_error(a)]
    for name, script in (("EVAL", "return redis.call('EXISTS', KEYS[1])"), ("EVALSHA", "0" * 40)):
        try:
            await link.command(name, script, 1, scratch + "s")
        except RegistryAway as error:
            if not isinstance(error.__cause__, NoScriptError):  # which is what it says where it may be asked
                refused.append((name, str(error).removeprefix(f"{where}: ")))
    return list(refusals(where, link.prefix, refused)) or [ok("redis commands", where, "all that are used are allowed")]


def _is_error(answer: object) -> bool:
    return isinstance(answer, Exception)


def refusals(where: str, prefix: str, refused: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """One finding for each reason for which commands were refused."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in refused:
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        mend = ""
        if "the user may not" in reason:
            mend = f"ACL SETUSER … ~{prefix}:* resetchannels -@all +@read +@write +@scripting +@connection +info"
        yield failed("redis commands", where, f"{', '.join(dict.fromkeys(names))}: {reason}", mend)


# Nodes


async def _nodes(link: Link, where: str, fingerprint: str | None) -> list[Finding]:
    known = RedisNodes(link)
    living = await known.living()
    findings = list(nodes(link.prefix, living, fingerprint, known.unreadable))
    refused = await asyncio.gather(*(_refused(node) for node in living[:MOST]))
    for node, why in zip(living, refused, strict=False):
        if why:
            mend = "see its --advertise and --internal-host, and that this machine may connect there"
            findings.append(warning("nodes", f"{node.name} at {node.address}", f"can't be reached: {why}", mend))
    return findings


def nodes(prefix: str, living: Sequence[NodeEntry], fingerprint: str | None, unreadable: int) -> Iterator[Finding]:
    """What is to be said of the nodes that live under a prefix."""
    where = f"--redis-prefix {prefix}"
    if unreadable:
        found = f"{unreadable} entries of nodes can't be read: another version's, or another program's"
        yield warning("nodes", where, found, "give each installation a --redis-prefix of its own")
    others = [node for node in living if fingerprint is not None and node.digest not in ("", fingerprint)]
    if others:
        digests = ", ".join(sorted({short(node.digest) for node in others}))
        found = f"{len(others)} of {len(living)} nodes execute other definitions than the file: {digests}"
        mend = (
            "send them SIGHUP, see `wsgateway deployments ls`; or, if they are not yours, give another --redis-prefix"
        )
        yield warning("nodes", where, found, mend)
    versions = sorted({node.version for node in living if node.version})
    if len(versions) > 1:
        yield warning("nodes", where, f"they run versions {', '.join(versions)}", "bring all to one version")
    if not others:
        same = "" if fingerprint is None or not living else ", with this definition"
        yield ok("nodes", where, f"{len(living)} live{same}" if living else "no node lives there")


async def _refused(node: NodeEntry) -> str:
    try:
        parts = urlsplit(f"//{node.address}")
        return await connects(parts.hostname or "", parts.port or 0)
    except ValueError as error:
        return str(error)


_LOOKS = (
    (_servers, "let the user run INFO (+info)"),
    (_commands, "it was there a moment ago: see its log"),
    (_nodes, "give this installation another --redis-prefix, or remove the other's keys"),
)
"""What is looked at once it answers, and how to mend it where that can't be."""
