"""The deployments that the registry keeps, and which of them is used in place of what a definition file says.

What comes out of the registry is checked: each piece bears a keyed hash, by which a spoilt one, one moved from another
place, and, where the installation was given a secret, one that none of its nodes wrote is ignored and counted. Without
such a secret whoever can write to the registry can choose what the nodes execute.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from hashlib import blake2b, sha256
from time import time
from typing import Annotated, TypeVar

import msgspec

from wsgateway.errors import RegistryAway
from wsgateway.model.loader import Loaded
from wsgateway.model.nodes import MAX_BYTES
from wsgateway.registry.base import DefinitionStore, Millis, Stored

MAC_BYTES = 32
T = TypeVar("T")
NodeName = Annotated[str, msgspec.Meta(max_length=512)]
is_digest = re.compile(r"[0-9a-f]{64}").fullmatch


class Deployed(msgspec.Struct, frozen=True, array_like=True):
    """When a deployment came, by which node, and how large its text is in bytes."""

    at: Millis
    node: NodeName
    size: int


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """Which deployment is used in place of another, since when, and at which node that was said."""

    use: str
    at: Millis
    node: NodeName


class Archive:
    """One node's view of the deployments that are kept. What it last read goes on where the registry is away.

    `node` is this node's name, `key` the installation's secret where it was given one, `now` gives seconds.
    """

    def __init__(self, store: DefinitionStore, *, node: str, key: bytes, now: Callable[[], float] = time) -> None:
        self.ignored = 0
        """Pieces that could not be trusted."""
        self.away = False
        """The registry could not be read, or written, when that was last tried."""
        self.kept: dict[str, Deployed] = {}
        """By digest, the newest first."""
        self._store = store
        self._node = node
        self._key = blake2b(key).digest() if key else b""
        self._now = now
        self._mark: bytes | None = None
        self._pointers: dict[str, Pointer] = {}
        self._texts: dict[str, str] = {}
        """Of what the file says and of what is used in its place: with these an emptied registry is filled again."""
        self._own = ""
        self._owed: set[str] = set()
        """What is to be kept again."""
        self._pointer_owed = False

    def instead_of(self, digest: str) -> Pointer | None:
        """What is used in place of a deployment, if not itself."""
        pointer = self._pointers.get(digest)
        return None if pointer is None or pointer.use == digest else pointer

    def pointer(self, digest: str) -> Pointer | None:
        """What was last said about a deployment; that may be that it is used itself."""
        return self._pointers.get(digest)

    def own(self, written: Loaded, used: Loaded) -> None:
        """What this node's file says, and what it executes: to be kept from now on."""
        self._texts = {written.digest: written.text, used.digest: used.text}
        if written.digest != self._own:
            self._own = written.digest
            self._owed.add(written.digest)

    async def look(self) -> None:
        """Read what has changed, and keep what is to be kept. `away` says whether that could be done."""
        try:
            await self._look()
            self.away = False
        except RegistryAway:
            self.away = True

    async def text(self, digest: str) -> str | None:
        """What a deployment says; None where it is not kept. *Raises* RegistryAway."""
        known = self._texts.get(digest)
        if known is not None:
            return known
        if is_digest(digest) is None:
            return None
        try:
            piece = await self._store.text(digest)
        except RegistryAway:
            self.away = True
            raise
        data = None if piece is None else self._opened("text", digest, piece)
        if data is None:
            return None
        if len(data) > MAX_BYTES or sha256(data).hexdigest() != digest:
            self.ignored += 1
            return None
        return data.decode("utf-8", "replace")  # what is no UTF-8 is refused for what it then says

    async def use(self, files: Iterable[str], digest: str) -> bool:
        """Have `digest` used wherever a file says one of `files`; whether the registry has it so.

        *Raises* RegistryAway.
        """
        await self._look()
        for file in files:
            last = self._pointers.get(file)
            at = max(int(self._now() * 1000), 0 if last is None else last.at + 1)
            await self._put(file, Pointer(digest, at, self._node))
        await self._look()
        return all(file in self._pointers and self._pointers[file].use == digest for file in files)

    async def _look(self) -> None:
        mark = await self._store.mark()
        if mark != self._mark:
            self._take_in(await self._store.read())
        if self._owed or self._pointer_owed:
            await self._pay()
            self._take_in(await self._store.read())

    def _take_in(self, stored: Stored) -> None:
        self._mark = stored.mark
        self.kept = {digest: record for digest, piece in stored.kept if (record := self._record(digest, piece))}
        read = {file: pointer for file, piece in stored.instead.items() if (pointer := self._pointed(file, piece))}
        mine, theirs = self._pointers.get(self._own), read.get(self._own)
        self._pointers = read
        self._pointer_owed = False
        # The registry may have been emptied, or have lost its last writes: nothing ends a rollback but a later word.
        if mine is not None and (theirs is None or theirs.at < mine.at):
            self._pointers[self._own] = mine
            self._pointer_owed = True
        lost = self._texts.keys() - self.kept.keys()
        if not self.kept or self.instead_of(self._own) is not None:
            self._owed |= lost

    async def _pay(self) -> None:
        """Give the registry what it should have; the file's own deployment last, so that it is the newest."""
        for digest in sorted(self._owed & self._texts.keys(), key=self._own.__eq__):
            text = self._texts[digest].encode()
            record = Deployed(int(self._now() * 1000), self._node, len(text))
            await self._store.keep(digest, self._sealed("record", digest, record), self._sealed("text", digest, text))
        self._owed.clear()
        if self._pointer_owed:
            await self._put(self._own, self._pointers[self._own])
            self._pointer_owed = False

    async def _put(self, file: str, pointer: Pointer) -> None:
        await self._store.put_instead(file, pointer.at, self._sealed("instead", file, pointer))

    # Pieces as they are in the registry

    def _record(self, digest: str, piece: bytes) -> Deployed | None:
        return self._decoded(Deployed, "record", digest, piece)

    def _pointed(self, file: str, piece: bytes) -> Pointer | None:
        found = self._decoded(Pointer, "instead", file, piece)
        if found is not None and is_digest(found.use) is None:
            self.ignored += 1
            return None
        return found

    def _decoded(self, kind: type[T], name: str, digest: str, piece: bytes) -> T | None:
        data = self._opened(name, digest, piece)
        if data is None:
            return None
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # text that is no UTF-8 is the latter
            self.ignored += 1
            return None

    def _sealed(self, name: str, digest: str, content: bytes | msgspec.Struct) -> bytes:
        data = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
        return self._mac(name, digest, data) + data

    def _opened(self, name: str, digest: str, piece: bytes) -> bytes | None:
        mac, data = piece[:MAC_BYTES], piece[MAC_BYTES:]
        if is_digest(digest) is None or not hmac.compare_digest(mac, self._mac(name, digest, data)):
            self.ignored += 1
            return None
        return data

    def _mac(self, name: str, digest: str, data: bytes) -> bytes:
        head = f"wsgateway deployment 1 {name} {digest}\n".encode()
        return blake2b(head + data, key=self._key, digest_size=MAC_BYTES).digest()
