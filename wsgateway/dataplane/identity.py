"""Connection ids: they name the owner's slot, can't be guessed, and a wrong one is known before any look-up.

28 URL-safe base64 characters ending `==`: 19 bytes, of which 3 are the slot of the node that owns the connection, 12
are random and 4 are a keyed check over both and the apiId. An id whose check fails, or one of another API, is answered
400; so is an id that was tampered with. Clients treat ids as opaque (API Gateway developer guide, "Use @connections
commands in your backend service").
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from hashlib import blake2s
from hmac import compare_digest

from wsgateway.ids import random_bytes

SLOT_BYTES = 3
RANDOM_BYTES = 12
CHECK_BYTES = 4

DEFAULT_KEY = b"wsgateway connection id check 1"
"""The check key where `connectionIdKey` is not set: fixed, so that ids outlive a restart. It guards against typing
errors and other APIs' ids, not against guessing; that is what the random bytes are for."""

_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_shape = re.compile(r"[A-Za-z0-9_-]{25}[AQgw]==").fullmatch


def new_slot() -> bytes:
    """A slot at random. No id begins with `-`: on a command line that would be an option."""
    while (slot := random_bytes(SLOT_BYTES))[0] >> 2 == 62:
        pass
    return slot


def slot_of(connection_id: str) -> bytes:
    """The slot of the node that made an id, which must be a valid one."""
    return a2b_base64(connection_id[:4].encode().translate(_FROM_URL_SAFE))


def slot_text(slot: bytes) -> str:
    """A slot as it begins every id its node makes."""
    return b2a_base64(slot, newline=False).translate(_TO_URL_SAFE).decode()


class ConnectionIds:
    """Makes and checks the ids of one node."""

    def __init__(self, slot: bytes, key: bytes = DEFAULT_KEY) -> None:
        if len(slot) != SLOT_BYTES:
            raise ValueError(f"a slot is {SLOT_BYTES} bytes")
        self.slot = slot
        self._key = key

    @property
    def slot(self) -> bytes:
        return self._slot

    @slot.setter
    def slot(self, slot: bytes) -> None:
        self._slot = slot
        self.begin = slot_text(slot)
        """How each of this node's ids begins."""

    def new(self, api_id: str) -> str:
        """A fresh id for a connection of `api_id` on this node."""
        named = self._slot + random_bytes(RANDOM_BYTES)
        raw = named + self._check(named, api_id)
        return b2a_base64(raw, newline=False).translate(_TO_URL_SAFE).decode()

    def valid(self, connection_id: str, api_id: str) -> bool:
        """Whether some node of this installation may have made the id for `api_id`."""
        if _shape(connection_id) is None:
            return False
        raw = a2b_base64(connection_id.encode().translate(_FROM_URL_SAFE))
        named = raw[: SLOT_BYTES + RANDOM_BYTES]
        return compare_digest(raw[SLOT_BYTES + RANDOM_BYTES :], self._check(named, api_id))

    def _check(self, named: bytes, api_id: str) -> bytes:
        return blake2s(named + api_id.encode(), key=self._key, digest_size=CHECK_BYTES).digest()
