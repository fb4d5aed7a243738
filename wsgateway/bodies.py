"""How many bytes of bodies and messages this process holds, of all connections together, and how many it may.

Each of them has a bound of its own; many at once have this one. Bytes are counted as they arrive: what is only promised
takes nothing, and nothing is kept that does not fit. Little is not counted. What a connection has read it holds anyway,
so small bodies and messages go on though there is no room for large ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import ClassVar, Literal, Protocol, Self, get_args

from wsgateway.errors import NoRoom

UNCOUNTED_BYTES = 65_536
"""What is larger is counted, with its first bytes."""

CALM_SECONDS = 10.0
"""Without a refusal for so long, refusing has ended."""

BodyKind = Literal["request", "push", "answer", "unread", "invocation"]
"""What is held of bodies: a request to a REST API, a call of `@connections`, a backend's answer that is not whole yet,
an answer that its client does not take, the payload of a local function that had to wait for a process."""
MessageKind = Literal["arriving", "running", "unread"]
"""What a WebSocket has of messages: one that is not whole yet, those whose integrations have not answered, those that
its client does not take."""
Kind = BodyKind | MessageKind


class Log(Protocol):
    """One fact per call."""

    def __call__(self, event: str, **facts: object) -> None: ...


def _untold(event: str, **facts: object) -> None: ...


class Memory:
    """What is held together. `clock` gives seconds."""

    full: ClassVar[str]
    """What the log says when it begins to refuse, and, `free`, when that has ended."""
    free: ClassVar[str]
    flag: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, limit: int = sys.maxsize, *, clock: Callable[[], float] = monotonic, log: Log = _untold) -> None:
        self.limit = limit
        self.refused: dict[str, int] = {}
        """What there was no room for, by kind."""
        self.held: dict[str, int] = dict.fromkeys(self.kinds, 0)
        """Bytes, by kind."""
        self.taken = 0
        """Bytes, of all kinds."""
        self._clock = clock
        self._log = log
        self._since = self._last = 0.0
        self._refusing = 0
        """Refusals since it began to refuse; 0 while it does not."""

    def hold(self, kind: Kind) -> Hold:
        """What something will hold: nothing yet. Whoever asks for it gives it back."""
        return Hold(self, kind)

    @property
    def scarce(self) -> bool:
        """Whether more than half is taken."""
        return self.taken * 2 > self.limit

    def refusal(self, kind: Kind) -> NoRoom:
        """Count what there is no room for; the first for a while is told to the operator."""
        self.refused[kind] = self.refused.get(kind, 0) + 1
        self._last = self._clock()
        if not self._refusing:
            self._since = self._last
            self._log(self.full, kind=kind, limit=self.limit, **self.held)
        self._refusing += 1
        error = NoRoom(f"{self.flag} is {self.limit} bytes, and there is no room left")
        error.again = kind != "answer"  # a backend has done what it was asked for, though its answer is lost
        return error

    def sweep(self) -> None:
        """Tell if refusing has ended. Called about once a second."""
        if self._refusing and self._clock() - self._last >= CALM_SECONDS:
            seconds = round(self._last - self._since, 1)
            self._log(self.free, refused=self._refusing, after_seconds=seconds)
            self._refusing = 0


class BodyMemory(Memory):
    """What bodies of requests and answers hold."""

    full = "no room for bodies"
    free = "there is room for bodies again"
    flag = "--body-memory"
    kinds = get_args(BodyKind)


class MessageMemory(Memory):
    """What messages of WebSockets hold."""

    full = "no room for messages"
    free = "there is room for messages again"
    flag = "--message-memory"
    kinds = get_args(MessageKind)


class Hold:
    """What one body, or one connection's messages, hold. It is given back when its `with` ends, or before."""

    __slots__ = ("_kind", "_memory", "_size")

    def __init__(self, memory: Memory, kind: Kind) -> None:
        self._memory = memory
        self._kind: Kind = kind
        self._size = 0

    def expect(self, size: int) -> None:
        """Take nothing yet. *Raises* NoRoom where so many bytes in all would find no room now."""
        memory = self._memory
        if size > UNCOUNTED_BYTES and memory.taken + size - self._size > memory.limit:
            raise memory.refusal(self._kind)

    def keep(self, size: int) -> None:
        """Hold `size` bytes in all from now on. *Raises* NoRoom where that is more than there is room for."""
        if size > self._size:
            self.expect(size)
        self.count(size)

    def count(self, size: int) -> None:
        """The same of what is here already, and can't be refused."""
        if size <= UNCOUNTED_BYTES:
            size = 0
        more = size - self._size
        if more:
            self._size = size
            self._memory.taken += more
            self._memory.held[self._kind] += more

    def give_back(self) -> None:
        """Hold nothing any more; it may, later."""
        self.count(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.count(0)

    def __del__(self) -> None:
        self.count(0)  # a net, should whoever had it be gone without a word
