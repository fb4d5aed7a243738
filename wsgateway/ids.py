"""Identifiers of events: random, and made by hundreds, for one by one they take several times as long."""

from __future__ import annotations

import time
from binascii import b2a_base64
from functools import lru_cache
from hashlib import blake2s
from os import register_at_fork, urandom

MADE = 256
"""Of one kind at a time."""

_HEX = ord("x")


class Hexes(list[bytes]):
    """Texts of one form with random hexadecimal digits in it; `x` in the form stands for a digit, a blank for one of
    the four that mark a UUID's variant."""

    __slots__ = ("_digits", "_form", "_variant")

    def __init__(self, form: bytes) -> None:
        super().__init__()
        self._form = form + b"\n"
        self._digits = [place for place, each in enumerate(form) if each == _HEX]
        self._variant = form.find(b" ")

    def take(self) -> bytes:
        """One that nobody had before."""
        if not self:
            self._make()
        return self.pop()

    def _make(self) -> None:
        random = urandom((len(self._digits) + 1) * MADE // 2).hex().encode()
        text = bytearray(self._form * MADE)
        for start, place in enumerate(self._digits):
            text[place :: len(self._form)] = random[start * MADE : (start + 1) * MADE]
        if self._variant >= 0:
            text[self._variant :: len(self._form)] = random[-MADE:].translate(_VARIANTS)
        self.extend(bytes(text).splitlines())


_VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)

_uuids = Hexes(b"xxxxxxxx-xxxx-4xxx- xxx-xxxxxxxxxxxx")
_roots = Hexes(b"x" * 24)
_parents = Hexes(b"x" * 16)
_traces = Hexes(b"%b;Parent=%b;Sampled=0" % (b"x" * 24, b"x" * 16))


def new_uuid() -> str:
    """A version 4 UUID (RFC 9562 §5.4), the form of Lambda's request ids."""
    return _uuids.take().decode()


def new_root() -> bytes:
    """`Root=…`: how the value of an `X-Amzn-Trace-Id` header begins that starts a trace (AWS X-Ray developer guide,
    "Tracing header")."""
    return _root_of(int(time.time())) + _roots.take()


def new_trace() -> bytes:
    """`Root=…;Parent=…;Sampled=0`: a whole value."""
    return _root_of(int(time.time())) + _traces.take()


@lru_cache(maxsize=2)  # many events share a second
def _root_of(epoch: int) -> bytes:
    return b"Root=1-%08x-" % epoch


def new_parent() -> bytes:
    """The id of what a call is made for (AWS X-Ray developer guide, "Tracing header")."""
    return _parents.take()


_request_ids: list[str] = []


def new_request_id() -> str:
    """16 characters of URL-safe base64 ending `=`, the form of AWS's extended request ids."""
    if not _request_ids:
        random = bytearray(urandom(12 * MADE))
        random[11::12] = bytes(MADE)  # 11 random bytes each, as in `request_id_of`
        made = bytearray(request_id_of(random).encode())
        made[15::16] = b"=" * MADE
        text = made.decode()
        _request_ids.extend([text[at : at + 16] for at in range(0, len(text), 16)])
    return _request_ids.pop()


def request_id_of(random: bytes | bytearray) -> str:
    """The request id of these 11 bytes."""
    return b2a_base64(random, newline=False).translate(_URL_SAFE).decode()


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def disconnect_request_id(connection_id: str) -> str:
    """The id of a connection's DISCONNECT event: the same from every node, so that a backend can tell a second one."""
    return request_id_of(blake2s(connection_id.encode(), digest_size=11, person=b"closed").digest())


class _Randomness:
    """Random bytes cut from blocks of 4 KiB: a call of urandom costs as much as all else an id needs."""

    __slots__ = ("block", "position")

    def __init__(self) -> None:
        self.block = b""
        self.position = 0

    def take(self, size: int) -> bytes:
        start = self.position
        if start + size > len(self.block):
            self.block = urandom(4096)
            start = 0
        self.position = start + size
        return self.block[start : start + size]


_randomness = _Randomness()
random_bytes = _randomness.take


def _forget() -> None:
    """A fork makes its own: its parent has what is left here."""
    for made in (_uuids, _roots, _parents, _traces, _request_ids):
        made.clear()
    _randomness.block = b""


register_at_fork(after_in_child=_forget)
