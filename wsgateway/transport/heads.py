"""Heads seen before: a client that sends the same header block again is not parsed again.

Backends push with one client and one set of headers, so all that changes is the path. A block is remembered only after
llhttp and our own checks took the very same bytes, and used only for a chunk that is exactly one request: request line,
block, and the body length the block announced. Anything else goes to the parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wsgateway.messages import Header
from wsgateway.transport.head import Incoming

KEPT = 256
LONGEST = 2048
"""Bytes of a block worth remembering."""

_line = re.compile(rb"(GET|POST|PUT|DELETE) (/[!\"$-~]*) HTTP/1\.1").fullmatch
_UNUSUAL = frozenset({b"authorization", b"connection", b"expect", b"transfer-encoding", b"upgrade"})
"""Headers that make each head its own, or change what follows it."""


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A header block that was checked, and what the checks found."""

    headers: tuple[Header, ...]
    authority: str
    host: str
    length: int
    """Bytes of the body."""


class KnownHeads:
    """The header blocks of one listener."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: dict[bytes, KnownHead] = {}

    def recall(self, data: bytes) -> Incoming | None:
        """The request that `data` is, if its header block is known and nothing stands before or behind it."""
        line_end = data.find(b"\r\n", 0, LONGEST)
        head_end = data.find(b"\r\n\r\n", line_end, line_end + LONGEST) + 4
        if line_end < 0 or head_end < 4:
            return None
        head = self._blocks.get(data[line_end:head_end])
        if head is None or len(data) != head_end + head.length:
            return None
        line = _line(data, 0, line_end)
        if line is None:
            return None
        method, target = line.groups()
        body = [data[head_end:]]
        return Incoming(method.decode(), target.decode(), "1.1", head.authority, head.host, head.headers, body, True)

    def learn(self, data: bytes, headers: tuple[Header, ...], authority: str, host: str, length: int) -> None:
        """Remember the block of `data`, which was one whole request and has been checked."""
        line_end = data.find(b"\r\n")
        head_end = data.find(b"\r\n\r\n") + 4
        if line_end < 0 or head_end + length != len(data) or head_end - line_end > LONGEST:
            return
        if _line(data, 0, line_end) is None or any(name.lower() in _UNUSUAL for name, _ in headers):
            return
        if len(self._blocks) >= KEPT:
            self._blocks.clear()
        self._blocks[data[line_end:head_end]] = KnownHead(headers, authority, host, length)
