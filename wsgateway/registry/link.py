"""One way to talk to Redis, be it one server, a Sentinel's master or a Cluster.

Every call has a deadline, is sent once, and ends with an answer or RegistryAway. redis-py drops a connection whose
answer was not read to the end, so that a cancelled call leaves nothing for the next one; it is told not to try again by
itself, for nobody knows whether a call that failed was done.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from wsgateway.errors import RegistryAway
from wsgateway.registry.target import Target

T = TypeVar("T")
_Sentinel: Any = Sentinel  # redis-py has no types for it
Command = tuple[bytes | str | int, ...]


class _Never(RedisError):
    """A kind of error that redis-py has no type for."""


REPLY_SECONDS = 1.0
"""How long a call may take, its connection included."""
SENTINEL_SECONDS = 0.3
"""How long one Sentinel has to name the master, before the next one is asked."""
AT_ONCE = 16
"""Calls under way; others wait, within their deadline."""

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
    (_Never, "WRONGTYPE", "a key of this prefix is somebody else's"),
)
"""What an operator is told, by redis-py's type or by Redis's words, which is all there is of what a script ran into."""


class Link:
    """Connections to the Redis of a target, made when they are needed. Every key begins with `prefix`, which has no
    brace; what stands in braces is a Cluster's hash tag."""

    def __init__(self, target: Target, prefix: str) -> None:
        self.target = target
        self.prefix = prefix
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._redis = self._connected()

    def key(self, name: str) -> str:
        """A key of the directory."""
        return f"{self.prefix}:{{directory}}:{name}"

    def node_key(self, slot: bytes, name: str) -> str:
        """A key of one node."""
        return f"{self.prefix}:{{{slot_name(slot)}}}:{name}"

    def node_keys(self, slot: bytes, *names: str) -> list[str]:
        return [self.node_key(slot, name) for name in names]

    # Calls

    async def command(self, *command: bytes | str | int, seconds: float = REPLY_SECONDS) -> Any:
        """What Redis answers to a command. *Raises* RegistryAway."""
        return await self._within(seconds, self._redis.execute_command(*command))

    async def script(
        self, name: str, keys: Sequence[str], *values: bytes | str | int, seconds: float = REPLY_SECONDS
    ) -> Any:
        """What the script `lua/NAME.lua` returns. All keys have one hash tag. *Raises* RegistryAway."""
        return await self._within(seconds, self._script(name, len(keys), *keys, *values))

    async def pipeline(self, commands: Sequence[Command], *, seconds: float = REPLY_SECONDS) -> list[Any]:
        """The answers to several commands that are sent together; in order for each key.

        *Raises* RegistryAway where one of them fails; the others may have been done.
        """
        return await self._within(seconds, self._pipeline(commands))

    async def version(self) -> tuple[int, ...] | None:
        """Redis's (of Valkey: the one it is compatible with); None where it doesn't tell. *Raises* RegistryAway."""
        try:
            information = await self._within(REPLY_SECONDS, self._redis.execute_command("INFO", "server"))
            return tuple(int(part) for part in str(information["redis_version"]).split(".")[:2])
        except (KeyError, TypeError, ValueError):
            return None

    async def _script(self, name: str, *arguments: str | bytes | int) -> Any:
        text, digest = _script(name)
        try:
            return await self._redis.execute_command("EVALSHA", digest, *arguments)
        except NoScriptError:  # a new server, or one that was restarted: nothing was done
            return await self._redis.execute_command("EVAL", text, *arguments)

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False) if isinstance(self._redis, Redis) else self._redis.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    return await call
        except (TimeoutError, RedisTimeoutError) as error:
            raise await self._away(f"no answer within {seconds:g} s") from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise await self._away(_reason(error)) from error
        except RuntimeError as error:  # uvloop's, of a connection that was reset while nobody used it
            raise await self._away("the connection is gone") from error
        finally:
            call.close()  # where its turn never came

    async def _away(self, reason: str) -> RegistryAway:
        """What to raise. Connections that wait to be used may be as bad, or lead to what is no master any more."""
        if isinstance(self._redis, Redis):  # a Cluster's client does it by itself
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            except (TimeoutError, RedisError, OSError, RuntimeError):
                pass
        return RegistryAway(f"Redis at {self.target}: {reason}")

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
            kind: type[Connection] | type[UnixDomainSocketConnection] = UnixDomainSocketConnection
            options["path"] = target.path
            del options["socket_keepalive"]
        else:
            kind = SSLConnection if target.tls else Connection
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
        return _patience(REPLY_SECONDS) | {"db": target.db, "username": target.username, "password": target.password}

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


def _patience(seconds: float) -> dict[str, Any]:
    """What every connection has: bounded waits, no second tries, and RESP2, which takes no greeting."""
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
    }


def _reason(error: Exception) -> str:
    """An error in words for an operator, without what was sent."""
    text = str(error)
    for kind, words, reason in REASONS:
        if words in text or isinstance(error, kind):
            return reason
    text = text.partition(" with args")[0].partition("script:")[0]
    return " ".join(text.split())[:200] or type(error).__name__


def slot_name(slot: bytes) -> str:
    """What ids of its connections begin with."""
    return urlsafe_b64encode(slot).decode()


@cache
def _script(name: str) -> tuple[str, str]:
    """A script's text and what Redis calls it."""
    text = files("wsgateway.registry").joinpath("lua", f"{name}.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def blocking(link: Link, ask: Callable[[Link], Coroutine[Any, Any, T]], seconds: float) -> T:
    """What `ask` gives, with the caller's thread and its loop standing still meanwhile, for `seconds` at most.

    It runs in a thread and on connections of its own, so that not even the name service can hold the caller up.

    *Raises* RegistryAway.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    async def asking() -> T:
        own = Link(link.target, link.prefix)
        try:
            async with asyncio.timeout(seconds):
                return await ask(own)
        finally:
            await own.aclose()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(asking()))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="registry", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        raise RegistryAway(f"Redis at {link.target}: no answer within {seconds:g} s") from error
