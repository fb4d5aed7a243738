"""`/metrics`: the node's plain integers as Prometheus samples, made when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wsgateway.telemetry.base import Values
from wsgateway.telemetry.catalog import OF_NODE
from wsgateway.telemetry.merge import packed
from wsgateway.telemetry.process import Process
from wsgateway.telemetry.text import text_of

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
SLICE = 200
"""So many series are written before others have their turn; of histograms it takes five milliseconds."""


class Metrics:
    """Renders the samples of one node, with the process's own (memory, CPU, file descriptors).

    `values` gives what the metrics of the catalog have now; `shown` is told of every page, packed, before it is
    seen.
    """

    def __init__(self, values: Callable[[], Values], shown: Callable[[bytes], None] | None = None) -> None:
        self._values = values
        self._shown = shown
        self._process = Process()
        self._one_at_a_time = asyncio.Lock()
        """So that no page that is shown later says less."""

    async def render(self) -> bytes:
        """The page of now; of thousands of series others have their turn in between."""
        async with self._one_at_a_time:
            open_files = await self._process.open_files()
            values = self._values()
            parts: list[str] = []
            for metric in OF_NODE:
                value = values.get(metric.name)
                if value is not None:
                    for text in text_of(metric, value):
                        parts.append(text)
                        if len(parts) % SLICE == 0:
                            await asyncio.sleep(0)
            parts.extend(self._process.text(open_files))
            page = "".join(parts).encode()
            if self._shown is not None:
                self._shown(await asyncio.to_thread(packed, page))
            return page
