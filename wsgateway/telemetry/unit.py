"""Probes of the port that the workers of one supervisor share: whichever is asked answers for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.telemetry.base import Table
from wsgateway.telemetry.catalog import WORKERS
from wsgateway.telemetry.health import Check, Health, told, verbose, why_not
from wsgateway.telemetry.merge import MOST_PAGE_BYTES, Merged, unpacked
from wsgateway.telemetry.metrics import CONTENT_TYPE
from wsgateway.telemetry.text import text_of

if TYPE_CHECKING:
    from wsgateway.workers import Board, Worker

ANSWER_SECONDS = 2.0
"""For all siblings together, twice; a scraper waits 10 s by default."""
AGAIN_SECONDS = 0.1
"""Until the supervisor has told of a worker that has just died."""
PIECE_BYTES = 1 << 20
"""Of a sibling's page, read at once."""


class UnitProbes:
    """A Handler: `/readyz`, `/startupz` and `/metrics` for all workers, and `own` for everything else.

    `checks` says how this worker is. `page` is its metrics; `host` is where siblings listen.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        own: Handler,
        checks: Callable[[], Iterable[Check]],
        page: Callable[[], Awaitable[bytes]],
        host: str,
    ) -> None:
        self._worker = worker
        self._own = own
        self._checks = checks
        self._page = page
        self._host = host

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if request.method in ("GET", "HEAD"):
            match request.target.partition("?")[0]:
                case "/readyz":
                    checks = list(self._checks())
                    ready, text = readiness(self._worker.board, self._worker.index, why_not(checks))
                    return told(ready, text, self._of_all(checks) if verbose(request) else ())
                case "/startupz":
                    board = self._worker.board
                    text = "ok" if board.started else readiness(board, self._worker.index, why_not(self._checks()))[1]
                    return told(board.started, text)
                case "/metrics":
                    return self._metrics()
        return self._own(request)

    def _of_all(self, checks: Iterable[Check]) -> list[Check]:
        """How each worker is, and how things are as this one sees them."""
        states = self._worker.board.states
        of_each = [
            Check(f"worker {index}", Health.GOOD if state == "ready" else Health.FAIR, state)
            for index, state in enumerate(states)
        ]
        own = [Check(f"{check.name} of worker {self._worker.index}", check.health, check.text) for check in checks]
        return [*of_each, *own]

    async def _metrics(self) -> HttpResponse:
        """The pages are put together by a thread: that takes a while, and clients have their turn in between."""
        worker = self._worker
        board = worker.board
        pages = await self._siblings(board)
        if None in pages.values() or worker.board is not board:
            # What a worker counted is on its own page or in the past, and to be taken from one moment's board.
            await asyncio.sleep(AGAIN_SECONDS)
            board = worker.board
            pages = await self._siblings(board)
        own = await self._page()
        # A count that falls and comes back would be taken for one that began anew.
        gone = [await worker.last_seen(index) for index, page in pages.items() if page is None]
        gone.append(worker.board.past)
        page, silent = await asyncio.to_thread(_together, own, gone, pages)
        return HttpResponse(200, ((b"Content-Type", CONTENT_TYPE),), page + _of_workers(board, silent))

    async def _siblings(self, board: Board) -> dict[int, bytes | None]:
        asked = [index for index, state in enumerate(board.states) if state in _THERE and index != self._worker.index]
        pages = await asyncio.gather(*(self._ask(self._worker.seat.node_ports[index]) for index in asked))
        return dict(zip(asked, pages, strict=True))

    async def _ask(self, port: int) -> bytes | None:
        """A sibling's own page, or None where it does not give one in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await fetch(self._host, port, "/metrics")
        except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            return None


_THERE = ("ready", "draining")


def _together(own: bytes, gone: Iterable[bytes], pages: Mapping[int, bytes | None]) -> tuple[bytes, set[int]]:
    """One page of all, and whose is missing; of what is `gone` (packed) the counts are kept."""
    merged, counts = Merged(), Merged(only_counts=True)
    merged.add(own)
    for packed in filter(None, gone):
        counts.add(unpacked(packed))
    merged.add(counts.render())
    silent = {index for index, page in pages.items() if page is None or not _added(merged, page)}
    return merged.render(), silent


def _added(merged: Merged, page: bytes) -> bool:
    try:
        merged.add(page)
    except ValueError:
        return False
    return True


def _of_workers(board: Board, silent: set[int]) -> bytes:
    states = ["silent" if index in silent else state for index, state in enumerate(board.states)]
    values: dict[str, float | Table] = {
        "workers": {name: states.count(name) for name in ("starting", "ready", "draining", "down", "silent")},
        "worker_restarts_total": board.restarts,
    }
    return "".join([part for metric in WORKERS.metrics for part in text_of(metric, values[metric.name])]).encode()


def readiness(board: Board, index: int, why_not: str) -> tuple[bool, str]:
    """Whether clients should be sent here, and what to say, as worker `index` sees it, which isn't ready for `why_not`.

    They should while one worker takes them, once all did, and until all are to end.
    """
    states = dict(enumerate(board.states))
    states[index] = "ready" if not why_not else "starting" if why_not == "starting" else "draining"
    others = ", ".join(f"worker {number} is {state}" for number, state in states.items() if state != "ready")
    if board.draining:
        return False, "draining"
    if not board.started:
        return False, f"starting: {others}" if others else "starting"
    if "ready" not in states.values():
        return False, others
    return True, f"ok, but {others}" if others else "ok"


async def fetch(host: str, port: int, path: str) -> bytes:
    """The body of a worker's 200.

    *Raises* OSError, EOFError, ValueError or LimitOverrunError where there is none.
    """
    reader, writer = await asyncio.open_connection(host, port, limit=PIECE_BYTES)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"worker at port {port} answers {head[:32]!r}")
        body = bytearray()
        while piece := await reader.read(PIECE_BYTES):
            body += piece
            if len(body) > MOST_PAGE_BYTES:
                raise ValueError(f"worker at port {port} answers with too much")
        if b"\r\ncontent-length: %d\r\n" % len(body) not in head.lower():
            raise EOFError(
                f"worker at port {port} ended in the middle of its answer"
            )  # every line before is a good one
        return bytes(body)
    finally:
        writer.close()
