"""Lines of a process's output: whole, bounded, counted where they are too many."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.functions import Facts
from wsgateway.functions.output import BURST, MAX_LINE, Output

pytestmark = pytest.mark.anyio


def printed(*chunks: bytes, tail: bool = False) -> tuple[Facts, Output]:
    """What is logged of these writes."""
    facts = Facts()
    output = Output(asyncio.get_running_loop(), facts, "fn")
    output.tail = bytearray() if tail else None
    for chunk in chunks:
        os.write(output.write_end, chunk)
        output.drain()
    output.started()
    output.close()
    return facts, output


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        pytest.param([b"one\ntwo\n"], ["one", "two"], id="two lines"),
        pytest.param([b"o", b"ne\ntw", b"o\n"], ["one", "two"], id="in pieces"),
        pytest.param([b"one\n\n\ntwo"], ["one", "two"], id="blank lines, and no newline at the end"),
        pytest.param([b"one\r\n"], ["one"], id="CR LF"),
        pytest.param([b"\xff\n"], ["\ufffd"], id="not UTF-8"),
        pytest.param([b"x" * (MAX_LINE + 9), b"y" * 9, b"\nz\n"], ["x" * MAX_LINE, "z"], id="a long line is cut"),
        pytest.param([], [], id="nothing"),
    ],
)
async def test_lines(chunks: list[bytes], lines: list[str]) -> None:
    facts, _ = printed(*chunks)

    assert facts.lines == lines


async def test_what_is_over_the_rate_is_counted() -> None:
    facts, _ = printed(*[b"".join(b"%d\n" % n for n in range(1000))] * 5)

    (dropped,) = facts.of("function output dropped")
    assert len(facts.lines) + dropped["lines"] == 5000
    assert BURST <= len(facts.lines) <= BURST + 500


async def test_the_tail_is_the_last_4_kb() -> None:
    _, output = printed(b"x" * 5000, b"end", tail=True)

    assert bytes(output.tail or b"") == b"x" * 4093 + b"end"
