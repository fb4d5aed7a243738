"""`--redis-url`: which Redis, and how it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from wsgateway.errors import SettingError

SECONDS = 1.0
"""How long a connection to Redis, or an answer of it, is waited for."""
SENTINEL_PORT, PORT = 26379, 6379
# redis-py has no types for these.
_Sentinel: Any = redis.asyncio.sentinel.Sentinel
_SyncSentinel: Any = redis.sentinel.Sentinel
_SyncClusterNode: Any = redis.cluster.ClusterNode

FORMS = (
    "redis://HOST:PORT/DB, rediss:// (TLS), unix:///PATH, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or redis+cluster://HOST:PORT,HOST:PORT"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A Redis, or a set of them. `open` and `open_blocking` make a client of it; nothing is connected yet."""

    open: Callable[[], Any]
    open_blocking: Callable[[], Any]
    addresses: tuple[tuple[str, int], ...]
    """Host and port of each server that the URL names."""


def target(url: str) -> Target:
    """What a URL means. *Raises* SettingError, which doesn't hold the URL's password."""
    try:
        return _target(url)
    except (ValueError, TypeError) as error:
        raise SettingError(f"--redis-url can't be used: {error}; write {FORMS}") from error


def _target(url: str) -> Target:
    scheme, _, rest = url.partition("://")
    scheme, _, kind = scheme.lower().partition("+")
    if (
        scheme not in ("redis", "rediss", "unix")
        or kind not in ("", "sentinel", "cluster")
        or (kind and scheme == "unix")
    ):
        raise ValueError(f"no such scheme as {url.partition('://')[0][:40]!r}")
    if not rest:
        raise ValueError("it names no server")
    parts = urlsplit(f"{scheme}://{rest}")
    login, at, places = parts.netloc.rpartition("@")
    hosts = tuple(_place(place, SENTINEL_PORT if kind == "sentinel" else PORT) for place in places.split(",") if place)
    if scheme != "unix" and not hosts:
        raise ValueError("it names no server")
    if len(hosts) > 1 and not kind:
        raise ValueError("it names several servers: say redis+sentinel:// or redis+cluster://")
    service, path = "", parts.path
    if kind == "sentinel":
        service, _, database = unquote(parts.path).strip("/").partition("/")
        if not service:
            raise ValueError("the Sentinels' name for the service is missing: …:26379/SERVICE")
        path = f"/{database}"
    if scheme != "unix" and path.strip("/") and not (path.strip("/").isascii() and path.strip("/").isdigit()):
        raise ValueError(f"{path!r} is not the number of a database")
    if kind == "cluster" and path.strip("/") not in ("", "0"):
        raise ValueError("a Cluster has no databases but 0")
    query = f"?{parts.query}" if parts.query else ""
    host, port = hosts[0] if hosts else ("", 0)
    netloc = f"{login}{at}{f'[{host}]' if ':' in host else host}:{port}" if hosts else f"{login}{at}"
    options: dict[str, Any] = dict(parse_url(f"{scheme}://{netloc}{path}{query}"))
    connection_class = options.pop("connection_class", None)
    if connection_class is SSLConnection:
        options["ssl"] = True
    if "path" in options:
        options["unix_socket_path"] = options.pop("path")
    for replaced in ("host", "port"):
        options.pop(replaced, None)
    options = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS} | options
    if kind == "sentinel":
        return _sentinel(hosts, service, options)
    if kind == "cluster":
        return _cluster(hosts, options)
    if hosts:
        options |= {"host": host, "port": port}
    _check(lambda: redis.asyncio.Redis(**options))
    return Target(
        open=lambda: redis.asyncio.Redis(**options, retry=Retry(NoBackoff(), 0)),
        open_blocking=lambda: redis.Redis(**options, retry=SyncRetry(NoBackoff(), 0)),
        addresses=hosts,
    )


def _sentinel(hosts: tuple[tuple[str, int], ...], service: str, options: dict[str, Any]) -> Target:
    asked = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl"))}
    for name in ("username", "password"):
        if (value := options.pop(f"sentinel_{name}", None)) is not None:
            asked[name] = value

    def open_() -> Any:
        retry = Retry(NoBackoff(), 0)
        sentinel = _Sentinel(list(hosts), sentinel_kwargs=asked | {"retry": retry}, **options)
        return sentinel.master_for(service, retry=retry)

    def open_blocking() -> Any:
        retry = SyncRetry(NoBackoff(), 0)
        sentinel = _SyncSentinel(list(hosts), sentinel_kwargs=asked | {"retry": retry}, **options)
        return sentinel.master_for(service, retry=retry)

    _check(open_)
    return Target(open=open_, open_blocking=open_blocking, addresses=hosts)


def _cluster(hosts: tuple[tuple[str, int], ...], options: dict[str, Any]) -> Target:
    options.pop("db", None)

    def open_() -> Any:
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in hosts]
        return redis.asyncio.RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 1), **options)

    def open_blocking() -> Any:
        nodes = [_SyncClusterNode(host, port) for host, port in hosts]
        return redis.RedisCluster(startup_nodes=nodes, retry=SyncRetry(NoBackoff(), 1), **options)

    _check(open_)
    return Target(open=open_, open_blocking=open_blocking, addresses=hosts)


def _check(make: Callable[[], Any]) -> None:
    """Have the library say now what it doesn't know in the URL's query."""
    try:
        make()
    except (redis.RedisError, OSError) as error:
        raise ValueError(str(error)) from error


def _place(text: str, usual: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return unquote(parts.hostname), usual if parts.port is None else parts.port
