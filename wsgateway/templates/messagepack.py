"""MessagePack documents of what JSON can say, so that expressions read either alike.

MessagePack specification, "Formats". One document and nothing behind it; maps have strings for keys, of equal ones the
last wins; strings are UTF-8; numbers are finite. Binary data is null to expressions. All else that JSON hasn't is
refused as no document: extensions (timestamps too), other keys, NaN. So is nesting deeper than JSON's limit here, and
what is larger than MAX_BYTES and would have to be read whole.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from math import isfinite
from typing import Any, Final

import msgspec

from wsgateway.templates.document import JSON, MAX_DEPTH, MISSING, Format, Json, Missing, Number, head_with

MAX_BYTES: Final = 65_536
"""Of a document that is read whole: each byte may be a value, and a MiB of them would hold the loop for 0.3 s."""

# msgspec takes no memory for what is announced and not there.
_parse = msgspec.msgpack.Decoder().decode
_flat = chain.from_iterable

_FINAL: Final = frozenset({str, bool, type(None)})
_FINAL_OR_INT: Final = _FINAL | {int}
_ALLOWED: Final = _FINAL | {int, float, dict, list, bytes}
_KEYS: Final = frozenset({str})


def plain(data: bytes) -> Any | Missing:
    """The document in `data` with Python's numbers, or MISSING where there is none. Never raises.

    By levels, so that what C does is most of it: a message may hold a million values, and any nesting.
    """
    return _read(data, None)


def decode_with(data: bytes, number: Callable[[str], object]) -> Any | Missing:
    """As `plain`, each number being what `number` makes of its text, which is Python's."""
    return _read(data, number)


def decode(data: bytes) -> Json | Missing:
    """The document in `data` as JSON's would be, or MISSING. Never raises."""
    return _read(data, Number)


def member_reader(member: str) -> Callable[[bytes], Any | Missing]:
    """What gives a member of a document however large: None where it has none, MISSING where it is no document.

    In one over MAX_BYTES only that member is read, and the rest stepped over; so there what JSON hasn't is refused in
    the member alone.
    """
    head = head_with(member)
    if head is None:
        return lambda data: _member_of(plain(data), member)
    step_over: Callable[[bytes], Any] = msgspec.msgpack.Decoder(head).decode

    def read(data: bytes) -> Any | Missing:
        if len(data) <= MAX_BYTES:
            return _member_of(plain(data), member)
        try:
            raw = bytes(step_over(data).key)
        except (ValueError, RecursionError):
            return MISSING
        return plain(raw) if raw else None

    return read


def _member_of(document: Any | Missing, member: str) -> Any | Missing:
    if document is MISSING:
        return MISSING
    return document.get(member) if type(document) is dict else None


def _read(data: bytes, number: Callable[[str], object] | None) -> Any | Missing:
    if len(data) > MAX_BYTES:
        return MISSING
    try:
        root = [_parse(data)]
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return MISSING
    dicts: list[dict[Any, Any]] = []
    lists: list[list[Any]] = [root]
    final = _FINAL_OR_INT if number is None else _FINAL
    for _ in range(MAX_DEPTH + 1):
        values: list[Any] = []
        if dicts:
            if not _KEYS.issuperset(map(type, _flat(dicts))):
                return MISSING
            values += _flat(map(dict.values, dicts))
        values += _flat(lists)
        kinds = set(map(type, values))
        if kinds <= final:
            return root[0]
        if not kinds <= _ALLOWED:
            return MISSING
        if float in kinds and not all(map(isfinite, [value for value in values if type(value) is float])):
            return MISSING
        if bytes in kinds or number is not None:
            _replace(dicts, lists, number)
        dicts = [value for value in values if type(value) is dict] if dict in kinds else []
        lists = [value for value in values if type(value) is list] if list in kinds else []
        if not dicts and not lists:
            return root[0]
    return MISSING


def _replace(dicts: list[dict[Any, Any]], lists: list[list[Any]], number: Callable[[str], object] | None) -> None:
    """Put null for binary data, and for numbers what `number` makes of them."""
    containers: list[Any] = [*dicts, *lists]
    for container in containers:
        for key, value in container.items() if type(container) is dict else enumerate(container):
            kind = type(value)
            if kind is bytes:
                container[key] = None
            elif number is not None and (kind is int or kind is float):
                container[key] = number(repr(value))


MESSAGEPACK: Final = Format(decode, decode_with)

FORMATS: Final = {"JSON": JSON, "MESSAGEPACK": MESSAGEPACK}
"""By the values of `binaryMessageFormat`."""
