"""What a supervisor and its workers tell one another, and a worker's side of it.

Both hold one end of a socket that keeps messages whole (SOCK_SEQPACKET). Nobody waits for the other: what does not fit
is dropped, for all that is told is told anew. A message that no such socket takes, as a page of thousands of routes is,
goes as a file in memory, of which the socket carries the descriptor (memfd_create(2), unix(7)). The socket's end says
that the other process is gone, however it went.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Literal

import msgspec

from wsgateway.errors import SettingError
from wsgateway.signals import Order, Orders

VARIABLE = "WSGATEWAY_WORKER"
"""The environment variable by which a process is told its seat."""
INLINE_BYTES = 1 << 16
"""A longer message goes as a file."""
MOST_BYTES = 16 << 20
"""Of one message."""
IN_FILE = b"\xc1"
"""What the socket carries beside a file; no message of MessagePack begins so."""

_DESCRIPTOR_BYTES = 4

LAST_SEEN_SECONDS = 1.0
"""For the supervisor to answer."""

State = Literal["starting", "ready", "draining", "down"]


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is, from its first moment on."""

    socket: int
    """The file descriptor of its end."""
    index: int
    port: int
    tls_port: int | None
    internal_port: int
    node_ports: tuple[int, ...]
    """Of each worker its own port beside the shared internal one."""

    @property
    def workers(self) -> int:
        return len(self.node_ports)

    def share(self, total: int | None) -> int | None:
        """This worker's part of a number that is for all; the parts differ by 1 at most."""
        if total is None:
            return None
        return total // self.workers + (self.index < total % self.workers)


class Board(msgspec.Struct, frozen=True, kw_only=True, tag="board"):
    """To every worker at each change: how all of them are."""

    states: tuple[State, ...] = ()
    started: bool = False
    """Whether all were ready once."""
    draining: bool = False
    """Whether all are to end."""
    restarts: int = 0
    past: bytes = b""
    """What workers that are gone had counted, as a page of metrics, packed."""


class Told(msgspec.Struct, frozen=True, tag="told"):
    """To a worker: an order, and what the supervisor has it from."""

    order: Order
    cause: str


class Report(msgspec.Struct, frozen=True, tag="report"):
    """To the supervisor: how a worker is now."""

    state: State


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """To the supervisor: why a worker can't start, in words for an operator, and the exit code that it means."""

    text: str
    code: int


class Page(msgspec.Struct, frozen=True, tag="page"):
    """To the supervisor: the metrics that a worker is about to show, packed."""

    packed: bytes


class Missed(msgspec.Struct, frozen=True, tag="missed"):
    """To the supervisor: another worker does not show its metrics; what was seen of them last?"""

    index: int


class LastSeen(msgspec.Struct, frozen=True, tag="last seen"):
    """To a worker that missed another's: the page that was shown last, packed; empty where none was."""

    index: int
    packed: bytes


ToWorker = Board | Told | LastSeen
ToSupervisor = Report | Failure | Page | Missed
_to_worker: msgspec.msgpack.Decoder[object] = msgspec.msgpack.Decoder(ToWorker)
to_supervisor: msgspec.msgpack.Decoder[object] = msgspec.msgpack.Decoder(ToSupervisor)
_seat = msgspec.json.Decoder(Seat)


class Channel:
    """One end. `heard` gets each message, and `gone` is called once, when there will be no more."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    def listen(
        self, decoder: msgspec.msgpack.Decoder[object], heard: Callable[[object], None], gone: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()

        def readable() -> None:
            reset = False
            while True:
                try:
                    data = self._receive()
                except BlockingIOError:
                    return
                except ConnectionResetError:
                    # Said once of one that ended with something unread (unix(7)); its last words come behind.
                    reset = True
                    continue
                except OSError:
                    data = b""
                if not data:
                    self.close()
                    gone()
                    return
                if data != IN_FILE:  # else this process has no descriptor left for it
                    heard(decoder.decode(data))
                if not reset:
                    return

        loop.add_reader(self._end, readable)

    def _receive(self) -> bytes:
        """One message; nothing at the end. *Raises* OSError."""
        room, flags = socket.CMSG_SPACE(_DESCRIPTOR_BYTES), socket.MSG_CMSG_CLOEXEC
        data, beside, _, _ = self._end.recvmsg(INLINE_BYTES, room, flags)
        for level, kind, content in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                with open(int.from_bytes(content[:_DESCRIPTOR_BYTES], sys.byteorder), "rb") as file:
                    file.seek(0)
                    return file.read(MOST_BYTES)
        return data

    def send(self, message: msgspec.Struct) -> None:
        data = msgspec.msgpack.encode(message)
        with suppress(OSError):  # full, or nobody is there
            if len(data) <= INLINE_BYTES:
                self._end.send(data, socket.MSG_NOSIGNAL)
            elif len(data) <= MOST_BYTES:
                self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """*Raises* OSError."""
        with open(os.memfd_create("wsgateway message"), "wb") as file:
            file.write(data)
            file.flush()
            descriptor = file.fileno().to_bytes(_DESCRIPTOR_BYTES, sys.byteorder)
            beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)]
            self._end.sendmsg([IN_FILE], beside, socket.MSG_NOSIGNAL)

    def close(self) -> None:
        if self._end.fileno() >= 0:
            with suppress(RuntimeError):  # there is no loop any more
                asyncio.get_running_loop().remove_reader(self._end)
            self._end.close()


class Worker:
    """This process as one of a supervisor's workers: what it is told, and what it tells."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.index = seat.index
        self.board = Board()
        self.state: State = "starting"
        self.changed: Callable[[], None] = lambda: None
        """Called when there is another board, and when the supervisor is gone."""
        self.alone = False
        """Whether the supervisor is gone."""
        self._missed: dict[int, asyncio.Future[bytes]] = {}
        end = socket.socket(fileno=seat.socket)
        end.set_inheritable(False)
        self._channel = Channel(end)

    @staticmethod
    def here(environ: MutableMapping[str, str]) -> Worker | None:
        """The worker that this process was started as, if it was; what it starts itself is none.

        *Raises* SettingError where the variable is there and no supervisor set it.
        """
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        try:
            return Worker(_seat.decode(text))
        except (msgspec.MsgspecError, OSError) as error:
            raise SettingError(f"{VARIABLE} is for supervisors to set, not for people: unset it") from error

    def follow(self, orders: Orders) -> None:
        """Have the supervisor's orders stand among those of signals; what it said before waits in the socket.

        Once it is gone, however it went, nobody could say when to end: that is an order to drain.
        """

        def heard(message: object) -> None:
            if isinstance(message, Board):
                self.board = message
                self.changed()
            elif isinstance(message, Told):
                orders.give(message.order, message.cause)
            elif isinstance(message, LastSeen):
                waiting = self._missed.pop(message.index, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message.packed)

        def gone() -> None:
            self.alone = True
            orders.give(Order.DRAIN, "the supervisor is gone")
            self.changed()

        self._channel.listen(_to_worker, heard, gone)

    def report(self, state: State) -> None:
        self.state = state
        self._channel.send(Report(state))

    def fail(self, text: str, code: int) -> None:
        """Say why there is no start."""
        self._channel.send(Failure(text, code))

    def show(self, packed: bytes) -> None:
        """Say what of the metrics somebody is about to see, so that it is not forgotten with this process."""
        self._channel.send(Page(packed))

    async def last_seen(self, index: int) -> bytes:
        """What another worker let anybody see last of its metrics, packed; empty where nobody knows of any."""
        waiting = self._missed.get(index)
        if waiting is None:
            waiting = self._missed[index] = asyncio.get_running_loop().create_future()
        self._channel.send(Missed(index))
        try:
            async with asyncio.timeout(LAST_SEEN_SECONDS):
                return await asyncio.shield(waiting)
        except TimeoutError:
            return b""

    def close(self) -> None:
        self._channel.close()

    @property
    def stands_aside(self) -> bool:
        """Whether this worker alone ends, and others take clients."""
        return self.state == "draining" and not self.board.draining and "ready" in self.board.states
