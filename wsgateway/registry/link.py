"""The registry's Redis: one way to talk to it, the keys of what nodes share, and the scripts that change it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, ClassVar, TypeVar

from redis.exceptions import NoScriptError

from wsgateway.errors import RegistryAway
from wsgateway.redis.client import REPLY_SECONDS, Client, Command
from wsgateway.redis.target import Target

__all__ = ["Command", "Link", "blocking", "script_of", "slot_name"]

T = TypeVar("T")


class Link(Client):
    """Connections to the Redis of a target, made when they are needed; what fails raises RegistryAway.

    Every key begins with `prefix`, which has no brace; what stands in braces is a Cluster's hash tag.
    """

    away = RegistryAway
    reasons: ClassVar[Mapping[str, str]] = {"WRONGTYPE": "a key of this prefix is somebody else's"}

    def __init__(self, target: Target, prefix: str) -> None:
        super().__init__(target)
        self.prefix = prefix

    def key(self, name: str) -> str:
        """A key of the directory."""
        return f"{self.prefix}:{{directory}}:{name}"

    def node_key(self, slot: bytes, name: str) -> str:
        """A key of one node."""
        return f"{self.prefix}:{{{slot_name(slot)}}}:{name}"

    def node_keys(self, slot: bytes, *names: str) -> list[str]:
        return [self.node_key(slot, name) for name in names]

    async def script(
        self, name: str, keys: Sequence[str], *values: bytes | str | int, seconds: float = REPLY_SECONDS
    ) -> Any:
        """What the script `lua/NAME.lua` returns. All keys have one hash tag. *Raises* RegistryAway."""
        return await self._within(seconds, self._script(name, len(keys), *keys, *values))

    async def version(self) -> tuple[int, ...] | None:
        """Redis's (of Valkey: the one it is compatible with); None where it doesn't tell. *Raises* RegistryAway."""
        try:
            information = await self._within(REPLY_SECONDS, self._redis.execute_command("INFO", "server"))
            return tuple(int(part) for part in str(information["redis_version"]).split(".")[:2])
        except (KeyError, TypeError, ValueError):
            return None

    async def _script(self, name: str, *arguments: str | bytes | int) -> Any:
        text, digest = script_of(name)
        try:
            return await self._redis.execute_command("EVALSHA", digest, *arguments)
        except NoScriptError:  # a new server, or one that was restarted: nothing was done
            return await self._redis.execute_command("EVAL", text, *arguments)


def slot_name(slot: bytes) -> str:
    """What ids of its connections begin with."""
    return urlsafe_b64encode(slot).decode()


@cache
def script_of(name: str) -> tuple[str, str]:
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
