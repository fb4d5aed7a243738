"""Histories on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadtest.faults.history import History
from tests.unit.loadtest.faults.hand import Hand


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    hand = Hand()
    hand.opens()
    hand.breaks("redis-away", at=11, until=12)
    hand.says("m", at=13)
    hand.push("p", at=14)
    hand.drops(at=15, disconnect=15.1)
    hand.kills("b", at=16)
    history = History(hand.events)

    history.write(tmp_path / "history.jsonl")

    assert History.read(tmp_path / "history.jsonl").events == history.events


def test_a_line_that_is_no_event_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"type": "Danced", "at": 1}\n')

    with pytest.raises(msgspec.ValidationError, match="Danced"):
        History.read(tmp_path / "history.jsonl")
