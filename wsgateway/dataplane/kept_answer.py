"""What is kept of an integration's answer: bytes that any node of the installation reads; or only those who may.

MessagePack; with encryption a nonce of 12 bytes before it and AES-256-GCM around it (NIST SP 800-38D), which also holds
what is read to the question it was kept for.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wsgateway.messages import EndpointResponse

NONCE_BYTES = 12


class _Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Fields are only ever added at the end, with a default."""

    v: Literal[1]
    status: Annotated[int, msgspec.Meta(ge=100, le=599)]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    length: int | None


_encode = msgspec.msgpack.Encoder().encode
_unsafe = re.compile(rb"[\r\n\0]").search
_decode = msgspec.msgpack.Decoder(_Record).decode


def packed(answer: EndpointResponse) -> bytes:
    """An answer whose body is whole, as it is kept."""
    return _encode(_Record(1, answer.status, answer.headers, answer.body or b"", answer.length))


def unpacked(data: bytes) -> EndpointResponse | None:
    """The answer that was kept; None where no node of this version wrote it."""
    try:
        record = _decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if _unsafe(b"".join([part for header in record.headers for part in header])):
        return None
    return EndpointResponse(record.status, record.headers, record.body, length=record.length)


class Cipher:
    """Encrypts what is kept. `secret` is the installation's; without one a process reads what it wrote itself."""

    def __init__(self, secret: bytes | None) -> None:
        self.key = sha256(b"wsgateway answers " + (secret or secrets.token_bytes(32))).digest()
        self._sealed = AESGCM(self.key)

    def sealed(self, data: bytes, digest: bytes) -> bytes:
        """Data that is kept under a digest."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._sealed.encrypt(nonce, data, digest)

    def opened(self, data: bytes, digest: bytes) -> bytes | None:
        """The data again; None where nobody with our secret kept it under this digest."""
        try:
            return self._sealed.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], digest)
        except (InvalidTag, ValueError):
            return None
