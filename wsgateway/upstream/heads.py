"""Heads a backend sent before: an answer under one of them needs no parsing."""

from __future__ import annotations

import msgspec

from wsgateway.messages import EndpointResponse, Header
from wsgateway.upstream.answer import AnswerReader

KEPT = 512
KEPT_BYTES = 2_048  # of one head


class KnownHead(msgspec.Struct, frozen=True, gc=False):
    """What the strict reading of a head found: a final answer, reusable, framed by Content-Length.

    The body is `data[start:size]`.
    """

    status: int
    headers: tuple[Header, ...]
    idle_seconds: float
    start: int
    size: int


class KnownHeads:
    """The heads of one origin, byte for byte.

    A busy backend sends the same head many times within the second its Date lasts: an answer under it, come whole,
    means what it meant then. Knowing it takes 0.5 µs, reading it 3. All else goes to AnswerReader.
    """

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def recall(self, data: bytes) -> KnownHead | None:
        """The head of `data`, if it is known and `data` exactly the whole answer."""
        known = self._heads.get(data[: data.find(b"\r\n\r\n")])
        return known if known is not None and len(data) == known.size else None

    def learn(self, data: bytes, reader: AnswerReader, response: EndpointResponse, idle_seconds: float) -> None:
        """Remember the head of `data`, which `reader` found to be `response`, if it is of the kind kept here.

        `idle_seconds` is how long its connection may be kept.
        """
        end = data.find(b"\r\n\r\n")
        size = end + 4 + len(response.body or b"")
        if end > KEPT_BYTES or len(data) != size or not (reader.reusable and reader.measured):
            return
        if len(self._heads) >= KEPT:
            self._heads.clear()
        self._heads[data[:end]] = KnownHead(response.status, response.headers, idle_seconds, end + 4, size)
