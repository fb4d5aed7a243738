"""The process's AWS credentials: found and renewed by a thread of their own, read without waiting.

botocore's usual chain (SDKs reference guide, "Standardized credential providers"): environment, profile, assumed role,
web identity, SSO, a process, the container's or the machine's role. Any of them may wait for files, programs, networks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

LOOK_SECONDS = 30.0
"""Between two looks. botocore renews what expires within 15 minutes, at each look until it succeeds."""
RETRY_SECONDS = 5.0
"""The same while there are none, or none that last."""
FIRST_SECONDS = 5.0
"""How long a start waits for the first look. A machine's role is given up after two seconds."""


class Log(Protocol):
    """Where facts are told; one call a fact."""

    def __call__(self, event: str, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


Find = Callable[[], "Source | None"]
"""Looks for credentials, anew; may take its time, and raise what it likes."""


class Source(Protocol):
    """botocore's Credentials, as far as they are used."""

    def get_frozen_credentials(self) -> Any:
        """The present ones, renewed before if they need it."""


def by_botocore() -> Source | None:
    """What botocore's chain finds now."""
    from botocore.session import Session

    found: Source | None = Session().get_credentials()
    return found


class Credentials:
    """Who this process is to AWS, or who stands for a `role` (its ARN).

    `keys` is all that whoever signs looks at; `fault` says why it is None. Made inside the event loop. Nothing is
    looked for before `start`.
    """

    def __init__(self, log: Log, find: Find = by_botocore, role: str = "") -> None:
        self.role = role
        self.keys: Keys | None = None
        self.fault = "they have not been looked for yet"
        self._log = log
        self._find = find
        self._loop = asyncio.get_running_loop()
        self._first = asyncio.Event()
        self._suspected = float("-inf")
        self._thread: threading.Thread | None = None
        self._closed = False
        # The thread's own.
        self._source: Source | None = None
        self._anew = threading.Event()
        self._wake = threading.Event()

    @property
    def missing(self) -> str:
        """That there are none, and why, in words."""
        return f"no AWS credentials{f' for {self.role}' if self.role else ''}: {self.fault}"

    @property
    def wanted(self) -> bool:
        """Whether anybody asked for them."""
        return self._thread is not None

    def start(self) -> None:
        """Look for them, and keep them fresh from now on. Does nothing the second time."""
        if self._thread is None:
            self.fault = "they are still being looked for"
            # Not the loop's executor: that is where names are looked up, and whose threads a process waits for at exit.
            self._thread = threading.Thread(target=self._keep, name="credentials", daemon=True)
            self._thread.start()

    async def first(self, seconds: float = FIRST_SECONDS) -> None:
        """Wait until the first look is over, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._first.wait()
        except TimeoutError:
            self._tell("no AWS credentials", error=self.fault)

    def look_again(self) -> None:
        """Look for them anew, and not only renew them: a file may hold others now. What is there stays until then."""
        self._anew.set()
        self._wake.set()

    def suspect(self) -> None:
        """AWS says that they are over: look anew, unless that has just been done."""
        now = self._loop.time()
        if now - self._suspected >= RETRY_SECONDS:
            self._suspected = now
            self.look_again()

    def close(self) -> None:
        """Look no more. A look under way ends by itself, or with the process."""
        self._closed = True
        self._wake.set()

    def _keep(self) -> None:
        while not self._closed:
            keys, fault = self._look()
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._learn, keys, fault)
            self._wake.wait(LOOK_SECONDS if keys is not None else RETRY_SECONDS)
            self._wake.clear()

    def _look(self) -> tuple[Keys | None, str]:
        """What there is now, or why there is nothing. In the thread."""
        if self._anew.is_set():
            self._anew.clear()
            self._source = None
        try:
            if self._source is None:
                self._source = self._find()
            if self._source is None:
                return None, "none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
            frozen = self._source.get_frozen_credentials()
        except Exception as error:  # whatever a provider raises, it must not end the thread
            first = str(error).partition("\n")[0]
            # Of a wrong signature AWS repeats the request behind the first line, token and all.
            return None, f"{type(error).__name__}: {first[:300]}"
        keys = Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")
        if not _usable(keys):
            return None, "what was found is empty, or holds characters that no header can"
        return keys, ""

    def _learn(self, keys: Keys | None, fault: str) -> None:
        """On the loop. Keys that can't be renewed are kept: they may be good for a while, and AWS says if not."""
        event, before = "", self.keys
        if keys is not None and keys != before:
            self.keys = keys
            event = "AWS credentials changed" if before is not None else "AWS credentials found"
        if fault and fault != self.fault:
            event = "no AWS credentials" if before is None else "AWS credentials can't be renewed"
        elif self.fault and not fault:
            event = event or "AWS credentials found"
        self.fault = fault
        self._first.set()
        if event:
            known = self.keys.access_key if self.keys is not None else None
            self._tell(event, access_key_id=known, **({"error": fault} if fault else {}))

    def _tell(self, event: str, **facts: object) -> None:
        self._log(event, **({"role": self.role} if self.role else {}), **facts)


def _usable(keys: Keys) -> bool:
    """What is not printable ASCII could end a header."""
    values = (keys.access_key, keys.secret_key, keys.token)
    return bool(keys.access_key and keys.secret_key) and all(v.isascii() and v.isprintable() for v in values)
