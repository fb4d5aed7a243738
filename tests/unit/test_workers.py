"""What a supervisor and its workers tell one another, and when a worker is started again."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from pathlib import Path

import msgspec
import pytest

from wsgateway.errors import SettingError
from wsgateway.settings import Settings
from wsgateway.signals import Order, Orders
from wsgateway.supervisor import LONGEST_PAUSE, YOUNG_SECONDS, next_pause
from wsgateway.workers import (
    INLINE_BYTES,
    MOST_BYTES,
    VARIABLE,
    Board,
    Channel,
    Failure,
    Page,
    Report,
    Seat,
    Told,
    Worker,
    to_supervisor,
)

pytestmark = pytest.mark.anyio

HEAD = len(msgspec.msgpack.encode(Page(bytes(INLINE_BYTES)))) - INLINE_BYTES
"""Bytes of a page's message beside the page."""


def seat(index: int = 0, workers: int = 3, descriptor: int = -1) -> Seat:
    return Seat(
        socket=descriptor, index=index, port=1, tls_port=None, internal_port=2, node_ports=tuple(range(3, 3 + workers))
    )


def seated(ours: socket.socket) -> tuple[Worker, dict[str, str]]:
    """A worker, and the environment it leaves."""
    environ = {"OTHER": "x", VARIABLE: msgspec.json.encode(seat(descriptor=ours.detach())).decode()}
    worker = Worker.here(environ)
    assert worker is not None
    return worker, environ


@pytest.mark.parametrize("total", [3, 4, 5, 1000])
def test_what_is_for_all_is_shared_out_whole_and_evenly(total: int) -> None:
    shares = [seat(index).share(total) or 0 for index in range(3)]

    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_no_limit_is_none_for_each() -> None:
    assert seat().share(None) is None


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 2, 4, 8, 16, 30, 30], id="keeps ending at once"),
        pytest.param([5, 5, 5], [0, 1, 2], id="keeps ending young"),
        pytest.param([0, 0, YOUNG_SECONDS, 0, 0], [0, 1, 0, 1, 2], id="lived for long in between"),
    ],
)
def test_a_worker_is_started_again_later_and_later_while_it_ends_young(lives: list[float], pauses: list[float]) -> None:
    found: list[float] = []
    pause = None
    for lived in lives:
        pause = next_pause(pause, lived)
        found.append(pause)

    assert found == pauses
    assert max(found) <= LONGEST_PAUSE


async def test_orders_reach_a_worker_in_order_and_the_board_is_the_last_one() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker, environ = seated(theirs)
    supervisor = Channel(ours)
    orders = Orders()
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    worker.changed = changed
    supervisor.send(Board(states=("starting",)))
    supervisor.send(Told(Order.RELOAD, "SIGHUP"))
    worker.follow(orders)
    supervisor.send(Board(states=("ready", "draining"), started=True))
    supervisor.send(Told(Order.DRAIN, "SIGTERM"))
    stream = aiter(orders)

    assert [await anext(stream), await anext(stream)] == [(Order.RELOAD, "SIGHUP"), (Order.DRAIN, "SIGTERM")]
    assert worker.board == Board(states=("ready", "draining"), started=True)
    assert changes == 2
    assert environ == {"OTHER": "x"}, "what a worker starts is no worker"

    supervisor.close()
    assert await anext(stream) == (Order.DRAIN, "the supervisor is gone")
    assert worker.alone
    assert changes == 3
    orders.close()


async def test_a_supervisor_hears_what_a_worker_said_last_after_its_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker, _ = seated(theirs)
    supervisor = Channel(ours)
    heard: list[object] = []
    gone = asyncio.Event()
    worker.report("ready")
    worker.show(b"a page")
    worker.fail("no", 2)
    worker.close()

    supervisor.listen(to_supervisor, heard.append, gone.set)
    await gone.wait()

    assert [type(message) for message in heard] == [Report, Page, Failure]
    assert heard[2] == Failure("no", 2)


async def test_a_worker_does_not_wait_for_a_supervisor_that_does_not_listen() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker, _ = seated(theirs)
    channel = Channel(ours)
    for size in (100_000, 10_000):
        for _ in range(1000):
            channel.send(Page(bytes(size)))
    for _ in range(100):
        worker.show(os.urandom(10_000))
    worker.close()
    channel.close()


@pytest.mark.parametrize("text", ["", "1", "{}", '{"socket": 99999}', seat(descriptor=99999)])
def test_the_variable_is_not_for_people(text: str | Seat) -> None:
    environ = {VARIABLE: text if isinstance(text, str) else msgspec.json.encode(text).decode()}

    with pytest.raises(SettingError, match="WSGATEWAY_WORKER is for supervisors to set"):
        Worker.here(environ)


def test_a_process_without_a_supervisor_is_no_worker() -> None:
    assert Worker.here({}) is None


async def test_a_worker_that_alone_ends_leaves_new_clients_to_the_others() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker, _ = seated(theirs)

    def stands_aside(board: Board) -> bool:
        worker.board = board
        return worker.stands_aside

    assert not stands_aside(Board(states=("ready", "ready"))), "it does not end"
    worker.report("draining")
    assert stands_aside(Board(states=("draining", "ready")))
    assert not stands_aside(Board(states=("draining", "draining"))), "nobody else takes them"
    assert not stands_aside(Board(states=("draining", "ready"), draining=True)), "all end"
    worker.close()
    ours.close()


def settings(**flags: object) -> Settings:
    return Settings(**{"file": "routes.yaml", "dev": False, "redis_url": "redis://h", **flags})  # type: ignore[arg-type]


def test_several_workers_need_what_they_share() -> None:
    with pytest.raises(SettingError, match=r"--workers 2 needs --redis-url, such as redis://localhost:6379: a push"):
        settings(workers=2, redis_url="memory://")
    assert settings(workers=1, redis_url="memory://").workers == 1


def test_each_worker_may_have_a_connection() -> None:
    with pytest.raises(SettingError, match="--max-connections 2 can't be divided among 3 workers"):
        settings(workers=3, max_connections=2)
    assert settings(workers=3, max_connections=3).max_connections == 3


async def test_the_last_words_are_heard_of_who_ends_with_something_unread() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard: list[object] = []
    gone = asyncio.Event()
    supervisor = Channel(ours)
    supervisor.send(Board())
    Channel(theirs).send(Failure("routes.yaml:7: no", 2))
    theirs.close()

    supervisor.listen(to_supervisor, heard.append, gone.set)
    await gone.wait()

    assert heard == [Failure("routes.yaml:7: no", 2)]


@pytest.mark.parametrize(
    "size", [0, 1, INLINE_BYTES - HEAD, INLINE_BYTES - HEAD + 1, 250_000, 3_000_000], ids=lambda size: f"{size} bytes"
)
async def test_messages_of_any_size_come_whole_and_in_order(size: int) -> None:
    """The kernel takes 208 KiB at most in one piece (net.core.wmem_default)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker, supervisor = Channel(theirs), Channel(ours)
    sent = [Report("ready"), Page(os.urandom(size)), Report("draining"), Page(os.urandom(size)), Failure("no", 1)]
    heard: list[object] = []
    gone = asyncio.Event()

    supervisor.listen(to_supervisor, heard.append, gone.set)
    for message in sent:
        worker.send(message)
    worker.close()
    await gone.wait()

    assert heard == sent
    assert files_in_memory() == []


async def test_a_message_beyond_the_bound_is_not_sent() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard: list[object] = []
    gone = asyncio.Event()
    channel = Channel(theirs)
    channel.send(Page(bytes(MOST_BYTES)))
    channel.send(Report("ready"))
    channel.close()

    Channel(ours).listen(to_supervisor, heard.append, gone.set)
    await gone.wait()

    assert heard == [Report("ready")]


async def test_a_file_that_this_process_can_not_take_is_passed_over() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(theirs)
    channel.send(Page(bytes(INLINE_BYTES)))
    channel.send(Report("ready"))
    channel.close()
    heard: list[object] = []
    gone = asyncio.Event()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    Channel(ours).listen(to_supervisor, heard.append, gone.set)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        await gone.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert heard == [Report("ready")]


def files_in_memory() -> list[str]:
    """Those of messages that this process has open."""
    return [file.name for file in Path("/proc/self/fd").iterdir() if _is_message(file)]


def _is_message(file: Path) -> bool:
    try:
        return "wsgateway message" in os.readlink(file)
    except OSError:  # it was the one of the list
        return False
