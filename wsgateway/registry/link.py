"""One client of Redis, shared by every kind of state: keys, time limits, scripts, and what its errors mean."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from wsgateway.errors import RegistryAway
from wsgateway.registry.target import SECONDS, Target

PATIENCE = 2 * SECONDS
"""How long one step may take in all: a client of Sentinels or of a Cluster asks more than one server."""


class Script:
    """A Lua script of this package, sent whole only to a server that doesn't have it yet."""

    def __init__(self, name: str) -> None:
        self.text = files("wsgateway.registry").joinpath("lua", f"{name}.lua").read_text()
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA goes by


class Link:
    """Every key begins with `prefix`; those of one node share a hash tag, so that a Cluster keeps them together."""

    def __init__(self, target: Target, prefix: str) -> None:
        self.target = target
        self.prefix = prefix
        self.client: Any = target.open()

    def key(self, name: str) -> str:
        """A key of the installation."""
        return f"{self.prefix}:{name}"

    def node_key(self, slot: bytes, name: str) -> str:
        """A key of one node."""
        return f"{self.prefix}:{{{urlsafe_b64encode(slot).decode()}}}:{name}"

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Any]:
        """The client, for one step in bounded time. *Raises* RegistryAway whatever else goes wrong.

        A cancelled command closes its connection: nobody else is given its answer (redis-py, since 4.5.5).
        """
        try:
            async with asyncio.timeout(PATIENCE):
                yield self.client
        except (RedisError, OSError, TimeoutError) as error:
            raise RegistryAway(reason(error)) from error

    async def command(self, *words: Any) -> Any:
        """One command's answer. *Raises* RegistryAway."""
        async with self.step() as client:
            return await client.execute_command(*words)

    async def run(self, client: Any, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        """A script's answer."""
        try:
            return await client.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

    async def aclose(self) -> None:
        """Close every connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                for client in (self.client, *sentinels_of(self.client)):
                    await client.aclose()
        except (RedisError, OSError, TimeoutError):
            pass  # it is gone, then


def sentinels_of(client: Any) -> Sequence[Any]:
    """The clients that a client asks for its server; it doesn't close them."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return () if manager is None else manager.sentinels


def reason(error: BaseException) -> str:
    """What happened, for a log line."""
    return str(error) or type(error).__name__
