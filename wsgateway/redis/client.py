"""One way to talk to Redis, be it one server, a Sentinel's master or a Cluster.

Every call has a deadline, is sent once, and ends with an answer or an error of one kind. redis-py drops a connection
whose answer was not read to the end, so that a cancelled call leaves nothing for the next one; it is told not to try
again by itself, for nobody knows whether a call that failed was done.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from wsgateway.redis.target import Target

T = TypeVar("T")
_Sentinel: Any = Sentinel  # redis-py has no types for it
Command = tuple[bytes | str | int, ...]


class RedisAway(Exception):
    """Redis can't be reached in time, or refuses; what it was asked to do may have been done."""


class _Never(RedisError):
    """A kind of error that redis-py has no type for."""


REPLY_SECONDS = 1.0
"""How long a call may take, its connection included, where its caller doesn't say."""
SENTINEL_SECONDS = 0.3
"""How long one Sentinel has to name the master, before the next one is asked."""
CLOSE_SECONDS = 0.05
"""How long a caller who has waited in vain waits for connections to end, too; each begins to at once."""
AT_ONCE = 16
"""Calls under way; others wait, within their deadline."""
DEAD_SECONDS = 10
"""A peer whose TCP acknowledged nothing for so long is gone, however long a caller would wait for its answer."""

REASONS: tuple[tuple[type[RedisError], str, str], ...] = (
    (ReadOnlyError, "READONLY", "it is a replica, which takes no writes"),
    (BusyLoadingError, "LOADING", "it is loading its data"),
    (MasterDownError, "MASTERDOWN", "it is a replica that has lost its master"),
    (ClusterDownError, "CLUSTERDOWN", "the Cluster is down: some of its slots have no master"),
    (TryAgainError, "TRYAGAIN", "the Cluster is moving slots"),
    (NoPermissionError, "NOPERM", "the user may not do this: docs/operations.md lists what it needs"),
    (OutOfMemoryError, "OOM ", "its memory is full (maxmemory)"),
    (MaxConnectionsError, "max number of clients reached", "it has as many clients as it takes (maxclients)"),
    (_Never, "No master found", "no Sentinel that can be reached knows a master by this name"),
    (_Never, "NOAUTH", "it asks for a password"),
    (_Never, "Authentication required", "it asks for a password"),
    (AuthenticationError, "WRONGPASS", "it refuses the user and password"),
    (_Never, "The previous master is now a slave", "it is a replica, which takes no writes"),
    (_Never, "MISCONF", "it can't save its data, and takes no writes until it can"),
    (_Never, "NOREPLICAS", "too few replicas follow it for it to take writes"),
    (_Never, "BUSY ", "a script of somebody's keeps it busy"),
)
"""What an operator is told, by redis-py's type or by Redis's words, which is all there is of what a script ran into."""

MOVED_ON = (ReadOnlyError, MasterDownError, BusyLoadingError)
"""Answers of a server that is no master now: connections to it lead to the wrong place."""


class Client:
    """Connections to the Redis of a target, made when they are needed. Failures are raised as `away`."""

    away: ClassVar[type[Exception]] = RedisAway
    reasons: ClassVar[Mapping[str, str]] = {}
    """What else an operator is told, by Redis's words."""

    def __init__(self, target: Target, *, reply_seconds: float | None = REPLY_SECONDS) -> None:
        """`reply_seconds` bounds each answer besides the deadline of the call; None leaves it to that alone."""
        self.target = target
        self._reply_seconds = reply_seconds
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._redis = self._connected()

    # Calls

    async def command(self, *command: bytes | str | int, seconds: float = REPLY_SECONDS) -> Any:
        """What Redis answers to a command. *Raises* `away`."""
        return await self._within(seconds, self._redis.execute_command(*command))

    async def pipeline(self, commands: Sequence[Command], *, seconds: float = REPLY_SECONDS) -> list[Any]:
        """The answers to several commands that are sent together; in order for each key.

        *Raises* `away` where one of them fails; the others may have been done.
        """
        return await self._within(seconds, self._all(commands))

    async def answers(self, commands: Sequence[Command], *, seconds: float = REPLY_SECONDS) -> list[Any]:
        """The same, where one that fails is no matter of the others: its answer is a RedisError, for `reason`.

        *Raises* `away` where there is no answer at all.
        """
        answers = await self._within(seconds, self._pipeline(commands))
        if any(isinstance(answer, MOVED_ON) for answer in answers):
            await self._forget_connections()
        return answers

    async def information(self, section: str, *, seconds: float = REPLY_SECONDS) -> list[Mapping[str, Any]]:
        """What each server that takes writes says of itself under INFO's heading; of a Cluster that is every master.

        *Raises* `away`.
        """
        everywhere = {} if isinstance(self._redis, Redis) else {"target_nodes": RedisCluster.PRIMARIES}
        found = await self._within(seconds, self._redis.execute_command("INFO", section, **everywhere))
        return list(found.values()) if everywhere else [found]

    def reason(self, error: Exception) -> str:
        """An error in words for an operator, without what was sent."""
        text = str(error)
        for words, reason in self.reasons.items():
            if words in text:
                return reason
        for kind, words, reason in REASONS:
            if words in text or isinstance(error, kind):
                return reason
        text = text.partition(" with args")[0].partition("script:")[0]
        return " ".join(text.split())[:200] or type(error).__name__

    async def _all(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._pipeline(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False) if isinstance(self._redis, Redis) else self._redis.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    return await call
        except (TimeoutError, RedisTimeoutError) as error:
            raise await self._failed(f"no answer within {seconds:g} s") from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise await self._failed(self.reason(error)) from error
        except RuntimeError as error:  # uvloop's, of a connection that was reset while nobody used it
            raise await self._failed("the connection is gone") from error
        finally:
            call.close()  # where its turn never came

    async def _failed(self, reason: str) -> Exception:
        """What to raise."""
        await self._forget_connections()
        return self.away(f"Redis at {self.target}: {reason}")

    async def _forget_connections(self) -> None:
        """Those that wait to be used may be as bad, or lead to what is no master any more."""
        if isinstance(self._redis, Redis):  # a Cluster's client does it by itself
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            except (TimeoutError, RedisError, OSError, RuntimeError):
                pass

    # Connections

    def before_closing(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have something ended while there are connections still."""
        self._closers.insert(0, close)

    async def aclose(self) -> None:
        """Close all connections."""
        for close in self._closers:
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    await close()
            except (TimeoutError, RedisError, OSError):
                pass  # they go with the process

    def _connected(self) -> Redis | RedisCluster:
        match self.target.kind:
            case "single":
                return self._single()
            case "sentinel":
                return self._sentinel()
            case "cluster":
                return self._cluster()

    def _single(self) -> Redis:
        target = self.target
        options = self._options()
        if target.path:
            kind: type[_Connection] = _SocketConnection
            options["path"] = target.path
            for name in ("socket_keepalive", "socket_keepalive_options"):
                options.pop(name, None)
        else:
            kind = _SecureConnection if target.tls else _PlainConnection
            if target.tls:
                options["server_name"] = target.tls.server_name
            options |= {"host": target.addresses[0][0], "port": target.addresses[0][1]} | self._tls()
        pool = ConnectionPool(connection_class=kind, **options)
        client = Redis(connection_pool=pool)
        self._closers += [client.aclose, pool.aclose]
        return client

    def _sentinel(self) -> Redis:
        target = self.target
        tls = ({"ssl": True} | self._tls()) if target.tls else {}
        asked = _patience(SENTINEL_SECONDS) | tls
        asked |= {"username": target.sentinel_username, "password": target.sentinel_password}
        sentinel = _Sentinel(list(target.addresses), sentinel_kwargs=asked)
        client: Redis = sentinel.master_for(target.service, **self._options(), **tls)
        self._closers.append(client.aclose)
        self._closers += [one.aclose for one in sentinel.sentinels]
        return client

    def _cluster(self) -> RedisCluster:
        tls = ({"ssl": True} | self._tls()) if self.target.tls else {}
        options = self._options()
        del options["db"]
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self.target.addresses],
            max_connections=2 * AT_ONCE,
            **options,
            **tls,
        )
        self._closers.append(cluster.aclose)
        return cluster

    def _options(self) -> dict[str, Any]:
        target = self.target
        options = _patience(self._reply_seconds)
        return options | {"db": target.db, "username": target.username, "password": target.password}

    def _tls(self) -> dict[str, Any]:
        tls = self.target.tls
        if tls is None:
            return {}
        return {
            "ssl_ca_certs": tls.ca_file,
            "ssl_certfile": tls.cert_file,
            "ssl_keyfile": tls.key_file,
            "ssl_cert_reqs": "required" if tls.verify else "none",
            "ssl_check_hostname": tls.check_hostname,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }


class _Packing:
    """Commands are written by hiredis, as redis-py's other half does: a tenth of the time for those of many parts."""

    def pack_command(self, *arguments: Any) -> list[bytes]:
        packed: list[bytes] = _serializer.pack(*arguments)
        return packed


_serializer = HiredisRespSerializer()


class _PlainConnection(_Packing, Connection):
    pass


class _SocketConnection(_Packing, UnixDomainSocketConnection):
    pass


class _SecureConnection(_Packing, SSLConnection):
    """TLS, with a server whose certificate may have another name than the host."""

    def __init__(self, *, server_name: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._server_name = server_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        named = {} if self._server_name is None else {"server_hostname": self._server_name}
        return {**super()._connection_arguments(), **named}


_Connection = _PlainConnection | _SocketConnection | _SecureConnection


def _patience(seconds: float | None) -> dict[str, Any]:
    """What every connection has: bounded waits, no second tries, and RESP2, which takes no greeting."""
    options: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": REPLY_SECONDS if seconds is None else seconds,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
    }
    if seconds is None:
        options["socket_keepalive_options"] = {
            socket.TCP_KEEPIDLE: DEAD_SECONDS,
            socket.TCP_KEEPINTVL: DEAD_SECONDS // 2,
            socket.TCP_KEEPCNT: 2,
            socket.TCP_USER_TIMEOUT: DEAD_SECONDS * 1000,  # what was written and not acknowledged
        }
    return options
