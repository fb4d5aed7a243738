"""What a node executes as a short text that others may see: equal where definitions are equal in effect."""

from __future__ import annotations

import json
from hashlib import scrypt

from wsgateway.model.loader import Loaded

SHORT = 12


def fingerprint(loaded: Loaded, key: bytes) -> str:
    """The SHA-256 of the text as written and, where it takes values of the environment or files, `+` and 16 digits that
    stand for these.

    Such values may be passwords, and whoever sees the fingerprint may know the text around them and try out what they
    could be. So they are hashed by scrypt (RFC 7914; about 50 ms and 16 MiB a try), together with `key`, the secret of
    the installation where it was given one: without that nothing can be tried out at all.
    """
    if not loaded.outside:
        return loaded.digest
    values = json.dumps(sorted(loaded.outside.items())).encode()
    salt = bytes.fromhex(loaded.digest) + key
    return f"{loaded.digest}+{scrypt(values, salt=salt, n=1 << 14, r=8, p=1, dklen=8).hex()}"


def short(fingerprint: str) -> str:
    """A fingerprint or digest as people read it."""
    digest, plus, values = fingerprint.partition("+")
    return digest[:SHORT] + plus + values[:4]
